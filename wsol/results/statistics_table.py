"""What `wsol stats` shows: rows of numbers, and the same as text for people."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from wsol.records.record import ResultRecord
from wsol.results import escaping
from wsol.results.breakdown import Group
from wsol.results.cells import DASH, columns_of, frame
from wsol.results.recorded_run import WITHOUT_INTERVAL, recorded_values
from wsol.results.several_runs import Compared
from wsol.results.statistics import Difference, Estimate

Row = dict[str, Any]
"""Numbers by name; None where there is none."""
View = dict[str, Callable[[Row], str]]
"""Headings, and what stands below them."""


def interval_rows(
    record: ResultRecord, estimates: dict[str, Estimate], metrics: Sequence[str] | None = None
) -> list[Row]:
    """A row a metric; those that the record has and images do not make have no bounds."""
    rows: list[Row] = [
        {"metric": name, "value": e.value, "corrected": e.corrected, "low": e.low, "high": e.high}
        for name, e in estimates.items()
    ]
    for name, value in recorded_values(record, WITHOUT_INTERVAL).items():
        rows.append({"metric": name, "value": value, "corrected": None, "low": None, "high": None})
    return [row for row in rows if metrics is None or row["metric"] in metrics]


def difference_rows(differences: dict[str, Difference]) -> list[Row]:
    """A row a metric."""
    return [
        {
            "metric": name,
            "first": d.first,
            "second": d.second,
            "difference": d.difference,
            "corrected": d.corrected,
            "low": d.low,
            "high": d.high,
            "p": d.p,
            "only_first": d.mcnemar and d.mcnemar.only_first,
            "only_second": d.mcnemar and d.mcnemar.only_second,
            "mcnemar_p": d.mcnemar and d.mcnemar.p,
        }
        for name, d in differences.items()
    ]


def compared_rows(compared: Sequence[Compared]) -> list[Row]:
    """A row a metric and run."""
    rows = []
    for found in compared:
        (row,) = difference_rows({found.metric: found.difference})
        named = {"metric": found.metric, "model": found.name, "images": found.images}
        rows.append(named | row | {"holm_p": found.holm_p})
    return rows


def group_rows(groups: Sequence[Group]) -> list[Row]:
    """A row a group."""
    return [{"group": group.name, "images": group.images, **group.metrics} for group in groups]


def interval_view(record: ResultRecord, level: float, several: bool = False) -> View:
    """Metric, value, value without a best threshold's optimism, interval; of several the model."""
    return {
        **({"Model": lambda row: row["model"]} if several else {}),
        "Metric": lambda row: _heading(record, row["metric"]),
        "%": lambda row: f"{row['value']:.2f}",
        "Corrected": lambda row: (
            DASH if row["corrected"] in (None, row["value"]) else f"{row['corrected']:.2f}"
        ),
        f"{100 * level:g} % interval": lambda row: (
            "no interval" if row["low"] is None else f"{row['low']:.2f} to {row['high']:.2f}"
        ),
    }


def difference_view(record: ResultRecord, level: float) -> View:
    """Both values, their difference with its interval and p, and the exact test."""
    return {
        "Metric": lambda row: _heading(record, row["metric"]),
        "First": lambda row: f"{row['first']:.2f}",
        "Second": lambda row: f"{row['second']:.2f}",
        "Difference": lambda row: f"{row['difference']:+.2f}",
        f"{100 * level:g} % interval": lambda row: f"{row['low']:+.2f} to {row['high']:+.2f}",
        "p": lambda row: _p(row["p"]),
        "Only first right": lambda row: _count(row["only_first"]),
        "Only second right": lambda row: _count(row["only_second"]),
        "McNemar p": lambda row: _p(row["mcnemar_p"]),
    }


def compared_view(record: ResultRecord, level: float, reference: str) -> View:
    """Several runs against one: values, differences, p, and p corrected for their number."""
    pair = difference_view(record, level)
    return {
        "Metric": pair["Metric"],
        "Model": lambda row: row["model"],
        "%": pair["First"],
        f"{reference} (reference)": pair["Second"],
        "Difference": pair["Difference"],
        f"{100 * level:g} % interval": pair[f"{100 * level:g} % interval"],
        "p": pair["p"],
        "p (Holm)": lambda row: _p(row["holm_p"]),
    }


def group_view(record: ResultRecord, rows: Sequence[Row], by: str) -> View:
    """The group, its images, and every metric that any group has."""

    def percent(name: str) -> Callable[[Row], str]:
        return lambda row: DASH if row.get(name) is None else f"{row[name]:.2f}"

    names = dict.fromkeys(name for row in rows for name in row if name not in ("group", "images"))
    return {
        by.capitalize(): lambda row: row["group"],
        "Images": lambda row: _count(row["images"]),
        **{_heading(record, name): percent(name) for name in names},
    }


def to_terminal(rows: Sequence[Row], view: View) -> Table:
    """For a terminal."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, heading in enumerate(view):
        table.add_column(Text(heading), justify="right" if number else "left")
    for row in rows:
        table.add_row(*(Text(escaping.printable(cell(row))) for cell in view.values()))
    return table


def to_markdown(rows: Sequence[Row], view: View) -> str:
    """A Markdown table."""
    rule = ["---", *["---:"] * (len(view) - 1)]
    cells = [[escaping.markdown(cell(row)) for cell in view.values()] for row in rows]
    lines = [[escaping.markdown(heading) for heading in view], rule, *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_csv(rows: Sequence[Row]) -> str:
    """All numbers at full precision."""
    table = pd.DataFrame(rows, dtype=object).map(
        lambda value: escaping.csv_text(value) if isinstance(value, str) else value
    )
    stream = io.StringIO()
    table.to_csv(stream, index=False, lineterminator="\n")
    return stream.getvalue()


def _heading(record: ResultRecord, name: str) -> str:
    return columns_of(frame([record]))[name].heading


def _p(value: float | None) -> str:
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _count(value: int | None) -> str:
    return DASH if value is None else f"{value:,}"
