"""From class maps to score maps: upsampled and min-max normalized, in a convention's order."""

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Upsampling = Literal["bicubic", "bilinear"]
Normalization = Literal["if-resized", "after", "before", "before-eps", "none"]
"""When a map is min-max normalized, see `on_grid`."""

_EPS = 1e-5


def score_maps(maps: Tensor, size: tuple[int, int], upsampling: Upsampling = "bicubic") -> Tensor:
    """Class maps as score maps of `size` (height, width): see `upsample`, `normalize`."""
    return normalize(upsample(maps, size, upsampling))


def upsample(maps: Tensor, size: tuple[int, int], upsampling: Upsampling = "bicubic") -> Tensor:
    """Resize maps (..., h, w) to `size` (height, width); float32, or float64 where they are.

    Pixel centres are aligned; bicubic has a = -0.75, which is OpenCV's INTER_CUBIC and what the
    published protocol uses. A map that has the size already is returned as it is, and a constant
    one stays constant: normalizing the rounding of its interpolation would make a map of noise.
    """
    maps = maps if maps.dtype == torch.float64 else maps.float()
    if maps.shape[-2:] == tuple(size):
        return maps
    if maps.numel() == 0:
        return maps.new_empty((*maps.shape[:-2], *size))
    # One channel axis for everything, whatever dimensions lead.
    flat = maps.reshape(1, -1, *maps.shape[-2:])
    resized = F.interpolate(flat, size, mode=upsampling, align_corners=False)
    high, low = maps.amax((-2, -1), keepdim=True), maps.amin((-2, -1), keepdim=True)
    return torch.where(high == low, low, resized.reshape(*maps.shape[:-2], *size))


def on_grid(
    score_map: NDArray[Any],
    grid: tuple[int, int],
    upsampling: Upsampling,
    normalization: Normalization,
) -> NDArray[Any]:
    """One map on a convention's grid.

    Args:
        score_map: (h, w) floating, finite; or uint8, standing for its 255th part.
        grid: (width, height).
        normalization: min-max `before` or `after` upsampling, of which `before-eps` divides by
            the spread plus 1e-5; `if-resized`: after it, and a map of the grid's size is taken as
            it is; `none`: only upsampled.

    Returns:
        (height, width) float32, or float64 for a float64 map. A constant map is all zeros, but
        for `none`.
    """
    width, height = grid
    if normalization != "none" and is_constant(score_map):
        return np.zeros((height, width), np.float32)
    if normalization == "if-resized" and score_map.shape == (height, width):
        return score_map
    exact = score_map.dtype == np.float64 and normalization != "if-resized"
    values = np.ascontiguousarray(score_map, dtype=np.float64 if exact else np.float32)
    if score_map.dtype == np.uint8:
        values = np.divide(values, 255, dtype=values.dtype)
    maps = torch.from_numpy(values)
    if normalization == "before":
        maps = normalize(maps)
    elif normalization == "before-eps":
        maps = (maps - maps.min()) / (maps.max() - maps.min() + _EPS)
    maps = upsample(maps, (height, width), upsampling)
    if normalization == "after":
        # In double precision, as it is quantized next.
        maps = normalize(maps.double())
    elif normalization == "if-resized":
        maps = normalize(maps)
    return maps.numpy()


def is_constant(score_map: NDArray[Any]) -> bool:
    """Whether all pixels of a map are the same."""
    first = score_map[0, 0]
    # Nearly every map shows in its first row that it is not.
    return bool((score_map[0] == first).all() and (score_map == first).all())


def normalize(maps: Tensor) -> Tensor:
    """Each map (..., H, W) minus its minimum, divided by what is then its maximum.

    A constant map becomes all zeros. NaN stays NaN: check finite maps before.
    """
    low = maps.amin((-2, -1), keepdim=True)
    spread = maps.amax((-2, -1), keepdim=True) - low
    constant = spread == 0
    return (maps - low) / spread.masked_fill(constant, 1.0)
