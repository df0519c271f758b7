"""Judging under conventions that ask for one box an image, at one threshold or the best of a few.

Every choice of a `Convention` is followed here in plain steps. The conventions that search all
thresholds have an engine of their own, see `wsol.evaluation.judging`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsol.boxes.geometry import true_boxes_on
from wsol.boxes.levels import protocol_levels
from wsol.boxes.rules import tight_box, with_corners
from wsol.datasets.base import Sample
from wsol.errors import InputError
from wsol.evaluation.conventions import Convention
from wsol.evaluation.judging import Classification, Outcome, is_dim, size_of, validate_map
from wsol.maps.automatic import automatic_share, automatic_threshold
from wsol.maps.normalize import on_grid
from wsol.metrics.box_accuracy import is_hit
from wsol.metrics.iou import iou_of_corners

_RIGHT = 0.5
_NOWHERE = {"pixel": (0, 0, 0, 0), "two-pixels": (0, 0, 1, 1)}


def foreground_at(
    score_map: NDArray[Any], convention: Convention, threshold: float
) -> NDArray[np.bool_]:
    """The foreground (H, W) of a map on the convention's grid."""
    rule = convention.foreground
    if rule == "levels":
        levels = protocol_levels(score_map)
        return np.asarray(levels > int(threshold * levels.max()))
    limit = threshold
    if rule == "reaching-share":  # in double precision, as at all thresholds
        score_map = score_map.astype(np.float64)
    if rule.endswith("-share"):
        top = float(score_map.max())
        if top <= 0:
            return np.zeros(score_map.shape, dtype=bool)
        limit = threshold * top
    return np.asarray(score_map > limit if rule.startswith("above") else score_map >= limit)


def threshold_of(score_map: NDArray[Any], convention: Convention, threshold: float | str) -> float:
    """A threshold in the convention's units: a number, or what a policy chooses for the map."""
    if not isinstance(threshold, str):
        return threshold
    rule = convention.foreground
    relative = rule == "levels" or rule.endswith("-share")
    return (automatic_share if relative else automatic_threshold)(score_map, threshold)


def frame_box(convention: Convention, grid: tuple[int, int]) -> NDArray[np.float64]:
    """The box of the whole frame, with the convention's corners; (4,)."""
    far = 0 if convention.corners == "exclusive" else 1
    return np.array([0, 0, grid[0] - far, grid[1] - far], dtype=np.float64)


@dataclass(frozen=True)
class BoxJudge:
    """Judges images under one convention.

    Attributes:
        thresholds: of each of which an image has a box: numbers, or policies by which each map
            chooses its own; several where the best is taken, or others reported beside.
        dataset: `Dataset.name`, on which the truth of one convention depends.
    """

    convention: Convention
    thresholds: tuple[float | str, ...]
    dataset: str

    @cached_property
    def needs_size(self) -> bool:
        """Whether boxes depend on the photograph's own size."""
        return self.convention.grid == "original"

    def grid_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of the grid for a photograph of `size`."""
        grid = self.convention.grid
        return size if isinstance(grid, str) else grid

    def boxes(self, score_map: NDArray[Any] | None, size: tuple[int, int]) -> NDArray[np.float64]:
        """The box at each threshold, in the convention's corners; NaN where there is none.

        Args:
            score_map: (h, w) on the convention's frame, of any size, finite; None for the whole
                frame.
            size: (width, height) of the photograph.

        Returns:
            (T, 4) float64.
        """
        convention, grid = self.convention, self.grid_of(size)
        if score_map is None:
            return np.tile(frame_box(convention, grid), (len(self.thresholds), 1))
        values = on_grid(score_map, grid, convention.upsampling, convention.normalization)
        found = np.full((len(self.thresholds), 4), np.nan)
        for row, threshold in zip(found, self.thresholds, strict=True):
            chosen = threshold_of(values, convention, threshold)
            box = tight_box(foreground_at(values, convention, chosen), convention.component)
            if len(box):
                row[:] = with_corners(box, convention.corners, grid)[0]
            elif convention.nowhere == "frame":
                row[:] = frame_box(convention, grid)
            elif convention.nowhere in _NOWHERE:
                row[:] = _NOWHERE[convention.nowhere]
        return found

    def judge(
        self,
        boxes: NDArray[np.float64],
        sample: Sample,
        size: tuple[int, int],
        classification: Classification | None = None,
    ) -> Outcome:
        """Compare an image's boxes (T, 4) with its annotation."""
        convention = self.convention
        truth = np.zeros((0, 4))
        iou: float | None = None
        decisions: tuple[tuple[bool, bool], ...] = ()
        if len(sample.boxes):
            rule = convention.truth
            if rule == "original-cub" and self.dataset != "CUB":
                rule = "original"
            cropped = convention.frame == "crop"
            truth = true_boxes_on(sample.boxes, size, self.grid_of(size), rule, cropped=cropped)
            plus_one = convention.overlap == "plus-one"
            known = np.nan_to_num(boxes)
            ious = iou_of_corners(known, truth, plus_one=plus_one).max(axis=1)
            ious[np.isnan(boxes[:, 0])] = 0.0
            decisions = tuple(
                (
                    bool(is_hit(value, _RIGHT, above=convention.hit == "above")),
                    bool(is_hit(value, _RIGHT, above=convention.hit_top_k == "above")),
                )
                for value in ious
            )
            iou = float(ious[0])
        return Outcome(
            image_id=sample.image_id,
            best_iou={},
            fixed_box=np.nan_to_num(boxes[0]),
            fixed_iou=iou,
            true_boxes=truth,
            pixels=None,
            size=size,
            classification=classification,
            decisions=decisions,
        )

    def judge_map(
        self,
        score_map: NDArray[Any],
        sample: Sample,
        *,
        size: tuple[int, int] | None = None,
        classification: Classification | None = None,
        where: Callable[[str], str] = "the score map of {}".format,
    ) -> Outcome:
        """`boxes`, then `judge`.

        Raises:
            InputError: naming the map, when it is not one.
        """
        try:
            bounded = self.convention.normalization == "if-resized"
            valid = validate_map(score_map, bounded=bounded)
        except ValueError as error:
            raise InputError(f"{where(sample.image_id)}: {error}.") from error
        known = size_of(sample, size)
        outcome = self.judge(self.boxes(valid, known), sample, known, classification)
        taken = self.convention.normalization == "if-resized"
        return replace(outcome, is_dim=taken and is_dim(valid, self.grid_of(known)))
