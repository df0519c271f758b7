r"""Tables as LaTeX for `booktabs` that fit the column of a two-column article.

The width of every text is measured in Computer Modern, the widest of the usual faces; then the
most readable type, headings and gaps that fit are taken. Names and
headings go on in rows below, so that the file has plain rows and needs no package but `booktabs`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from wsol.results import escaping
from wsol.results.cells import Cell, Section

COLUMN_WIDTH, PAGE_WIDTH = 220.0, 450.0
"""Points (1/72.27 inch): a column, and the page, of `article` with `twocolumn` on A4, the
narrowest of the usual classes."""

# Computer Modern is relatively wider the smaller it is (cmr9, cmr8, cmr7 against cmr10).
_SIZES = (("small", 9, 1.03), ("footnotesize", 8, 1.065), ("scriptsize", 7, 1.14))
_GAPS = (5.0, 4.0, 3.0, 2.0)  # \tabcolsep, half of the space between two columns
_BOLD = 1.17  # cmbx10 against cmr10
_INDENT = 6.0  # of a name's further lines
_WHOLE, _LEAST = 90.0, 45.0  # names' words stay whole up to here; a name's width at least


@dataclass(frozen=True, slots=True)
class _Fit:
    """How a table is set: `widths` in points at `size`, text columns broken to theirs."""

    size: str
    gap: float
    heading_lines: int
    below: bool
    widths: tuple[float, ...]

    @property
    def total(self) -> float:
        return sum(self.widths) + 2 * self.gap * (len(self.widths) - 1)


def latex_section(section: Section) -> list[str]:
    """The lines of one section's table, without its title and footnotes."""
    fit = _fitted(section)
    kinds = "".join("l" if column.is_text else "r" for column in section.columns)
    headings = [_balanced(column.heading, fit.heading_lines) for column in section.columns]
    lines = [
        rf"\noindent{{\{fit.size}\setlength{{\tabcolsep}}{{{fit.gap:g}pt}}"
        rf"\begin{{tabular}}{{@{{}}{kinds}@{{}}}}",
        r"\toprule",
        *_rows([[""] * (fit.heading_lines - len(lines)) + lines for lines in headings]),
        r"\midrule",
    ]
    if fit.total > COLUMN_WIDTH + 0.01:
        wide = (
            "a page" if fit.total > PAGE_WIDTH + 0.01 else "one column of a two-column page: table*"
        )
        lines.insert(0, f"% {fit.total:.0f}pt wide, too wide for {wide}")
    blocks = [list(_row(row, section, fit)) for row in section.rows]
    loose = any(len(block) > 1 for block in blocks)
    for number, block in enumerate(blocks):
        lines += [r"\addlinespace[1.5pt]"] if loose and number else []
        lines += block
    return [*lines, r"\bottomrule", r"\end{tabular}}"]


def text_width(text: str, points: float = 10.0) -> float:
    """The width of a text in Computer Modern Roman at 10 points, scaled; in points."""
    return sum(_advance(character) for character in text) * points / 10


@cache
def _advance(character: str) -> float:
    if character in "±−×+=<>":
        return 7.8
    if character == "_":
        return 3.7  # a rule
    if not (character.isascii() and character.isalnum()) and character not in "()[].,:;/-+=@ ":
        return 10.0  # of another face; no letter of Computer Modern is wider but W
    return float(_face().load_char(ord(character)).linearHoriAdvance) / 65536


@cache
def _face() -> Any:
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    face = FT2Font(str(Path(get_data_path(), "fonts", "ttf", "cmr10.ttf")))
    face.set_size(10, 72)
    return face


def _fitted(section: Section) -> _Fit:
    """The most readable setting that fits one column, else the page; else the first tried."""
    tried = list(_settings(section))
    for room, whole in ((COLUMN_WIDTH, _WHOLE), (COLUMN_WIDTH, _LEAST), (PAGE_WIDTH, _WHOLE)):
        found = [_narrowed(section, fit, room, whole) for fit in tried]
        fits = [fit for fit in found if fit is not None]
        if fits:
            return min(fits, key=lambda fit: _strain(section, fit))
    return tried[0]


def _strain(section: Section, fit: _Fit) -> float:
    """How hard a setting is to read: what a smaller type, or another line, is thought to cost."""
    lines = sum(
        len(_broken(row[place].text, fit.widths[place], _scale(fit))) - 1
        for place, column in enumerate(section.columns)
        if column.is_text
        for row in section.rows
    )
    size = {"small": 0, "footnotesize": 1, "scriptsize": 3}[fit.size]
    headings = (0, 0.3, 1.5, 3)[fit.heading_lines - 1]
    return size + headings + 0.3 * (_GAPS[0] - fit.gap) + fit.below + 4 * lines / len(section.rows)


def _settings(section: Section) -> Iterator[_Fit]:
    """Settings with columns as wide as they want to be."""
    for lines in (1, 2, 3, 4):
        for below in (False, True):
            for size, points, relative in _SIZES:
                scale = points * relative
                widths = [
                    max(
                        *(text_width(part, scale) for part in _balanced(column.heading, lines)),
                        *(_cell_width(row[place], scale, below) for row in section.rows),
                    )
                    for place, column in enumerate(section.columns)
                ]
                for gap in _GAPS:
                    yield _Fit(size, gap, lines, below, tuple(widths))


def _cell_width(cell: Cell, scale: float, below: bool) -> float:
    text = text_width(cell.text, scale) * (_BOLD if cell.rank == 1 else 1)
    if cell.spread is None:
        return text
    spread = text_width(f"±{cell.spread}", scale)
    return max(text, spread) if below else text + spread


def _narrowed(section: Section, fit: _Fit, room: float, whole: float) -> _Fit | None:
    """The setting with its names broken until it fits, words up to `whole` not; else None."""
    scale = _scale(fit)
    widths = list(fit.widths)
    excess = fit.total - room
    for place, column in reversed(list(enumerate(section.columns))):
        if excess > 0 and column.is_text:
            words = [p for row in section.rows for p in _pieces(row[place].text)]
            widest = max((_INDENT + text_width(word, scale) for word in words), default=0.0)
            heading = _balanced(column.heading, fit.heading_lines)
            least = max(*(text_width(part, scale) for part in heading), min(widest, whole))
            cut = min(excess, max(0.0, widths[place] - least))
            widths[place] -= cut
            excess -= cut
    return None if excess > 1e-9 else replace(fit, widths=tuple(widths))


def _scale(fit: _Fit) -> float:
    return next(points * relative for name, points, relative in _SIZES if name == fit.size)


def _row(row: Sequence[Cell], section: Section, fit: _Fit) -> Iterator[str]:
    """The lines of one row: its names and what stands below its figures."""
    columns = []
    for cell, column, width in zip(row, section.columns, fit.widths, strict=True):
        if column.is_text:
            first, *more = _broken(cell.text, width, _scale(fit))
            indented = [rf"\hspace*{{{_INDENT:g}pt}}{escaping.latex(line)}" for line in more]
            columns.append([escaping.latex(first), *indented])
            continue
        text = escaping.latex(cell.text)
        text = {1: rf"\textbf{{{text}}}", 2: rf"\underline{{{text}}}"}.get(cell.rank or 0, text)
        spread = "" if cell.spread is None else rf"$\pm${cell.spread}"
        columns.append([text, spread] if fit.below and spread else [text + spread])
    deepest = max(map(len, columns))
    yield from _rows([[*lines, *[""] * (deepest - len(lines))] for lines in columns])


def _rows(columns: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equally many lines as rows; headings are escaped here."""
    return [" & ".join(row) + r" \\" for row in zip(*columns, strict=True)]


def _broken(text: str, width: float, scale: float) -> list[str]:
    """A name in lines of at most `width`, broken where words end or, failing that, anywhere."""
    lines = [""]
    for piece in _pieces(escaping.printable(text)):
        while piece:
            room = width - (_INDENT if len(lines) > 1 else 0) + 1e-6
            if text_width((lines[-1] + piece).rstrip(), scale) <= room:
                lines[-1] += piece
                piece = ""
            elif lines[-1]:
                lines.append("")
            else:
                fits = next(
                    (n for n in range(len(piece), 1, -1) if text_width(piece[:n], scale) <= room), 1
                )
                lines[-1], piece = piece[:fits], piece[fits:]
                if piece:
                    lines.append("")
    return [line.strip() for line in lines]


def _pieces(text: str) -> list[str]:
    """What a name may be broken into."""
    return re.findall(r"[ ]*[(\[]?[^ \-_/:,(\[]+[-_/:,]*|.", text)


def _balanced(heading: str, lines: int) -> list[str]:
    """A heading in at most so many lines, the longest of them as short as can be."""
    parts = re.findall(r"\S+?(?:(?<=[a-z])(?=[A-Z])|(?<=-)(?=[a-z])|(?=\s)|$)\s*", heading)
    if lines == 1 or len(parts) == 1:
        return [heading]
    options = []
    for count in range(1, min(lines, len(parts)) + 1):
        for cuts in combinations(range(1, len(parts)), count - 1):
            ends = [0, *cuts, len(parts)]
            made = ["".join(parts[a:b]).strip() for a, b in pairwise(ends)]
            options.append((max(map(text_width, made)), count, made))
    return min(options)[2]
