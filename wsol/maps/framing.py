"""How a photograph is fitted into a network's square input, and how its maps come back.

Whatever the mode, a map ends on the protocol's grid covering the *whole* photograph, because that
is where boxes are compared:

- `squash` resizes to the square and ignores the aspect ratio (the published protocol);
- `letterbox` keeps the aspect ratio and pads with the network's mean colour;
- `center-crop` resizes the shorter side to 256/224 of the input and takes the central square
  (the classification convention); what was cut off gets the map's lowest value.

Conventions whose frame is a crop look at `squash-crop`: the photograph is squashed to a square of
256/224 of the input, and the central square of it is taken. Boxes are compared on the crop there,
so its maps do not come back onto the photograph. `ten_crops` are the five squares of the same
squashed photograph and their mirror images.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from wsol.maps.normalize import Upsampling, normalize, upsample
from wsol.options import ResizeMode

Framing = ResizeMode | Literal["squash-crop"]
"""How a photograph is fitted into the square."""

_CROP_MARGIN = 256 / 224


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the photograph lies in relation to the network's square input.

    Attributes:
        scaled: (width, height) of the photograph after resizing.
        offset: (x, y) of the scaled photograph's corner within the square: positive where the
            square is padded, negative where the photograph is cut.
    """

    scaled: tuple[int, int]
    offset: tuple[int, int]


def frame(size: tuple[int, int], side: int, mode: Framing) -> Frame:
    """The frame of a photograph of `size` (width, height) in a square of `side` pixels."""
    if mode == "squash":
        return Frame((side, side), (0, 0))
    if mode == "squash-crop":
        whole = whole_side(side)
        return Frame((whole, whole), ((side - whole) // 2, (side - whole) // 2))
    width, height = size
    scale = side / max(size) if mode == "letterbox" else side * _CROP_MARGIN / min(size)
    scaled = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Frame(scaled, ((side - scaled[0]) // 2, (side - scaled[1]) // 2))


def whole_side(side: int) -> int:
    """Side of the squashed photograph that a crop of `side` pixels is cut from: 256 for 224."""
    return round(side * 256 / 224)


def ten_crops(
    image: Image.Image, side: int, interpolation: Literal["bilinear", "bicubic"]
) -> NDArray[np.uint8]:
    """The corners and the centre of the squashed photograph, and their mirror images.

    Returns:
        (10, side, side, 3) uint8; the fifth is what `fit` makes of it as `squash-crop`.
    """
    whole = whole_side(side)
    pixels = np.asarray(image.resize((whole, whole), Image.Resampling[interpolation.upper()]))
    far, middle = whole - side, -((side - whole) // 2)
    starts = [(0, 0), (0, far), (far, 0), (far, far), (middle, middle)]
    crops = np.stack([pixels[y : y + side, x : x + side] for y, x in starts])
    return np.concatenate([crops, crops[:, :, ::-1]])


def fit(
    image: Image.Image,
    side: int,
    mode: Framing,
    interpolation: Literal["bilinear", "bicubic"],
    padding: tuple[int, int, int],
) -> NDArray[np.uint8]:
    """The photograph in a (side, side, 3) uint8 square; `padding` is the colour around it."""
    placed = frame(image.size, side, mode)
    resampling = Image.Resampling[interpolation.upper()]
    scaled = image.resize(placed.scaled, resampling)
    if mode != "squash":
        square = Image.new("RGB", (side, side), padding)
        square.paste(scaled, placed.offset)
        scaled = square
    return np.asarray(scaled)


def maps_on_grid(
    cams: Tensor,
    sizes: list[tuple[int, int]],
    side: int,
    mode: ResizeMode,
    grid: tuple[int, int],
    upsampling: Upsampling = "bicubic",
) -> Tensor:
    """Bring class maps back onto the photographs.

    Args:
        cams: (B, n, h, w) float32 maps over the network's square input.
        sizes: B photographs' (width, height).
        grid: (width, height) of the result; `upsampling` leads there.

    Returns:
        (B, n, grid height, grid width) float32, min-max normalized.
    """
    width, height = grid
    if mode == "squash":
        return normalize(upsample(cams, (height, width), upsampling))
    on_square = upsample(cams, (side, side), upsampling)
    on_grid = []
    for maps, size in zip(on_square, sizes, strict=True):
        placed = frame(size, side, mode)
        (w, h), (x, y) = placed.scaled, placed.offset
        visible = maps[:, max(0, y) : y + h, max(0, x) : x + w]
        whole = visible.amin((1, 2), keepdim=True).expand(-1, h, w).clone()
        top, left = max(0, -y), max(0, -x)
        whole[:, top : top + visible.shape[1], left : left + visible.shape[2]] = visible
        on_grid.append(upsample(whole, (height, width), upsampling))
    return normalize(torch.stack(on_grid))
