"""Result tables: one row a model, metrics beside its cost, in the formats people paste."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from wsol.records.record import ResultRecord
from wsol.results import escaping
from wsol.results.cells import (
    Cell,
    Layout,
    Section,
    chosen_columns,
    comparisons,
    interval_of,
    rows_of,
    sections,
)
from wsol.results.columns import PRESETS, column_values, columns_of, frame
from wsol.results.latex import latex_section

_PLAIN = Layout()
GROUP_COLUMNS = ("dataset", "convention")
"""Columns of a data frame that say which section a row is of."""
_PADDING = 2  # of a terminal's column
_NAME_WIDTH = 12  # that is left to models on a narrow terminal


def data_frame(records: Sequence[ResultRecord], layout: Layout = _PLAIN) -> pd.DataFrame:
    """The table as a pandas DataFrame with the headings as columns, at full precision.

    One row a model, repeated trainings as their mean; what does not apply is missing. With a
    grouping, the columns that it groups by stand in front.
    """
    layout = layout.replaced(best="none", columns=layout.columns or PRESETS[layout.preset or "all"])
    runs = [run for group in rows_of(records, layout) for run in group]
    data = frame([run.record for run in runs])
    columns = columns_of(data)
    values = {name: column_values(data, name) for name in columns}
    chosen = chosen_columns(columns, values, layout)
    asked = [columns[name] for name in GROUP_COLUMNS if name in layout.group_by]
    shown = [*(column for column in asked if column not in chosen), *chosen]
    made = {
        column.heading: [
            value if value is None or column.is_text or column.scale == 1 else value / column.scale
            for value in values[column.name]
        ]
        for column in shown
    }
    return pd.DataFrame(made).infer_objects()


def to_csv(records: Sequence[ResultRecord], layout: Layout = _PLAIN) -> str:
    """CSV at full precision: the layout's columns, or else all of `frame` that have a value.

    A number of a repeated training is the mean, with the standard deviation beside it as
    `NAME_std`, that of one run has the ends of its interval. Text that a spreadsheet would run as a
    formula has an apostrophe before it.
    """
    runs = [run for group in rows_of(records, layout) for run in group]
    data = frame([run.record for run in runs])
    columns = columns_of(data)
    values = {name: column_values(data, name) for name in dict.fromkeys([*data, *columns])}
    if layout.columns is None and PRESETS[layout.preset or "all"] is None:
        names = [str(name) for name in data if any(v is not None for v in values[name])]
    else:
        names = [column.name for column in chosen_columns(columns, values, layout)]
    output: dict[str, list[Any]] = {}
    for name in names:
        output[name] = values[name]
        beside: dict[str, list[Any]] = {
            "std": [run.spread.get(name.removesuffix("_error")) for run in runs]
        }
        if layout.intervals:
            ends = [interval_of(run, name) for run in runs]
            beside["interval_half"] = [pair and (pair[1] - pair[0]) / 2 for pair in ends]
            beside["interval_low"] = [pair and pair[0] for pair in ends]
            beside["interval_high"] = [pair and pair[1] for pair in ends]
        found = comparisons(runs, name, layout)
        if any(found):
            beside |= {
                "published": [c and c.value for c in found],
                "difference": [c and c.difference for c in found],
                "published_in_interval": [c and c.within for c in found],
                "source": [c and f"{c.published.source.url} {c.published.table}" for c in found],
            }
        for suffix, column in beside.items():
            if any(value is not None for value in column):
                output[f"{name}_{suffix}"] = column
    for name, column in output.items():
        output[name] = [escaping.csv_text(v) if isinstance(v, str) else v for v in column]
    stream = io.StringIO()
    # As objects, whole numbers stay whole beside missing ones.
    pd.DataFrame(output, dtype=object).to_csv(stream, index=False, lineterminator="\n")
    return stream.getvalue()


def to_markdown(records: Sequence[ResultRecord], layout: Layout = _PLAIN) -> str:
    """A Markdown table: best of each column bold, second best underlined."""
    marks: _Marks = {1: lambda text: f"**{text}**", 2: lambda text: f"<u>{text}</u>"}
    parts = []
    for section in sections(records, layout):
        headings, rows = _rendered(section, marks, escaping.markdown)
        widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        left = [column.is_text for column in section.columns]
        rule = [
            "-" * (width - (not text)) + ":" * (not text)
            for width, text in zip(widths, left, strict=True)
        ]
        lines = [_markdown_row(cells, widths, left) for cells in (headings, rule, *rows)]
        if layout.group_by:
            lines = [f"**{escaping.markdown(section.title)}**", "", *lines]
        for footnote in section.footnotes:
            lines += ["", escaping.markdown(footnote)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def to_latex(records: Sequence[ResultRecord], layout: Layout = _PLAIN) -> str:
    r"""LaTeX for `booktabs`, a tabular a section: best \textbf, second best \underline.

    Without columns or preset it has those of `paper`, and then fits one column of a two-column
    article.
    """
    if layout.columns is None and layout.preset is None:
        layout = layout.replaced(preset="paper")
    parts = []
    for section in sections(records, layout):
        lines = latex_section(section)
        if layout.group_by:
            title = rf"\textbf{{{escaping.latex(section.title)}}}"
            lines = [rf"\medskip\noindent{title}\par\smallskip", *lines]
        for footnote in section.footnotes:
            note = escaping.latex(footnote).replace("/", r"/\allowbreak{}")
            lines.append(rf"\par\smallskip\noindent{{\footnotesize\raggedright {note}\par}}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def to_html(records: Sequence[ResultRecord], layout: Layout = _PLAIN) -> str:
    """An HTML fragment, a table a section: cells have the class `best` or `second`."""
    classes = {1: "best", 2: "second"}
    lines = []
    for section in sections(records, layout):
        lines += ['<table class="wsol">', f"<caption>{escaping.html_text(section.title)}</caption>"]
        headings = "".join(
            f'<th scope="col">{escaping.html_text(column.heading)}</th>'
            for column in section.columns
        )
        lines += [f"<thead><tr>{headings}</tr></thead>", "<tbody>"]
        for row in section.rows:
            cells = ""
            for column, cell in zip(section.columns, row, strict=True):
                kinds = ["text" if column.is_text else "number"]
                kinds += [classes[cell.rank]] if cell.rank else []
                text = escaping.html_text(cell.text) + _spread(cell)
                cells += f'<td class="{" ".join(kinds)}">{text}</td>'
            lines.append(f"<tr>{cells}</tr>")
        lines += ["</tbody>", "</table>"]
        lines += [
            f'<p class="footnote">{escaping.html_text(footnote)}</p>'
            for footnote in section.footnotes
        ]
    return "\n".join(lines) + "\n"


def terminal_table(records: Sequence[ResultRecord], layout: Layout = _PLAIN) -> Group:
    """The table for a terminal, one a section; one that is too wide goes on below."""
    parts: list[_Fitted | Text] = []
    for section in sections(records, layout):
        if parts:
            parts.append(Text())
        parts.append(_Fitted(section))
        parts += [Text(escaping.printable(note), "dim") for note in section.footnotes]
    return Group(*parts)


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A section as wide as the terminal: its columns stand below each other where they have to."""

    section: Section

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(escaping.printable(self.section.title), "italic")
        columns = self.section.columns
        whole = self._widths(lambda heading: [heading])
        if sum(whole) + _PADDING * len(whole) <= options.max_width:
            yield self._block(range(len(columns)), whole)
            return
        # Headings break at their spaces and the names anywhere; figures stay whole.
        narrow = self._widths(str.split)
        name = next((i for i, column in enumerate(columns) if column.name == "model"), 0)
        narrow[name] = min(narrow[name], max(_NAME_WIDTH, options.max_width // 3))
        places = [place for place in range(len(columns)) if place != name]
        while places:
            room = options.max_width - narrow[name] - _PADDING
            block = [name]
            while places and (len(block) == 1 or narrow[places[0]] + _PADDING <= room):
                place = places.pop(0)
                room -= narrow[place] + _PADDING
                block.append(place)
            yield self._block(sorted(block), narrow)
            if places:
                yield Text()

    def _widths(self, broken: Callable[[str], list[str]]) -> list[int]:
        """Each column's width, with its heading broken into the lines that are given."""
        cells = zip(*self.section.rows, strict=True)
        return [
            max(
                map(
                    cell_len,
                    [
                        *broken(column.heading),
                        *(escaping.printable(c.text) + _spread(c) for c in own),
                    ],
                )
            )
            for column, own in zip(self.section.columns, cells, strict=True)
        ]

    def _block(self, places: Sequence[int], widths: Sequence[int]) -> Table:
        table = Table(box=None, header_style="bold")
        for place in places:
            column = self.section.columns[place]
            table.add_column(
                Text(column.heading),
                justify="left" if column.is_text else "right",
                width=widths[place],
                overflow="fold",
            )
        styles = {None: "", 1: "bold", 2: "underline"}
        for row in self.section.rows:
            cells = (row[place] for place in places)
            table.add_row(
                *(
                    Text.assemble((escaping.printable(c.text), styles[c.rank]), _spread(c))
                    for c in cells
                )
            )
        return table


def table_cells(records: Sequence[ResultRecord]) -> tuple[list[str], list[list[Cell]]]:
    """Headings and rows of records that compare; columns without a number are left out."""
    (section,) = sections(records, _PLAIN)
    return [column.heading for column in section.columns], section.rows


_Marks = dict[int, Callable[[str], str]]


def _rendered(
    section: Section, marks: _Marks, escape: Callable[[str], str]
) -> tuple[list[str], list[list[str]]]:
    """Headings and cells in one format of text."""

    def render(cell: Cell) -> str:
        text = escape(cell.text)
        return (marks[cell.rank](text) if cell.rank else text) + _spread(cell)

    headings = [escape(column.heading) for column in section.columns]
    return headings, [[render(cell) for cell in row] for row in section.rows]


def _spread(cell: Cell) -> str:
    return "" if cell.spread is None else f" ± {cell.spread}"


def _markdown_row(cells: Sequence[str], widths: Sequence[int], left: Sequence[bool]) -> str:
    padded = [
        cell.ljust(width) if text else cell.rjust(width)
        for cell, width, text in zip(cells, widths, left, strict=True)
    ]
    return "| " + " | ".join(padded) + " |"
