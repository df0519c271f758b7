"""What the page's script reads: runs, their curves and classes, and the examples of every model."""

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wsol.boxes.geometry import to_xywh
from wsol.errors import InputError
from wsol.records.outcomes import OutcomeInfo, OutcomeRow, read_outcomes, to_outcomes
from wsol.results.breakdown import break_down
from wsol.results.columns import column_values, frame, metric_columns
from wsol.results.escaping import printable
from wsol.results.examples import (
    boxes_as_shown,
    find_photograph,
    fixed_threshold,
    jpeg_uri,
    missing_photograph,
    open_photograph,
    spread,
)
from wsol.results.image_facts import facts_of, read_facts
from wsol.results.repeats import Run
from wsol.results.sources import Source

PHOTOGRAPH_SIDE = 320
AXES = ("parameters", "flops", "latency_ms")
"""Columns that localization is plotted against, beside the area of the map."""


@dataclass
class Gallery:
    """The examples as the page has them; photographs and class names are kept once."""

    root: Path | None
    photographs: bool = True
    images: list[dict[str, Any]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)
    _class_places: dict[str, int] = field(default_factory=dict)

    def add(self, model: int, outcome: OutcomeRow, info: OutcomeInfo) -> None:
        """Add one model's answer to one image."""
        if outcome.image_id not in self._places:
            self._places[outcome.image_id] = len(self.images)
            self.images.append(self._image(outcome))
        known = outcome.size or self.images[self._places[outcome.image_id]]["size"]
        boxes, grid = boxes_as_shown(outcome.boxes, info, known)
        self.examples.append(
            {
                "model": model,
                "image": self._places[outcome.image_id],
                "grid": list(grid),
                "starts": to_base64(outcome.box_starts.astype("<u2")),
                "boxes": to_base64(np.rint(boxes).astype("<i2")),
                "ious": to_base64(outcome.ious.astype("<f4")),
                "map": to_base64(outcome.score_map),
                "predicted": printable(outcome.predicted[0]) if outcome.predicted else None,
                "score": round(float(outcome.scores[0]), 3) if outcome.predicted else None,
                "right": None if outcome.rank is None else outcome.rank == 0,
            }
        )

    def class_place(self, name: str) -> int:
        """The position of a class's name among those of the page."""
        shown = printable(name)
        if shown not in self._class_places:
            self._class_places[shown] = len(self.classes)
            self.classes.append(shown)
        return self._class_places[shown]

    def _image(self, outcome: OutcomeRow) -> dict[str, Any]:
        path = find_photograph(outcome.image_id, outcome.path, self.root)
        size, source = outcome.size, None
        if not self.photographs:
            pass
        elif path is None:
            self.missing.append(missing_photograph(outcome.image_id, outcome.path, self.root))
        else:
            try:
                photograph = open_photograph(path, outcome.size)
                size, source = photograph.size, jpeg_uri(photograph, PHOTOGRAPH_SIDE)
            except InputError as error:
                self.missing.append(str(error))
        # Boxes are in pixels of the photograph as it is annotated, which may be a larger one.
        known = outcome.size or size
        return {
            "id": printable(outcome.image_id),
            "class": self.class_place(outcome.class_name),
            "size": known,
            "source": source,
            "file": printable(Path(outcome.path or outcome.image_id).name),
            "truth": [] if known is None else _shares(outcome.true_boxes, known),
        }


def chosen_images(sources: Sequence[Source], count: int, seed: int) -> list[str]:
    """Ids of the images to show: of those that the most models have outcomes of, a spread."""
    models: Counter[str] = Counter()
    class_of: dict[str, str] = {}
    for source in sources:
        if source.outcomes is not None:
            table, _ = read_outcomes(source.outcomes, ["image_id", "class_name"])
            ids = table["image_id"].to_pylist()
            models.update(ids)
            class_of |= dict(zip(ids, table["class_name"].to_pylist(), strict=True))
    most = max(models.values(), default=0)
    shared = sorted(image_id for image_id, found in models.items() if found == most)
    places = spread([class_of[image_id] for image_id in shared], count, seed)
    return sorted(
        (shared[place] for place in places), key=lambda image: (class_of[image].lower(), image)
    )


def expected_size(sources: Sequence[Source], images: Sequence[str], sample: Gallery) -> int:
    """About how many bytes a page's examples take, judged by a few that `sample` is filled with."""
    few = list(images[:: max(1, len(images) // 12)])
    if not few:
        return 0
    for number, source in enumerate(sources):
        if source.outcomes is not None:
            for outcome, info in _rows(source.outcomes, few):
                sample.add(number, outcome, info)
    texts = [*(str(image) for image in sample.images), *(str(one) for one in sample.examples)]
    return sum(map(len, texts)) * len(images) // len(few)


def model_data(
    source: Source, number: int, gallery: Gallery, chosen: Sequence[str]
) -> dict[str, Any]:
    """One model: its curves and its accuracy by class; its examples go to the gallery."""
    record = source.record
    curves: dict[str, dict[str, list[float]]] = {}
    thresholds: list[float] = []
    above = False
    if record.curves is not None:
        thresholds = record.curves.thresholds
        for kind, counts in (("largest", record.curves.largest), ("all", record.curves.all)):
            if counts is not None:
                curves[kind] = {
                    level: _percent(np.array(row), record.num_images)
                    for level, row in counts.items()
                }
    by_class = None
    if source.outcomes is not None:
        table, info = read_facts(source.outcomes)
        if len(table) != record.num_images:
            raise InputError(
                f"{source.outcomes}: has {len(table):,} images and its record "
                f"{record.num_images:,}; evaluate again with --per-image."
            )
        if not curves:
            thresholds, curves = info.thresholds.tolist(), curves_of(table, info)
        above = info.above[0]
        by_class = _by_class(table, info, gallery)
        for outcome, outcome_info in _rows(source.outcomes, chosen):
            gallery.add(number, outcome, outcome_info)
    return {
        "name": printable(source.label),
        "thresholds": thresholds,
        "curves": curves,
        "classes": by_class,
        "fixed": fixed_threshold(record),
        "above": above,
    }


def run_data(run: Run, label: str, group: int, models: Sequence[int]) -> dict[str, Any]:
    """One row of the table as the plots show it; `models` are those of its repetitions."""
    record = run.record
    data = frame([record])
    metrics = {
        name: column_values(data, name)[0] for name in metric_columns([record]) if name in data
    }
    ends = {
        name: [value - run.spread[name], value + run.spread[name]]
        for name, value in metrics.items()
        if name in run.spread
    }
    for name, interval in (record.intervals or {}).items():
        if name in metrics:
            ends.setdefault(name, list(interval))
    axes = {name: column_values(data, name)[0] for name in AXES}
    if record.cost is not None:
        axes["map_area"] = record.cost.map_size[0] * record.cost.map_size[1]
    return {
        "name": printable(label),
        "group": group,
        "method": column_values(data, "method")[0],
        "axes": axes,
        "metrics": metrics,
        "ends": ends,
        "models": list(models),
    }


def baselines_of(labels: Sequence[str], runs: Sequence[dict[str, Any]]) -> set[str]:
    """The labels of those runs that are baselines."""
    pairs = zip(labels, runs, strict=True)
    return {label for label, run in pairs if run["axes"]["parameters"] == 0}


def _rows(path: Path, chosen: Sequence[str]) -> list[tuple[OutcomeRow, OutcomeInfo]]:
    """The outcomes of some images, in their order, where the file has them."""
    table, info = read_outcomes(path)
    rows = table.filter(pc.is_in(table["image_id"], pa.array(chosen, pa.string())))
    of_image = {outcome.image_id: outcome for outcome in to_outcomes(rows, info)}
    return [(of_image[image_id], info) for image_id in chosen if image_id in of_image]


def _by_class(table: pa.Table, info: OutcomeInfo, gallery: Gallery) -> dict[str, Any]:
    """Images and accuracies of every class, as columns; best thresholds are those of all images."""
    groups = break_down(facts_of(table, info), "class")
    names = dict.fromkeys(name for group in groups for name in group.metrics)
    return {
        "class": [gallery.class_place(group.name) for group in groups],
        "images": [group.images for group in groups],
        "metrics": {
            name: [
                round(group.metrics[name], 2) if name in group.metrics else None for group in groups
            ]
            for name in names
        },
    }


def curves_of(table: pa.Table, info: OutcomeInfo) -> dict[str, dict[str, list[float]]]:
    """The share of images localized at every threshold, from where images turn right and wrong."""
    curves: dict[str, dict[str, list[float]]] = {}
    for kind in info.kinds:
        for level in info.iou_levels:
            column = table[f"switches {kind}@{level:g}"].combine_chunks()
            places = column.flatten().to_numpy()
            starts = np.repeat(column.offsets.to_numpy()[:-1], np.diff(column.offsets.to_numpy()))
            # The first switch of an image is to right, the next to wrong, and so on.
            turns = 1 - 2 * ((np.arange(len(places)) + column.offsets[0].as_py() - starts) % 2)
            changes = np.bincount(places, weights=turns, minlength=len(info.thresholds))
            counts = np.cumsum(changes[: len(info.thresholds)])
            curves.setdefault(kind, {})[f"{level:g}"] = _percent(counts, len(table))
    return curves


def _percent(counts: NDArray[Any], images: int) -> list[float]:
    return np.round(100 * counts / images, 2).tolist()


def _shares(boxes: NDArray[np.float64], size: tuple[int, int]) -> list[list[float]]:
    """Inclusive corners (n, 4) as x, y, width and height in shares of the picture, within it."""
    far = np.array(size, dtype=np.float64) - 1
    clipped = boxes.clip(0, np.tile(far, 2))
    return np.round(to_xywh(clipped) / np.tile(size, 2), 5).tolist()


def to_base64(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
