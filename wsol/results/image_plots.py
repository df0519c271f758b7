"""Plots of per-image outcomes: how IoU is distributed, and where right classes get right boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wsol.errors import InputError
from wsol.records.outcomes import read_outcomes
from wsol.results.breakdown import Group, break_down
from wsol.results.columns import columns_of, frame
from wsol.results.examples import fixed_threshold, index_at
from wsol.results.figures import COLOURS, LINES, MARKERS, STYLE, look, new_figure, plain, told_apart
from wsol.results.image_facts import facts_of, read_facts, right_boxes
from wsol.results.names import look_of
from wsol.results.sources import Source
from wsol.results.statistics import wilson

_LEVEL = 0.5
_BINS = 10
_MIN_IN_BIN = 10
_QUANTILE = 1.959963984540054  # of the standard normal distribution, for 95 %


def iou_figure(sources: Sequence[Source]) -> Figure:
    """How many images reach each IoU: at the fixed threshold, and at each model's best one.

    The height of a curve at IoU x is the localization accuracy that counts IoU >= x as right; the
    best threshold is that of MaxBoxAcc, and both panels look at the largest component alone.
    Curves that lie on each other show in turn. Where no model has a best threshold, as of
    conventions that search none, there is the first panel alone.

    Raises:
        InputError: when a source has no outcomes or no boxes, or has no best threshold while
            another one has.
    """
    fixed = fixed_threshold(sources[0].record)
    known = [source.record.metrics.best_threshold_largest or {} for source in sources]
    several = 2 if any(f"{_LEVEL:g}" in best for best in known) else 1
    with matplotlib.rc_context(STYLE):
        figure = new_figure(6.4, 3.1 + 0.13 * -(-len(sources) // 3))
        panels = figure.subplots(1, several, sharey=True, squeeze=False)[0]
        drawn: list[list[NDArray[np.float64]]] = [[] for _ in panels]
        names = []
        for source, best_of in zip(sources, known, strict=True):
            table, info = read_outcomes(
                source.require_outcomes(), ["fixed_iou", "box_starts", "ious"]
            )
            drawn[0].append(_known(source, table["fixed_iou"].to_numpy()))
            names.append(plain(source.label, 40))
            if several == 1:
                continue
            best = best_of.get(f"{_LEVEL:g}")
            if best is None:
                raise InputError(
                    f"{source.label}: its record has no best threshold of the largest component "
                    f"at IoU {_LEVEL:g}; evaluate with --contours both (and --search, under a "
                    "convention that searches no thresholds) on images with boxes."
                )
            drawn[1].append(_known(source, ious_at(table, index_at(info.thresholds, best))))
            names[-1] += f" ({best:.3g})"
        looks = look_of([source.label for source in sources])
        numbers = [looks[source.label] for source in sources]
        for axes, ious in zip(panels, drawn, strict=True):
            apart = told_apart(ious, 0.01)
            for number, values, name, style in zip(numbers, ious, names, apart, strict=True):
                # All images reach 0; after each image's IoU there is one less.
                share = 100 * np.arange(len(values), -1, -1) / len(values)
                axes.step(
                    np.concatenate([[0.0], values]), share,
                    where="post", label=name, **look(number) | style,
                )  # fmt: skip
        for axes, title in zip(
            panels, (f"Threshold fixed at {fixed:g}", "Best threshold of each model"), strict=False
        ):
            axes.axvline(_LEVEL, color="0.35", lw=0.8, ls=(0, (2, 2)), zorder=0)
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 102)
            axes.set_xlabel("IoU at least")
            axes.set_title(title, loc="left", fontsize=9)
        panels[0].set_ylabel("Images (%)")
        handles, labels = panels[-1].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=min(3, len(labels)), fontsize=7.5,
            title="Model (best threshold)" if several == 2 else "Model", title_fontsize=7.5,
        )  # fmt: skip
    return figure


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


def _known(source: Source, ious: NDArray[Any]) -> NDArray[np.float64]:
    """The IoUs of images that have a true box, lowest first."""
    values: NDArray[np.float64] = np.sort(ious[~np.isnan(ious)]).astype(np.float64)
    if len(values) == 0:
        raise InputError(f"{source.label}: no image has a true box, so there is no IoU to show.")
    return values


@dataclass(frozen=True, slots=True)
class Answers:
    """What the reliability of a model is read from: (n,) arrays over images with a true box.

    `confidence` is the highest softmax probability, `classified` whether that class is right,
    `localized` whether the box of the label's map at the fixed threshold is right for GT-known
    Loc, and `top_k` the same for Top-k Loc.
    """

    confidence: NDArray[np.float64]
    classified: NDArray[np.bool_]
    localized: NDArray[np.bool_]
    top_k: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bins:
    """Means over images of similar confidence, lowest first; accuracies in percent."""

    images: NDArray[np.int64]
    confidence: NDArray[np.float64]
    top1_cls: NDArray[np.float64]
    gt_known_loc: NDArray[np.float64]
    top1_loc: NDArray[np.float64]


def read_answers(source: Source) -> Answers | None:
    """The answers of a network; None for score maps without a classifier."""
    table, info = read_outcomes(source.require_outcomes(), ["rank", "scores", "fixed_iou"])
    keep = ~np.isnan(table["fixed_iou"].to_numpy().astype(np.float64))
    rank = table["rank"].to_numpy().astype(np.float64)[keep]
    if len(rank) == 0 or np.isnan(rank).any():
        return None
    scores = table["scores"].combine_chunks()
    first = scores.offsets.to_numpy()[:-1] - scores.offsets[0].as_py()
    iou = table["fixed_iou"].to_numpy().astype(np.float64)[keep]
    return Answers(scores.flatten().to_numpy()[first][keep], rank == 0, *right_boxes(iou, info))


def bins_of(answers: Answers) -> Bins:
    """Images by confidence in up to ten bins of (nearly) as many images each."""
    order = np.argsort(answers.confidence, kind="stable")
    count = max(1, min(_BINS, len(order) // _MIN_IN_BIN))
    parts = np.array_split(order, count)
    both = answers.classified & answers.top_k

    def means(values: NDArray[np.bool_] | NDArray[np.float64], scale: float) -> NDArray[np.float64]:
        return np.array([scale * values[part].mean() for part in parts])

    return Bins(
        np.array([len(part) for part in parts]),
        means(answers.confidence, 1),
        means(answers.classified, 100),
        means(answers.localized, 100),
        means(both, 100),
    )


def reliability_figure(sources: Sequence[Source]) -> Figure:
    """Whether a right class means a right box.

    Three panels, all at the fixed threshold and IoU 0.5, with 95 % Wilson intervals (Wilson 1927):
    GT-known Loc among images whose top-1 class is right and wrong, with their number; GT-known Loc
    against the probability of the top-1 class; and Top-1 Loc against Top-1 Cls in the same bins of
    images, where the diagonal would localize everything that is classified.

    Raises:
        InputError: when no source is a classifier's, or one has no outcomes.
    """
    found = [(source, read_answers(source)) for source in sources]
    drawn = [(source.label, answers) for source, answers in found if answers is not None]
    if not drawn:
        raise InputError("No record of a classifier on images with boxes; nothing to relate.")
    headings = columns_of(frame([source.record for source in sources]))
    known, top1_loc, top1_cls = (
        f"{headings[name].heading} (%)" for name in ("gt_known_loc", "top1_loc", "top1_cls")
    )
    with matplotlib.rc_context(STYLE):
        figure = new_figure(8.4, 3.2 + 0.13 * -(-len(drawn) // 4))
        bars, lines, relation = figure.subplots(1, 3)
        width = 0.8 / len(drawn)
        in_bin: set[int] = set()
        look_numbers = look_of([label for label, _ in drawn])
        for number, (label, answers) in enumerate(drawn):
            own = look_numbers[label]
            colour, style = COLOURS[own % 6], LINES[own // 6 % 4]
            right = answers.localized[answers.classified]
            wrong = answers.localized[~answers.classified]
            for place, part in enumerate((right, wrong)):
                if len(part) == 0:
                    continue
                at = place + (number - (len(drawn) - 1) / 2) * width
                share, below, above = _with_interval(100 * float(part.mean()), len(part))
                bars.bar(
                    at, share, 0.9 * width, color=colour, zorder=2,
                    label=plain(label, 40) if place == 0 else None,
                    yerr=[[below], [above]],
                    error_kw={"lw": 0.9, "capsize": 2, "ecolor": "0.25"},
                )  # fmt: skip
                bars.text(
                    at, 2, f"{len(part):,}", rotation=90, ha="center", va="bottom",
                    fontsize=min(6.5, 40 * width), color="white", zorder=4,
                )  # fmt: skip
            bins = bins_of(answers)
            in_bin |= set(bins.images.tolist())
            for axes, x, y in (
                (lines, bins.confidence, bins.gt_known_loc),
                (relation, bins.top1_cls, bins.top1_loc),
            ):
                whiskers = np.array(
                    [_with_interval(v, n)[1:] for v, n in zip(y, bins.images, strict=True)]
                ).T
                axes.errorbar(
                    x, y, yerr=whiskers, color=colour, ls=style, marker=MARKERS[own % 6],
                    ms=3.5, lw=1.2, elinewidth=0.7, capsize=1.5, clip_on=False,
                )  # fmt: skip
        bars.set_xticks([0, 1], ["class right", "class wrong"])
        bars.grid(axis="x", visible=False)
        bars.set_ylabel(known)
        bars.set_title("By the top-1 class (images in bars)", loc="left", fontsize=8.5)
        lines.set_xlabel("Probability of the top-1 class")
        lines.set_xlim(0, 1)
        lines.set_ylabel(known)
        count = f"{min(in_bin):,}" + (f" to {max(in_bin):,}" if len(in_bin) > 1 else "")
        lines.set_title(f"By confidence ({count} images a point)", loc="left", fontsize=8.5)
        for axes in (bars, lines):
            axes.set_ylim(0, 100)
        relation.plot([0, 100], [0, 100], color="0.5", lw=0.8, ls=(0, (2, 2)), zorder=0)
        relation.set_xlim(0, 100)
        relation.set_ylim(0, 100)
        relation.set_xlabel(top1_cls)
        relation.set_ylabel(top1_loc)
        relation.set_title("Bins of equal confidence", loc="left", fontsize=8.5)
        figure.legend(*bars.get_legend_handles_labels(), loc="outside lower center",
                      ncols=min(4, len(drawn)), fontsize=7.5)  # fmt: skip
    return figure


def size_figure(sources: Sequence[Source], metric: str | None = None) -> Figure:
    """Accuracy by object size, the share of the photograph that the largest true box covers.

    Whiskers are 95 % Wilson intervals; box accuracies are at the thresholds that are best over all
    images.

    Args:
        metric: a column of `break_down`; None takes the largest component's box accuracy at IoU
            0.5, else the first there is.

    Raises:
        InputError: when a source has no outcomes or none of its images has a known size, or for a
            metric that is not one of groups of images.
    """
    groups: list[list[Group]] = []
    for source in sources:
        table, info = read_facts(source.require_outcomes())
        groups.append(break_down(facts_of(table, info), "size"))
    known = list(dict.fromkeys(name for one in groups for group in one for name in group.metrics))
    if metric is None:
        usual = (f"box_acc_largest_{_LEVEL:g}", f"box_acc_{_LEVEL:g}", "gt_known_loc")
        metric = next((name for name in usual if name in known), known[0])
    if metric not in known:
        raise InputError(f"--metric {metric}: sizes have {', '.join(known)}.")
    names = list(dict.fromkeys(group.name for one in groups for group in one))
    names.sort(key=[group.name for group in max(groups, key=len)].index)
    images = {group.name: group.images for one in groups for group in one}
    with matplotlib.rc_context(STYLE):
        figure = new_figure(5.8, 3.3 + 0.13 * -(-len(sources) // 3))
        axes = figure.subplots()
        looks = look_of([source.label for source in sources])
        for number, (source, own) in enumerate(zip(sources, groups, strict=True)):
            shown = [group for group in own if metric in group.metrics]
            at = [names.index(group.name) for group in shown]
            shift = min(0.06, 0.7 / len(sources)) * (number - (len(sources) - 1) / 2)
            values = [group.metrics[metric] for group in shown]
            whiskers = np.array([_with_interval(g.metrics[metric], g.images)[1:] for g in shown]).T
            axes.errorbar(
                np.array(at) + shift, values, yerr=whiskers, **look(looks[source.label]),
                marker=MARKERS[looks[source.label] % 6], ms=5, elinewidth=0.9, capsize=2,
                label=plain(source.label, 40), clip_on=False,
            )  # fmt: skip
        texts = [f"{name.replace(' (', chr(10) + '(')}\n{images[name]:,} images" for name in names]
        axes.set_xticks(range(len(names)), texts)
        axes.margins(x=0.08)
        axes.set_ylim(0, 102)
        axes.grid(axis="x", visible=False)
        axes.set_ylabel(f"{_group_heading(sources, metric)} (%)")
        axes.set_xlabel("Share of the photograph that the largest true box covers")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center",
                      ncols=min(3, len(sources)), fontsize=7.5)  # fmt: skip
    return figure


def _group_heading(sources: Sequence[Source], metric: str) -> str:
    """What a metric of `break_down` is called."""
    kind, _, level = metric.rpartition("_")
    if kind in ("box_acc", "box_acc_largest"):
        return f"Localized at IoU {level}"
    return columns_of(frame([source.record for source in sources]))[metric].heading


def _with_interval(percent: float, images: int) -> tuple[float, float, float]:
    """A share of images in percent, and how far its 95 % interval reaches below and above it."""
    low, high = wilson(percent / 100, float(images), _QUANTILE)
    # Rounding may leave an end a hair on the wrong side of the share.
    return percent, max(0.0, percent - 100 * low), max(0.0, 100 * high - percent)
