"""Reading masks: which pixels are foreground, whatever kind of image says so."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsol.datasets.loading import opened

_GREY = ("1", "L", "F", "I")
_WITH_ALPHA = ("LA", "PA", "RGBA", "La", "RGBa")
_LOSSY = 32
"""How far values of a lossy file may be from 0 and 255 to mean them."""


def read_mask(path: Path) -> NDArray[np.bool_]:
    """The foreground (H, W) of a mask, in the file's own size.

    A grey image is foreground where it is above 0, an image of colours where it is not black. In
    one with transparency, that is what is opaque, unless all or nothing is. A palette without any
    colour counts by its indices. A lossy file has to be nearly black and white.

    Raises:
        InputError: naming the file: a missing or undecodable one, or one whose colours and
            indices, or transparency, say different things.
    """
    with opened(path, "mask") as image:
        return foreground(image)


def foreground(image: Image.Image) -> NDArray[np.bool_]:
    """The foreground (H, W) of an opened mask; see `read_mask`.

    Raises:
        ValueError: when it does not say what is foreground.
    """
    if image.format == "JPEG":
        return _of_lossy(np.asarray(image.convert("L")))
    if image.mode in _GREY or image.mode.startswith("I;"):
        return np.asarray(np.asarray(image) > 0)
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        pixels = np.asarray(image.convert("RGBA"))
        coloured = np.asarray(pixels[..., :3].any(axis=2), dtype=bool)
        return _of_transparent(coloured, pixels[..., 3] > 0)
    if image.mode == "P":
        coloured = np.asarray(np.asarray(image.convert("RGB")).any(axis=2), dtype=bool)
        return _of_palette(np.asarray(image), coloured)
    if image.mode == "RGB":
        return np.asarray(np.asarray(image).any(axis=2))
    raise ValueError(f"its kind is {image.mode}; save it as a grey PNG")


def _of_lossy(values: NDArray[np.uint8]) -> NDArray[np.bool_]:
    if ((values > _LOSSY) & (values < 255 - _LOSSY)).any():
        raise ValueError("a lossy file with values between black and white; save it as a grey PNG")
    return np.asarray(values > 127)


def _of_transparent(coloured: NDArray[np.bool_], opaque: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of pixels that are not black, and pixels that are not fully transparent."""
    if opaque.all():
        return coloured
    shown = coloured[opaque]
    # Something coloured on nothing; or a mask of transparency alone, black throughout.
    if (len(shown) and shown.all()) or not coloured.any():
        return opaque
    raise ValueError("its colours and its transparency say different things; save it as a grey PNG")


def _of_palette(indices: NDArray[np.uint8], coloured: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of a palette's indices, and pixels whose colour is not black."""
    if coloured.all() and indices.any() and not indices.all():
        raise ValueError("its palette has no black for the background; save it as a grey PNG")
    return coloured if coloured.any() else np.asarray(indices > 0)
