"""Metrics that are a number an image, and their mean over the images.

Such a metric is one function of a score map and its annotation: the package's own are files beside
this one, anybody else's is named by `module:callable`. Whatever reads records (tables, plots,
statistics, the page) takes them from there.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsol.errors import InputError, within_memory
from wsol.plugin import failing

_FOREGROUND, _IGNORED = 1, 255


@dataclass(frozen=True, slots=True)
class AnnotatedMap:
    """One image's score map with its annotation, all on the convention's grid.

    Attributes:
        score_map: (H, W) floating within [0, 1], or uint8 standing for its 255th part.
        boxes: (n, 4) float64 true boxes, inclusive corners; n = 0 where only a mask exists.
        mask: (H, W) uint8, 1 foreground, 0 background, 255 ignored; None where only boxes exist.
    """

    score_map: NDArray[Any]
    boxes: NDArray[np.float64]
    mask: NDArray[np.uint8] | None

    def copy(self) -> "AnnotatedMap":
        """The same, in arrays of its own."""
        mask = None if self.mask is None else self.mask.copy()
        return AnnotatedMap(self.score_map.copy(), self.boxes.copy(), mask)

    def inside(self) -> NDArray[np.bool_]:
        """(H, W) the mask's foreground, or where there is none the union of the true boxes.

        A pixel lies in a box when its centre does: x0 <= x <= x1, y0 <= y <= y1.
        """
        if self.mask is not None:
            return self.mask == _FOREGROUND
        height, width = self.score_map.shape
        x, y = np.arange(width), np.arange(height)[:, None]
        inside = np.zeros((height, width), dtype=bool)
        for x0, y0, x1, y1 in self.boxes:
            inside |= (x0 <= x) & (x <= x1) & (y0 <= y) & (y <= y1)
        return inside

    def counted(self) -> NDArray[np.bool_]:
        """(H, W) the pixels that are not ignored."""
        if self.mask is None:
            return np.ones(self.score_map.shape, dtype=bool)
        return self.mask != _IGNORED


ImageFunction = Callable[[AnnotatedMap], float | None]
"""A share between 0 and 1 of one image; None where it is not defined for it."""


@dataclass(frozen=True, slots=True)
class ImageMetric:
    """A metric that is a number an image.

    Attributes:
        name: its field in a record; of a plug-in, as it was named.
        heading: what tables and plots call it.
        function: of one image.
    """

    name: str
    heading: str
    function: ImageFunction

    def of(self, image: AnnotatedMap, image_id: str) -> float | None:
        """The image's number.

        Raises:
            InputError: naming the metric and the image, when the function raises or returns
                something else.
        """
        with (
            within_memory(f"{self.name}: memory is exhausted by {image_id}."),
            failing(
                f"{self.name}: failed for {image_id}",
                "; a metric takes an AnnotatedMap and returns a number from 0 to 1, or None",
            ),
        ):
            value: Any = self.function(image)
        if getattr(value, "ndim", None) == 0:  # an array's or tensor's one number
            value = value.item()
        if value is None:
            return None
        is_number = isinstance(value, Real)
        if not is_number or not 0 <= value <= 1:
            told = value if is_number else f"the type {type(value).__name__}"
            raise InputError(
                f"{self.name}: gave {told} for {image_id}; a metric returns a number from 0 to 1, "
                "or None where it is not defined."
            )
        return float(value)


class ImageMeans:
    """The numbers of all images by metric.

    They are kept an image, so that shards merged in any order give the identical mean.
    """

    def __init__(self, names: Iterable[str], images: int) -> None:
        self.names = tuple(names)
        self._values = np.full((len(self.names), images), np.nan)

    def update(self, position: int, values: Mapping[str, float | None]) -> None:
        """Add one image, by its position in the data set."""
        for row, name in zip(self._values, self.names, strict=True):
            value = values[name]
            row[position] = np.nan if value is None else value

    def merge(self, other: "ImageMeans") -> None:
        """Add the images of another accumulator of the same metrics."""
        if other.names != self.names:
            raise InputError("Shards with different metrics cannot be merged.")
        self._values = np.where(np.isnan(self._values), other._values, self._values)

    def compute(self) -> dict[str, float]:
        """The mean of each metric in percent; absent where no image defines it."""
        means = {}
        for row, name in zip(self._values, self.names, strict=True):
            known = row[~np.isnan(row)]
            if len(known):
                means[name] = 100 * math.fsum(known) / len(known)
        return means

    def state(self) -> dict[str, NDArray[Any]]:
        """The numbers as a named array."""
        return {"values": self._values}

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Replace the numbers by what `state` returned."""
        if state["values"].shape != self._values.shape:
            raise InputError("The saved numbers belong to other metrics or images.")
        self._values = state["values"].astype(np.float64)
