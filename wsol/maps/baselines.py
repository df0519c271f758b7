"""Score maps that look at no pixel: what any localizer has to beat."""

import numpy as np
from numpy.typing import NDArray

BASELINES = ("center", "full")


def center_map(grid: tuple[int, int]) -> NDArray[np.float32]:
    """A centre Gaussian on a (width, height) grid, min-max normalized; (H, W) float32.

    Its standard deviation is half the side along each axis, the centre lies between the middle
    pixels of an even side (the centre baseline of Choe et al., CVPR 2020).
    """
    width, height = grid

    def squared_distance(side: int) -> NDArray[np.float64]:
        # In standard deviations: (x - middle) / (side / 2).
        offsets = np.arange(side, dtype=np.float64) - (side - 1) / 2
        return np.square(offsets / (side / 2))

    score_map = np.exp(
        -0.5 * (squared_distance(height)[:, None] + squared_distance(width)[None, :])
    )
    low, high = score_map.min(), score_map.max()
    if low == high:
        return np.zeros((height, width), dtype=np.float32)
    return ((score_map - low) / (high - low)).astype(np.float32)


def full_map(grid: tuple[int, int]) -> NDArray[np.float32]:
    """All ones: the whole image is the box at every threshold; (H, W) float32."""
    width, height = grid
    return np.ones((height, width), dtype=np.float32)


def baseline_map(name: str, grid: tuple[int, int]) -> NDArray[np.float32]:
    """The map of a baseline of `BASELINES`."""
    return {"center": center_map, "full": full_map}[name](grid)
