"""Intersection over union, by pycocotools."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from wsol.boxes.geometry import to_xywh


def iou_matrix(predicted: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]:
    """IoU of every predicted with every true box.

    For whole-number corners this is the published protocol's formula to the last bit: both divide
    the same integers.

    Args:
        predicted: (n, 4) inclusive corners.
        true: (m, 4) inclusive corners.

    Returns:
        (n, m) float64.
    """
    if len(predicted) == 0 or len(true) == 0:
        return np.zeros((len(predicted), len(true)))
    no_crowd = np.zeros(len(true), dtype=np.uint8)
    ious: NDArray[np.float64] = coco_mask.iou(to_xywh(predicted), to_xywh(true), no_crowd)
    return ious
