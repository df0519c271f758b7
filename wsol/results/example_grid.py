"""Figures of examples, as papers print them: photograph, maps, true and predicted boxes."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import matplotlib
import matplotlib.patheffects as effects
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from wsol.errors import InputError
from wsol.records.outcomes import OutcomeInfo, OutcomeRow, read_outcomes, to_outcomes
from wsol.results.examples import (
    box_at,
    boxes_as_shown,
    find_photograph,
    fixed_threshold,
    grid_to_photograph,
    index_at,
    missing_photograph,
    open_photograph,
    overlay,
    spread,
)
from wsol.results.figures import STYLE, new_figure, plain
from wsol.results.image_plots import ious_at
from wsol.results.options import GridOptions
from wsol.results.sources import Source

TRUE_COLOUR, PREDICTED_COLOUR = "#2EE6A6", "#FF7A1A"
_PICTURES_A_ROW = 8


def grid_figure(sources: Sequence[Source], options: GridOptions) -> Figure:
    """A grid: each photograph with its class and id, and every model's map with its boxes.

    Raises:
        InputError: when a source has no outcomes, they share no image that fits, or a photograph
            is missing.
    """
    fixed = fixed_threshold(sources[0].record)
    threshold = fixed if options.threshold is None else options.threshold
    tables = [read_outcomes(source.require_outcomes()) for source in sources]
    chosen = _choose(tables, threshold, options)
    answers = [_rows(table, info, chosen) for table, info in tables]
    photographs = [_photograph(outcome, options.images) for outcome in answers[0]]
    block = 1 + len(sources)
    across = max(1, _PICTURES_A_ROW // block)
    down = -(-len(chosen) // across)
    with matplotlib.rc_context(STYLE | {"axes.grid": False}):
        figure = new_figure(1.25 * across * block, 1.55 * down + 0.5)
        panels = figure.subplots(down, across * block, squeeze=False)
        for axes in panels.flat:
            axes.axis("off")
        for number, photograph in enumerate(photographs):
            row, first = number // across, number % across * block
            told = answers[0][number]
            size = (photograph.shape[1], photograph.shape[0])
            # True boxes are in pixels of the photograph as it was annotated.
            truth = grid_to_photograph(told.true_boxes, told.size or size, size)
            draw_example(panels[row, first], photograph, true_boxes=truth)
            name = f"{plain(told.class_name, 20)}\n{plain(PurePosixPath(told.image_id).stem, 22)}"
            panels[row, first].set_title(name, fontsize=6, pad=3)
            for model, outcomes in enumerate(answers):
                info, outcome = tables[model][1], outcomes[number]
                box, iou = box_at(outcome, index_at(info.thresholds, threshold))
                shown, grid = boxes_as_shown(box, info, outcome.size or size)
                axes = panels[row, first + 1 + model]
                draw_example(
                    axes,
                    overlay(photograph, outcome.score_map),
                    true_boxes=truth,
                    predicted_boxes=grid_to_photograph(shown, grid, size),
                )
                name = f"{plain(sources[model].label, 22)}\n" if len(sources) > 1 else ""
                axes.set_title(f"{name}IoU {iou:.2f}", fontsize=6, pad=3)
        handles = [
            Patch(fill=False, edgecolor=TRUE_COLOUR, ls="--", label="true"),
            Patch(fill=False, edgecolor=PREDICTED_COLOUR, label="predicted"),
        ]
        name = f"{plain(sources[0].label, 60)}, t" if len(sources) == 1 else "T"
        figure.legend(
            handles=handles, loc="outside lower center", ncols=2, fontsize=7.5,
            title=f"{name}hreshold {threshold:g}", title_fontsize=7.5,
        )  # fmt: skip
    return figure


def draw_example(
    axes: Axes,
    picture: NDArray[np.uint8],
    *,
    true_boxes: NDArray[np.float64] | None = None,
    predicted_boxes: NDArray[np.float64] | None = None,
    width: float = 1.3,
) -> None:
    """Show a picture (H, W, 3) with boxes (n, 4), inclusive corners in its pixels."""
    axes.axis("off")
    axes.imshow(picture, interpolation="antialiased")
    shadow = [effects.withStroke(linewidth=2.2 * width, foreground=(0, 0, 0, 0.6))]
    for boxes, colour, style in (
        (true_boxes, TRUE_COLOUR, (0, (3, 2))),
        (predicted_boxes, PREDICTED_COLOUR, "-"),
    ):
        for x0, y0, x1, y1 in boxes if boxes is not None else ():
            # A pixel's centre is a whole number here, so its edges lie half a pixel off.
            axes.add_patch(
                Rectangle(
                    (x0 - 0.5, y0 - 0.5), x1 - x0 + 1, y1 - y0 + 1, fill=False, ec=colour,
                    lw=width, ls=style, path_effects=shadow, clip_on=False,
                )
            )  # fmt: skip


def _choose(
    tables: Sequence[tuple[pa.Table, OutcomeInfo]], threshold: float, options: GridOptions
) -> list[str]:
    """Ids of the images to draw, in order."""
    table, info = tables[0]
    shared = set(table["image_id"].to_pylist())
    for other, _ in tables[1:]:
        shared &= set(other["image_id"].to_pylist())
    table = table.filter(pc.is_in(table["image_id"], pa.array(sorted(shared), pa.string())))
    if options.class_name is not None:
        names = table["class_name"].to_pylist()
        table = table.filter(pc.equal(table["class_name"], options.class_name))
        if len(table) == 0:
            near = [name for name in dict.fromkeys(names) if options.class_name in name]
            hint = f"; there is {', '.join(near[:5])}" if near else ""
            raise InputError(f"--class {options.class_name}: no image has this class{hint}.")
    ids, names = table["image_id"].to_pylist(), table["class_name"].to_pylist()
    if options.order in ("best", "worst"):
        ious = ious_at(table, index_at(info.thresholds, threshold))
        order = np.argsort(-ious if options.order == "best" else ious, kind="stable")
        places = [int(place) for place in order if not np.isnan(ious[place])]
    elif options.order == "class":
        one_each = spread(names, len(set(names)), options.seed)
        places = sorted(one_each, key=names.__getitem__)
    else:
        places = np.random.default_rng(options.seed).permutation(len(ids)).tolist()
    if not places:
        raise InputError("The records share no image that could be shown.")
    return [ids[place] for place in places[: options.examples]]


def _rows(table: pa.Table, info: OutcomeInfo, chosen: Sequence[str]) -> list[OutcomeRow]:
    rows = table.filter(pc.is_in(table["image_id"], pa.array(chosen, pa.string())))
    of_image = {outcome.image_id: outcome for outcome in to_outcomes(rows, info)}
    return [of_image[image_id] for image_id in chosen]


def _photograph(outcome: OutcomeRow, root: Path | None) -> NDArray[np.uint8]:
    path = find_photograph(outcome.image_id, outcome.path, root)
    if path is None:
        raise InputError(missing_photograph(outcome.image_id, outcome.path, root))
    return np.asarray(open_photograph(path, outcome.size))
