"""A site of who localizes best at what size: records beside published numbers.

Plain files without a server: a page with a table and a plot of each data set, and a page a run, or
that page alone.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wsol.files import is_folder, plain, write_text
from wsol.metrics.catalog import HEADLINE
from wsol.records.record import ResultRecord
from wsol.results.cells import rounded
from wsol.results.columns import (
    Column,
    columns_of,
    frame,
    method_heading,
    metric_columns,
)
from wsol.results.escaping import printable
from wsol.results.names import look_of
from wsol.results.published import Published, convention_of, published_numbers
from wsol.results.repeats import Run, runs_of
from wsol.results.report import ReportOptions, render, write_report
from wsol.results.report_data import AXES, baselines_of, run_data
from wsol.results.sources import Source
from wsol.results.verify import verify

REPRODUCED = "reproduced here"
RECOMPUTED = "recomputed from submitted maps or boxes"
ALONE = "record alone"
PUBLISHED = "as published"
STATUS = {
    REPRODUCED: "A record with the fingerprints of weights and annotations; its metrics were "
    "computed again from the per-image file beside it.",
    RECOMPUTED: "The record of score maps or boxes that somebody's own method wrote; its metrics "
    "were computed again from the per-image file beside it.",
    ALONE: "A record without a per-image file: nothing could be computed again.",
    PUBLISHED: "A number of a paper, under the convention that the paper states or is known to "
    "have.",
}
"""What a row's status means."""
_SCRIPTS = ("core", "table", "charts", "leaderboard")
_OF_A_RUN = {"index.html", "record.json"}
"""The files of a run's page."""
_PRECOMPUTED = "precomputed"


@dataclass(frozen=True, slots=True)
class LeaderboardOptions:
    """What the site shows.

    Attributes:
        title: heading of the first page.
        examples: how many images each run's page has at most.
        images: where the photographs are now, if not where they were evaluated.
        photographs: show them; without, examples are maps and boxes on an empty ground.
        run_pages: write a page a run; without, a row leads to the record file where it lies.
    """

    title: str = "Weakly supervised object localization"
    examples: int = 24
    images: Path | None = None
    photographs: bool = False
    run_pages: bool = True


@dataclass(frozen=True, slots=True)
class _Row:
    """One line: the run as the plots show it, and what the table says."""

    data: dict[str, Any]
    cells: dict[str, str]
    status: str
    href: str | None
    values: dict[str, float]
    spreads: dict[str, str]


def write_leaderboard(
    sources: Sequence[Source],
    out: Path,
    options: LeaderboardOptions | None = None,
    *,
    warn: Callable[[str], None] = lambda message: None,
) -> Path:
    """Write the site into `out` and return its first page.

    Args:
        sources: see `find_sources`; of any data sets and conventions.

    Raises:
        InputError: for a record that does not follow from its per-image file.
    """
    options = options or LeaderboardOptions()
    for source in sources:
        if source.outcomes is not None:
            verify(source.path)
    numbers = published_numbers()
    sets = _image_sets([source.record for source in sources], numbers)
    place = {id(source.record): number for number, source in enumerate(sources)}
    slugs = _slugs(sources) if options.run_pages else []
    pages = out / "runs"
    if options.run_pages:
        hrefs = [f"{pages.name}/{slug}/index.html" for slug in slugs]
    else:
        hrefs = [_address_from(out, source.path) for source in sources]
    rows: list[_Row] = []
    for group, name in enumerate(sets):
        own = [source.record for source in sources if _set_of(source.record) == name]
        for run in runs_of(own):
            members = [sources[place[id(record)]] for record in run.records]
            rows.append(_record_row(run, members, group, hrefs[place[id(run.records[0])]]))
        rows += [
            _published_row(lines, group)
            for lines in _published_lines(numbers)
            if _told(lines[0].images) == name
        ]
    rows = _best_first(rows)
    if options.run_pages:
        for source, slug in zip(sources, slugs, strict=True):
            _write_run(source, pages / slug, options, warn)
    path = out / "index.html"
    write_text(path, _page(rows, sets, [source.record for source in sources], options))
    _remove_former(pages, slugs)
    return path


def _best_first(rows: Sequence[_Row]) -> list[_Row]:
    """Rows of each set by the headline metrics, the best first; those without any of them last."""

    def key(row: _Row) -> list[float]:
        return [row.data["group"], *(-row.values.get(name, -1.0) for name in HEADLINE)]

    return sorted(rows, key=key)


def _page(
    rows: Sequence[_Row],
    sets: Sequence[str],
    records: Sequence[ResultRecord],
    options: LeaderboardOptions,
) -> str:
    known = columns_of(frame(records))
    filled = {name for row in rows for name in row.values}
    named = dict.fromkeys((*HEADLINE, *metric_columns(records), *known))
    metrics = [name for name in named if name in filled]
    columns = [
        Column("model", "Model", is_text=True),
        *(known[name] for name in metrics),
        Column("parameters", "Params (M)", "low", digits=2),
        Column("method", "Method", is_text=True),
        Column("convention", "Convention", is_text=True),
        Column("threshold", "Threshold", is_text=True),
        Column("status", "Status", is_text=True),
    ]
    labels = [f"{row.data['name']} {row.data['method']}" for row in rows]
    looks = look_of(labels, baselines_of(labels, [row.data for row in rows]))
    for number, (row, label) in enumerate(zip(rows, labels, strict=True)):
        row.data.update(number=number, look=looks[label])
    data = {
        "groups": list(sets),
        "runs": [row.data for row in rows],
        "models": [],
        "metrics": {column.name: column.heading for column in columns if column.name in metrics},
        "axes": {"flops": "GFLOPs", "latency_ms": "Latency (ms)", "map_area": "Map (positions)"},
        "levels": ["0.5"],
        "status": [row.status for row in rows],
        "conventions": [row.cells["convention"] for row in rows],
        "thresholds": [row.cells["threshold"] for row in rows],
        "classes": [], "images": [], "examples": [],
    }  # fmt: skip
    return render(
        "leaderboard.html",
        "report.css",
        [f"report/{name}.js" for name in _SCRIPTS],
        data,
        title=options.title,
        sets=[_set_table(name, group, rows, columns) for group, name in enumerate(sets)],
        brief=("model", "parameters", "method", "convention", "status", *HEADLINE),
        status=STATUS,
        sources=_cited(),
    )


def _set_table(
    name: str, group: int, rows: Sequence[_Row], columns: Sequence[Column]
) -> tuple[str, list[Column], str | None, list[tuple[int, _Row]]]:
    """A set's name, the columns that it has numbers for, the one that orders it, and its rows."""
    own = [(number, row) for number, row in enumerate(rows) if row.data["group"] == group]
    metrics = {metric for _, row in own for metric in row.values}
    shown = [column for column in columns if not column.is_metric or column.name in metrics]
    first = next((column.name for column in shown if column.name in HEADLINE), None)
    return name, shown, first, own


def _address_from(out: Path, file: Path) -> str:
    """How a page in the folder `out` names a file: by the way there, so that both may move."""
    return quote(Path(os.path.relpath(file.resolve(), out.resolve())).as_posix())


def _record_row(run: Run, members: Sequence[Source], group: int, href: str) -> _Row:
    record = run.record
    label = members[0].label if len(members) == 1 else record.model
    data = run_data(run, label, group, [])
    status = ALONE
    if all(source.outcomes is not None for source in members):
        status = RECOMPUTED if record.cam_method == _PRECOMPUTED else REPRODUCED
    policy = record.settings.get("threshold_policy") or {}
    told = "; ".join(f"{_FAMILIES.get(name, name)}: {text}" for name, text in policy.items())
    values = {name: value for name, value in data["metrics"].items() if value is not None}
    spreads = {name: rounded((high - low) / 2, 2) for name, (low, high) in data["ends"].items()}
    cells = {
        "model": label,
        "method": data["method"] or "–",
        "convention": convention_of(record) or "not stated",
        "threshold": told or "not stated",
        "parameters": _millions(record.parameters),
    }
    return _Row(data, cells, status, href, values, spreads)


# Of which metrics a policy tells, by the first of them.
_FAMILIES = {
    "gt_known_loc": "GT-known, Top-1, Top-5 Loc",
    "max_box_acc": "MaxBoxAcc, MaxBoxAccV2",
    "max_box_acc_chosen": "with a chosen threshold",
}


def _published_row(lines: Sequence[Published], group: int) -> _Row:
    first = lines[0]
    values: dict[str, float] = {}
    for number in lines:
        metric = number.metric.removesuffix("_error")
        value = number.value_as(metric)
        if value is not None:
            values[metric] = value
    method = method_heading(first.method)
    name = first.model if first.method == "cam" else f"{first.model}, {method}"
    data = {
        "name": printable(name),
        "group": group,
        "method": first.method,
        "axes": dict.fromkeys(AXES),
        "metrics": values,
        "ends": {},
        "models": [],
    }
    cells = {
        "model": first.model,
        "method": method,
        "convention": first.convention or "not stated",
        "threshold": "; ".join(dict.fromkeys(number.definition for number in lines)),
        "parameters": "–",
        "source": f"{first.source.short}, {first.table}",
    }
    return _Row(data, cells, PUBLISHED, None, values, {})


def _published_lines(numbers: Sequence[Published]) -> list[list[Published]]:
    """The numbers of each model, method and source on the same images."""
    lines: dict[tuple[Any, ...], list[Published]] = {}
    for number in numbers:
        key = (number.images, number.model, number.method, number.source.key, number.convention)
        lines.setdefault(key, []).append(number)
    localized = set(HEADLINE)
    return [
        own
        for own in lines.values()
        if localized & {number.metric.removesuffix("_error") for number in own}
    ]


def _image_sets(records: Sequence[ResultRecord], numbers: Sequence[Published]) -> list[str]:
    """The names of all sets of images: of networks' records, of baselines', of numbers alone."""
    names = dict.fromkeys([*map(_set_of, records), *(_told(n.images) for n in numbers)])
    networks = {_set_of(record) for record in records if "baseline" not in record.settings}
    return sorted(names, key=lambda name: name not in networks)


def _set_of(record: ResultRecord) -> str:
    for number in published_numbers():
        if number.images.holds(record):
            return _told(number.images)
    return f"{record.dataset} {record.split}, {record.num_images:,} images"


def _told(images: Any) -> str:
    return f"{images.dataset} {images.split}, {images.images:,} images"


def _slugs(sources: Sequence[Source]) -> list[str]:
    """A folder name a run."""
    slugs: list[str] = []
    for source in sources:
        stem = plain(f"{source.record.dataset}-{source.record.split}-{source.label}").lower()
        slug, number = stem, 2
        while slug in slugs:
            slug, number = f"{stem}-{number}", number + 1
        slugs.append(slug)
    return slugs


def _remove_former(pages: Path, slugs: Sequence[str]) -> None:
    """Delete the pages of runs that an earlier call wrote, and nothing else that lies there."""
    for folder in pages.iterdir() if is_folder(pages) else ():
        if folder.name not in slugs and is_folder(folder):
            names = {file.name for file in folder.iterdir()}
            if names == _OF_A_RUN:
                shutil.rmtree(folder, ignore_errors=True)


def _write_run(
    source: Source, folder: Path, options: LeaderboardOptions, warn: Callable[[str], None]
) -> None:
    """A run's page with its record beside it."""
    record = source.record
    write_report(
        [source],
        folder,
        ReportOptions(
            title=f"{source.label} on {record.dataset} {record.split}",
            examples=options.examples,
            images=options.images,
            photographs=options.photographs,
            back="../../index.html",
        ),
        warn=warn if options.photographs else lambda message: None,
    )
    write_text(folder / "record.json", record.to_json())


def _millions(parameters: int | None) -> str:
    return "–" if parameters is None else "0" if parameters == 0 else rounded(parameters / 1e6, 2)


def _cited() -> list[str]:
    sources = dict.fromkeys(number.source for number in published_numbers())
    return [f"{source.citation}, {source.url}" for source in sources]
