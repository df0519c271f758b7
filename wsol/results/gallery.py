"""One self-contained HTML page: the table, the plot, and examples of every model."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from numpy.typing import NDArray

from wsol.files import write_text
from wsol.results.examples import Example, data_uri, overlay
from wsol.results.record import ResultRecord
from wsol.results.table import table_cells

_PAGE = Environment(loader=PackageLoader("wsol.results"), autoescape=True).get_template(
    "gallery.html"
)


def write_gallery(
    records: Sequence[ResultRecord],
    examples: Sequence[Example],
    path: Path,
    *,
    title: str,
    plot: Path | None = None,
) -> None:
    """Write the page, atomically.

    Args:
        records: the rows of its table, all of one data set.
        examples: shown in their order, filterable by model and outcome.
        plot: a PNG to include.
    """
    headings, rows = table_cells(records)
    picture = None
    if plot is not None:
        picture = "data:image/png;base64," + base64.b64encode(plot.read_bytes()).decode()
    page = _PAGE.render(
        title=title,
        dataset=f"{records[0].dataset} {records[0].split}, {records[0].num_images:,} images",
        headings=headings,
        rows=rows,
        plot=picture,
        models=list(dict.fromkeys(example.model for example in examples)),
        examples=[_view(example) for example in examples],
    )
    write_text(path, page)


def _view(example: Example) -> dict[str, Any]:
    height, width = example.image.shape[:2]
    return {
        "model": example.model,
        "image_id": example.image_id,
        "class_name": example.class_name,
        "predicted_name": example.predicted_name,
        "iou": f"{example.iou:.2f}",
        "correct": example.correct,
        "width": width,
        "height": height,
        "image": data_uri(example.image),
        "overlay": data_uri(overlay(example)),
        "true_boxes": _rectangles(example.true_boxes),
        "predicted_boxes": _rectangles(example.predicted_boxes),
    }


def _rectangles(boxes: NDArray[np.float64]) -> list[dict[str, float]]:
    """Inclusive corners as SVG rectangles, whose edges are continuous."""
    return [
        {
            "x": float(x0),
            "y": float(y0),
            "width": float(x1 - x0 + 1),
            "height": float(y1 - y0 + 1),
        }
        for x0, y0, x1, y1 in boxes
    ]
