"""A map's boxes at every threshold, under conventions that do not search thresholds themselves.

The published ones have engines of their own, see `wsol.evaluation.judging`; here each rule of a
`Convention` is followed, in one pass over the pixels where `wsol.boxes.rules` knows one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wsol.boxes.levels import exact_levels, protocol_levels, protocol_threshold_levels
from wsol.boxes.rules import tight_runs, with_corners
from wsol.boxes.runs import BoxRuns, Contours
from wsol.evaluation.conventions import Convention
from wsol.metrics.box_accuracy import best_per_threshold
from wsol.metrics.iou import iou_of_corners

_NOWHERE = {"pixel": (0, 0, 0, 0), "two-pixels": (0, 0, 1, 1)}


def frame_box(convention: Convention, grid: tuple[int, int]) -> NDArray[np.float64]:
    """The box of the whole frame, with the convention's corners; (4,)."""
    far = 0 if convention.corners == "exclusive" else 1
    return np.array([0, 0, grid[0] - far, grid[1] - far], dtype=np.float64)


def box_nowhere(convention: Convention, grid: tuple[int, int]) -> NDArray[np.float64]:
    """The box where there is no foreground; (4,), NaN where there is none."""
    if convention.nowhere == "frame":
        return frame_box(convention, grid)
    return np.array(_NOWHERE.get(convention.nowhere, (np.nan,) * 4), dtype=np.float64)


def ious_of(
    boxes: NDArray[Any], truth: NDArray[np.float64], convention: Convention
) -> NDArray[np.float64]:
    """(n,) the best IoU of each box (n, 4) with any of the true ones; 0 for NaN, which is none."""
    plus_one = convention.overlap == "plus-one"
    ious = iou_of_corners(np.nan_to_num(boxes), truth, plus_one=plus_one).max(axis=1)
    ious[np.isnan(boxes[:, 0])] = 0.0
    return ious


@dataclass(frozen=True, slots=True)
class EveryBox:
    """The boxes of a map at each of T thresholds.

    Attributes:
        runs: by contour kind, with the convention's corners.
        threshold_levels: (T,) at which level of `runs` each threshold looks.
        nowhere: (4,) the box at thresholds that nothing is above, NaN for none.
    """

    runs: dict[Contours, BoxRuns]
    threshold_levels: NDArray[np.int64]
    nowhere: NDArray[np.float64]

    def best_ious(
        self, kind: Contours, truth: NDArray[np.float64], convention: Convention
    ) -> NDArray[np.float64]:
        """(T,) the best IoU of any box of a threshold with any true one (m, 4), m > 0."""
        runs = self.runs[kind]
        nowhere = float(ious_of(self.nowhere[None], truth, convention)[0])
        ious = ious_of(runs.boxes.astype(np.float64), truth, convention)
        return best_per_threshold(runs, ious, nowhere, self.threshold_levels)


def every_box(
    values: NDArray[Any] | None,
    convention: Convention,
    grid: tuple[int, int],
    thresholds: NDArray[np.float64],
    kinds: Iterable[Contours],
) -> EveryBox:
    """The boxes of a map on the grid at all thresholds.

    Args:
        values: (H, W) as the convention normalizes it; None for the whole frame, whose box is the
            same at all of them.
        thresholds: (T,) ascending, in the convention's units.
    """
    if values is None:
        box = frame_box(convention, grid).astype(np.int32)[None]
        zero = np.zeros(1, np.int32)
        places = np.zeros(len(thresholds), np.int64)
        return EveryBox({kind: BoxRuns(box, zero, zero, 1) for kind in kinds}, places, box[0])
    levels, places = _levels(values, convention, thresholds)
    runs = {}
    for kind in kinds:
        found = tight_runs(levels, kind, convention.component)
        runs[kind] = replace(found, boxes=with_corners(found.boxes, convention.corners, grid))
    return EveryBox(runs, places, box_nowhere(convention, grid))


def _levels(
    values: NDArray[Any], convention: Convention, thresholds: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """A map as integers, and at which of their levels each threshold finds its foreground."""
    rule, each = convention.foreground, np.arange(len(thresholds))
    if rule == "levels":
        levels = protocol_levels(values)
        return levels, protocol_threshold_levels(thresholds, int(levels.max()))
    if rule == "reaching-share":
        return exact_levels(values, thresholds), each
    limits = thresholds
    if rule == "above-share":
        top = float(values.max())
        if top <= 0:
            return np.zeros(values.shape, np.int32), each
        limits = thresholds * top
    # In the map's own precision, as a single threshold is compared.
    side: Literal["left", "right"] = "left" if rule.startswith("above") else "right"
    return limits.astype(values.dtype).searchsorted(values, side=side).astype(np.int32), each


def largest_over_thresholds(
    found: EveryBox, truth: NDArray[np.float64], convention: Convention
) -> tuple[NDArray[np.uint16], NDArray[np.int16], NDArray[np.float32]]:
    """The largest component's box over the thresholds, see `wsol.evaluation.rows.largest_boxes`."""
    runs = found.runs["largest"]
    boxes = np.concatenate([runs.boxes.astype(np.float64), found.nowhere[None]])
    ious = np.full(len(boxes), np.nan)
    if len(truth):
        ious = ious_of(boxes, truth, convention)
    return box_changes(runs, np.nan_to_num(boxes), ious, found.threshold_levels)


def box_changes(
    runs: BoxRuns,
    boxes: NDArray[Any],
    ious: NDArray[np.float64],
    threshold_levels: NDArray[np.int64],
) -> tuple[NDArray[np.uint16], NDArray[np.int16], NDArray[np.float32]]:
    """At which thresholds a largest component's box changes, and the boxes from there on.

    Args:
        runs: of the largest component.
        boxes, ious: those of `runs`, and one more for thresholds that nothing is above.
    """
    rows = _row_per_level(runs)[np.minimum(threshold_levels, runs.max_level)]
    changed = (np.diff(boxes[rows], axis=0) != 0).any(axis=1)
    starts = np.concatenate([[0], np.flatnonzero(changed) + 1])
    rows = rows[starts]
    return (
        starts.astype(np.uint16),
        np.rint(boxes[rows]).astype(np.int16),
        ious[rows].astype(np.float32),
    )


def _row_per_level(runs: BoxRuns) -> NDArray[np.int64]:
    """Which row of a map's largest boxes stands at each level; `len(runs.boxes)` where none."""
    order = np.argsort(runs.first)
    # Every level below the maximum has exactly one largest component.
    return np.append(np.repeat(order, (runs.last - runs.first + 1)[order]), len(order))
