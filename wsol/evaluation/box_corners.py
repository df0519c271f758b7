"""What the numbers of a box file mean."""

from typing import Literal

BoxCorners = Literal["inclusive", "exclusive"]
"""Whether the far corner of a box is its last pixel, or one beyond it."""
BoxPixels = Literal["photograph", "fractions", "grid"]
"""What boxes are counted in: pixels of the photograph, fractions of its sides, or the pixels of the
convention's own grid, with that convention's corners."""
