"""Where networks have their parameters: convolutions, dense layers, head, and the rest."""

import io
from collections.abc import Mapping

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from wsol.results import escaping
from wsol.results.cells import rounded
from wsol.results.figures import COLOURS, STYLE, new_figure, plain

Parts = Mapping[str, Mapping[str, int]]
"""Of each network by name, the parameters of each of `PARTS`."""

PARTS = {
    "convolutions": "Convolutions",
    "dense": "Dense layers",
    "head": "Head",
    "other": "Other",
}
"""Names, as `wsol.models.facts.ModelFacts` has them, and headings."""


def part_rows(networks: Parts) -> list[list[str]]:
    """The cells of a table, headings first: name, millions of all parameters and of each part."""
    headings = ["Model", "Params (M)", *(f"{heading} (M)" for heading in PARTS.values())]
    rows = [
        [name, *(rounded(count / 1e6, 2) for count in (sum(parts.values()), *_counts(parts)))]
        for name, parts in networks.items()
    ]
    return [headings, *rows]


def parts_markdown(networks: Parts) -> str:
    """The table in Markdown."""
    headings, *rows = part_rows(networks)
    table = [[headings[0], *headings[1:]], *([escaping.markdown(row[0]), *row[1:]] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        " | ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])])
        for cells in (table[0], rule, *table[1:])
    ]
    return "".join(f"| {line} |\n" for line in lines)


def parts_csv(networks: Parts) -> str:
    """Whole numbers, a row a network."""
    rows = [
        {"model": escaping.csv_text(name), "parameters": sum(parts.values())}
        | dict(zip(PARTS, _counts(parts), strict=True))
        for name, parts in networks.items()
    ]
    stream = io.StringIO()
    pd.DataFrame(rows).to_csv(stream, index=False, lineterminator="\n")
    return stream.getvalue()


def parts_figure(networks: Parts) -> Figure:
    """A bar a network, the first on top: millions of parameters, stacked by part."""
    with matplotlib.rc_context(STYLE):
        figure = new_figure(5.6, 1.1 + 0.24 * len(networks))
        axes = figure.subplots()
        places = range(len(networks))
        left = [0.0] * len(networks)
        for (part, heading), colour in zip(PARTS.items(), COLOURS, strict=False):
            widths = [parts[part] / 1e6 for parts in networks.values()]
            axes.barh(places, widths, left=left, height=0.7, color=colour, label=heading)
            left = [before + width for before, width in zip(left, widths, strict=True)]
        for place, total in zip(places, left, strict=True):
            axes.annotate(
                rounded(total, 1), (total, place), xytext=(3, 0), textcoords="offset points",
                va="center", fontsize=7.5,
            )  # fmt: skip
        axes.set_yticks(places, [plain(name, 40) for name in networks])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.margins(y=0.02)
        axes.set_xlim(0, 1.1 * max(left))
        axes.set_xlabel("Parameters (M)")
        figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _counts(parts: Mapping[str, int]) -> list[int]:
    return [parts[part] for part in PARTS]
