"""Plots of records, for papers and for the README."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from wsol.errors import InputError
from wsol.files import atomic_path
from wsol.records.record import ResultRecord

# Okabe and Ito's palette, distinguishable with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "D", "^", "v", "P")
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "wsol",
}
_NAMES = {
    "max_box_acc_v2": "MaxBoxAccV2 (%)",
    "max_box_acc": "MaxBoxAcc (%)",
    "gt_known_loc": "GT-known Loc (%)",
    "top1_loc": "Top-1 Loc (%)",
    "pxap": "PxAP (%)",
}


def plot_parameters(
    records: Sequence[ResultRecord], path: Path, metric: str = "max_box_acc_v2"
) -> None:
    """Localization against parameters, with the Pareto front; baselines are dashed lines.

    Args:
        path: its suffix decides the format: .png, .svg or .pdf.
        metric: a name of `wsol.records.record.Metrics`.

    Raises:
        InputError: when no network's record has the metric.
    """
    values = [(record, getattr(record.metrics, metric)) for record in records]
    networks = [(r, v) for r, v in values if v is not None and r.parameters]
    baselines = [(r, v) for r, v in values if v is not None and r.parameters == 0]
    if not networks:
        raise InputError(f"No record of a network has {metric}; there is nothing to plot.")
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
        families = list(dict.fromkeys(_family(record.model) for record, _ in networks))
        front = _pareto([(record.parameters or 0, value) for record, value in networks])
        axes.plot(*zip(*front, strict=True), color="0.6", lw=1, zorder=1, drawstyle="steps-post")
        for number, family in enumerate(families):
            points = [
                ((r.parameters or 0), v, r.model) for r, v in networks if _family(r.model) == family
            ]
            axes.scatter(
                [x for x, _, _ in points],
                [y for _, y, _ in points],
                s=38,
                marker=_MARKERS[number % len(_MARKERS)],
                color=COLOURS[number % len(COLOURS)],
                zorder=3,
                label=family,
            )
        for _, value in baselines:
            axes.axhline(value, color="0.35", lw=1, ls="--", zorder=0)
        axes.set_xscale("log")
        axes.margins(x=0.25, y=0.12)
        axes.set_xlabel("Parameters")
        axes.xaxis.set_major_formatter(_millions)
        sizes = [record.parameters or 0 for record, _ in networks]
        # Within one power of ten the major ticks alone would leave the axis without a number.
        narrow = max(sizes) < 4 * min(sizes)
        axes.xaxis.set_minor_formatter(_millions if narrow else "")
        axes.set_ylabel(_NAMES.get(metric, metric))
        if len(families) > 1:
            axes.legend(loc="best", fontsize=8)
        axes.set_title(f"{records[0].dataset} {records[0].split}", loc="left", fontsize=9)
        named = [
            (r.model.removeprefix(_family(r.model)).strip(" ():") or r.model, r.parameters or 0, v)
            for r, v in networks
        ]
        _label(figure, axes, named, [(f"{r.model} {v:.1f}", v) for r, v in baselines])
        save_figure(figure, path)


def plot_threshold_curves(records: Sequence[ResultRecord], path: Path) -> None:
    """Accuracy against threshold for each IoU level, every component, best points marked.

    Raises:
        InputError: when no record has curves (`wsol evaluate --curves`).
    """
    drawn = [r for r in records if r.curves is not None and r.curves.all is not None]
    if not drawn:
        raise InputError("No record has curves; evaluate with --curves.")
    levels = list(drawn[0].curves.all or {})  # type: ignore[union-attr]
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(
            1, len(levels), figsize=(2.6 * len(levels), 2.8), sharey=True, layout="constrained",
            squeeze=False,
        )  # fmt: skip
        for axes, level in zip(panels[0], levels, strict=True):
            for number, record in enumerate(drawn):
                assert record.curves is not None and record.curves.all is not None
                counts = record.curves.all[level]
                accuracy = [100 * count / record.num_images for count in counts]
                colour = COLOURS[number % len(COLOURS)]
                axes.plot(record.curves.thresholds, accuracy, lw=1.2, color=colour,
                          label=record.model)  # fmt: skip
                best = max(range(len(counts)), key=counts.__getitem__)
                axes.plot(record.curves.thresholds[best], accuracy[best], "o", ms=4, color=colour)
            axes.set_title(f"IoU {level}", fontsize=9, loc="left")
            axes.set_xlabel("Threshold")
        panels[0][0].set_ylabel("Images localized (%)")
        figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center",
                      ncols=min(4, len(drawn)), fontsize=8)  # fmt: skip
        save_figure(figure, path)


def _family(model: str) -> str:
    """`resnet50 (width 0.25)` belongs to `resnet50`, `efficientnet_lite:lite0` to its module."""
    return model.partition(" (")[0].rpartition(":")[0] or model.partition(" (")[0]


def _pareto(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """The points that no smaller network beats, by size."""
    front: list[tuple[int, float]] = []
    for size, value in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or value > front[-1][1]:
            front.append((size, value))
    return front


def _millions(value: float, position: float | None = None) -> str:
    return f"{value / 1e6:g}M" if value >= 1e5 else f"{value / 1e3:g}k"


_Place = tuple[tuple[int, int], str, str]
# Where a label may stand, best first: its offset in points, and how it is aligned.
_BESIDE_POINT: tuple[_Place, ...] = (
    ((5, 5), "left", "bottom"),
    ((-5, 5), "right", "bottom"),
    ((5, -5), "left", "top"),
    ((-5, -5), "right", "top"),
    ((0, 8), "center", "bottom"),
    ((0, -8), "center", "top"),
    ((5, 15), "left", "bottom"),
    ((5, -15), "left", "top"),
    ((-5, 15), "right", "bottom"),
    ((-5, -15), "right", "top"),
)
_ON_LINE: tuple[_Place, ...] = (
    ((-2, -2), "right", "top"),
    ((-2, 2), "right", "bottom"),
    ((-2, -12), "right", "top"),
    ((-2, 12), "right", "bottom"),
)


def _label(
    figure: Figure,
    axes: Axes,
    points: Sequence[tuple[str, float, float]],
    lines: Sequence[tuple[str, float]],
) -> None:
    """Write each (text, x, y) beside its point and each (text, y) at the end of its line.

    No label covers another, a point or the legend while there is room.
    """
    figure.draw_without_rendering()
    centres = axes.transData.transform([(x, y) for _, x, y in points])
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in centres]
    legend = axes.get_legend()
    if legend is not None:
        taken.append(legend.get_window_extent())
    for text, y in sorted(lines, key=lambda line: line[1]):
        _write(axes, text, (1, y), ("axes fraction", "data"), _ON_LINE, taken, color="0.35")
    for text, x, y in points:
        _write(axes, text, (x, y), "data", _BESIDE_POINT, taken)


def _write(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    coordinates: Any,
    places: Sequence[_Place],
    taken: list[Bbox],
    **look: Any,
) -> None:
    """Write a text at the first of `places` that is free, else where it covers the least."""
    tried = []
    for offset, horizontal, vertical in places:
        note = axes.annotate(
            text, at, xycoords=coordinates, xytext=offset, textcoords="offset points",
            ha=horizontal, va=vertical, fontsize=7.5, **look,
        )  # fmt: skip
        box = note.get_window_extent()
        outside = not (axes.bbox.contains(*box.min) and axes.bbox.contains(*box.max))
        tried.append((sum(box.overlaps(other) for other in taken) + outside, note, box))
        if tried[-1][0] == 0:
            break
    _, best, box = min(tried, key=lambda one: one[0])
    taken.append(box)
    for _, note, _ in tried:
        if note is not best:
            note.remove()


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, atomically, and close it; the suffix of `path` decides the format.

    Raises:
        InputError: for another suffix than .png, .svg and .pdf.
    """
    metadata: dict[str, dict[Any, Any]] = {
        ".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None},
    }  # fmt: skip
    suffix = path.suffix.lower()
    if suffix not in metadata:
        raise InputError(f"{path}: its name must end in .png, .svg or .pdf.")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, metadata=metadata[suffix])
    plt.close(figure)
