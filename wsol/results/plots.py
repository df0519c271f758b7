"""Plots of records, for papers and for the README: each function returns a figure."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from wsol.errors import InputError
from wsol.records.record import ResultRecord
from wsol.results.columns import Column, column_values, columns_of, frame, metric_columns
from wsol.results.figures import (
    COLOURS,
    MARKERS,
    STYLE,
    look,
    new_figure,
    plain,
    set_log_ticks,
    told_apart,
    write_labels,
)
from wsol.results.repeats import Run, runs_of

Against = Literal["parameters", "flops", "latency", "map-size"]
AXES: tuple[Against, ...] = ("parameters", "flops", "latency", "map-size")


def cost_figure(
    records: Sequence[ResultRecord], metric: str | None = None, against: Against = "parameters"
) -> Figure:
    """Localization against cost, with the Pareto front; baselines are dashed lines.

    Whiskers are 95 % intervals, where the records have them, or the standard deviation over the
    seeds of a repeated training; a band then follows the front.

    Args:
        metric: a column of `wsol.results.columns`; None takes the first headline metric there is.
        against: what one image costs: parameters, operations, milliseconds, or, not a cost but a
            resolution, positions of the map.

    Raises:
        InputError: when no network's record has both numbers.
    """
    name, column = _metric(records, metric)
    runs = runs_of(records)
    values = [column_values(frame([run.record]), name)[0] for run in runs]
    drawn = [(run, _cost(run.record, against), y) for run, y in zip(runs, values, strict=True)]
    networks = [(run, x, y) for run, x, y in drawn if x and y is not None]
    baselines = [(run, y) for run, _, y in drawn if run.record.parameters == 0 and y is not None]
    if not networks:
        raise InputError(
            f"No record of a network has {name} and {against}; there is nothing to plot."
            + (" --latency measures the latter." if against == "latency" else "")
        )
    devices = {run.record.cost.latency_device for run, _, _ in networks if run.record.cost}
    if against == "latency" and len(devices) > 1:
        raise InputError(f"Times of {', '.join(map(str, devices))} do not compare in one plot.")
    with matplotlib.rc_context(STYLE):
        families = list(dict.fromkeys(_family(run.record.model) for run, _, _ in networks))
        figure = new_figure(5.6, 3.6 + 0.17 * -(-len(families) // 4) * (len(families) > 1))
        axes = figure.subplots()
        ends = [_ends(run, name, y) for run, _, y in networks]
        sizes = [x for _, x, _ in networks]
        _draw_front(axes, sizes, [y for _, _, y in networks], ends)
        obstacles: list[tuple[float, float, float]] = []
        for (run, x, y), end in zip(networks, ends, strict=True):
            number = families.index(_family(run.record.model))
            first = all(_family(run.record.model) != f for f in _drawn_families(axes))
            low, high = end or (y, y)
            axes.errorbar(
                x, y, yerr=[[max(0.0, y - low)], [max(0.0, high - y)]] if end else None,
                marker=MARKERS[number % len(MARKERS)], color=COLOURS[number % len(COLOURS)],
                ms=6, ls="", elinewidth=1, capsize=2, zorder=3,
                label=families[number] if first else "_",
            )  # fmt: skip
            obstacles.append((x, low, high))
        for _, value in baselines:
            axes.axhline(value, color="0.35", lw=1, ls="--", zorder=0)
        axes.set_xscale("log")
        spare = max(max(sizes) / min(sizes), 1.6) ** 0.25
        left, right = min(sizes) / spare, max(sizes) * spare
        axes.set_xlim(left, right)
        axes.margins(y=0.14)
        heading, written = _axis(records, against)
        axes.set_xlabel(heading)
        set_log_ticks(axes.xaxis, left, right, written, 4.8)
        axes.set_ylabel(f"{column.heading} (%)")
        if len(families) > 1:
            figure.legend(
                *axes.get_legend_handles_labels(), loc="outside lower center",
                ncols=min(4, len(families)), fontsize=8,
            )  # fmt: skip
        axes.set_title(plain(f"{records[0].dataset} {records[0].split}"), loc="left", fontsize=9)
        figure.draw_without_rendering()
        write_labels(
            axes,
            [(_short_name(run, families), x, y) for run, x, y in networks],
            [(f"{run.record.model} {y:.1f}", y) for run, y in baselines],
            [
                *(_box(axes, x, low, x, high, 4) for x, low, high in obstacles),
                *(_box(axes, *corner, 2) for corner in _steps(sizes, [y for _, _, y in networks])),
            ],
        )
    return figure


def threshold_figure(records: Sequence[ResultRecord]) -> Figure:
    """Accuracy against threshold for each IoU level, every component, best points marked.

    Of a repeated training the mean over its seeds is drawn. A curve that lies on an earlier one is
    drawn in dashes over it.

    Raises:
        InputError: when no record has curves (`wsol evaluate --curves`).
    """
    drawn = [
        run for run in runs_of(records)
        if all(r.curves is not None and r.curves.all is not None for r in run.records)
    ]  # fmt: skip
    if not drawn:
        raise InputError("No record has curves; evaluate with --curves.")
    levels = list(drawn[0].records[0].curves.all)  # type: ignore[union-attr, arg-type]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(2.6 * max(len(levels), 1.4), 2.9 + 0.16 * -(-len(drawn) // 4))
        panels = figure.subplots(1, len(levels), sharey=True, squeeze=False)
        for axes, level in zip(panels[0], levels, strict=True):
            earlier: list[NDArray[np.float64]] = []
            for number, run in enumerate(drawn):
                thresholds, accuracy = _mean_curve(run, level)
                style = look(number) | told_apart(accuracy, earlier, 0.7)
                axes.plot(thresholds, accuracy, label=plain(run.record.model, 40), **style)
                best = int(np.argmax(accuracy))
                axes.plot(
                    thresholds[best], accuracy[best], "o", ms=5, mfc="white", mew=1.4,
                    color=style["color"], zorder=3,
                )  # fmt: skip
                earlier.append(accuracy)
            axes.set_title(f"IoU {level}", fontsize=9, loc="left")
            axes.set_xlabel("Threshold")
            axes.set_xlim(0, 1)
            axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
            axes.set_ylim(bottom=0)
        panels[0][0].set_ylabel("Images localized (%)")
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center",
            ncols=min(4 if len(levels) > 1 else 2, len(drawn)), fontsize=8,
        )  # fmt: skip
    return figure


def _metric(records: Sequence[ResultRecord], name: str | None) -> tuple[str, Column]:
    """The metric that is meant, by its column.

    Raises:
        InputError: for a name that no record has a number for.
    """
    found = metric_columns(records)
    data = frame(records)
    found |= {
        key: column
        for key, column in columns_of(data).items()
        if column.is_metric
        and key in data
        and key not in found
        and any(value is not None for value in column_values(data, key))
    }
    if name is None and found:
        name = next(iter(found))
    if name not in found:
        raise InputError(f"No record has {name}; there are {', '.join(found) or 'no metrics'}.")
    return name, found[name]


def _cost(record: ResultRecord, against: Against) -> float | None:
    cost = record.cost
    if against == "parameters":
        return record.parameters
    if cost is None:
        return None
    if against == "flops":
        return cost.flops
    if against == "latency":
        return cost.latency_ms
    return cost.map_size[0] * cost.map_size[1]


def _axis(records: Sequence[ResultRecord], against: Against) -> tuple[str, Any]:
    """What an axis is called, and how its numbers are written."""
    columns = columns_of(frame(records))
    if against == "flops":
        return columns["flops"].heading, lambda value, _=None: f"{value / 1e9:.3g}"
    if against == "latency":
        (device,) = {r.cost.latency_device for r in records if r.cost and r.cost.latency_ms}
        return f"{columns['latency_ms'].heading}, {device}", lambda value, _=None: f"{value:.3g}"
    return ("Parameters" if against == "parameters" else "Positions of the map"), _short


def _short(value: float, position: float | None = None) -> str:
    if value >= 1e5:
        return f"{value / 1e6:.4g}M"
    return f"{value / 1e3:.4g}k" if value >= 1e3 else f"{value:.4g}"


def _ends(run: Run, metric: str, value: float) -> tuple[float, float] | None:
    """The ends of a point's whisker."""
    if metric in run.spread:
        return value - run.spread[metric], value + run.spread[metric]
    return (run.record.intervals or {}).get(metric)


def _draw_front(
    axes: Any,
    sizes: Sequence[float],
    values: Sequence[float],
    ends: Sequence[tuple[float, float] | None],
) -> None:
    """The steps of what nothing cheaper beats, and the band of its whiskers."""
    front = pareto(sizes, values)
    x = [sizes[place] for place in front]
    # The front goes on to the right: what is larger and worse does not undo it.
    far = max(sizes) * 10
    axes.plot(
        [*x, far], [values[place] for place in (*front, front[-1])],
        color="0.6", lw=1, zorder=1, drawstyle="steps-post", scalex=False,
    )  # fmt: skip
    if all(ends[place] is not None for place in front):
        band = [ends[place] or (0.0, 0.0) for place in (*front, front[-1])]
        axes.fill_between(
            [*x, far], [low for low, _ in band], [high for _, high in band],
            step="post", color="0.6", alpha=0.15, lw=0, zorder=0,
        )  # fmt: skip


def pareto(sizes: Sequence[float], values: Sequence[float]) -> list[int]:
    """Positions of what nothing smaller (or as small) beats, by size."""
    front: list[int] = []
    for place in sorted(range(len(sizes)), key=lambda place: (sizes[place], -values[place])):
        if not front or values[place] > values[front[-1]]:
            front.append(place)
    return front


def _mean_curve(run: Run, level: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Thresholds, and the share of images that are right at each, in percent."""
    curves = [
        (100 * np.array(record.curves.all[level]) / record.num_images)  # type: ignore[index, union-attr]
        for record in run.records
    ]
    thresholds = run.records[0].curves.thresholds  # type: ignore[union-attr]
    return np.array(thresholds), np.mean(curves, axis=0)


def _family(model: str) -> str:
    """`resnet50 (width 0.25)` and `resnet50 at 48 pixels` belong to `resnet50`,
    `efficientnet_lite:lite0` to its module."""
    name = model.partition(" (")[0].partition(" at ")[0]
    return name.rpartition(":")[0] or name


def _drawn_families(axes: Any) -> list[str]:
    return list(axes.get_legend_handles_labels()[1])


def _short_name(run: Run, families: Sequence[str]) -> str:
    """The model's name without that of its family, which the legend has where there are several."""
    name, family = run.record.model, _family(run.record.model)
    return (name.removeprefix(family).strip(" ():") or name) if len(families) > 1 else name


def _steps(
    sizes: Sequence[float], values: Sequence[float]
) -> list[tuple[float, float, float, float]]:
    """The front's lines, from corner to corner."""
    front = [(sizes[place], values[place]) for place in pareto(sizes, values)]
    front.append((max(sizes) * 10, front[-1][1]))
    lines = []
    for (x, y), (next_x, next_y) in pairwise(front):
        lines += [(x, y, next_x, y), (next_x, y, next_x, next_y)]
    return lines


def _box(axes: Any, x0: float, y0: float, x1: float, y1: float, around: float) -> Bbox:
    """What a line covers, in pixels, with so many around it."""
    (left, bottom), (right, top) = axes.transData.transform([(x0, y0), (x1, y1)])
    return Bbox.from_extents(left - around, bottom - around, right + around, top + around)
