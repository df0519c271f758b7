"""Score maps as integers, and thresholds as levels of them."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def threshold_grid(step: float) -> NDArray[np.float64]:
    """(T,) thresholds 0, step, 2 * step, ... below 1, as `numpy.arange` makes them."""
    return np.arange(0, 1, step)


def protocol_levels(score_map: NDArray[Any]) -> NDArray[np.uint8]:
    """The published protocol's quantization: `255 * map` in float64, truncated to uint8.

    A uint8 map is its own quantization.
    """
    if score_map.dtype == np.uint8:
        return score_map
    if score_map.dtype == np.float16:  # which the compiler does not know
        score_map = score_map.astype(np.float32)
    levels: NDArray[np.uint8] = _quantized(np.ascontiguousarray(score_map))
    return levels


@njit(cache=True, nogil=True)
def _quantized(score_map):  # type: ignore[no-untyped-def]
    levels = np.empty(score_map.shape, np.uint8)
    values, whole = score_map.ravel(), levels.ravel()
    for i in range(len(values)):
        whole[i] = np.uint8(np.int32(np.float64(values[i]) * 255.0))
    return levels


def protocol_threshold_levels(thresholds: NDArray[np.float64], max_level: int) -> NDArray[np.int64]:
    """The level of each threshold, `int(t * max_level)`; above it is foreground."""
    return (thresholds * max_level).astype(np.int64)


def exact_levels(score_map: NDArray[Any], thresholds: NDArray[np.float64]) -> NDArray[np.int32]:
    """How many of the ascending thresholds a pixel reaches, without quantizing the map.

    Level i of the result separates `map >= thresholds[i] * max(map)` from the rest, in float64.
    A map that is zero everywhere reaches none: it says nothing about where the object is.
    """
    values = np.asarray(score_map, dtype=np.float64)
    top = values.max()
    if top <= 0:
        return np.zeros(values.shape, dtype=np.int32)
    return np.searchsorted(thresholds * top, values, side="right").astype(np.int32)
