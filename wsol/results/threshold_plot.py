"""Accuracy against the threshold."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from wsol.errors import InputError
from wsol.records.record import ResultRecord
from wsol.results.figures import STYLE, by_rows, colour_of, look, new_figure, plain, told_apart
from wsol.results.names import Name, look_of, names_among
from wsol.results.repeats import Run, runs_of

_IN_A_ROW = 12
_CLOSE = 0.7
"""Curves that differ by less, in percent of the images, look like one."""
_GREY = ({"color": "0.45", "ls": "-", "lw": 1.0}, {"color": "0.45", "ls": (0, (4, 2)), "lw": 1.0})

Curve = tuple[str, Run, dict[str, Any]]
"""A curve's name in the legend, its run, and its look."""


def threshold_figure(records: Sequence[ResultRecord]) -> Figure:
    """Accuracy against threshold for each IoU level, every component, best points marked.

    Of a repeated training the mean over its seeds is drawn. Curves that lie on each other show in
    turn. Where a network stands several times, as with several methods, each network has a row of
    its own, and the baselines are grey in all of them.

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
    rows = _rows(drawn, names_among([run.record for run in drawn]))
    keys = {
        name: Line2D([], [], **style) for _, row in rows for name, _, style in row
    }  # the first row's for the baselines, which all rows have
    longest = max(map(len, keys))
    width = 2.6 * max(len(levels), 1.4)
    columns = max(1, min(4 if len(levels) > 1 else 2, len(keys), int(14 * width / (longest + 7))))
    height = 2.9 if len(rows) == 1 else 0.5 + 1.7 * len(rows)
    with matplotlib.rc_context(STYLE):
        figure = new_figure(width, height + 0.16 * -(-len(keys) // columns))
        panels = figure.subplots(len(rows), len(levels), sharex=True, sharey=True, squeeze=False)
        for line, (title, row) in zip(panels, rows, strict=True):
            for axes, level in zip(line, levels, strict=True):
                _draw(axes, row, level)
            line[0].set_ylabel(
                f"{plain(title, 26)}\nlocalized (%)" if title else "Images localized (%)"
            )
        for axes, level in zip(panels[0], levels, strict=True):
            axes.set_title(f"IoU {level}", fontsize=9, loc="left")
        for axes in panels[-1]:
            axes.set_xlabel("Threshold")
            axes.set_xlim(0, 1)
            axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
            axes.set_ylim(bottom=0)
        handles, labels = by_rows([[(line, name) for name, line in keys.items()]], columns)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8)
    return figure


def _rows(runs: Sequence[Run], names: Sequence[Name]) -> list[tuple[str, list[Curve]]]:
    """What stands in each row: a network's variants, or as many networks as are told apart."""
    variants = list(
        dict.fromkeys(
            name.variant
            for name, run in zip(names, runs, strict=True)
            if run.record.parameters != 0
        )
    )
    if len(variants) < 2:
        labelled = [(name.label, run) for name, run in zip(names, runs, strict=True)]
        parts = [labelled[at : at + _IN_A_ROW] for at in range(0, len(labelled), _IN_A_ROW)]
        looks = [look_of([label for label, _ in part]) for part in parts]
        return [
            ("", [(plain(label, 40), run, look(own[label])) for label, run in part])
            for part, own in zip(parts, looks, strict=True)
        ]
    number_of = look_of(variants)
    pairs = zip(names, runs, strict=True)
    greys = look_of([name.label for name, run in pairs if run.record.parameters == 0])
    rows: dict[str, list[Curve]] = {}
    baselines: list[Curve] = []
    for name, run in zip(names, runs, strict=True):
        if run.record.parameters == 0:
            grey = _GREY[greys[name.label] % len(_GREY)]
            baselines.append((plain(name.label, 40), run, grey))
        else:
            style = {"color": colour_of(number_of[name.variant]), "ls": "-", "lw": 1.4}
            row = rows.setdefault(run.record.model, [])
            row.append((plain(name.variant, 40) or "not stated", run, style))
    return [(network, [*row, *baselines]) for network, row in rows.items()]


def _draw(axes: Axes, curves: Sequence[Curve], level: str) -> None:
    means = [_mean_curve(run, level) for _, run, _ in curves]
    apart = told_apart([accuracy for _, accuracy in means], _CLOSE)
    for (_, _, style), (thresholds, accuracy), dashes in zip(curves, means, apart, strict=True):
        axes.plot(thresholds, accuracy, **style | dashes)
        best = int(np.argmax(accuracy))
        axes.plot(
            thresholds[best], accuracy[best], "o", ms=5, mfc="white", mew=1.4,
            color=style["color"], zorder=3,
        )  # fmt: skip


def _mean_curve(run: Run, level: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Thresholds, and the share of images that are right at each, in percent."""
    curves = [
        (100 * np.array(record.curves.all[level]) / record.num_images)  # type: ignore[index, union-attr]
        for record in run.records
    ]
    thresholds = run.records[0].curves.thresholds  # type: ignore[union-attr]
    return np.array(thresholds), np.mean(curves, axis=0)
