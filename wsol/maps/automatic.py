"""Thresholds that a map chooses for itself, without any box: those of `skimage.filters`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_RESOLVED = 1e-5
"""Spread in relation to the values, below which a histogram of 256 bins has no edges to tell."""


def automatic_threshold(score_map: NDArray[Any], policy: str) -> float:
    """The threshold of a map by a policy, in the map's own units: the object lies above it.

    Args:
        score_map: (H, W) finite floating values, or uint8, which stands for its 255th part.
        policy: one of `wsol.maps.policies.POLICIES`.

    Returns:
        A value from the map's minimum to its maximum; of a constant map, which nothing can be
        told from, the maximum, so that nothing lies above it.
    """
    values = _floating(score_map)
    low, high = float(values.min()), float(values.max())
    if not high - low > _RESOLVED * max(abs(low), abs(high)):
        return high
    from skimage import filters

    if 1e-3 <= high - low <= 1e3:
        found = float(getattr(filters, f"threshold_{policy}")(values))
    else:  # of very small or large numbers the policies' histograms and sums lose too much
        scaled = (values.astype(np.float64) - low) / (high - low)
        found = low + float(getattr(filters, f"threshold_{policy}")(scaled)) * (high - low)
    return min(max(found, low), high)


def automatic_share(score_map: NDArray[Any], policy: str) -> float:
    """The threshold of `automatic_threshold` in units of the map's maximum, within [0, 1].

    1 for a map that is nowhere positive: it says nothing about where the object is.
    """
    score_map = _floating(score_map)
    top = float(score_map.max())
    if not top > 0:
        return 1.0
    return float(min(max(automatic_threshold(score_map, policy) / top, 0.0), 1.0))


def _floating(score_map: NDArray[Any]) -> NDArray[Any]:
    if score_map.dtype == np.uint8:
        return score_map.astype(np.float32) / 255
    return score_map.astype(np.float32) if score_map.dtype == np.float16 else score_map
