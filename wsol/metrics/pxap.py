"""PxAP: area under the pixel precision-recall curve (Choe et al., CVPR 2020)."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsol.datasets.base import MaskFiles
from wsol.datasets.masks import read_mask
from wsol.errors import InputError

FOREGROUND, BACKGROUND, IGNORED = 1, 0, 255


class PixelAveragePrecision:
    """Histograms of score over foreground and background pixels of all images.

    The bins are the protocol's: [t0, t1), ..., [t_last, 1), [1, 2), [2, 3]; the value 1 has its
    own bin and the last one stays empty. Counts are integers, so shards add up exactly.
    """

    def __init__(self, thresholds: NDArray[np.float64]) -> None:
        self._thresholds = np.asarray(thresholds, dtype=np.float64)
        self._true = np.zeros(len(thresholds) + 2, dtype=np.int64)
        self._false = np.zeros(len(thresholds) + 2, dtype=np.int64)
        self.num_images = 0

    def update(self, score_map: NDArray[Any], mask: NDArray[np.uint8]) -> None:
        """Add one image: a valid score map and its mask of the same shape, see `load_mask`."""
        self.update_histograms(*pixel_histograms(score_map, mask, self._thresholds))

    def update_histograms(self, true: NDArray[np.int64], false: NDArray[np.int64]) -> None:
        """Add one image by the result of `pixel_histograms`."""
        self._true += true
        self._false += false
        self.num_images += 1

    def merge(self, other: "PixelAveragePrecision") -> None:
        """Add the images of another accumulator of the same thresholds."""
        if not np.array_equal(other._thresholds, self._thresholds):
            raise InputError("Pixel histograms at different thresholds cannot be merged.")
        self._true += other._true
        self._false += other._false
        self.num_images += other.num_images

    def compute(self) -> float:
        """PxAP in percent: the sum of precision times the step in recall, from the top down.

        Raises:
            InputError: when no image has a foreground pixel.
        """
        true, false = self._true[::-1].cumsum(), self._false[::-1].cumsum()
        if true[-1] == 0:
            raise InputError("PxAP is undefined: no mask has a foreground pixel.")
        claimed = true + false
        precision = np.divide(true, claimed, out=np.zeros(len(true)), where=claimed > 0)
        recall = true / true[-1]
        return float((precision[1:] * np.diff(recall))[claimed[1:] > 0].sum() * 100)

    def state(self) -> dict[str, NDArray[Any]]:
        """The counts as named arrays."""
        return {
            "true": self._true,
            "false": self._false,
            "num_images": np.array(self.num_images),
        }

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Replace the counts by what `state` returned."""
        if state["true"].shape != self._true.shape:
            raise InputError("The saved histograms belong to other thresholds.")
        self._true = state["true"].astype(np.int64)
        self._false = state["false"].astype(np.int64)
        self.num_images = int(state["num_images"])


def pixel_histograms(
    score_map: NDArray[Any], mask: NDArray[np.uint8], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often each score bin occurs in the foreground and in the background.

    Args:
        score_map: (H, W) floating within [0, 1], or uint8 standing for its 255th part.
        mask: (H, W) 1 foreground, 0 background, 255 ignored.
        thresholds: (T,) ascending, starting at 0.

    Returns:
        Two (T + 2,) histograms, equal to `numpy.histogram` over the bins of
        `PixelAveragePrecision`.
    """
    values = np.asarray(score_map, dtype=np.float64)
    if score_map.dtype == np.uint8:
        values = values / 255
    edges = np.append(thresholds, [1.0, 2.0, 3.0])
    counts: NDArray[np.int64] = _count(values, mask, edges)
    return counts[FOREGROUND], counts[BACKGROUND]


@njit(cache=True, nogil=True)
def _count(values, mask, edges):  # type: ignore[no-untyped-def]
    bins = len(edges) - 1
    counts = np.zeros((2, bins), np.int64)
    height, width = values.shape
    even = bins - 2  # the number of thresholds, which are about evenly spaced below 1
    for y in range(height):
        for x in range(width):
            kind = mask[y, x]
            if kind > 1:
                continue
            value = values[y, x]
            # A guess that is off by one at the most, then the edges themselves decide.
            i = min(int(value * even), bins - 1)
            while i > 0 and value < edges[i]:
                i -= 1
            while i < bins - 1 and value >= edges[i + 1]:
                i += 1
            counts[kind, i] += 1
    return counts


def load_mask(files: MaskFiles, grid: tuple[int, int]) -> NDArray[np.uint8]:
    """The pixel annotation on a (width, height) grid: (H, W) uint8, 1, 0, or 255 = ignored.

    Each file is reduced by nearest neighbour before they are joined, as in the protocol. A pixel
    of an object is foreground even where the ignore region covers it.

    Raises:
        InputError: naming a missing or undecodable file.
    """
    mask = np.full((grid[1], grid[0]), BACKGROUND, dtype=np.uint8)
    if files.ignore is not None:
        mask[_on_grid(read_mask(files.ignore), grid)] = IGNORED
    for path in files.objects:
        mask[_on_grid(read_mask(path), grid)] = FOREGROUND
    return mask


def _on_grid(mask: NDArray[np.bool_], grid: tuple[int, int]) -> NDArray[np.bool_]:
    rows = _nearest(mask.shape[0], grid[1])
    columns = _nearest(mask.shape[1], grid[0])
    inside: NDArray[np.bool_] = mask[rows[:, None], columns]
    return inside


def _nearest(source: int, target: int) -> NDArray[np.int64]:
    """The source index of each target index, as OpenCV's nearest-neighbour resize picks it."""
    # Two divisions, because OpenCV inverts the scale, and rounding decides at whole multiples.
    scale = 1.0 / (target / source)
    return np.minimum(np.floor(np.arange(target) * scale).astype(np.int64), source - 1)
