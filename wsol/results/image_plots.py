"""Plots of per-image outcomes: how IoU is distributed, and where right classes get right boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from numpy.typing import NDArray

from wsol.errors import InputError
from wsol.records.outcomes import read_outcomes
from wsol.results.examples import index_at
from wsol.results.plots import COLOURS, STYLE, save_figure
from wsol.results.sources import Source

_LEVEL = 0.5
_BINS = 10
_MIN_IN_BIN = 10
_LINES = ("-", "--", ":", "-.")


def plot_iou(sources: Sequence[Source], path: Path) -> None:
    """How many images reach each IoU: at the fixed threshold, and at each model's best one.

    The height of a curve at IoU x is the localization accuracy that counts IoU >= x as right; the
    best threshold is that of MaxBoxAcc, and both panels look at the largest component alone.

    Raises:
        InputError: when a source has no outcomes, no boxes or no best threshold.
    """
    fixed = sources[0].record.settings.get("fixed_threshold", 0.2)
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, 2, figsize=(6.4, 3.1), sharey=True, layout="constrained")
        for number, source in enumerate(sources):
            table, info = read_outcomes(
                source.require_outcomes(), ["fixed_iou", "box_starts", "ious"]
            )
            best = (source.record.metrics.best_threshold_largest or {}).get(f"{_LEVEL:g}")
            if best is None:
                raise InputError(
                    f"{source.label}: its record has no best threshold of the largest component "
                    f"at IoU {_LEVEL:g}; evaluate with --contours both on images with boxes."
                )
            at_fixed = table["fixed_iou"].to_numpy().astype(np.float64)
            at_best = ious_at(table, index_at(info.thresholds, best))
            look = {"color": COLOURS[number % 6], "ls": _LINES[number // 6 % 4], "lw": 1.4}
            _draw_reach(panels[0], at_fixed, source.label, **look)
            _draw_reach(panels[1], at_best, f"{source.label} ({best:.3g})", **look)
        for axes, title in zip(
            panels, (f"Threshold fixed at {fixed:g}", "Best threshold of each model"), strict=True
        ):
            axes.axvline(_LEVEL, color="0.35", lw=0.8, ls=(0, (2, 2)), zorder=0)
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 102)
            axes.set_xlabel("IoU at least")
            axes.set_title(title, loc="left", fontsize=9)
        panels[0].set_ylabel("Images (%)")
        handles, labels = panels[1].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=min(3, len(labels)), fontsize=7.5,
            title="Model (best threshold)", title_fontsize=7.5,
        )  # fmt: skip
        save_figure(figure, path)


def ious_at(table: pa.Table, index: int) -> NDArray[np.float64]:
    """(n,) IoU of the largest component's box at a threshold's position; NaN without a true box.

    Needs the columns `box_starts` and `ious`.
    """
    starts = table["box_starts"].combine_chunks()
    ious = table["ious"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    offsets = starts.offsets.to_numpy() - starts.offsets[0].as_py()
    if len(table) == 0:
        return np.zeros(0)
    # The first start of every image is 0, so each has at least one that is not above.
    reached = np.add.reduceat(starts.flatten().to_numpy() <= index, offsets[:-1], dtype=np.int64)
    return ious[offsets[:-1] + reached - 1].astype(np.float64)


def _draw_reach(axes: Axes, ious: NDArray[np.float64], label: str, **look: object) -> None:
    values = np.sort(ious[~np.isnan(ious)])
    if len(values) == 0:
        raise InputError(f"{label}: no image has a true box, so there is no IoU to show.")
    # All images reach 0; after each image's IoU there is one less.
    share = 100 * np.arange(len(values), -1, -1) / len(values)
    axes.step(
        np.concatenate([[0.0], values]),
        share,
        where="post",
        label=label,
        **look,  # type: ignore[arg-type]
    )


@dataclass(frozen=True, slots=True)
class Answers:
    """What the reliability of a model is read from: (n,) arrays over images with a true box.

    `confidence` is the highest softmax probability, `classified` whether that class is right, and
    `localized` whether the box of the label's map at the fixed threshold has IoU >= 0.5.
    """

    confidence: NDArray[np.float64]
    classified: NDArray[np.bool_]
    localized: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bins:
    """Means over images of similar confidence, lowest first; accuracies in percent."""

    confidence: NDArray[np.float64]
    top1_cls: NDArray[np.float64]
    gt_known_loc: NDArray[np.float64]
    top1_loc: NDArray[np.float64]


def read_answers(source: Source) -> Answers | None:
    """The answers of a network; None for score maps without a classifier."""
    table, _ = read_outcomes(source.require_outcomes(), ["rank", "scores", "fixed_iou"])
    keep = ~np.isnan(table["fixed_iou"].to_numpy().astype(np.float64))
    rank = table["rank"].to_numpy().astype(np.float64)[keep]
    if len(rank) == 0 or np.isnan(rank).any():
        return None
    scores = table["scores"].combine_chunks()
    first = scores.offsets.to_numpy()[:-1] - scores.offsets[0].as_py()
    iou = table["fixed_iou"].to_numpy().astype(np.float64)[keep]
    return Answers(scores.flatten().to_numpy()[first][keep], rank == 0, iou >= _LEVEL)


def bins_of(answers: Answers) -> Bins:
    """Images by confidence in up to ten bins of (nearly) as many images each."""
    order = np.argsort(answers.confidence, kind="stable")
    count = max(1, min(_BINS, len(order) // _MIN_IN_BIN))
    parts = np.array_split(order, count)
    both = answers.classified & answers.localized

    def means(values: NDArray[np.bool_] | NDArray[np.float64], scale: float) -> NDArray[np.float64]:
        return np.array([scale * values[part].mean() for part in parts])

    return Bins(
        means(answers.confidence, 1),
        means(answers.classified, 100),
        means(answers.localized, 100),
        means(both, 100),
    )


def plot_reliability(sources: Sequence[Source], path: Path) -> None:
    """Whether a right class means a right box.

    Three panels, all at the fixed threshold and IoU 0.5: GT-known Loc among images whose top-1
    class is right and wrong, with 95 % Wilson intervals (Wilson 1927); GT-known Loc against the
    probability of the top-1 class; and Top-1 Loc against Top-1 Cls in the same bins of images,
    where the diagonal would localize everything that is classified.

    Raises:
        InputError: when no source is a classifier's, or one has no outcomes.
    """
    found = [(source, read_answers(source)) for source in sources]
    drawn = [(source.label, answers) for source, answers in found if answers is not None]
    if not drawn:
        raise InputError("No record of a classifier on images with boxes; nothing to relate.")
    with plt.rc_context(STYLE):
        figure, (bars, lines, relation) = plt.subplots(
            1, 3, figsize=(8.4, 3.1), layout="constrained"
        )
        width = 0.8 / len(drawn)
        for number, (label, answers) in enumerate(drawn):
            colour, style = COLOURS[number % 6], _LINES[number // 6 % 4]
            right = answers.localized[answers.classified]
            wrong = answers.localized[~answers.classified]
            for place, part in enumerate((right, wrong)):
                if len(part) == 0:
                    continue
                share, low, high = wilson(int(part.sum()), len(part))
                bars.bar(
                    place + (number - (len(drawn) - 1) / 2) * width, share, 0.9 * width,
                    color=colour, label=label if place == 0 else None, zorder=2,
                    yerr=[[share - low], [high - share]],
                    error_kw={"lw": 0.9, "capsize": 2, "ecolor": "0.25"},
                )  # fmt: skip
            bins = bins_of(answers)
            look = {"color": colour, "ls": style, "marker": "o", "ms": 3.5, "lw": 1.2,
                    "clip_on": False}  # fmt: skip
            lines.plot(bins.confidence, bins.gt_known_loc, **look)
            relation.plot(bins.top1_cls, bins.top1_loc, **look)
        bars.set_xticks([0, 1], ["class right", "class wrong"])
        bars.grid(axis="x", visible=False)
        bars.set_ylabel("GT-known Loc (%)")
        bars.set_title("By the top-1 class", loc="left", fontsize=9)
        lines.set_xlabel("Probability of the top-1 class")
        lines.set_xlim(0, 1)
        lines.set_ylabel("GT-known Loc (%)")
        lines.set_title("By confidence", loc="left", fontsize=9)
        for axes in (bars, lines):
            axes.set_ylim(0, 100)
        relation.plot([0, 100], [0, 100], color="0.5", lw=0.8, ls=(0, (2, 2)), zorder=0)
        relation.set_xlim(0, 100)
        relation.set_ylim(0, 100)
        relation.set_xlabel("Top-1 Cls (%)")
        relation.set_ylabel("Top-1 Loc (%)")
        relation.set_title("Bins of equal confidence", loc="left", fontsize=9)
        figure.legend(*bars.get_legend_handles_labels(), loc="outside lower center",
                      ncols=min(4, len(drawn)), fontsize=7.5)  # fmt: skip
        save_figure(figure, path)


def wilson(right: int, images: int) -> tuple[float, float, float]:
    """A share and the ends of its 95 % interval, in percent (Wilson, JASA 1927)."""
    z = 1.959963984540054
    share = right / images
    middle = (share + z * z / (2 * images)) / (1 + z * z / images)
    half = z * np.sqrt(share * (1 - share) / images + (z / (2 * images)) ** 2)
    half /= 1 + z * z / images
    # Rounding may leave an end a hair on the wrong side of the share.
    low, high = min(share, middle - half), max(share, middle + half)
    return 100 * share, 100 * low, 100 * high
