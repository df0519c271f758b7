"""Where a map lies above a share of its maximum, without making the finished map.

Of the maps of predicted classes nothing but that is wanted. Finishing a map, subtracting its
minimum and dividing by its spread, keeps the order of its values, rounding included; so there is
one value of the unfinished map from which on the finished one reaches a threshold. Found once a
map, it makes one comparison of several passes over all pixels.
"""

import numpy as np
import torch
from torch import Tensor

_LEVELS = 255
_BITS = 32


def foreground(maps: Tensor, share: float, *, quantized: bool) -> Tensor:
    """Where maps, once min-max normalized, lie above a share of their maximum.

    Says what `wsol.evaluation.judging.prepare` says of the finished maps, to the pixel.

    Args:
        maps: (..., H, W) float32, finite, not normalized.
        share: within [0, 1).
        quantized: compare `trunc(255 m) > trunc(255 share)` instead of `m >= share`.

    Returns:
        (..., H, W) uint8, 0 or 1; a constant map has no foreground.
    """
    low = maps.amin((-2, -1), keepdim=True)
    high = maps.amax((-2, -1), keepdim=True)
    least = _least(low, high, _reached(share, quantized)).masked_fill(high == low, torch.inf)
    return (maps >= least).view(torch.uint8)


def _reached(share: float, quantized: bool) -> float:
    """The least float32 value of a finished map, whose maximum is 1, that is foreground."""

    def is_foreground(value: np.float32) -> bool:
        if not quantized:
            return float(value) >= share
        return int(float(value) * _LEVELS) > int(share * _LEVELS)

    value = np.float32((int(share * _LEVELS) + 1) / _LEVELS if quantized else share)
    while is_foreground(value):
        value = np.nextafter(value, np.float32(-1))
    while not is_foreground(value):
        value = np.nextafter(value, np.float32(2))
    return float(value)


def _least(low: Tensor, high: Tensor, reached: float) -> Tensor:
    """The least float32 value from which a map with these extremes is finished as `reached`.

    By halving the range of floating-point numbers, in their order.
    """
    spread = high - low
    spread = spread.masked_fill(spread == 0, 1.0)
    below, above = _ordered(low) - 1, _ordered(high)
    for _ in range(_BITS):
        middle = below + (above - below) // 2
        is_reached = (_number(middle) - low) / spread >= reached
        above = torch.where(is_reached, middle, above)
        below = torch.where(is_reached, below, middle)
    return _number(above)


def _ordered(values: Tensor) -> Tensor:
    """float32 numbers as int64 in the same order: neighbours differ by one, both zeros are one."""
    bits = values.view(torch.int32).long()
    return torch.where(bits >= 0, bits, -(bits & 0x7FFFFFFF))


def _number(ordered: Tensor) -> Tensor:
    """The float32 number of `_ordered`."""
    bits = torch.where(ordered >= 0, ordered, -ordered | (1 << 31))
    # What is above the greatest 32-bit integer stands for a negative one.
    signed = torch.where(bits >= 1 << 31, bits - (1 << 32), bits)
    return signed.to(torch.int32).view(torch.float32)
