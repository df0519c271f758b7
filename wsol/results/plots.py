"""Localization against what an image costs, for papers and for the README."""

from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.figure import Figure

from wsol.errors import InputError
from wsol.records.record import ResultRecord
from wsol.results.columns import Column, column_values, columns_of, frame, metric_columns
from wsol.results.names import names_among
from wsol.results.points import Point, Words, keyed_figure, labelled_figure
from wsol.results.repeats import Run, runs_of

Against = Literal["parameters", "flops", "latency", "map-size"]
AXES: tuple[Against, ...] = ("parameters", "flops", "latency", "map-size")


def cost_figure(
    records: Sequence[ResultRecord], metric: str | None = None, against: Against = "parameters"
) -> Figure:
    """Localization against cost, with the Pareto front; baselines are dashed lines.

    Whiskers are 95 % intervals, where the records have them, or the standard deviation over the
    seeds of a repeated training; a band then follows the front. Points of one cost stand side by
    side around it. Each is labelled while there is room and no network stands twice; else the
    legend tells networks by their markers, and methods, or what else differs, by colours.

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
    told = names_among([run.record for run in runs])
    points = [
        Point(run.record.model, own.variant, x, y, _ends(run, name, y))
        for run, own, y in zip(runs, told, values, strict=True)
        if (x := _cost(run.record, against)) and y is not None
    ]
    baselines = [
        (run.record.model, y)
        for run, y in zip(runs, values, strict=True)
        if run.record.parameters == 0 and y is not None
    ]
    if not points:
        raise InputError(
            f"No record of a network has {name} and {against}; there is nothing to plot."
            + (" --latency measures the latter." if against == "latency" else "")
        )
    devices = {
        run.record.cost.latency_device
        for run in runs
        if run.record.cost and run.record.cost.latency_ms
    }
    if against == "latency" and len(devices) > 1:
        raise InputError(f"Times of {', '.join(map(str, devices))} do not compare in one plot.")
    heading, written = _axis(records, against)
    words = Words(
        title=f"{records[0].dataset} {records[0].split}",
        x=heading,
        y=f"{column.heading} (%)",
        written=written,
    )
    if len({point.network for point in points}) == len(points):
        figure = labelled_figure(points, baselines, words)
        if figure is not None:
            return figure
    return keyed_figure(points, baselines, words)


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
