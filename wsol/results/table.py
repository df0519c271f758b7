"""Result tables: one row a model, metrics beside parameters, in the formats people paste."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
from rich.markup import escape
from rich.table import Table

from wsol.errors import InputError
from wsol.results.record import ResultRecord

_HEADINGS = {
    "model": "Model",
    "parameters": "Params (M)",
    "top1_cls": "Top-1 Cls",
    "top5_cls": "Top-5 Cls",
    "top1_loc": "Top-1 Loc",
    "top5_loc": "Top-5 Loc",
    "gt_known_loc": "GT-known Loc",
    "max_box_acc": "MaxBoxAcc",
    "max_box_acc_v2": "MaxBoxAccV2",
    "pxap": "PxAP",
    "coco_ap": "COCO AP",
    "coco_ap50": "COCO AP50",
    "coco_ar": "COCO AR",
}
"""Columns of the rendered tables in their order; `box_acc_<level>` follow MaxBoxAccV2."""

_UNRANKED = ("model", "parameters")
_DASH = "–"


def frame(records: Sequence[ResultRecord]) -> pd.DataFrame:
    """Every number of every record as columns: the machine's table.

    Metrics by IoU level become columns such as `box_acc_0.5`; what does not apply is NaN.
    """
    rows = []
    for record in records:
        row: dict[str, object] = {
            "model": record.model,
            "parameters": record.parameters,
            "dataset": record.dataset,
            "split": record.split,
            "num_images": record.num_images,
            "cam_method": record.cam_method,
            "convention": record.settings.get("convention"),
        }
        for name, value in record.metrics.model_dump().items():
            if name.startswith(("box_acc", "best_threshold")):
                row |= {f"{name}_{level}": number for level, number in (value or {}).items()}
            else:
                row[name] = value
        rows.append(row)
    return pd.DataFrame(rows)


def to_csv(records: Sequence[ResultRecord], group_by: Literal["dataset"] | None = None) -> str:
    """All columns of `frame` at full precision, as CSV."""
    _groups(records, group_by)
    stream = io.StringIO()
    frame(records).to_csv(stream, index=False, lineterminator="\n")
    return stream.getvalue()


def to_markdown(records: Sequence[ResultRecord], group_by: Literal["dataset"] | None = None) -> str:
    """A Markdown table: best of each column bold, second best underlined.

    Args:
        group_by: `dataset` makes a section for each data set and split; without it, records of
            different ones are refused.
    """
    sections = []
    for title, group in _groups(records, group_by):
        headings, rows = _cells(
            group, bold=lambda text: f"**{text}**", second=lambda text: f"<u>{text}</u>",
            escape_text=_escape_markdown,
        )  # fmt: skip
        widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        lines = [
            _markdown_row(headings, widths),
            "| " + " | ".join("-" * (w - (i > 0)) + ":" * (i > 0) for i, w in enumerate(widths))
            + " |",
            *(_markdown_row(row, widths) for row in rows),
        ]  # fmt: skip
        heading = [f"**{_escape_markdown(title)}**", ""] if group_by else []
        sections.append("\n".join([*heading, *lines]))
    return "\n\n".join(sections) + "\n"


def to_latex(records: Sequence[ResultRecord]) -> str:
    r"""A LaTeX table for `booktabs`: best of each column \textbf, second best \underline."""
    headings, rows = _cells(
        records,
        bold=lambda text: rf"\textbf{{{text}}}",
        second=lambda text: rf"\underline{{{text}}}",
        escape_text=_escape_latex,
    )
    body = [" & ".join(row).replace(_DASH, "--") + r" \\" for row in rows]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
            r"\toprule",
            " & ".join(map(_escape_latex, headings)) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def terminal_table(records: Sequence[ResultRecord]) -> Table:
    """The table for a terminal; headings break over two lines."""
    ((title, _),) = _groups(records, None)
    headings, rows = _cells(
        records,
        bold=lambda text: f"[bold]{text}[/bold]",
        second=lambda text: f"[underline]{text}[/underline]",
        escape_text=escape,
    )
    table = Table(title=escape(title), title_justify="left", box=None, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(
            heading,
            justify="right" if number else "left",
            # Figures stay whole; where the terminal is too narrow, the name gives way.
            no_wrap=number == 0,
            min_width=6 if number else 8,
        )
    for row in rows:
        table.add_row(*row)
    return table


def _groups(
    records: Sequence[ResultRecord], group_by: Literal["dataset"] | None
) -> list[tuple[str, list[ResultRecord]]]:
    """Records by data set and split, in order of appearance, under a title each."""
    if not records:
        raise InputError("There is no record to make a table of.")
    groups: dict[tuple[str, str], list[ResultRecord]] = {}
    for record in records:
        groups.setdefault((record.dataset, record.split), []).append(record)
    if len(groups) > 1 and group_by is None:
        told = ", ".join(f"{dataset} {split}" for dataset, split in groups)
        raise InputError(f"Records of different data sets do not compare in one table: {told}.")
    return [
        (f"{dataset} {split}, {group[0].num_images:,} images", group)
        for (dataset, split), group in groups.items()
    ]


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of a table as printed; rank 1 is the best of its column, 2 the second best."""

    text: str
    rank: int | None = None


def table_cells(records: Sequence[ResultRecord]) -> tuple[list[str], list[list[Cell]]]:
    """Headings and rows, for every format; columns without a number in any row are left out."""
    data = frame(records)
    levels = [name for name in data.columns if name.startswith("box_acc_0")]
    headings: dict[str, str] = {}
    for name, heading in _HEADINGS.items():
        headings[name] = heading
        if name == "max_box_acc_v2":
            headings |= {level: f"@{level.removeprefix('box_acc_')}" for level in levels}
    shown = [
        name
        for name in headings
        if name == "model" or (name in data.columns and data[name].notna().any())
    ]
    columns = []
    for name in shown:
        values = data[name].tolist()
        if name == "model":
            columns.append([Cell(str(value)) for value in values])
            continue
        texts = [_number(name, value) for value in values]
        # Ranked as they are printed: equal figures are equally good.
        best = sorted({float(text) for text in texts if text != _DASH}, reverse=True)[:2]
        ranked = name not in _UNRANKED and len(texts) > 1
        columns.append(
            [
                Cell(
                    text,
                    best.index(float(text)) + 1
                    if ranked and text != _DASH and float(text) in best
                    else None,
                )
                for text in texts
            ]
        )
    return [headings[name] for name in shown], [list(row) for row in zip(*columns, strict=True)]


def _cells(
    records: Sequence[ResultRecord],
    bold: Callable[[str], str],
    second: Callable[[str], str],
    escape_text: Callable[[str], str],
) -> tuple[list[str], list[list[str]]]:
    """The cells of `table_cells` in one format."""
    marks: dict[int | None, Callable[[str], str]] = {None: str, 1: bold, 2: second}
    headings, rows = table_cells(records)
    return headings, [
        [
            marks[cell.rank](cell.text) if column else escape_text(cell.text)
            for column, cell in enumerate(row)
        ]
        for row in rows
    ]


def _number(name: str, value: float | None) -> str:
    if value is None or pd.isna(value):
        return _DASH
    if name == "parameters":
        return f"{value / 1e6:.2f}" if value else "0"
    return f"{value:.2f}"


def _markdown_row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "| " + " | ".join(padded) + " |"


def _escape_markdown(text: str) -> str:
    for character in "\\`*_{}[]<>|#":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _escape_latex(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
    return " ".join("".join(special.get(character, character) for character in text).split())
