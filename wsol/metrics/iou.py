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


def iou_of_corners(
    predicted: NDArray[Any], true: NDArray[Any], *, plus_one: bool
) -> NDArray[np.float64]:
    """IoU of every predicted with every true box, in float64 and in the order of released code.

    Args:
        predicted, true: (n, 4) and (m, 4) corners.
        plus_one: the far corner is a pixel of the box, which is then x1 - x0 + 1 wide; otherwise
            it is an edge.

    Returns:
        (n, m); 0 where the union is not positive.
    """
    a, b = np.asarray(predicted, np.float64)[:, None], np.asarray(true, np.float64)[None]
    one = 1.0 if plus_one else 0.0

    def area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        product: NDArray[np.float64] = np.prod(boxes[..., 2:] - boxes[..., :2] + one, axis=-1)
        return product

    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + one
    common = np.maximum(sides, 0).prod(axis=-1)
    union = area(a) + area(b) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)
