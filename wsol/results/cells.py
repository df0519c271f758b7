"""What a table says, before any format: columns, order, groups, ranks, published numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from wsol.errors import InputError
from wsol.records.record import ResultRecord
from wsol.results.columns import (
    PRESETS,
    Column,
    column_values,
    columns_of,
    frame,
    require_columns,
)
from wsol.results.options import Layout
from wsol.results.published import Comparison, compare
from wsol.results.published_rows import published_notes
from wsol.results.repeats import Run, runs_of

DASH = "–"
GROUPS = ("dataset", "convention", "images")
"""What records may be grouped by; without it, records that differ in one of them are refused."""

_LEVELS = [0.3, 0.5, 0.7]
_INTERVAL = "± of one run: half of the 95 % interval over images."
_CENTRE = (
    "The interval's middle is not the number itself: it lies towards 50 (Wilson), and lower where "
    "the best threshold was chosen on the same images."
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of a table as printed.

    Attributes:
        rank: 1 is the best of its column, 2 the second best.
        spread: what stands behind its ±.
    """

    text: str
    rank: int | None = None
    spread: str | None = None


Values = dict[str, list[Any]]
"""Of every column, each row's value; None where there is none."""


@dataclass(frozen=True, slots=True)
class Section:
    """The part of a table whose numbers compare with each other."""

    title: str
    columns: list[Column]
    rows: list[list[Cell]]
    footnotes: list[str]


def arranged(records: Sequence[ResultRecord], layout: Layout) -> list[list[ResultRecord]]:
    """Records in the layout's groups, which stand in the records' order.

    Raises:
        InputError: when there is none, or records in one group do not compare.
    """
    if not records:
        raise InputError("There is no record to make a table of.")
    unknown = [name for name in layout.group_by if name not in GROUPS]
    if unknown:
        raise InputError(f"There is no grouping by {unknown[0]!r}, only by {', '.join(GROUPS)}.")
    groups: dict[tuple[str, ...], list[ResultRecord]] = {}
    for record in records:
        key = tuple(_group(record, name) for name in layout.group_by)
        groups.setdefault(key, []).append(record)
    for group in groups.values():
        for name in GROUPS:
            _require_same(group, name)
    return list(groups.values())


def rows_of(records: Sequence[ResultRecord], layout: Layout) -> list[list[Run]]:
    """The rows of every section, in the layout's order; repeated trainings are one row.

    Raises:
        InputError: for an unknown column or grouping, or records that do not compare.
    """
    return [_sorted(runs_of(group), layout.sort) for group in arranged(records, layout)]


def sections(records: Sequence[ResultRecord], layout: Layout) -> list[Section]:
    """The table of some records, for every format.

    Raises:
        InputError: for an unknown column or grouping, records that do not compare, or intervals
            where no record has any.
    """
    rows = rows_of(records, layout)
    if layout.intervals and not any(record.intervals for record in records):
        raise InputError(
            "--intervals: no record has intervals; `wsol stats RECORD --update` writes them."
        )
    return [_section(group, layout) for group in rows]


def comparisons(runs: Sequence[Run], name: str, layout: Layout) -> list[Comparison | None]:
    """The published number beside each row's, of one column; none where none is asked for."""
    if layout.against is None:
        return [None] * len(runs)
    return [compare(run.record, name) for run in runs]


def chosen_columns(columns: dict[str, Column], values: Values, layout: Layout) -> list[Column]:
    """The columns that a layout has of some rows, whose `values` are given by column.

    Raises:
        InputError: for a name that is no column's.
    """
    if layout.columns is not None:
        require_columns(layout.columns, columns)
        return [columns[name] for name in layout.columns]
    preset = None if layout.preset is None else PRESETS[layout.preset]
    if preset is not None:
        return [columns[name] for name in preset if columns[name].is_filled(values[name])]
    return [column for column in columns.values() if _is_shown(column, values)]


def interval_of(run: Run, name: str) -> tuple[float, float] | None:
    """The ends of a number's 95 % interval, where its record has one; errors have one as well."""
    ends = (run.record.intervals or {}).get(name.removesuffix("_error"))
    if ends is None or not name.endswith("_error"):
        return ends
    return 100 - ends[1], 100 - ends[0]


def _is_shown(column: Column, values: Values) -> bool:
    if column.shown != "differing":
        return column.shown == "filled" and column.is_filled(values[column.name])
    # What tells apart the rows of one model.
    seen: dict[Any, set[Any]] = {}
    for model, value in zip(values["model"], values[column.name], strict=True):
        seen.setdefault(model, set()).add(value)
    # What made a published number is said even where it does not differ.
    published = zip(values["source"], values[column.name], strict=True)
    return any(len(found) > 1 for found in seen.values()) or any(all(pair) for pair in published)


def _section(runs: list[Run], layout: Layout) -> Section:
    records = [run.record for run in runs]
    data = frame(records)
    columns = columns_of(data)
    values = {name: column_values(data, name) for name in columns}
    printed: list[tuple[Column, list[Cell]]] = []
    footnotes: list[str] = []
    spreads: list[str] = []
    aside: list[float] = []
    for column in chosen_columns(columns, values, layout):
        texts = [_text(column, value, layout) for value in values[column.name]]
        devices = set(data["latency_device"].dropna())
        # Times of different machines do not compare.
        ranked = column.name != "latency_ms" or len(devices) == 1
        ranks = _ranks(column, texts) if ranked and layout.best == "bold" else [None] * len(texts)
        behind = [_spread(run, column, layout) for run in runs]
        spreads += [meaning for _, meaning in behind if meaning]
        if _INTERVAL in spreads:
            pairs = zip(runs, values[column.name], strict=True)
            aside += [_aside(run, column.name, value) for run, value in pairs]
        cells = [
            Cell(text, rank, spread if text != DASH else None)
            for text, rank, (spread, _) in zip(texts, ranks, behind, strict=True)
        ]
        printed.append((column, cells))
        beside = comparisons(runs, column.name, layout)
        if any(beside):
            difference = Column(f"{column.name}_difference", "vs. publ.")
            printed.append((difference, [Cell(_difference(found, layout)) for found in beside]))
            footnotes += [_footnote(column, found) for found in beside if found is not None]
    if layout.against is not None and not footnotes:
        footnotes = ["No published number is of the same images, metric, model and method."]
    rows = [list(row) for row in zip(*(cells for _, cells in printed), strict=True)]
    shown = [column for column, _ in printed]
    if aside and max(aside) >= 0.5 * 0.1**layout.digits:
        far = rounded(max(aside), layout.digits)
        spreads.append(f"{_CENTRE} At most {far} here; wsol stats prints its ends.")
    footnotes = list(dict.fromkeys([*spreads, *footnotes, *published_notes(records)]))
    return Section(_title(records[0], layout), shown, rows, footnotes)


def _spread(run: Run, column: Column, layout: Layout) -> tuple[str | None, str | None]:
    """What stands behind a number's ±, and what it means."""
    digits = layout.digits
    if len(run.records) > 1 and column.is_metric:
        deviation = run.spread.get(column.name.removesuffix("_error"))
        if deviation is not None:
            return rounded(deviation, digits), (
                f"± of repeated trainings: the standard deviation over {len(run.records)} seeds."
            )
    ends = interval_of(run, column.name) if layout.intervals else None
    if ends is None:
        return None, None
    return rounded((ends[1] - ends[0]) / 2, digits), _INTERVAL


def _aside(run: Run, name: str, value: float | None) -> float:
    """How far a printed number is from the middle of its interval."""
    ends = interval_of(run, name)
    return 0.0 if ends is None or value is None else abs((ends[0] + ends[1]) / 2 - value)


def _text(column: Column, value: Any, layout: Layout) -> str:
    if value is None:
        return DASH
    if column.is_text:
        return str(value).replace("x", "×") if column.name == "map_size" else str(value)
    if value == 0 and column.name == "parameters":
        return "0"
    digits = layout.digits if column.digits is None else column.digits
    return rounded(value / column.scale, digits)


def _ranks(column: Column, texts: list[str]) -> list[int | None]:
    figures = [text for text in texts if text != DASH]
    if column.better is None or len(figures) < 2:
        return [None] * len(texts)
    # Ranked as they are printed: equal figures are equally good.
    numbers = {text: float(text) for text in figures}
    best = sorted(set(numbers.values()), reverse=column.better == "high")[:2]
    return [best.index(numbers[text]) + 1 if numbers.get(text) in best else None for text in texts]


def _difference(comparison: Comparison | None, layout: Layout) -> str:
    if comparison is None:
        return DASH
    within = {None: "", True: " in CI", False: " outside CI"}[comparison.within]
    sign = "−" if comparison.difference < 0 else "+"
    return f"{sign}{rounded(abs(comparison.difference), layout.digits)}{within}"


def _footnote(column: Column, comparison: Comparison) -> str:
    published = comparison.published
    checked = "" if published.checked else ", not checked"
    printed = f"{published.value:.{published.decimals}f}"
    if published.metric != column.name:
        printed = f"{comparison.value:.{published.decimals}f} = 100 − {printed}"
    return (
        f"{column.heading} against {printed} ({published.model}, "
        f"{published.method}; {published.source.short}, {published.table}{checked}): "
        f"{published.definition}"
    )


def rounded(value: float, digits: int) -> str:
    """Halves rounded up, as by hand: 52.15 is 52.2, although its binary is a little less."""
    exact = Decimal(str(round(value, 9)))
    return str(exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def _title(record: ResultRecord, layout: Layout) -> str:
    title = f"{record.dataset} {record.split}, {_images(record):,} images"
    return f"{title}, {_convention(record)}" if "convention" in layout.group_by else title


def _sorted(runs: list[Run], sort: str | None) -> list[Run]:
    if sort is None:
        return runs
    name, _, direction = sort.partition(":")
    if direction not in ("", "asc", "desc"):
        raise InputError(f"--sort {sort}: expected COLUMN, COLUMN:asc or COLUMN:desc.")
    records = [run.record for run in runs]
    data = frame(records)
    columns = columns_of(data)
    require_columns([name], columns)
    values = column_values(data, name)
    if name == "map_size":
        values = [
            None if record.cost is None else record.cost.map_size[0] * record.cost.map_size[1]
            for record in records
        ]
    descending = direction == "desc" or (not direction and columns[name].better == "high")
    order = sorted(
        (index for index, value in enumerate(values) if value is not None),
        key=lambda index: values[index],
        reverse=descending,
    )
    # What has no value comes last either way.
    order += [index for index, value in enumerate(values) if value is None]
    return [runs[index] for index in order]


def _require_same(group: list[ResultRecord], name: str) -> None:
    found = list(dict.fromkeys(_group(record, name) for record in group))
    if len(found) > 1:
        what = {
            "dataset": "data sets",
            "convention": "conventions",
            "images": "numbers of images",
        }[name]
        raise InputError(
            f"Records of different {what} do not compare in one table: {', '.join(found)}. "
            f"Group them with --group-by {name}."
        )


def _group(record: ResultRecord, name: str) -> str:
    if name == "dataset":
        return f"{record.dataset} {record.split}"
    return _convention(record) if name == "convention" else f"{_images(record):,}"


def _convention(record: ResultRecord) -> str:
    """The convention, and the IoU levels where they are not the usual ones."""
    convention = str(record.settings.get("convention", "convention not stated"))
    levels = record.settings.get("iou_levels", _LEVELS)
    return convention if levels == _LEVELS else f"{convention} at IoU {levels}"


def _images(record: ResultRecord) -> int:
    """How many images were evaluated, those counted in that had to be skipped."""
    return int(record.settings.get("num_images", record.num_images))
