"""What every image contributes to the metrics, and correctness over thresholds of any weighting.

A resampling of a data set is a whole-number weight an image. Because correctness over thresholds is
stored as the positions where it switches, how many images are right at every threshold costs one
addition a switch and one running sum over the thresholds, not images times thresholds.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from wsol.errors import InputError
from wsol.metrics.box_accuracy import is_hit
from wsol.records.outcomes import OutcomeInfo, read_outcomes
from wsol.records.thresholds import positions

ANSWERED, TOP1, TOP5, BOXED, LOCALIZED, TOP1_LOC, TOP5_LOC = range(7)
"""Bits of an image's code."""

FIXED_METRICS = {
    "top1_cls": (TOP1, ANSWERED),
    "top5_cls": (TOP5, ANSWERED),
    "top1_loc": (TOP1_LOC, BOXED),
    "top5_loc": (TOP5_LOC, BOXED),
    "gt_known_loc": (LOCALIZED, BOXED),
}
"""Metrics without a choice of threshold: the images that are right, among those that count."""

LEVEL_METRICS = {"largest": "box_acc_largest", "all": "box_acc"}
"""Metrics a contour kind and IoU level, such as `box_acc_0.5`."""

_COLUMNS = ("image_id", "label", "class_name", "size", "true_boxes", "rank", "fixed_iou")
_LEAST_IOU = 0.5  # of GT-known, Top-1 and Top-5 Loc


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """N images of one evaluation.

    Attributes:
        image_ids, labels, class_names: (N,) str, int64 and str.
        area: (N,) float64, the share of the photograph that the largest true box covers; NaN
            where there is no true box or its size is unknown.
        codes: (N,) uint8 with the bits `ANSWERED` (a classifier's answer is known) to `TOP5_LOC`.
        keys: K contour kinds and IoU levels, such as `largest@0.5`, that have images.
        starts: (K, N + 1) int64: the switches of image i under key k are `switches` from
            `starts[k, i]` to `starts[k, i + 1]`.
        switches: (S,) uint16 thresholds at which an image turns right or wrong, see
            `wsol.records.outcomes.OutcomeRow`.
        thresholds: (T,) float64.
        chosen: (K,) int64, the index of the threshold that was chosen for each key on another
            split; -1 where there is none.
        values: (N,) float64 a further metric, NaN where an image has none.
        one_hit: whether GT-known and Top-k Loc ask for the same IoU, so that what is right at any
            threshold is right for both.
        candidates: (C, N) the bits `LOCALIZED`, `TOP1_LOC` and `TOP5_LOC` at each of the thresholds
            of which a convention takes the best; C = 0 where it takes none of several.
    """

    image_ids: NDArray[np.object_]
    labels: NDArray[np.int64]
    class_names: NDArray[np.object_]
    area: NDArray[np.float64]
    codes: NDArray[np.uint8]
    keys: tuple[str, ...]
    starts: NDArray[np.int64]
    switches: NDArray[np.uint16]
    thresholds: NDArray[np.float64]
    chosen: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    one_hit: bool = True
    candidates: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))

    def __len__(self) -> int:
        return len(self.image_ids)

    def has(self, bit: int) -> NDArray[np.bool_]:
        """(N,) whether an image's code has a bit, such as `LOCALIZED`."""
        return (self.codes >> bit & 1).astype(bool)


def read_facts(path: Path) -> tuple[pa.Table, OutcomeInfo]:
    """The columns of a file of outcomes that `facts_of` needs.

    Raises:
        InputError: naming the file, when it is missing, damaged or of another schema, or empty.
    """
    _, info = read_outcomes(path, ["image_id"])
    columns = [*_COLUMNS, *(f"switches {key}" for key in _keys(info))]
    columns += [f"value {name}" for name in info.values]
    columns += ["candidates"] if info.candidates else []
    table, info = read_outcomes(path, columns)
    if len(table) == 0:
        raise InputError(f"{path}: holds no image.")
    return table, info


def facts_of(
    table: pa.Table, info: OutcomeInfo, chosen: dict[str, dict[str, float] | None] | None = None
) -> ImageFacts:
    """The facts in a table of `read_facts`, or in some of its rows.

    `chosen` is the `chosen_thresholds` of a record's settings: contour kind to IoU level to
    threshold.
    """
    ranks, ious = _numbers(table, "rank"), _numbers(table, "fixed_iou")
    answered, boxed = ~np.isnan(ranks), ~np.isnan(ious)
    # NaN compares as false: an unknown rank or IoU is never right.
    top1, top5 = ranks < 1, ranks < 5
    localized, top_k = right_boxes(ious, info)
    bits = (answered, top1, top5, boxed, localized, top_k & top1, top_k & top5)
    keys = _keys(info) if boxed.any() else ()
    starts = np.zeros((len(keys), len(table) + 1), dtype=np.int64)
    switches = [np.zeros(0, dtype=np.uint16)]
    for row, key in zip(starts, keys, strict=True):
        lengths, values = _lists(table, f"switches {key}")
        row[0] = sum(part.size for part in switches)
        row[1:] = row[0] + lengths.cumsum()
        switches.append(values.astype(np.uint16))
    return ImageFacts(
        image_ids=table["image_id"].to_numpy(),
        labels=table["label"].to_numpy().astype(np.int64),
        class_names=table["class_name"].to_numpy(),
        area=_relative_area(table),
        codes=(np.stack(bits, axis=1) << np.arange(len(bits))).sum(axis=1).astype(np.uint8),
        keys=keys,
        starts=starts,
        switches=np.concatenate(switches),
        thresholds=info.thresholds,
        chosen=_chosen(keys, info, chosen or {}),
        values={name: _numbers(table, f"value {name}") for name in info.values},
        one_hit=info.above[0] == info.above[1],
        candidates=_candidates(table, info, top1, top5),
    )


def _candidates(
    table: pa.Table, info: OutcomeInfo, top1: NDArray[np.bool_], top5: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    if not info.candidates:
        return np.zeros((0, len(table)), np.uint8)
    _, values = _lists(table, "candidates")
    ious = values.astype(np.float64).reshape(len(table), len(info.candidates), 5)[..., 4].T
    localized, top_k = right_boxes(ious, info)
    codes = localized << LOCALIZED | (top_k & top1) << TOP1_LOC | (top_k & top5) << TOP5_LOC
    return codes.astype(np.uint8)


def right_boxes(
    ious: NDArray[np.float64], info: OutcomeInfo
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether boxes with these IoUs (NaN: no truth) are right for GT-known, and for Top-k Loc."""
    known, top_k = (is_hit(ious, _LEAST_IOU, above=above) for above in info.above)
    return known, top_k


def metric_names(facts: ImageFacts) -> list[str]:
    """The metrics that images of these facts make, by the names of a table's columns."""
    names = []
    if facts.has(ANSWERED).any():
        names += ["top1_cls", "top5_cls"]
    if facts.has(BOXED).any():
        names += ["top1_loc", "top5_loc"] if names else []
        names += ["gt_known_loc"]
    names += ["max_box_acc"] if "largest@0.5" in facts.keys else []
    names += ["max_box_acc_v2"] if any(key.startswith("all@") for key in facts.keys) else []
    chosen = [
        key for key, threshold in zip(facts.keys, facts.chosen, strict=True) if threshold >= 0
    ]
    if "largest@0.5" in chosen:
        names += ["max_box_acc_chosen"]
        answered = facts.has(ANSWERED).any() and facts.one_hit
        names += ["top1_loc_chosen", "top5_loc_chosen"] if answered else []
    names += ["max_box_acc_v2_chosen"] if any(key.startswith("all@") for key in chosen) else []
    names += [name for name, values in facts.values.items() if not np.isnan(values).all()]
    return [*names, *map(level_metric, facts.keys)]


def level_metric(key: str) -> str:
    """The name of the metric of a key: `all@0.5` is `box_acc_0.5`."""
    kind, level = key.split("@")
    return f"{LEVEL_METRICS[kind]}_{level}"


@dataclass(frozen=True, slots=True)
class Contribution:
    """What N images add to a metric, whose value is the mean of `right` where `counts`.

    Attributes:
        right: (N,) float64 between 0 and 1: whether an image is right, or at how many of the
            metric's IoU levels.
        counts: (N,) bool.
    """

    right: NDArray[np.float64]
    counts: NDArray[np.bool_]

    @property
    def percent(self) -> float:
        """The metric."""
        return 100 * float(self.right[self.counts].sum()) / int(self.counts.sum())

    def among(self, inside: NDArray[np.bool_]) -> "Contribution":
        """That of some of the images, (N,) `inside`."""
        return Contribution(self.right, self.counts & inside)


def contributions(facts: ImageFacts) -> dict[str, Contribution]:
    """Each of `metric_names`, with thresholds that are best over all images, or were chosen."""
    boxed = facts.has(BOXED)
    known = {
        name: Contribution(facts.has(right).astype(float), facts.has(among))
        for name, (right, among) in FIXED_METRICS.items()
    }
    for name, values in facts.values.items():
        known[name] = Contribution(np.nan_to_num(values), ~np.isnan(values))
    for suffix, thresholds in (("", best_thresholds(facts)), ("_chosen", facts.chosen)):
        levels = {
            key: Contribution(correct_at(facts, number, int(threshold)).astype(float), boxed)
            for number, (key, threshold) in enumerate(zip(facts.keys, thresholds, strict=True))
            if threshold >= 0
        }
        known |= {f"{level_metric(key)}{suffix}": found for key, found in levels.items()}
        if "largest@0.5" in levels:
            right = levels["largest@0.5"].right
            known[f"max_box_acc{suffix}"] = levels["largest@0.5"]
            for name, bit in (("top1_loc", TOP1), ("top5_loc", TOP5)):
                known[f"{name}_chosen"] = Contribution(right * facts.has(bit), boxed)
        every = [found.right for key, found in levels.items() if key.startswith("all@")]
        if every:
            known[f"max_box_acc_v2{suffix}"] = Contribution(np.mean(every, axis=0), boxed)
    return {name: known[name] for name in metric_names(facts)}


def metric_values(facts: ImageFacts) -> dict[str, float]:
    """All that a record's metrics say and its images make, in percent: see `contributions`, and
    the means over classes of the accuracies at a fixed threshold."""
    known = contributions(facts)
    values = {name: found.percent for name, found in known.items()}
    for name in ("top1_loc", "top5_loc", "gt_known_loc"):
        if name in known:
            labels, right = facts.labels[known[name].counts], known[name].right[known[name].counts]
            images = np.bincount(labels)
            share = np.bincount(labels, right)[images > 0] / images[images > 0]
            values[f"{name}_class_mean"] = 100 * float(share.mean())
    return values


def right_counts(facts: ImageFacts, weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """(K, T) how many images are right at each threshold; image i counts `weights[i]` times."""
    counts: NDArray[np.int64] = _right_counts(
        weights, facts.starts, facts.switches, len(facts.thresholds)
    )
    return counts


def best_thresholds(facts: ImageFacts) -> NDArray[np.int64]:
    """(K,) the index of the best threshold of each key over all images; ties: the lowest."""
    ones = np.ones(len(facts), dtype=np.int64)
    return right_counts(facts, ones).argmax(axis=1)


def correct_at(facts: ImageFacts, key: int, threshold: int) -> NDArray[np.bool_]:
    """(N,) whether an image is localized under a key (its position) at a threshold's index."""
    starts = facts.starts[key]
    passed = np.concatenate([[0], (facts.switches <= threshold).cumsum()])
    odd: NDArray[np.bool_] = (passed[starts[1:]] - passed[starts[:-1]]) % 2 == 1
    return odd


def _keys(info: OutcomeInfo) -> tuple[str, ...]:
    return tuple(f"{kind}@{level:g}" for kind in info.kinds for level in info.iou_levels)


def _chosen(
    keys: tuple[str, ...], info: OutcomeInfo, chosen: dict[str, dict[str, float] | None]
) -> NDArray[np.int64]:
    found: dict[str, int] = {}
    for kind, thresholds in chosen.items():
        if thresholds:
            places = positions(thresholds, info.thresholds, [f"{x:g}" for x in info.iou_levels])
            found |= {f"{kind}@{level}": place for level, place in places.items()}
    return np.array([found.get(key, -1) for key in keys], dtype=np.int64)


def _numbers(table: pa.Table, column: str) -> NDArray[np.float64]:
    """A column of numbers with NaN for what is absent."""
    return table[column].cast(pa.float64()).to_numpy().astype(np.float64)


def _lists(table: pa.Table, column: str) -> tuple[NDArray[np.int64], NDArray[np.generic]]:
    """The (N,) lengths of a column of lists, 0 for an absent one, and all their values in a row."""
    joined = table[column].combine_chunks()
    lengths = joined.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return lengths.astype(np.int64), joined.flatten().to_numpy(zero_copy_only=False)


def _relative_area(table: pa.Table) -> NDArray[np.float64]:
    per_image, corners = _lists(table, "true_boxes")
    known, sides = _lists(table, "size")
    pixels = np.full(len(table), np.nan)
    pixels[known > 0] = sides.reshape(-1, 2).astype(np.float64).prod(axis=1)
    boxes = corners.reshape(-1, 4).astype(np.float64)
    area = np.full(len(table), np.nan)
    image = np.repeat(np.arange(len(table)), per_image // 4)
    np.fmax.at(area, image, (boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1))
    return area / pixels


@njit(cache=True, nogil=True)
def _right_counts(weights, starts, switches, thresholds):  # type: ignore[no-untyped-def]
    counts = np.zeros((len(starts), thresholds), np.int64)
    for key in range(len(starts)):
        change = counts[key]
        for i in range(len(weights)):
            weight = weights[i]
            if weight:
                for s in range(starts[key, i], starts[key, i + 1]):
                    change[switches[s]] += weight
                    weight = -weight
        for t in range(1, thresholds):
            change[t] += change[t - 1]
    return counts
