"""Whether a record's numbers follow from its images, and its images are those everybody knows."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wsol.boxes.geometry import Truth
from wsol.datasets.content import Annotation, content_fingerprint, known_contents
from wsol.errors import InputError
from wsol.metrics.box_accuracy import is_hit
from wsol.metrics.catalog import IMAGE_METRICS
from wsol.metrics.iou import iou_matrix, iou_of_corners
from wsol.records.outcomes import OutcomeInfo, read_outcomes
from wsol.records.record import ResultRecord
from wsol.results.columns import metric_columns
from wsol.results.detections import coco_of, placed_truth
from wsol.results.image_facts import metric_values, right_boxes
from wsol.results.recorded_run import outcomes_of, read_run

_RULES = {
    "choe2020": {"truth": "truncated", "nowhere": "pixel"},
    "exact": {"truth": "edges", "nowhere": "nothing"},
}
"""The parts of conventions that files of outcomes know by name alone."""
_TOLERANCE = 2e-6  # of IoUs, which a file of outcomes has in single precision


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of a record that holds.

    Attributes:
        annotations: the source of the known annotations that the images have, or None.
        recomputed: metrics that were computed again from the images and agree.
        taken: metrics that images do not add up to, by their names; the record's word.
        ious: whether the IoU of every box was computed again.
        notes: what could not be held against anything.
    """

    record: ResultRecord
    annotations: str | None
    recomputed: tuple[str, ...]
    taken: tuple[str, ...]
    ious: bool
    notes: tuple[str, ...]


def verify(path: Path) -> Verified:
    """Check a record against the per-image file beside it.

    Its schema; every metric that images add up to, best thresholds included, and COCO AP of a
    network's boxes; that right and wrong follow from the IoUs, and the IoUs from the boxes by the
    convention's rules; and the annotations against known ones.

    Raises:
        InputError: naming the file and the metric, image or annotation that differs.
    """
    path = Path(path)
    run = read_run(path)
    outcomes = outcomes_of(path)
    table, info = read_outcomes(outcomes)
    _check_images(table, run.record, outcomes)
    notes: list[str] = []
    rules = _rules(info, run.record)
    if not rules:
        notes.append(f"IoUs of the convention {info.convention} are taken as they are.")
    _check_rows(table, info, rules, outcomes)
    _check_candidates(table, run.record, info, outcomes)
    detected = _check_coco(table, run.record, info, rules, outcomes)
    recomputed = (*metric_values(run.facts), *detected)
    unknown = [n for n in run.record.metrics.model_extra or {} if n not in IMAGE_METRICS]
    notes += [f"{n}: a metric that this version does not know; not checked." for n in unknown]
    stated = [*metric_columns([run.record]), *_numbers(run.record)]
    taken = tuple(name for name in dict.fromkeys(stated) if name not in (*recomputed, *unknown))
    annotations = _annotations(table, run.record, outcomes, notes)
    return Verified(run.record, annotations, recomputed, taken, bool(rules), tuple(notes))


def _check_coco(
    table: pa.Table, record: ResultRecord, info: OutcomeInfo, rules: dict[str, str], path: Path
) -> tuple[str, ...]:
    """The COCO metrics that the boxes and scores of the images make again; none where they cannot.

    Submitted detections are not in a file of outcomes: only a network's own are held against it.
    """
    if not rules or not record.settings.get("coco") or record.metrics.coco_ap is None:
        return ()
    found = coco_of(table, info, cast(Truth, rules["truth"]))
    if found is None:
        return ()
    for name, value in found.items():
        stated = getattr(record.metrics, name)
        if stated is None or not math.isclose(stated, value, abs_tol=1e-9):
            raise InputError(
                f"{path}: its images make {name} {value:.9g}, the record says {stated}."
            )
    return tuple(found)


def _rules(info: OutcomeInfo, record: ResultRecord) -> dict[str, str]:
    """The parts of the outcomes' convention; empty where they are not known."""
    rules = dict(info.rules) or _RULES.get(info.convention, {})
    if rules.get("truth") == "original-cub" and record.dataset != "CUB":
        rules["truth"] = "original"
    return rules


def _check_candidates(table: pa.Table, record: ResultRecord, info: OutcomeInfo, path: Path) -> None:
    """Whether the threshold that was taken is the best of the candidates, the first at ties."""
    if not info.candidates:
        return
    found = np.array(table["candidates"].to_pylist(), np.float64).reshape(len(table), -1, 5)
    known, top_k = right_boxes(found[..., 4], info)
    ranks = table["rank"].cast(pa.float64()).to_numpy().astype(np.float64)
    counts = known.sum(axis=0) + (top_k & (ranks < 1)[:, None]).sum(axis=0)
    best = info.candidates[int(counts.argmax())]
    if record.metrics.loc_threshold != best:
        raise InputError(
            f"{path}: its images are localized best at the threshold {best:g}, the record says "
            f"{record.metrics.loc_threshold}."
        )


def _numbers(record: ResultRecord) -> list[str]:
    """The metrics of a record that are one number, also those that tables show on request alone."""
    metrics = record.metrics
    return [name for name in metrics.single_numbers() if getattr(metrics, name) is not None]


def annotations_of(table: pa.Table) -> Iterator[Annotation] | None:
    """The annotations in a table of outcomes; None where an image's size is not in it."""
    if table["size"].null_count:
        return None
    return (
        (
            row["image_id"],
            row["label"],
            (row["size"][0], row["size"][1]),
            np.array(row["true_boxes"], dtype=np.float64).reshape(-1, 4),
        )
        for row in table.select(["image_id", "label", "size", "true_boxes"]).to_pylist()
    )


def _check_images(table: pa.Table, record: ResultRecord, path: Path) -> None:
    ids = table["image_id"].to_pylist()
    if len(set(ids)) != len(ids):
        raise InputError(f"{path}: an image has two rows; evaluate again with --per-image.")
    if len(ids) != record.num_images:
        raise InputError(f"{path}: has {len(ids):,} images, the record says {record.num_images:,}.")


def _check_rows(table: pa.Table, info: OutcomeInfo, rules: dict[str, str], path: Path) -> None:
    """Hold each image's switches against its IoUs, and these against its boxes."""
    largest = [f"largest@{level:g}" for level in info.iou_levels if "largest" in info.kinds]
    columns = ["image_id", "size", "true_boxes", "box_starts", "boxes", "ious", "fixed_box",
               "fixed_iou", *(f"switches {key}" for key in largest)]  # fmt: skip
    for batch in table.select(columns).to_batches(max_chunksize=2000):
        for row in batch.to_pylist():
            image = row["image_id"]
            boxes = np.array(row["boxes"], dtype=np.float64).reshape(-1, 4)
            ious = np.array(row["ious"], dtype=np.float64)
            starts = np.array(row["box_starts"], dtype=np.int64)
            if not len(starts) == len(ious) == len(boxes) or starts[:1].tolist() != [0]:
                raise InputError(f"{path}: {image}: boxes, IoUs and thresholds do not pair.")
            if rules and row["true_boxes"] and row["size"]:
                placed = placed_truth(row, info, cast(Truth, rules["truth"]))
                fixed = np.array(row["fixed_box"], dtype=np.float64).reshape(1, 4)
                if len(boxes) == 1 and (np.rint(fixed) == boxes).all():
                    boxes = fixed  # which was given between pixels
                _check_ious(image, boxes, ious, placed, rules, path)
                if fixed.any():
                    stated = np.array([row["fixed_iou"]], dtype=np.float64)
                    _check_ious(image, fixed, stated, placed, rules, path)
            if np.isnan(ious).all():
                continue
            for key, level in zip(largest, info.iou_levels, strict=False):
                above = info.above[0]
                right = is_hit(ious, level, above=above), np.abs(ious - level) > _TOLERANCE
                _check_switches(image, row[f"switches {key}"], starts, *right, key, path)


def _check_ious(
    image: str,
    boxes: NDArray[np.float64],
    stated: NDArray[np.float64],
    placed: NDArray[np.float64],
    rules: dict[str, str],
    path: Path,
) -> None:
    if "overlap" in rules:
        every = iou_of_corners(boxes, placed, plus_one=rules["overlap"] == "plus-one")
    else:
        every = iou_matrix(boxes, placed)
    found = every.max(axis=1)
    # 0, 0, 0, 0 also stands where there is no box at all, which is judged 0.
    empty = ~boxes.any(axis=1) & ((rules["nowhere"] == "nothing") | (stated == 0))
    off = np.abs(np.where(empty, 0.0, found) - stated)
    worst = int(off.argmax())
    if not off[worst] <= _TOLERANCE:
        raise InputError(
            f"{path}: {image}: the box {boxes[worst].astype(int).tolist()} has IoU "
            f"{found[worst]:.4f} with the true boxes, the file says {stated[worst]:.4f}."
        )


def _check_switches(
    image: str,
    switches: list[int],
    starts: NDArray[np.int64],
    hits: NDArray[np.bool_],
    clear: NDArray[np.bool_],
    key: str,
    path: Path,
) -> None:
    """Whether an image turns right and wrong where its IoU passes the level.

    Args:
        hits: whether each of its IoUs is right; `clear`: whether that is beyond rounding.
    """
    # Beginning with wrong; after an odd number of switches it is right.
    right = np.searchsorted(np.array(switches, dtype=np.int64), starts, side="right") % 2 == 1
    inside = set(switches) <= set(starts.tolist())
    if not inside or (right != hits)[clear].any():
        raise InputError(
            f"{path}: {image}: {key} is right at other thresholds than its IoUs make it."
        )


def _annotations(table: pa.Table, record: ResultRecord, path: Path, notes: list[str]) -> str | None:
    """The source of the known annotations that the images have.

    Raises:
        InputError: when a known data set has other annotations.
    """
    annotations = annotations_of(table)
    digest = None if annotations is None else content_fingerprint(annotations)
    for one in known_contents():
        if one.digest == digest:
            return one.source
    known = [one for one in known_contents() if one.is_called(record.dataset, record.split)]
    whole = [one for one in known if one.images == len(table)]
    if not known:
        notes.append(f"The annotations of {record.dataset} {record.split} are not known here.")
    elif not whole:
        counts = " or ".join(f"{one.images:,}" for one in known)
        notes.append(f"{len(table):,} of {counts} images: not the whole set, so not comparable.")
    elif digest is None:
        notes.append("Image sizes are not in the file: the annotations cannot be recognized.")
    else:
        raise InputError(
            f"{path}: the annotations differ from those of {whole[0].source} ({digest}, not "
            f"{whole[0].digest}): an id, label, size or box is another one."
        )
    return None
