"""Box conventions, and the one place that converts between them.

Everywhere in wsol a box is x0, y0, x1, y1 with **inclusive pixel corners**: it covers the pixels
x0 to x1, so it is x1 - x0 + 1 wide. pycocotools wants x, y, width, height with continuous edges.
"""

from typing import Literal

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


def exact_ground_truth(boxes: Boxes, size: tuple[int, int], grid: tuple[float, float]) -> Boxes:
    """True boxes on the grid with their continuous edges scaled: no pixel is lost to rounding."""
    scale = np.tile(np.array(grid, dtype=np.float64) / np.array(size), 2)
    far = np.array([0, 0, 1, 1])
    return (boxes + far) * scale - far


def crop_margins(grid: tuple[int, int]) -> tuple[int, int]:
    """Pixels left and right, above and below, of a central crop (224 of 256) with `grid` pixels."""
    across, down = (round(side * 16 / 224) for side in grid)
    return across, down


Truth = Literal["truncated", "divided-first", "real", "edges", "original", "original-cub"]
"""How a true box comes onto a grid, see `true_boxes_on`."""


def true_boxes_on(
    boxes: Boxes, size: tuple[int, int], grid: tuple[int, int], truth: Truth, *, cropped: bool
) -> Boxes:
    """True boxes on a convention's grid.

    Args:
        boxes: (n, 4) inclusive corners in an image of `size` (width, height).
        grid: (width, height) of the map.
        truth: `truncated`: x * width / W, towards zero; `divided-first`: x / W * width, towards
            zero, and within the grid; `real`: x * width / W, both corners within the frame;
            `edges`: the outer edges scaled; `original`, `original-cub`: as they are.
        cropped: the grid is the central crop (224 of 256) of the squashed image. The near corner
            of a box is then at least 0, the far one at most the crop's last pixel.

    Returns:
        (n, 4) float64.
    """
    if truth == "original":
        return boxes
    if truth == "original-cub":
        return boxes - np.array([0.0, 0, 1, 1])
    side = np.tile(np.array(grid, np.float64), 2)
    whole = side * 256 / 224 if cropped else side
    start = (whole - side) / 2
    image = np.tile(np.array(size, np.float64), 2)
    if truth == "real":
        inside: Boxes = np.clip(boxes * whole / image, start, start + side) - start
        return inside
    if truth == "edges":
        placed = exact_ground_truth(boxes, size, (float(whole[0]), float(whole[1]))) - start
        return np.clip(placed, 0, side - 1) if cropped else placed
    scaled = boxes / image * whole if truth == "divided-first" else boxes * whole / image
    placed = np.trunc(scaled - start)
    if cropped or truth == "divided-first":
        placed[:, :2] = np.maximum(placed[:, :2], 0)
        placed[:, 2:] = np.minimum(placed[:, 2:], (side - 1)[2:])
    return placed
