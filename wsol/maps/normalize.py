"""From class maps to score maps: upsampled, then min-max normalized."""

import torch.nn.functional as F
from torch import Tensor


def score_maps(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Class maps as score maps of `size` (height, width): see `upsample`, `normalize`."""
    return normalize(upsample(maps, size))


def upsample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps (..., h, w) to `size` (height, width); float32.

    Bicubic with a = -0.75 and aligned pixel centres, which is OpenCV's INTER_CUBIC and what the
    published protocol uses. A map that has the size already is returned as it is.
    """
    maps = maps.float()
    if maps.shape[-2:] == tuple(size):
        return maps
    if maps.numel() == 0:
        return maps.new_empty((*maps.shape[:-2], *size))
    # One channel axis for everything, whatever dimensions lead.
    flat = maps.reshape(1, -1, *maps.shape[-2:])
    resized = F.interpolate(flat, size, mode="bicubic", align_corners=False)
    return resized.reshape(*maps.shape[:-2], *size)


def normalize(maps: Tensor) -> Tensor:
    """Each map (..., H, W) minus its minimum, divided by what is then its maximum.

    A constant map becomes all zeros. NaN stays NaN: check finite maps before.
    """
    low = maps.amin((-2, -1), keepdim=True)
    spread = maps.amax((-2, -1), keepdim=True) - low
    constant = spread == 0
    return (maps - low) / spread.masked_fill(constant, 1.0)
