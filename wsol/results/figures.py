"""What all figures share: their look, their file formats, and text that stays clear of all else.

Figures are made without pyplot, so that the backend of a notebook, and its open figures, stay as
they are.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from wsol.errors import InputError
from wsol.files import atomic_path
from wsol.results.escaping import printable

# Okabe and Ito's palette, distinguishable with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "D", "^", "v", "P")
LINES = ("-", "--", ":", "-.")
_DASH = 5
"""The length of what shows of a curve that lies on others, in line widths."""
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "wsol",
}
_METADATA: dict[str, dict[Any, Any]] = {
    ".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None},
}  # fmt: skip


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that belongs to no backend's window."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def require_format(path: Path) -> None:
    """Refuse a file whose name ends in no format of figures, before anything is drawn.

    Raises:
        InputError: for another suffix than .png, .svg and .pdf.
    """
    if path.suffix.lower() not in _METADATA:
        raise InputError(f"{path}: its name must end in .png, .svg or .pdf.")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, atomically; the suffix of `path` decides the format.

    Raises:
        InputError: for another suffix than .png, .svg and .pdf.
    """
    require_format(path)
    with atomic_path(path) as temporary, matplotlib.rc_context(STYLE):
        figure.savefig(temporary, metadata=_METADATA[path.suffix.lower()])


def plain(text: str, length: int = 200) -> str:
    """A name for a figure: `$` is no mathematics, and what is too long loses its middle."""
    shown = printable(text)
    if len(shown) > length:
        head = (length - 1) // 2
        shown = f"{shown[: length - 1 - head].rstrip()}…{shown[len(shown) - head :].lstrip()}"
    return shown.replace("$", r"\$")


def look(number: int) -> dict[str, Any]:
    """Colour and dash of a curve; after six colours the next dash."""
    return {"color": COLOURS[number % 6], "ls": LINES[number // 6 % 4], "lw": 1.4}


def colour_of(number: int) -> str:
    """A colour of its own; after six they are darker, then they begin again."""
    colour = COLOURS[number % 6]
    if number // 6 % 2 == 0:
        return colour
    red, green, blue = (0.55 * part for part in to_rgb(colour))
    return to_hex((red, green, blue))


def told_apart(curves: Sequence[NDArray[np.float64]], tolerance: float) -> list[dict[str, Any]]:
    """What each curve's dashes are, where others lie on it: all of them show, one after another.

    The first of them is a whole line beneath the others' dashes.
    """
    groups: list[list[int]] = []
    for number, curve in enumerate(curves):
        for group in groups:
            other = curves[group[0]]
            if len(other) == len(curve) and np.abs(other - curve).max(initial=0) < tolerance:
                group.append(number)
                break
        else:
            groups.append([number])
    styles: list[dict[str, Any]] = [{} for _ in curves]
    for group in groups:
        for place, number in enumerate(group[1:], 1):
            rest = _DASH * (len(group) - 1)
            styles[number] = {"ls": (_DASH * (len(group) - place) + 2.5, (_DASH, rest))}
        if len(group) > 1:
            styles[group[0]] = {"ls": "-"}
    return styles


Key = tuple[Line2D, str]


def by_rows(groups: Sequence[Sequence[Key]], columns: int) -> tuple[list[Line2D], list[str]]:
    """Handles and labels for a legend of so many columns, each group from a new row on."""
    rows = [
        [*group[start : start + columns]] for group in groups
        for start in range(0, len(group), columns)
    ]  # fmt: skip
    nothing = (Line2D([], [], ls=""), "")
    keys = [row[column] if column < len(row) else nothing for column in range(columns)
            for row in rows]  # fmt: skip
    return [handle for handle, _ in keys], [label for _, label in keys]


def set_log_ticks(axis: Axis, low: float, high: float, written: Any, room: float) -> None:
    """Ticks of a logarithmic axis from `low` to `high`, `room` inches long, that never touch.

    Powers of ten, with their doubles and fives, or even steps within one power; numbers that would
    come closer than a character to the last one are left out.
    """
    ticks, texts = [], []
    edge = -np.inf
    for value in _candidates(low, high):
        text = written(value)
        at = room * np.log(value / low) / np.log(high / low)
        half = 0.036 * len(text) + 0.05  # a character of 9 points, and the gap
        if at - half >= edge and text not in texts:
            ticks.append(value)
            texts.append(text)
            edge = at + half
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, position: written(value)))


def _candidates(low: float, high: float) -> list[float]:
    if high / low > 5:
        steps = (1,) if high / low > 1000 else (1, 2, 5)
        powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        found = [step * 10.0**power for power in powers for step in steps]
    else:
        raw = (high - low) / 4
        power = 10.0 ** np.floor(np.log10(raw))
        widths = [f * power for f in (1, 2, 5, 10)]
        place = next(number for number, width in enumerate(widths) if width >= raw)
        found = _multiples(widths[place], low, high)
        if len(found) < 2:  # of the wider steps, one alone may lie within
            found = _multiples(widths[max(place - 1, 0)], low, high)
    return [value for value in found if low <= value <= high]


def _multiples(width: float, low: float, high: float) -> list[float]:
    found = [width * number for number in range(1, int(high / width) + 2)]
    return [value for value in found if low <= value <= high]


Place = tuple[tuple[int, int], str, str]
"""Where a label may stand: its offset in points, and how it is aligned."""
_BESIDE_POINT: tuple[Place, ...] = (
    ((6, 5), "left", "bottom"),
    ((-6, 5), "right", "bottom"),
    ((6, -5), "left", "top"),
    ((-6, -5), "right", "top"),
    ((0, 8), "center", "bottom"),
    ((0, -8), "center", "top"),
    ((6, 14), "left", "bottom"),
    ((6, -14), "left", "top"),
    ((-6, 14), "right", "bottom"),
    ((-6, -14), "right", "top"),
    ((0, 18), "center", "bottom"),
    ((0, -18), "center", "top"),
    ((6, 24), "left", "bottom"),
    ((6, -24), "left", "top"),
    ((-6, 24), "right", "bottom"),
    ((-6, -24), "right", "top"),
    ((0, 30), "center", "bottom"),
    ((0, -30), "center", "top"),
)
_ON_LINE: tuple[tuple[float, Place], ...] = tuple(
    (share, place)
    for share, horizontal, aside in (
        (1.0, "right", -2), (0.0, "left", 2), (0.75, "center", 0), (0.25, "center", 0),
        (0.5, "center", 0),
    )
    for place in (
        ((aside, 2), horizontal, "bottom"),
        ((aside, -2), horizontal, "top"),
        ((aside, 12), horizontal, "bottom"),
        ((aside, -12), horizontal, "top"),
    )
)  # fmt: skip
"""How far along a line its name may stand, and where there."""


def write_labels(
    axes: Axes,
    points: Sequence[tuple[str, float, float]],
    lines: Sequence[tuple[str, float]],
    obstacles: Sequence[Bbox] = (),
) -> bool:
    """Write each (text, x, y) beside its point and each (text, y) at the end of its line.

    Labels stay within the axes, clear of each other, of points, lines and `obstacles` (in pixels),
    and nearer to their own point than to another, while there is room. A text too wide for the axes
    loses its middle.

    Returns:
        Whether there was room for all of the points.
    """
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    centres = axes.transData.transform([(x, y) for _, x, y in points])
    taken = [Bbox.from_bounds(x - 9, y - 9, 18, 18) for x, y in centres]
    taken += obstacles
    heights = [axes.transData.transform((1, y))[1] for _, y in lines]
    crossed = [Bbox.from_bounds(axes.bbox.x0, at - 1, axes.bbox.width, 2) for at in heights]
    for text, y in sorted(lines, key=lambda line: line[1]):
        places = [((share, y), *place) for share, place in _ON_LINE]
        _write(axes, text, ("axes fraction", "data"), places, taken, crossed, "0.35")
    covered = 0
    for number, (text, x, y) in enumerate(points):
        beside = [((x, y), *place) for place in _BESIDE_POINT]
        whose = (centres[number], np.delete(centres, number, axis=0))
        covered += _write(axes, text, "data", beside, taken, crossed, "black", whose)
    return covered == 0


def _write(
    axes: Axes,
    text: str,
    coordinates: Any,
    places: Sequence[tuple[tuple[float, float], tuple[int, int], str, str]],
    taken: list[Bbox],
    crossed: Sequence[Bbox],
    colour: str,
    whose: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> int:
    """Write a text at the first of `places` that is free, else where it covers the least; returns
    how many things it covers, or stands nearer to than to its own point.

    Args:
        whose: (2,) its point and (n, 2) the others, in pixels.
    """
    tried = []
    for at, offset, horizontal, vertical in places:
        note = axes.annotate(
            plain(text, 40), at, xycoords=coordinates, xytext=offset, textcoords="offset points",
            ha=horizontal, va=vertical, fontsize=7.5, color=colour,
        )  # fmt: skip
        box = note.get_window_extent()
        outside = not (axes.bbox.contains(*box.min) and axes.bbox.contains(*box.max))
        covered = sum(box.overlaps(other) for other in (*taken, *crossed))
        if whose is not None and len(whose[1]):
            own, others = (_distance(box, np.atleast_2d(at)) for at in whose)
            covered += int((others <= own).sum())
        # Outside of the axes a label may be cut off, which is worse than touching something.
        tried.append((covered + 100 * outside, note, box))
        if tried[-1][0] == 0:
            break
    least, best, box = min(tried, key=lambda one: one[0])
    taken.append(box)
    for _, note, _ in tried:
        if note is not best:
            note.remove()
    _keep_inside(axes, best)
    return least


def _distance(box: Bbox, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) how far (n, 2) points lie from a box; 0 inside."""
    beyond = np.maximum(np.maximum(box.min - points, points - box.max), 0)
    return np.asarray(np.hypot(beyond[:, 0], beyond[:, 1]))


def _keep_inside(axes: Axes, note: Any) -> None:
    """Move a label that no place had room for back into the axes."""
    box = note.get_window_extent()
    right = max(0.0, box.x1 - axes.bbox.x1) - max(0.0, axes.bbox.x0 - box.x0)
    up = max(0.0, box.y1 - axes.bbox.y1) - max(0.0, axes.bbox.y0 - box.y0)
    if right or up:
        scale = 72 / axes.figure.dpi
        x, y = note.get_position()
        note.set_position((x - right * scale, y - up * scale))
