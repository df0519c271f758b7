"""Box conventions, and the one place that converts between them.

Everywhere in wsol a box is x0, y0, x1, y1 with **inclusive pixel corners**: it covers the pixels
x0 to x1, so it is x1 - x0 + 1 wide. pycocotools wants x, y, width, height with continuous edges.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Boxes = NDArray[np.float64]


def to_xywh(boxes: NDArray[np.floating] | NDArray[np.integer]) -> Boxes:
    """Inclusive corners (n, 4) to x, y, width, height with continuous edges, for pycocotools."""
    xywh: Boxes = _xywh(np.asarray(boxes).reshape(-1, 4))
    return xywh


@njit(cache=True, nogil=True)
def _xywh(boxes):  # type: ignore[no-untyped-def]
    xywh = np.empty(boxes.shape)
    for i in range(len(boxes)):
        for low in range(2):
            xywh[i, low] = boxes[i, low]
            xywh[i, low + 2] = np.float64(boxes[i, low + 2]) + (1 - np.float64(boxes[i, low]))
    return xywh


def protocol_ground_truth(boxes: Boxes, size: tuple[int, int], grid: tuple[int, int]) -> Boxes:
    """True boxes on the grid as the published protocol has them: scaled, then truncated.

    Args:
        boxes: (n, 4) inclusive corners in an image of `size` (width, height).
        grid: (width, height) of the score map.

    Returns:
        (n, 4) whole numbers.
    """
    return np.trunc(boxes * np.tile(np.array(grid, float), 2) / np.tile(np.array(size, float), 2))


def exact_ground_truth(boxes: Boxes, size: tuple[int, int], grid: tuple[int, int]) -> Boxes:
    """True boxes on the grid with their continuous edges scaled: no pixel is lost to rounding."""
    scale = np.tile(np.array(grid, dtype=np.float64) / np.array(size), 2)
    far = np.array([0, 0, 1, 1])
    return (boxes + far) * scale - far
