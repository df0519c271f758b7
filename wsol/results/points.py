"""How points of networks, with a front, whiskers and baselines, are drawn and told apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from wsol.results.figures import (
    MARKERS,
    STYLE,
    by_rows,
    colour_of,
    new_figure,
    plain,
    set_log_ticks,
    write_labels,
)
from wsol.results.names import look_of

_BESIDE = 5.0
"""How far points of one cost stand apart, in typographic points."""
_TOGETHER = 3.0
"""Costs that come closer than this, in typographic points, count as one."""


@dataclass(frozen=True, slots=True)
class Point:
    """One network by one method: its cost, its accuracy in percent, and the whisker's ends.

    `variant` tells it from others of the same network.
    """

    network: str
    variant: str
    x: float
    y: float
    ends: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Words:
    """What stands around a plot; `written` writes a number of the x axis."""

    title: str
    x: str
    y: str
    written: Callable[..., str]


Baselines = Sequence[tuple[str, float]]


def labelled_figure(points: Sequence[Point], baselines: Baselines, words: Words) -> Figure | None:
    """Each point with its name beside it; None where there is no room for that.

    The legend has the families of networks, so that a label says only what differs within one.
    """
    families = list(dict.fromkeys(_family(point.network) for point in points))
    number_of = look_of(families)
    several = len(families) > 1
    with matplotlib.rc_context(STYLE):
        figure = new_figure(5.6, 3.6 + 0.17 * -(-len(families) // 4) * several)
        axes = figure.subplots()
        looks: list[dict[str, Any]] = []
        for point in points:
            number = number_of[_family(point.network)]
            marker = MARKERS[(number + number // 6) % 6]
            looks.append({"color": colour_of(number % 6), "marker": marker, "ms": 6})
        at = _draw(axes, points, looks, baselines, words, 0.25)
        if several:
            keys = {
                family: Line2D([], [], ls="", **look)
                for point, look in zip(points, looks, strict=True)
                for family in [_family(point.network)]
            }
            figure.legend(
                [keys[family] for family in families], [plain(family, 40) for family in families],
                loc="outside lower center", ncols=min(4, len(families)), fontsize=8,
            )  # fmt: skip
        figure.draw_without_rendering()
        named = [
            (_short_name(point.network, several), x, point.y)
            for point, x in zip(points, at, strict=True)
        ]
        fits = write_labels(axes, named, _ends_of_lines(baselines), _obstacles(axes, points, at))
    return figure if fits else None


def keyed_figure(points: Sequence[Point], baselines: Baselines, words: Words) -> Figure:
    """Each point told by the legend: networks by markers, variants by colours.

    Where there is but one variant, networks have a colour of their own, too.
    """
    networks = list(dict.fromkeys(point.network for point in points))
    variants = list(dict.fromkeys(point.variant for point in points))
    number_of, colour_by = look_of(networks), look_of(variants)
    looks = []
    for point in points:
        number = number_of[point.network]
        colour = colour_by[point.variant] if len(variants) > 1 else number + number // 12
        looks.append({"color": colour_of(colour), "ms": 5, **_marker(number)})
    named = [plain(name, 34) for name in (*variants, *networks)]
    columns = max(1, min(6, int(92 / (max(map(len, named)) + 6))))
    rows = -(-len(networks) // columns) + -(-len(variants) // columns) * (len(variants) > 1)
    with matplotlib.rc_context(STYLE):
        figure = new_figure(7.2, 4.2 + 0.17 * rows)
        axes = figure.subplots()
        at = _draw(axes, points, looks, baselines, words, 0.1)
        of_networks = [
            (
                Line2D([], [], ls="", ms=5, **_marker(number),
                       color="0.25" if len(variants) > 1 else colour_of(number + number // 12)),
                plain(network, 34),
            )
            for network, number in number_of.items()
        ]  # fmt: skip
        of_variants = [
            (Line2D([], [], lw=5, color=colour_of(number)), plain(variant, 34) or "not stated")
            for variant, number in colour_by.items()
        ]
        groups = [of_variants, of_networks] if len(variants) > 1 else [of_networks]
        handles, labels = by_rows(groups, columns)
        figure.legend(
            handles, labels, loc="outside lower center", ncols=columns, fontsize=8, handlelength=1.2
        )
        figure.draw_without_rendering()
        write_labels(axes, [], _ends_of_lines(baselines), _obstacles(axes, points, at))
    return figure


_SHAPES = (*MARKERS, "X", "<", ">", "p", "h", "*")


def _marker(number: int) -> dict[str, Any]:
    """A marker of its own; after twelve they are hollow."""
    hollow = number // len(_SHAPES) % 2 == 1
    return {"marker": _SHAPES[number % len(_SHAPES)], **({"mfc": "white"} if hollow else {})}


def _draw(
    axes: Axes,
    points: Sequence[Point],
    looks: Sequence[dict[str, Any]],
    baselines: Baselines,
    words: Words,
    margin: float,
) -> list[float]:
    """Draw everything but labels and legend; returns where each point stands on the x axis.

    `margin` is what the axis has beyond its points on each side, as a share of their logarithms.
    """
    _draw_front(axes, points)
    sizes = [point.x for point in points]
    spare = max(max(sizes) / min(sizes), 1.6) ** margin
    left, right = min(sizes) / spare, max(sizes) * spare
    room = axes.figure.get_figure(root=True).get_figwidth() - 0.8
    at = side_by_side(points, 72 * room / np.log(right / left))
    for point, x, look in zip(points, at, looks, strict=True):
        low, high = point.ends or (point.y, point.y)
        axes.errorbar(
            x, point.y,
            yerr=[[max(0.0, point.y - low)], [max(0.0, high - point.y)]] if point.ends else None,
            ls="", elinewidth=1, capsize=2, zorder=3, **look,
        )  # fmt: skip
    for _, value in baselines:
        axes.axhline(value, color="0.35", lw=1, ls="--", zorder=0)
    axes.set_xscale("log")
    axes.set_xlim(left, right)
    axes.margins(y=0.14)
    axes.set_xlabel(words.x)
    set_log_ticks(axes.xaxis, left, right, words.written, room)
    axes.set_ylabel(words.y)
    axes.set_title(plain(words.title), loc="left", fontsize=9)
    return at


def side_by_side(points: Sequence[Point], scale: float) -> list[float]:
    """Where points stand: those of one cost side by side around it, and clear of the next cost's.

    Args:
        scale: typographic points of the axis for each unit of the natural logarithm.
    """
    order = sorted(range(len(points)), key=lambda place: points[place].x)
    columns: list[list[int]] = []
    for place in order:
        last = columns[-1][0] if columns else place
        if columns and scale * np.log(points[place].x / points[last].x) < _TOGETHER:
            columns[-1].append(place)
        else:
            columns.append([place])
    middles = [
        scale * float(np.mean([np.log(points[place].x) for place in column])) for column in columns
    ]
    gaps = [np.inf, *np.diff(middles), np.inf]
    at = [point.x for point in points]
    for number, (column, middle) in enumerate(zip(columns, middles, strict=True)):
        if len(column) == 1:
            continue
        step = min(_BESIDE, 0.8 * min(gaps[number : number + 2]) / len(column))
        for place, one in enumerate(_in_groups(column, points)):
            at[one] = float(np.exp((middle + step * (place - (len(column) - 1) / 2)) / scale))
    return at


def _in_groups(column: Sequence[int], points: Sequence[Point]) -> list[int]:
    """Positions in the order named, those of one network together."""
    first = {points[place].network: place for place in sorted(column, reverse=True)}
    return sorted(column, key=lambda place: (first[points[place].network], place))


def _draw_front(axes: Axes, points: Sequence[Point]) -> None:
    """The steps of what nothing cheaper beats, and the band of its whiskers."""
    front = [points[place] for place in _front(points)]
    # The front goes on to the right: what is larger and worse does not undo it.
    x = [*(point.x for point in front), max(point.x for point in points) * 10]
    axes.plot(
        x, [point.y for point in (*front, front[-1])],
        color="0.6", lw=1, zorder=1, drawstyle="steps-post", scalex=False,
    )  # fmt: skip
    ends = [point.ends for point in (*front, front[-1]) if point.ends is not None]
    if len(ends) == len(x):
        axes.fill_between(
            x, [low for low, _ in ends], [high for _, high in ends],
            step="post", color="0.6", alpha=0.15, lw=0, zorder=0,
        )  # fmt: skip


def _front(points: Sequence[Point]) -> list[int]:
    return pareto([point.x for point in points], [point.y for point in points])


def pareto(sizes: Sequence[float], values: Sequence[float]) -> list[int]:
    """Positions of what nothing smaller (or as small) beats, by size."""
    front: list[int] = []
    for place in sorted(range(len(sizes)), key=lambda place: (sizes[place], -values[place])):
        if not front or values[place] > values[front[-1]]:
            front.append(place)
    return front


def _family(model: str) -> str:
    """`resnet50 (width 0.25)` and `resnet50 at 48 pixels` belong to `resnet50`,
    `efficientnet_lite:lite0` to its module."""
    name = model.partition(" (")[0].partition(" at ")[0]
    return name.rpartition(":")[0] or name


def _short_name(model: str, several: bool) -> str:
    """The model's name without that of its family, which the legend has where there are several."""
    return (model.removeprefix(_family(model)).strip(" ():") or model) if several else model


def _ends_of_lines(baselines: Baselines) -> list[tuple[str, float]]:
    return [(f"{name} {value:.1f}", value) for name, value in baselines]


def _obstacles(axes: Axes, points: Sequence[Point], at: Sequence[float]) -> list[Bbox]:
    """What labels are kept clear of: whiskers, and the front's lines from corner to corner."""
    front = [(points[place].x, points[place].y) for place in _front(points)]
    front.append((max(point.x for point in points) * 10, front[-1][1]))
    steps = []
    for (x, y), (next_x, next_y) in pairwise(front):
        steps += [(x, y, next_x, y), (next_x, y, next_x, next_y)]
    whiskers = [
        (x, low, x, high)
        for point, x in zip(points, at, strict=True)
        for low, high in [point.ends or (point.y, point.y)]
    ]
    return [
        *(_box(axes, *corners, 4) for corners in whiskers),
        *(_box(axes, *corners, 2) for corners in steps),
    ]


def _box(axes: Axes, x0: float, y0: float, x1: float, y1: float, around: float) -> Bbox:
    """What a line covers, in pixels, with so many around it."""
    (left, bottom), (right, top) = axes.transData.transform([(x0, y0), (x1, y1)])
    return Bbox.from_extents(left - around, bottom - around, right + around, top + around)
