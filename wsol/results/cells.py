"""What a table says, before any format: columns, order, groups, ranks, published numbers."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

import pandas as pd

from wsol.errors import InputError
from wsol.metrics.catalog import IMAGE_METRICS, heading
from wsol.plugin import is_plugin
from wsol.records.record import ResultRecord
from wsol.results.published import Comparison, compare

DASH = "–"
GROUPS = ("dataset", "convention", "images")
"""What records may be grouped by; without it, records that differ in one of them are refused."""

_LEVELS = [0.3, 0.5, 0.7]


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is printed.

    Attributes:
        better: which numbers are best; None is not ranked.
        scale: what a number is divided by before it is printed.
        digits: after the point; None leaves it to the layout.
        shown: whether a table has it unasked, where any record has a value.
    """

    name: str
    heading: str
    better: Literal["high", "low"] | None = None
    scale: float = 1
    digits: int | None = None
    is_text: bool = False
    shown: bool = True


_COLUMNS = (
    Column("model", "Model", is_text=True),
    Column("dataset", "Data set", is_text=True, shown=False),
    Column("split", "Split", is_text=True, shown=False),
    Column("cam_method", "Method", is_text=True, shown=False),
    Column("convention", "Convention", is_text=True, shown=False),
    Column("num_images", "Images", digits=0, shown=False),
    Column("parameters", "Params (M)", scale=1e6, digits=2),
    Column("flops", "GFLOPs", "low", scale=1e9, digits=2),
    Column("map_size", "Map", is_text=True),
    Column("latency_ms", "Latency (ms)", "low", digits=1),
    Column("top1_cls", "Top-1 Cls", "high"),
    Column("top5_cls", "Top-5 Cls", "high"),
    Column("top1_loc", "Top-1 Loc", "high"),
    Column("top5_loc", "Top-5 Loc", "high"),
    Column("top1_cls_error", "Top-1 Cls err.", "low", shown=False),
    Column("top5_cls_error", "Top-5 Cls err.", "low", shown=False),
    Column("top1_loc_error", "Top-1 Loc err.", "low", shown=False),
    Column("top5_loc_error", "Top-5 Loc err.", "low", shown=False),
    Column("gt_known_loc", "GT-known Loc", "high"),
    Column("max_box_acc", "MaxBoxAcc", "high"),
    Column("max_box_acc_v2", "MaxBoxAccV2", "high"),
    Column("max_box_acc_chosen", "MaxBoxAcc (chosen t)", "high"),
    Column("max_box_acc_v2_chosen", "MaxBoxAccV2 (chosen t)", "high"),
    Column("pxap", "PxAP", "high"),
    Column("coco_ap", "COCO AP", "high"),
    Column("coco_ap50", "COCO AP50", "high"),
    Column("coco_ar", "COCO AR", "high"),
)
"""In the order of the printed tables; the columns of IoU levels follow MaxBoxAccV2."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is laid out.

    Attributes:
        columns: names in their order; None has every column that any record has a value for.
        sort: a column's name, `:asc` or `:desc` behind it; without, the best come first (text:
            the alphabet, parameters: the smallest). None keeps the records' order.
        group_by: names of `GROUPS`, a section for each of their values.
        best: whether the best of a column is marked, and the second best.
        digits: after the point of percentages.
        against: adds beside each number its difference to the published one.
    """

    columns: tuple[str, ...] | None = None
    sort: str | None = None
    group_by: tuple[str, ...] = ()
    best: Literal["bold", "none"] = "bold"
    digits: int = 2
    against: Literal["published"] | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of a table as printed; rank 1 is the best of its column, 2 the second best."""

    text: str
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """The part of a table whose numbers compare with each other."""

    title: str
    columns: list[Column]
    rows: list[list[Cell]]
    footnotes: list[str]


def frame(records: Sequence[ResultRecord]) -> pd.DataFrame:
    """Every number of every record as columns: the machine's table.

    Metrics by IoU level become columns such as `box_acc_0.5`; what does not apply is NaN.
    """
    rows = []
    for record in records:
        cost = record.cost
        row: dict[str, object] = {
            "model": record.model,
            "parameters": record.parameters,
            "dataset": record.dataset,
            "split": record.split,
            "num_images": record.num_images,
            "cam_method": record.cam_method,
            "convention": record.settings.get("convention"),
            "flops": cost and cost.flops,
            "map_size": cost and "x".join(map(str, cost.map_size)),
            "latency_ms": cost and cost.latency_ms,
            "latency_device": cost and cost.latency_device,
        }
        for name, value in record.metrics.model_dump().items():
            if name.startswith(("box_acc", "best_threshold")):
                row |= {f"{name}_{level}": number for level, number in (value or {}).items()}
            else:
                row[name] = value
        rows.append(row | (record.plugin_metrics or {}))
    # Whole numbers stay whole beside missing ones.
    return pd.DataFrame(rows).astype({"parameters": "Int64", "flops": "Int64"})


def columns_of(data: pd.DataFrame) -> dict[str, Column]:
    """Every column that can be printed of `frame`'s records, by name."""
    columns: dict[str, Column] = {}
    for column in _COLUMNS:
        columns[column.name] = column
        if column.name == "max_box_acc_v2":
            for name in data.columns:
                if re.match(r"box_acc_\d", name):
                    columns[name] = Column(name, f"@{name.removeprefix('box_acc_')}", "high")
    for name in data.columns:
        if name in IMAGE_METRICS or is_plugin(name):
            columns[name] = Column(name, heading(name), "high")
        kind, _, level = name.rpartition("_")
        if kind == "box_acc_largest":
            columns[name] = Column(name, f"@{level} largest", "high", shown=False)
        elif kind.startswith("best_threshold"):
            largest = " largest" if kind.endswith("largest") else ""
            columns[name] = Column(name, f"t@{level}{largest}", digits=3, shown=False)
    return columns


def arranged(records: Sequence[ResultRecord], layout: Layout) -> list[list[ResultRecord]]:
    """Records in the layout's groups and order.

    Raises:
        InputError: when there is none, or records in one group do not compare.
    """
    if not records:
        raise InputError("There is no record to make a table of.")
    unknown = [name for name in layout.group_by if name not in GROUPS]
    if unknown:
        raise InputError(f"There is no grouping by {unknown[0]!r}, only by {', '.join(GROUPS)}.")
    groups: dict[tuple[str, ...], list[ResultRecord]] = {}
    for record in _sorted(records, layout.sort):
        key = tuple(_group(record, name) for name in layout.group_by)
        groups.setdefault(key, []).append(record)
    if layout.group_by:
        # A sort moves rows within their section; sections keep the order of the records.
        first = [tuple(_group(record, name) for name in layout.group_by) for record in records]
        groups = {key: groups[key] for key in dict.fromkeys(first)}
    for group in groups.values():
        for name in GROUPS:
            _require_same(group, name)
    return list(groups.values())


def sections(records: Sequence[ResultRecord], layout: Layout) -> list[Section]:
    """The table of some records, for every format.

    Raises:
        InputError: for an unknown column or grouping, or records that do not compare.
    """
    return [_section(group, layout) for group in arranged(records, layout)]


def comparisons(
    records: Sequence[ResultRecord], name: str, layout: Layout
) -> list[Comparison | None]:
    """The published number beside each record's, of one column; none where none is asked for."""
    if layout.against is None:
        return [None] * len(records)
    return [compare(record, name) for record in records]


def column_values(data: pd.DataFrame, name: str) -> list[Any]:
    """A column's values, None where a record has none; errors are 100 minus the accuracy."""
    if name.endswith("_error"):
        values = (100 - data[name.removesuffix("_error")].astype(float)).tolist()
    else:
        values = data[name].tolist()
    return [None if pd.isna(value) else value for value in values]


def require_columns(names: Sequence[str], columns: dict[str, Column]) -> None:
    """Refuse names that no record of the table has a column for."""
    for name in names:
        if name not in columns:
            near = difflib.get_close_matches(name, columns, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise InputError(f"There is no column {name!r}; {hint}There are {', '.join(columns)}.")


def _section(records: list[ResultRecord], layout: Layout) -> Section:
    data = frame(records)
    columns = columns_of(data)
    values = {name: column_values(data, name) for name in columns}
    if layout.columns is not None:
        require_columns(layout.columns, columns)
        chosen = [columns[name] for name in layout.columns]
    else:
        chosen = [
            column
            for name, column in columns.items()
            if column.shown and any(value is not None for value in values[name])
        ]
    printed: list[tuple[Column, list[Cell]]] = []
    footnotes: list[str] = []
    for column in chosen:
        texts = [_text(column, value, layout) for value in values[column.name]]
        devices = set(data["latency_device"].dropna())
        # Times of different machines do not compare.
        ranked = column.name != "latency_ms" or len(devices) == 1
        ranks = _ranks(column, texts) if ranked and layout.best == "bold" else [None] * len(texts)
        printed.append((column, list(map(Cell, texts, ranks))))
        beside = comparisons(records, column.name, layout)
        if any(beside):
            difference = Column(f"{column.name}_difference", "vs. publ.")
            printed.append((difference, [Cell(_difference(found, layout)) for found in beside]))
            footnotes += [_footnote(column, found) for found in beside if found is not None]
    if layout.against is not None and not footnotes:
        footnotes = ["No published number is of the same images, metric, model and method."]
    rows = [list(row) for row in zip(*(cells for _, cells in printed), strict=True)]
    shown = [column for column, _ in printed]
    return Section(_title(records[0], layout), shown, rows, list(dict.fromkeys(footnotes)))


def _text(column: Column, value: Any, layout: Layout) -> str:
    if value is None:
        return DASH
    if column.is_text:
        return str(value).replace("x", "×") if column.name == "map_size" else str(value)
    if value == 0 and column.name == "parameters":
        return "0"
    digits = layout.digits if column.digits is None else column.digits
    return _rounded(value / column.scale, digits)


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
    return f"{sign}{_rounded(abs(comparison.difference), layout.digits)}{within}"


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


def _rounded(value: float, digits: int) -> str:
    """Halves rounded up, as by hand: 52.15 is 52.2, although its binary is a little less."""
    exact = Decimal(str(round(value, 9)))
    return str(exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def _title(record: ResultRecord, layout: Layout) -> str:
    title = f"{record.dataset} {record.split}, {_images(record):,} images"
    return f"{title}, {_convention(record)}" if "convention" in layout.group_by else title


def _sorted(records: Sequence[ResultRecord], sort: str | None) -> list[ResultRecord]:
    if sort is None:
        return list(records)
    name, _, direction = sort.partition(":")
    if direction not in ("", "asc", "desc"):
        raise InputError(f"--sort {sort}: expected COLUMN, COLUMN:asc or COLUMN:desc.")
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
    return [records[index] for index in order]


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
