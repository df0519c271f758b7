"""The picture of a class activation map over a photograph, with its box and predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from wsol.results.example_grid import PREDICTED_COLOUR, draw_example
from wsol.results.examples import grid_to_photograph, overlay
from wsol.results.figures import COLOURS, STYLE, new_figure, plain, save_figure

_SIDE = 1000
_BARS_FROM, _BARS_LENGTH = 0.42, 0.46


@dataclass(frozen=True, slots=True)
class Panel:
    """A map over a photograph.

    Attributes:
        name: what is written over it; empty for nothing.
        score_map: (h, w) within [0, 1], over the whole photograph.
        box: (4,) inclusive corners in the photograph, or None.
    """

    name: str
    score_map: NDArray[np.float32]
    box: NDArray[np.float64] | None


def write_overlay(
    path: Path,
    image: NDArray[np.uint8],
    panels: Sequence[Panel],
    class_name: str,
    title: str,
    predictions: Sequence[tuple[str, float]],
) -> None:
    """Draw the photograph, beside it each map with its box, and the predictions as bars.

    Args:
        path: its suffix decides the format: .png, .svg or .pdf.
        image: (H, W, 3), drawn with at most 1,000 pixels a side.
        class_name: whose maps they are; its bar has the colour of the boxes.
        predictions: names and probabilities, best first.
    """
    height, width = image.shape[:2]
    reduced = Image.fromarray(image)
    reduced.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    # Pictures of one height beside each other, whatever their shape; the bars below.
    across = 3.2 * min(2.2, max(0.6, width / height))
    down = across * height / width + 0.2 * any(panel.name for panel in panels)
    columns = 1 + len(panels)
    with matplotlib.rc_context(STYLE | {"axes.grid": False}):
        figure = new_figure(columns * across + 0.3, down + 0.5 + 0.24 * len(predictions))
        ratios = (down, 0.15 + 0.24 * len(predictions))
        places = figure.add_gridspec(2, columns, height_ratios=ratios)
        photograph = np.asarray(reduced)
        draw_example(figure.add_subplot(places[0, 0]), photograph)
        for place, panel in enumerate(panels, 1):
            axes, boxes = figure.add_subplot(places[0, place]), None
            if panel.box is not None:
                boxes = grid_to_photograph(panel.box, (width, height), reduced.size)
            shown = overlay(photograph, panel.score_map)
            draw_example(axes, shown, predicted_boxes=boxes, width=2)
            axes.set_title(plain(panel.name, 40), fontsize=9, loc="left")
        figure.suptitle(plain(title), fontsize=9, x=0.01, ha="left")
        bars = figure.add_subplot(places[1, :])
        bars.axis("off")
        bars.set_xlim(0, 1)
        bars.set_ylim(len(predictions) - 0.4, -0.6)
        for row, (name, probability) in enumerate(predictions):
            colour = PREDICTED_COLOUR if name == class_name else COLOURS[0]
            corner, length = (_BARS_FROM, row - 0.32), _BARS_LENGTH * probability
            bars.add_patch(Rectangle(corner, length, 0.64, color=colour, lw=0))
            for x, side, text in (
                (_BARS_FROM - 0.01, "right", plain(name, 60)),
                (_BARS_FROM + length + 0.01, "left", f"{100 * probability:.1f} %"),
            ):
                bars.text(x, row, text, ha=side, va="center", fontsize=8)
        save_figure(figure, path)
