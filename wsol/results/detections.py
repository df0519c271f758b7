"""COCO AP of the boxes in a file of outcomes, computed again."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from wsol.boxes.geometry import Boxes, Truth, true_boxes_on
from wsol.metrics.coco import CocoAveragePrecision
from wsol.records.outcomes import OutcomeInfo

COCO_METRICS = ("coco_ap", "coco_ap50", "coco_ar")
_COLUMNS = ["label", "class_name", "size", "true_boxes", "predicted", "scores", "fixed_box"]


def coco_of(table: pa.Table, info: OutcomeInfo, truth: Truth) -> dict[str, float] | None:
    """AP, AP at 0.5 and AR in percent by their names, of the boxes at the fixed threshold.

    Each of an image's best classes is a detection, as in `CocoAveragePrecision`. A file of outcomes
    has their names: those that no image is of are left out, which changes nothing, because AP is a
    mean over the classes that have a true box.

    Args:
        truth: where true boxes lie on the convention's grid.

    Returns:
        None where no image has both a true box and predicted classes, where an image's size is
        unknown, or where two classes have one name.
    """
    rows = [row for row in table.select(_COLUMNS).to_pylist() if row["true_boxes"]]
    label_of = {row["class_name"]: row["label"] for row in rows}
    twice = len(label_of) != len({row["label"] for row in rows}) or any(
        len(set(row["predicted"])) < len(row["predicted"]) for row in rows
    )
    if twice or not rows or any(not row["predicted"] or not row["size"] for row in rows):
        return None
    metric = CocoAveragePrecision()
    for number, row in enumerate(rows):
        pairs = zip(row["predicted"], row["scores"], strict=True)
        scores = {label_of[name]: score for name, score in pairs if name in label_of}
        metric.update(
            number,
            classes=np.array(list(scores), dtype=np.int64),
            scores=np.array(list(scores.values()), dtype=np.float64),
            boxes=np.tile(np.array(row["fixed_box"], dtype=np.float64), (len(scores), 1)),
            true_class=row["label"],
            true_boxes=placed_truth(row, info, truth),
        )
    return dict(zip(COCO_METRICS, metric.compute(), strict=True))


def placed_truth(row: Mapping[str, Any], info: OutcomeInfo, truth: Truth) -> Boxes:
    """(n, 4) an image's true boxes on the convention's grid, of its row with `size`."""
    size = (row["size"][0], row["size"][1])
    true = np.array(row["true_boxes"], dtype=np.float64).reshape(-1, 4)
    return true_boxes_on(true, size, info.grid_of(size), truth, cropped=info.is_cropped)
