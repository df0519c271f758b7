"""One page that needs no other file: the table, plots that answer, and a gallery of examples.

Everything that moves on it was computed when the models were evaluated. The page carries the box
of every example at every threshold, so its slider looks boxes up and makes none.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from wsol.files import write_text
from wsol.metrics.catalog import HEADLINE
from wsol.results.cells import GROUPS, Layout, Section, rows_of, sections
from wsol.results.columns import Column, columns_of, frame, metric_columns
from wsol.results.examples import OVERLAY_STRENGTH, colour_table
from wsol.results.names import look_of, names_among
from wsol.results.repeats import Run
from wsol.results.report_data import (
    AXES,
    Gallery,
    baselines_of,
    chosen_images,
    expected_size,
    model_data,
    run_data,
    to_base64,
)
from wsol.results.sources import Source

TEMPLATES = Environment(loader=PackageLoader("wsol.results"), autoescape=True)
_SCRIPTS = ("core", "table", "charts", "boxes", "gallery", "viewer", "classes", "controls")
_BRIEF = ("model", "seeds", "parameters", *HEADLINE)
"""The columns that the page shows unasked; the others are behind a control."""


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a report shows.

    Attributes:
        title: None names the data set.
        examples: how many images the gallery has at most.
        images: where the photographs are now, if not where they were evaluated.
        seed: of the choice of examples.
        photographs: show them; without, examples are maps and boxes on an empty ground.
        back: the address of a page that this one belongs to.
    """

    title: str | None = None
    examples: int = 200
    images: Path | None = None
    seed: int = 0
    photographs: bool = True
    back: str | None = None


@dataclass(frozen=True, slots=True)
class _Table:
    """The table of one convention, as the template takes it: headline columns first."""

    title: str
    columns: list[Column]
    rows: list[tuple[int, list[Any]]]
    footnotes: list[str]


def write_report(
    sources: Sequence[Source],
    out: Path,
    options: ReportOptions | None = None,
    *,
    warn: Callable[[str], None] = lambda message: None,
    tell: Callable[[str], None] = lambda message: None,
) -> Path:
    """Write `index.html` into the folder `out`, atomically, and return its path.

    Args:
        sources: see `read_sources`; those without outcomes are in the table and the plots alone.
        warn: called with a line about what the page has to do without.
        tell: called beforehand with a line about how large the page will be.

    Raises:
        InputError: for outcomes that cannot be read or that belong to other records.
    """
    options = options or ReportOptions()
    gallery = Gallery(options.images, options.photographs)
    chosen = chosen_images(sources, options.examples, options.seed)
    if chosen:
        few = Gallery(options.images, options.photographs)
        megabytes = expected_size(sources, chosen, few) / 1e6
        tell(f"{len(chosen):,} examples: the page will have about {megabytes:.1f} MB.")
    models = [model_data(source, number, gallery, chosen) for number, source in enumerate(sources)]
    if gallery.missing:
        first, count = gallery.missing[0], len(gallery.missing)
        warn(first if count == 1 else f"{first} {count - 1} more are missing.")
    without = [source.label for source in sources if source.outcomes is None]
    if without and options.examples:
        told = "; ".join(without[:5]) + (
            f"; and {len(without) - 5} more" if len(without) > 5 else ""
        )
        warn(f"No examples of {told}: no per-image outcomes beside the record.")
    record = sources[0].record
    records = [source.record for source in sources]
    tables, runs = _tables(sources)
    headings = columns_of(frame(records))
    data = {
        "groups": [table.title for table in tables],
        "runs": runs,
        "models": models,
        "metrics": {name: column.heading for name, column in metric_columns(records).items()},
        "axes": {name: headings[name].heading for name in AXES} | {"map_area": "Map (positions)"},
        "levels": _levels(models),
        "classes": gallery.classes,
        "images": gallery.images,
        "photographs": options.photographs,
        # The answers of all models to one image stand beside each other.
        "examples": sorted(gallery.examples, key=lambda example: example["image"]),
        "colours": to_base64(colour_table()),
        "strength": OVERLAY_STRENGTH,
    }
    path = out / "index.html"
    page = render(
        "report.html",
        "report.css",
        [f"report/{name}.js" for name in _SCRIPTS],
        data,
        title=options.title or f"Localization without a box: {record.dataset}",
        dataset=f"{record.dataset} {record.split}, {record.num_images:,} images",
        back=options.back,
        saw_no_box=_saw_no_box(sources),
        tables=tables,
        brief=_BRIEF,
        sources=sources,
        images=len(gallery.images),
        photographs=options.photographs,
        several=len(runs) > 1,
        classes=any(model["classes"] for model in models),
    )
    write_text(path, page)
    return path


def render(template: str, style: str, scripts: Sequence[str], data: object, **values: Any) -> str:
    """A page of a template that runs only its own scripts and loads nothing.

    Args:
        scripts: files of one script, which share their names.
        data: JSON values for the element `data` that the script reads.
    """
    css = _asset(style)
    code = '"use strict";\n(() => {\n' + "\n".join(map(_asset, scripts)) + "})();\n"
    return TEMPLATES.get_template(template).render(
        style=Markup(css),
        style_hash=_hash(css),
        script=Markup(code),
        script_hash=_hash(code),
        data=_script_json(data),
        **values,
    )


def _tables(sources: Sequence[Source]) -> tuple[list[_Table], list[dict[str, Any]]]:
    """A table for every convention; and all of their rows, which the tables name by position."""
    records = [source.record for source in sources]
    layout = Layout(group_by=GROUPS)
    place = {id(record): number for number, record in enumerate(records)}
    tables: list[_Table] = []
    runs: list[dict[str, Any]] = []
    labels: list[str] = []
    for section, group in zip(sections(records, layout), rows_of(records, layout), strict=True):
        columns, order = _headline_first(section)
        labels += [name.label for name in names_among([run.record for run in group])]
        rows = []
        for cells, run in zip(section.rows, group, strict=True):
            models = [place[id(record)] for record in run.records]
            label = _label(run, [sources[model] for model in models])
            shown = [cells[index] for index in order]
            shown[0] = type(shown[0])(label)
            rows.append((len(runs), shown))
            runs.append(run_data(run, label, len(tables), models))
        title = section.title.rpartition(", ")[2]
        tables.append(_Table(title, columns, rows, section.footnotes))
    looks = look_of(labels, baselines_of(labels, runs))
    return tables, [run | {"look": looks[label]} for run, label in zip(runs, labels, strict=True)]


def _headline_first(section: Section) -> tuple[list[Column], list[int]]:
    """The columns with the model and the headline metrics first, and where they stood."""
    first = ("model", *HEADLINE, "parameters")
    names = [column.name for column in section.columns]
    order = [names.index(name) for name in first if name in names]
    order += [index for index, name in enumerate(names) if name not in first]
    return [section.columns[index] for index in order], order


def _label(run: Run, sources: Sequence[Source]) -> str:
    return sources[0].label if len(sources) == 1 else run.record.model


def _saw_no_box(sources: Sequence[Source]) -> bool:
    """Whether every network's record knows that it was trained from labels alone."""
    trained = [
        source.record.settings.get("training_method") is not None
        for source in sources
        if "baseline" not in source.record.settings
    ]
    return bool(trained) and all(trained)


def _levels(models: Sequence[dict[str, Any]]) -> list[str]:
    """The IoU levels of any curve, ascending; without curves that of GT-known Loc."""
    found = {level for model in models for curve in model["curves"].values() for level in curve}
    return sorted(found, key=float) or ["0.5"]


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
