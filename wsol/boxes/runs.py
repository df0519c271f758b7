"""The boxes of one score map at every threshold, in compact form."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Contours = Literal["largest", "all"]
"""Which boxes a threshold yields: that of the largest component, or one a component."""

Convention = Literal["choe2020", "exact"]
"""`choe2020`: contour boxes as the published protocol has them (holes have boxes too,
the far corner lies one pixel beyond the object and is clipped to the map).
`exact`: 8-connected components, tight inclusive corners, largest by pixel count."""


@dataclass(frozen=True, slots=True)
class BoxRuns:
    """Every distinct box of one map with the run of levels at which it stands.

    At level l the foreground is `levels > l`, where `levels` is the integer map the boxes came
    from. Row i holds `boxes[i]` for every l with first[i] <= l <= last[i]. A box that comes and
    goes has several rows; a level whose foreground is empty has no row.

    Attributes:
        boxes: (n, 4) int32, inclusive corners x0, y0, x1, y1 on the map's own grid.
        first, last: (n,) int32 levels, inclusive, 0 <= first <= last < max_level.
        max_level: the map's greatest level (0 for an all-zero map: no row at all).
    """

    boxes: NDArray[np.int32]
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    max_level: int

    def at(self, level: int) -> NDArray[np.int32]:
        """The boxes that stand at `level`, (m, 4); m = 0 where nothing lies above it."""
        return self.boxes[(self.first <= level) & (level <= self.last)]
