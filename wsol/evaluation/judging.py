"""One score map against one image's annotation, under a stated evaluation protocol.

This is the pure part of an evaluation: no state, no files but the image's own photograph and masks,
safe to run on any number of threads. `wsol.evaluation.evaluator` adds up what it returns.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsol.boxes.all_levels import both_box_runs, box_runs
from wsol.boxes.geometry import exact_ground_truth, protocol_ground_truth
from wsol.boxes.levels import exact_levels, protocol_levels, protocol_threshold_levels
from wsol.boxes.one_level import largest_box_at
from wsol.boxes.runs import BoxRuns, Contours
from wsol.datasets.base import Boxes, Sample
from wsol.datasets.loading import image_size
from wsol.datasets.settling import Finding
from wsol.errors import InputError
from wsol.evaluation.protocol import Protocol
from wsol.maps.automatic import automatic_share
from wsol.maps.normalize import Upsampling, is_constant, on_grid
from wsol.metrics.box_accuracy import best_iou_per_threshold
from wsol.metrics.image_mean import AnnotatedMap
from wsol.metrics.iou import iou_matrix
from wsol.metrics.pxap import load_mask, pixel_histograms
from wsol.records.outcomes import OutcomeRow


@dataclass(frozen=True, slots=True)
class PreparedMap:
    """A score map and its boxes at every threshold; independent of any annotation.

    `threshold_levels` (T,) says at which level of `runs` each threshold looks; `fixed_boxes`
    (m, 4) holds the largest component's box at the fixed threshold, m <= 1. `policy_boxes` holds
    for each of the protocol's policies that of the largest component, and those of all. `is_dim`:
    see `is_dim`.
    """

    score_map: NDArray[Any]
    runs: dict[Contours, BoxRuns]
    threshold_levels: NDArray[np.int64]
    fixed_boxes: NDArray[np.int32]
    policy_boxes: tuple[tuple[NDArray[np.int32], NDArray[np.int32]], ...] = ()
    is_dim: bool = False


@dataclass(frozen=True, slots=True)
class Classification:
    """What a classifier said about one image.

    Attributes:
        rank: how many classes scored above the label; 0 = top-1 right.
        classes: (k,) labels of the highest logits, best first.
        scores: (k,) softmax probabilities of `classes`.
        boxes: (k, 4) the box of each of these classes' own map at the fixed threshold, inclusive
            corners on the protocol's grid; None leaves COCO AP out. Of a class that the image has
            no true box of, any box is as wrong as another.
    """

    rank: int
    classes: NDArray[np.int64]
    scores: NDArray[np.float64]
    boxes: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one image contributes to every metric.

    `best_iou` (T,) a contour kind: the best IoU of any predicted with any true box at each
    threshold. `fixed_box` is on the protocol's grid, inclusive corners. `true_pixels` and
    `false_pixels` are histograms of the map over foreground and background. `size` (width,
    height) is that of the original image, None where nothing needed it. `classification` is None
    without a classifier; `decisions` say whether the box is right for GT-known and for Top-k Loc,
    where that is asked at several thresholds or by a convention that asks for one box; `policy_iou`
    are the best IoU of any component's box at the threshold of each policy of `also_at`; `values`
    are those of the protocol's further metrics; `row` is what a per-image file says, None where
    none is written. `findings` are those about its photograph; `is_dim` says that the map was taken
    as it is though it does not reach 1. `detections` are the boxes for COCO AP, where they are not
    those of `classification`. `candidates` (C, 5) are the box and IoU at each threshold of which
    the best is taken, where there are several.
    """

    image_id: str
    best_iou: dict[Contours, NDArray[np.float64]]
    fixed_box: NDArray[np.float64]
    fixed_iou: float | None
    true_boxes: NDArray[np.float64]
    pixels: tuple[NDArray[np.int64], NDArray[np.int64]] | None
    size: tuple[int, int] | None
    classification: Classification | None = None
    decisions: tuple[tuple[bool, bool], ...] = ()
    policy_iou: tuple[float, ...] = ()
    values: dict[str, float | None] = field(default_factory=dict)
    row: OutcomeRow | None = None
    findings: Finding = Finding.NONE
    detections: Classification | None = None
    is_dim: bool = False
    candidates: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 5)))


def validate_map(score_map: NDArray[Any], *, bounded: bool = True) -> NDArray[Any]:
    """Return a finished score map if it is one: 2-D, uint8 or floating, finite, within [0, 1].

    Args:
        bounded: otherwise any finite values are taken, by a convention that normalizes all maps
            itself or is defined on maps as they are.

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
    if bounded and (low < 0 or high > 1):
        raise ValueError(
            f"has values from {low:g} to {high:g}; expected 0 to 1 "
            "(subtract the minimum, then divide by the maximum)"
        )
    return score_map


def to_grid(
    score_map: NDArray[Any], grid: tuple[int, int], upsampling: Upsampling = "bicubic"
) -> NDArray[Any]:
    """A valid map on the evaluation grid (width, height).

    A map that already has that size is returned as it is, but for a constant one, which is a map
    of zeros at any size. Any other is upsampled or reduced, by the published protocol bicubically
    (a = -0.75, pixel centres aligned), and min-max normalized afterwards, because bicubic
    interpolation overshoots; this is the order of the published protocol.
    """
    return on_grid(score_map, grid, upsampling, "if-resized")


def is_dim(score_map: NDArray[Any], grid: tuple[int, int]) -> bool:
    """Whether `to_grid` takes a valid map as it is although its maximum is below 1 (or 255).

    The released code quantizes such a map to fewer levels than there are, down to none.
    """
    top = 255 if score_map.dtype == np.uint8 else 1
    taken = score_map.shape == grid[::-1] and not is_constant(score_map)
    return bool(taken and score_map.max() < top)


def map_levels(score_map: NDArray[Any], protocol: Protocol) -> NDArray[Any]:
    """A valid map as the integers of which a protocol's boxes are found."""
    if protocol.engine == "choe2020":
        return protocol_levels(score_map)
    return exact_levels(score_map, protocol.thresholds)


def prepare(score_map: NDArray[Any], protocol: Protocol) -> PreparedMap:
    """Find the boxes of a valid map on the protocol's grid (see `validate_map`, `to_grid`)."""
    levels = map_levels(score_map, protocol)
    fixed = share_of(score_map, protocol.fixed_threshold)
    if protocol.engine == "choe2020":
        threshold_levels = protocol_threshold_levels(protocol.thresholds, int(levels.max()))
    else:
        threshold_levels = np.arange(len(protocol.thresholds))
    # The fixed threshold asks for the largest component whatever the others ask for.
    if protocol.contours == "largest":
        found: dict[Contours, BoxRuns] = {"largest": box_runs(levels, "largest", protocol.engine)}
    else:
        largest, every = both_box_runs(levels, protocol.engine)
        found = {"largest": largest, "all": every}
    runs = {kind: found[kind] for kind in protocol.contour_kinds}
    policies = [share_of(score_map, name) for name in protocol.policies]
    if protocol.engine == "choe2020":
        asked = np.array([fixed, *policies])
        at = protocol_threshold_levels(asked, int(levels.max())).tolist()
        every = found.get("all", found["largest"])
        others = [(found["largest"].at(level), every.at(level)) for level in at[1:]]
        return PreparedMap(
            score_map, runs, threshold_levels, found["largest"].at(at[0]), tuple(others)
        )
    fixed_boxes = largest_box_at(exact_levels(score_map, np.array([fixed])), 0, "exact")
    alone = [exact_levels(score_map, np.array([share])) for share in policies]
    others = [
        (largest_box_at(level, 0, "exact"), box_runs(level, "all", "exact").at(0))
        for level in alone
    ]
    return PreparedMap(score_map, runs, threshold_levels, fixed_boxes, tuple(others))


def share_of(score_map: NDArray[Any], threshold: float | str) -> float:
    """A threshold in units of a map's maximum: a number, or what a policy chooses for the map."""
    return automatic_share(score_map, threshold) if isinstance(threshold, str) else threshold


def ground_truth_on_grid(boxes: Boxes, size: tuple[int, int], protocol: Protocol) -> Boxes:
    """True boxes (n, 4) of an image of `size` (width, height) on the protocol's grid."""
    scale = protocol_ground_truth if protocol.engine == "choe2020" else exact_ground_truth
    return np.asarray(scale(boxes, size, protocol.map_grid), dtype=np.float64)


def prepare_map(
    score_map: NDArray[Any],
    image_id: str,
    protocol: Protocol,
    where: Callable[[str], str] = "the score map of {}".format,
) -> PreparedMap:
    """Find the boxes of a map of any size.

    Args:
        where: turns the image id into the map's name for messages.

    Raises:
        InputError: naming the map, when it is not one.
    """
    try:
        valid = validate_map(score_map)
    except ValueError as error:
        raise InputError(f"{where(image_id)}: {error}.") from error
    grid, upsampling = protocol.map_grid, protocol.rules.upsampling
    prepared = prepare(to_grid(valid, grid, upsampling), protocol)
    return replace(prepared, is_dim=is_dim(valid, grid))


def judge_map(
    score_map: NDArray[Any],
    sample: Sample,
    protocol: Protocol,
    *,
    classification: Classification | None = None,
    where: Callable[[str], str] = "the score map of {}".format,
) -> Outcome:
    """`judge` for a map whose boxes are not known yet, see `prepare_map`."""
    prepared = prepare_map(score_map, sample.image_id, protocol, where)
    return judge(prepared, sample, protocol, classification=classification)


def judge(
    prepared: PreparedMap,
    sample: Sample,
    protocol: Protocol,
    *,
    size: tuple[int, int] | None = None,
    classification: Classification | None = None,
) -> Outcome:
    """Compare a prepared map with an image's annotation.

    Args:
        size: (width, height) of the photograph, where it has been read already.
        classification: what a classifier said about the image.

    Raises:
        InputError: when a mask cannot be read, or boxes cannot be compared because the size of
            the photograph is unknown.
    """
    size = sample.size or size
    best_iou: dict[Contours, NDArray[np.float64]] = {}
    fixed_iou = None
    decisions: tuple[tuple[bool, bool], ...] = ()
    policy_iou: tuple[float, ...] = ()
    truth = np.zeros((0, 4))
    no_box = [[0, 0, 0, 0]]  # what the published protocol predicts where nothing is above
    fixed_boxes = prepared.fixed_boxes
    if len(fixed_boxes) == 0 and protocol.engine == "choe2020":
        fixed_boxes = np.array(no_box, dtype=np.int32)
    if len(sample.boxes):
        size = size_of(sample, size)
        truth = ground_truth_on_grid(sample.boxes, size, protocol)
        for kind, runs in prepared.runs.items():
            best_iou[kind] = best_iou_per_threshold(
                runs, truth, prepared.threshold_levels, protocol.engine
            )
        fixed_iou = float(iou_matrix(fixed_boxes, truth).max()) if len(fixed_boxes) else 0.0
        decisions, policy_iou = _at_policies(prepared, fixed_iou, truth, protocol)
    pixels, mask = None, None
    if sample.mask is not None:
        mask = load_mask(sample.mask, protocol.map_grid)
        pixels = pixel_histograms(prepared.score_map, mask, protocol.thresholds)
    values: dict[str, float | None] = {}
    if protocol.metric:
        annotated = AnnotatedMap(prepared.score_map, truth, mask)
        values = {
            metric.name: metric.of(annotated, sample.image_id) for metric in protocol.image_metrics
        }
    fixed_box = np.asarray(fixed_boxes[0] if len(fixed_boxes) else no_box[0], dtype=np.float64)
    return Outcome(
        sample.image_id,
        best_iou,
        fixed_box,
        fixed_iou,
        truth,
        pixels,
        size,
        classification,
        decisions=decisions,
        policy_iou=policy_iou,
        values=values,
        is_dim=prepared.is_dim,
    )


def _at_policies(
    prepared: PreparedMap, fixed_iou: float, truth: Boxes, protocol: Protocol
) -> tuple[tuple[tuple[bool, bool], ...], tuple[float, ...]]:
    """`decisions` and `policy_iou` of `Outcome`; nothing where nothing else is asked."""
    if not prepared.policy_boxes:
        return (), ()
    nowhere = 0.0
    if protocol.engine == "choe2020":
        nowhere = float(iou_matrix(np.zeros((1, 4)), truth).max())
    ious = [
        [float(iou_matrix(boxes, truth).max()) if len(boxes) else nowhere for boxes in pair]
        for pair in prepared.policy_boxes
    ]
    right = [fixed_iou >= 0.5, *(largest >= 0.5 for largest, _ in ious)]
    return tuple((hit, hit) for hit in right), tuple(best for _, best in ious)


def size_of(sample: Sample, size: tuple[int, int] | None = None) -> tuple[int, int]:
    """(width, height) of a sample's photograph: annotated, read already (`size`), or read now.

    Raises:
        InputError: when it is unknown.
    """
    known = sample.size or size
    if known is not None:
        return known
    if sample.path is None:
        raise InputError(
            f"{sample.image_id}: its size is neither annotated nor readable; name the image folder."
        )
    return image_size(sample.path)
