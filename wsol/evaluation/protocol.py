"""One score map against one image's annotation, under a stated evaluation protocol.

This is the pure part of an evaluation: no state, no files but the image's own masks, safe to run
on any number of threads. `wsol.evaluation.evaluator` adds up what it returns.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from wsol.boxes.all_levels import both_box_runs, box_runs
from wsol.boxes.geometry import exact_ground_truth, protocol_ground_truth
from wsol.boxes.levels import (
    exact_levels,
    protocol_levels,
    protocol_threshold_levels,
    threshold_grid,
)
from wsol.boxes.one_level import largest_box_at
from wsol.boxes.runs import BoxRuns, Contours, Convention
from wsol.datasets.base import Boxes, MaskFiles
from wsol.errors import InputError
from wsol.maps.normalize import score_maps
from wsol.metrics.box_accuracy import best_iou_per_threshold
from wsol.metrics.iou import iou_matrix
from wsol.metrics.pxap import load_mask, pixel_histograms

ContourChoice = Literal["largest", "all", "both"]


@dataclass(frozen=True)
class Protocol:
    """Every choice that turns score maps and annotations into numbers.

    Attributes:
        convention: `wsolevaluation` reproduces the released evaluation of Choe et al. (CVPR 2020)
            digit for digit; `exact` has tight boxes, `>=` thresholds on the unquantized map and
            ground truth that is scaled without truncation.
        threshold_step: thresholds are 0, step, 2*step, ... below 1, times the map's maximum.
        iou_levels: an image counts at a level when its IoU reaches it.
        fixed_threshold: the threshold of GT-known, Top-1 and Top-5 Loc (0.2 in Zhou et al. 2016).
        grid: (width, height) on which maps, boxes and masks are compared.
        contours: which components the all-threshold metrics look at.
    """

    convention: Convention = "wsolevaluation"
    threshold_step: float = 0.001
    iou_levels: tuple[float, ...] = (0.3, 0.5, 0.7)
    fixed_threshold: float = 0.2
    grid: tuple[int, int] = (224, 224)
    contours: ContourChoice = "both"

    def __post_init__(self) -> None:
        if not 1e-4 <= self.threshold_step <= 0.5:
            raise InputError(
                f"The threshold step {self.threshold_step} is outside 0.0001 to 0.5; "
                "the published protocol uses 0.001."
            )
        if not self.iou_levels or not all(0 < level <= 1 for level in self.iou_levels):
            raise InputError(
                f"IoU levels must lie above 0 and at most at 1, not {self.iou_levels}."
            )
        if len(set(self.iou_levels)) != len(self.iou_levels):
            raise InputError(f"IoU levels must differ from each other: {self.iou_levels}.")

    @cached_property
    def thresholds(self) -> NDArray[np.float64]:
        """(T,) ascending, in units of the map's maximum."""
        return threshold_grid(self.threshold_step)

    @property
    def contour_kinds(self) -> tuple[Contours, ...]:
        """The component choices to evaluate, in a fixed order."""
        return ("largest", "all") if self.contours == "both" else (self.contours,)

    def settings(self) -> dict[str, Any]:
        """The settings as a record states them."""
        return {
            "convention": self.convention,
            "threshold_policy": {
                "gt_known_loc": f"fixed at {self.fixed_threshold:g}",
                "max_box_acc": "best on the evaluated split (oracle)",
            },
            "fixed_threshold": self.fixed_threshold,
            "threshold_step": self.threshold_step,
            "iou_levels": list(self.iou_levels),
            "contours": self.contours,
            "grid": list(self.grid),
        }


@dataclass(frozen=True, slots=True)
class PreparedMap:
    """A score map and its boxes at every threshold; independent of any annotation.

    `threshold_levels` (T,) says at which level of `runs` each threshold looks; `fixed_boxes`
    (m, 4) holds the largest component's box at the fixed threshold, m <= 1.
    """

    score_map: NDArray[Any]
    runs: dict[Contours, BoxRuns]
    threshold_levels: NDArray[np.int64]
    fixed_boxes: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one image contributes to every localization metric.

    `best_iou` (T,) a contour kind: the best IoU of any predicted with any true box at each
    threshold. `fixed_box` is on the protocol's grid, inclusive corners. `true_pixels` and
    `false_pixels` are histograms of the map over foreground and background. `size` (width,
    height) is that of the original image, None where nothing needed it.
    """

    best_iou: dict[Contours, NDArray[np.float64]]
    fixed_box: NDArray[np.float64]
    fixed_iou: float | None
    true_boxes: NDArray[np.float64]
    pixels: tuple[NDArray[np.int64], NDArray[np.int64]] | None
    size: tuple[int, int] | None


def validate_map(score_map: NDArray[Any]) -> NDArray[Any]:
    """Return a finished score map if it is one: 2-D, uint8 or floating, finite, within [0, 1].

    Raises:
        ValueError: one clause that says what is wrong; the caller knows the map's name.
    """
    if score_map.ndim != 2 or 0 in score_map.shape:
        raise ValueError(f"has the shape {score_map.shape}; expected (height, width)")
    if score_map.dtype == np.uint8:
        return score_map
    if score_map.dtype.kind != "f":
        raise ValueError(f"has the type {score_map.dtype}; expected float16/32/64 or uint8")
    low, high = float(score_map.min()), float(score_map.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("contains NaN or infinite values")
    if low < 0 or high > 1:
        raise ValueError(
            f"has values from {low:g} to {high:g}; expected 0 to 1 "
            "(subtract the minimum, then divide by the maximum)"
        )
    return score_map


def to_grid(score_map: NDArray[Any], grid: tuple[int, int]) -> NDArray[Any]:
    """A valid map on the evaluation grid (width, height).

    A map that already has that size is returned as it is. Any other is upsampled or reduced
    bicubically (a = -0.75, pixel centres aligned) and min-max normalized afterwards, because
    bicubic interpolation overshoots; this is the order of the published protocol.
    """
    width, height = grid
    if score_map.shape == (height, width):
        return score_map
    scaled = np.asarray(score_map, dtype=np.float32)
    if score_map.dtype == np.uint8:
        scaled /= 255
    return score_maps(torch.from_numpy(np.ascontiguousarray(scaled)), (height, width)).numpy()


def map_levels(score_map: NDArray[Any], protocol: Protocol) -> NDArray[Any]:
    """A valid map as the integers of which a protocol's boxes are found."""
    if protocol.convention == "wsolevaluation":
        return protocol_levels(score_map)
    return exact_levels(score_map, protocol.thresholds)


def prepare(score_map: NDArray[Any], protocol: Protocol) -> PreparedMap:
    """Find the boxes of a valid map on the protocol's grid (see `validate_map`, `to_grid`)."""
    levels = map_levels(score_map, protocol)
    fixed_levels: NDArray[Any]
    if protocol.convention == "wsolevaluation":
        fixed_levels = levels
        asked = np.append(protocol.thresholds, protocol.fixed_threshold)
        asked_levels = protocol_threshold_levels(asked, int(levels.max()))
        threshold_levels, fixed = asked_levels[:-1], int(asked_levels[-1])
    else:
        threshold_levels = np.arange(len(protocol.thresholds))
        fixed_levels = exact_levels(score_map, np.array([protocol.fixed_threshold]))
        fixed = 0
    # The fixed threshold asks for the largest component whatever the others ask for.
    if protocol.contours == "largest":
        found: dict[Contours, BoxRuns] = {
            "largest": box_runs(levels, "largest", protocol.convention)
        }
    else:
        largest, every = both_box_runs(levels, protocol.convention)
        found = {"largest": largest, "all": every}
    if fixed_levels is levels:
        fixed_boxes = found["largest"].at(fixed)
    else:
        fixed_boxes = largest_box_at(fixed_levels, fixed, protocol.convention)
    runs = {kind: found[kind] for kind in protocol.contour_kinds}
    return PreparedMap(score_map, runs, threshold_levels, fixed_boxes)


def ground_truth_on_grid(boxes: Boxes, size: tuple[int, int], protocol: Protocol) -> Boxes:
    """True boxes (n, 4) of an image of `size` (width, height) on the protocol's grid."""
    scale = protocol_ground_truth if protocol.convention == "wsolevaluation" else exact_ground_truth
    return np.asarray(scale(boxes, size, protocol.grid), dtype=np.float64)


def compare(
    prepared: PreparedMap,
    boxes: Boxes,
    size: tuple[int, int] | None,
    mask: MaskFiles | None,
    protocol: Protocol,
) -> Outcome:
    """Compare a prepared map with an annotation.

    Args:
        boxes: (n, 4) inclusive corners in the original image; n = 0 leaves the box metrics out.
        size: (width, height) of the original image; needed where there are boxes.
        mask: pixel annotation, or None to leave the pixel metric out.

    Raises:
        InputError: when a mask cannot be read.
    """
    best_iou: dict[Contours, NDArray[np.float64]] = {}
    fixed_iou = None
    truth = np.zeros((0, 4))
    no_box = [[0, 0, 0, 0]]  # what the published protocol predicts where nothing is above
    fixed_boxes = prepared.fixed_boxes
    if len(fixed_boxes) == 0 and protocol.convention == "wsolevaluation":
        fixed_boxes = np.array(no_box, dtype=np.int32)
    if len(boxes):
        if size is None:
            raise ValueError("boxes can only be compared when the image size is known")
        truth = ground_truth_on_grid(boxes, size, protocol)
        for kind, runs in prepared.runs.items():
            best_iou[kind] = best_iou_per_threshold(
                runs, truth, prepared.threshold_levels, protocol.convention
            )
        fixed_iou = float(iou_matrix(fixed_boxes, truth).max()) if len(fixed_boxes) else 0.0
    pixels = None
    if mask is not None:
        pixels = pixel_histograms(
            prepared.score_map, load_mask(mask, protocol.grid), protocol.thresholds
        )
    fixed_box = np.asarray(fixed_boxes[0] if len(fixed_boxes) else no_box[0], dtype=np.float64)
    return Outcome(best_iou, fixed_box, fixed_iou, truth, pixels, size)
