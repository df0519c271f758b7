"""One page that needs no other file: the table, plots that answer, and a gallery of examples.

Everything that moves on it was computed when the models were evaluated. The page carries the box
of every example at every threshold, so its slider looks boxes up and makes none.
"""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from numpy.typing import NDArray

from wsol.boxes.geometry import to_xywh
from wsol.errors import InputError
from wsol.files import write_text
from wsol.records.outcomes import OutcomeInfo, OutcomeRow, read_outcomes, to_outcomes
from wsol.results.escaping import printable
from wsol.results.examples import (
    OVERLAY_STRENGTH,
    colour_table,
    find_photograph,
    jpeg_uri,
    missing_photograph,
    open_photograph,
    spread,
)
from wsol.results.sources import Source
from wsol.results.table import table_cells

_TEMPLATES = Environment(loader=PackageLoader("wsol.results"), autoescape=True)
_PHOTOGRAPH_SIDE = 320
_METRICS = {
    "max_box_acc_v2": "MaxBoxAccV2",
    "max_box_acc": "MaxBoxAcc",
    "gt_known_loc": "GT-known Loc",
    "top1_loc": "Top-1 Loc",
    "top5_loc": "Top-5 Loc",
    "pxap": "PxAP",
    "coco_ap": "COCO AP",
}


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a report shows.

    Attributes:
        title: None names the data set.
        examples: how many images the gallery has at most.
        images: where the photographs are now, if not where they were evaluated.
        seed: of the choice of examples.
    """

    title: str | None = None
    examples: int = 200
    images: Path | None = None
    seed: int = 0


def write_report(
    sources: Sequence[Source],
    out: Path,
    options: ReportOptions | None = None,
    *,
    warn: Callable[[str], None] = lambda message: None,
) -> Path:
    """Write `index.html` into the folder `out`, atomically, and return its path.

    Args:
        sources: see `read_sources`; those without outcomes are in the table and the plots alone.
        warn: called with a line about what the page has to do without.

    Raises:
        InputError: for outcomes that cannot be read or that belong to other records.
    """
    options = options or ReportOptions()
    gallery = _Gallery(options)
    chosen = _chosen(sources, options)
    models = [_model(source, number, gallery, chosen) for number, source in enumerate(sources)]
    if gallery.missing:
        first, count = gallery.missing[0], len(gallery.missing)
        warn(first if count == 1 else f"{first} {count - 1} more are missing.")
    without = [source.label for source in sources if source.outcomes is None]
    if without and options.examples:
        warn(f"No examples of {', '.join(without)}: no per-image outcomes beside the record.")
    record = sources[0].record
    headings, rows = table_cells([source.record for source in sources])
    for row, source in zip(rows, sources, strict=True):
        row[0] = type(row[0])(source.label)
    data = {
        "models": models,
        "metrics": _METRICS,
        "levels": _levels(models),
        "fixed": record.settings.get("fixed_threshold", 0.2),
        "classes": gallery.classes,
        "images": gallery.images,
        # The answers of all models to one image stand beside each other.
        "examples": sorted(gallery.examples, key=lambda example: example["image"]),
        "colours": _base64(colour_table()),
        "strength": OVERLAY_STRENGTH,
    }
    style, script = _asset("report.css"), _asset("report.js")
    page = _TEMPLATES.get_template("report.html").render(
        title=options.title or f"Localization without a box: {record.dataset}",
        dataset=f"{record.dataset} {record.split}, {record.num_images:,} images",
        headings=headings,
        rows=rows,
        sources=sources,
        style=Markup(style),
        style_hash=_hash(style),
        script=Markup(script),
        script_hash=_hash(script),
        data=_script_json(data),
        images=len(gallery.images),
    )
    path = out / "index.html"
    write_text(path, page)
    return path


@dataclass
class _Gallery:
    """The examples as the page has them; photographs and class names are kept once."""

    options: ReportOptions
    images: list[dict[str, Any]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)

    def add(self, model: int, outcome: OutcomeRow, info: OutcomeInfo) -> None:
        """Add one model's answer to one image."""
        if outcome.image_id not in self._places:
            self._places[outcome.image_id] = len(self.images)
            self.images.append(self._image(outcome))
        grid = np.tile(info.grid, 2)
        self.examples.append(
            {
                "model": model,
                "image": self._places[outcome.image_id],
                "grid": grid[:2].tolist(),
                "starts": _base64(outcome.box_starts.astype("<u2")),
                "boxes": _base64(outcome.boxes.astype("<i2")),
                "ious": _base64(outcome.ious.astype("<f4")),
                "map": _base64(outcome.score_map),
                "predicted": printable(outcome.predicted[0]) if outcome.predicted else None,
                "score": round(float(outcome.scores[0]), 3) if outcome.predicted else None,
                "right": None if outcome.rank is None else outcome.rank == 0,
            }
        )

    def _image(self, outcome: OutcomeRow) -> dict[str, Any]:
        root = self.options.images
        path = find_photograph(outcome.image_id, outcome.path, root)
        size, source = outcome.size, None
        if path is None:
            self.missing.append(missing_photograph(outcome.image_id, outcome.path, root))
        else:
            try:
                photograph = open_photograph(path, outcome.size)
                size, source = photograph.size, jpeg_uri(photograph, _PHOTOGRAPH_SIDE)
            except InputError as error:
                self.missing.append(str(error))
        class_name = printable(outcome.class_name)
        if class_name not in self.classes:
            self.classes.append(class_name)
        return {
            "id": printable(outcome.image_id),
            "class": self.classes.index(class_name),
            "size": size,
            "source": source,
            "file": printable(Path(outcome.path or outcome.image_id).name),
            "truth": [] if size is None else _shares(outcome.true_boxes, size),
        }


def _chosen(sources: Sequence[Source], options: ReportOptions) -> list[str]:
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
    shared = sorted(image_id for image_id, count in models.items() if count == most)
    places = spread([class_of[image_id] for image_id in shared], options.examples, options.seed)
    return sorted((shared[place] for place in places), key=lambda image: (class_of[image], image))


def _model(source: Source, number: int, gallery: _Gallery, chosen: Sequence[str]) -> dict[str, Any]:
    """One model as the plots show it; its examples go to the gallery."""
    record = source.record
    curves: dict[str, dict[str, list[float]]] = {}
    thresholds: list[float] = []
    if record.curves is not None:
        thresholds = record.curves.thresholds
        for kind, counts in (("largest", record.curves.largest), ("all", record.curves.all)):
            if counts is not None:
                curves[kind] = {
                    level: _percent(np.array(row), record.num_images)
                    for level, row in counts.items()
                }
    if source.outcomes is not None:
        table, info = read_outcomes(source.outcomes)
        if len(table) != record.num_images:
            raise InputError(
                f"{source.outcomes}: has {len(table):,} images and its record "
                f"{record.num_images:,}; evaluate again with --per-image."
            )
        if not curves:
            thresholds, curves = info.thresholds.tolist(), _curves(table, info)
        rows = table.filter(pc.is_in(table["image_id"], pa.array(chosen, pa.string())))
        of_image = {outcome.image_id: outcome for outcome in to_outcomes(rows, info)}
        for image_id in chosen:
            if image_id in of_image:
                gallery.add(number, of_image[image_id], info)
    return {
        "name": printable(source.label),
        "parameters": record.parameters,
        "metrics": record.metrics.model_dump(include=set(_METRICS)),
        "thresholds": thresholds,
        "curves": curves,
    }


def _curves(table: pa.Table, info: OutcomeInfo) -> dict[str, dict[str, list[float]]]:
    """Accuracy at every threshold in percent, added up from where images turn right and wrong."""
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
    return np.round(100 * counts / images, 3).tolist()


def _levels(models: Sequence[dict[str, Any]]) -> list[str]:
    """The IoU levels of any curve, ascending."""
    found = {level for model in models for curve in model["curves"].values() for level in curve}
    return sorted(found, key=float)


def _shares(boxes: NDArray[np.float64], size: tuple[int, int]) -> list[list[float]]:
    """Inclusive corners (n, 4) as x, y, width and height in shares of the picture."""
    return np.round(to_xywh(boxes) / np.tile(size, 2), 5).tolist()


def _base64(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _script_json(data: object) -> Markup:
    """JSON that cannot end the script element it stands in, whatever the names in it."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _asset(name: str) -> str:
    return files("wsol.results").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What a content security policy allows an inline script or style by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
