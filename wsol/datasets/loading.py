"""Opening photographs, and saying which one cannot be opened."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from wsol.datasets.base import ImageFile, Packed
from wsol.datasets.shards import read_packed
from wsol.errors import InputError
from wsol.files import is_file, require_file
from wsol.reading import failures_and, told

_FAILURES = failures_and(Image.DecompressionBombError)
_ORIENTATION = 0x0112
_UPRIGHT = 1
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SWAPPING = 5
"""From this orientation tag on, what is seen has the stored width and height swapped."""
_TAG_BITS, _TAG_FORMAT, _SIGNED = 258, 339, 2


def open_image(path: ImageFile, *, upright: bool = False) -> Image.Image:
    """A photograph decoded completely, in RGB.

    The file's content decides its format, not its suffix (ILSVRC has a PNG called JPEG and CMYK
    JPEGs). Pixels of more than 8 bits are scaled by the range of their type.

    Args:
        upright: turn it as its orientation tag says; else it is as its pixels are stored.

    Raises:
        InputError: naming the file, when it is missing, truncated or no image.
    """
    with opened(path) as image:
        pixels = eight_bits(image)
        return turned(pixels, orientation(image)) if upright else pixels


def image_size(path: ImageFile, *, upright: bool = False) -> tuple[int, int]:
    """(width, height) of a photograph, read from its header alone; see `open_image`.

    Raises:
        InputError: naming the file, when it is missing or no image.
    """
    with opened(path) as image:
        width, height = image.size
        return (height, width) if upright and orientation(image) >= SWAPPING else (width, height)


@contextmanager
def opened(path: ImageFile, what: str = "image") -> Iterator[Image.Image]:
    """An image (or mask: `what` says) whose pixels may still have to be decoded.

    Raises:
        InputError: naming the file, also for what Pillow says inside the block.
    """
    try:
        content: Path | io.BytesIO
        if isinstance(path, Packed):
            content = io.BytesIO(read_packed(path))
        else:
            content = require_file(path, f"an {what}" if what == "image" else f"a {what}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata, which no pixel depends on
            with Image.open(content) as image:
                yield image
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise InputError(
                f"{path}: the {what} does not exist; check --{what}s, or the data set's folder."
            ) from error
        raise
    except _FAILURES as error:
        raise _explained(path, what, error) from error


def orientation(image: Image.Image) -> int:
    """The orientation tag, 1 to 8; 1 where there is none or it is damaged."""
    try:
        value = image.getexif().get(_ORIENTATION, _UPRIGHT)
    except _FAILURES:
        return _UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else _UPRIGHT


def turned(image: Image.Image, tag: int) -> Image.Image:
    """An image turned as an orientation tag says, and without the tag."""
    if tag in _TURNS:
        image = image.transpose(_TURNS[tag])
    image.info.pop("exif", None)
    return image


def eight_bits(image: Image.Image) -> Image.Image:
    """An image as 8-bit RGB.

    Integers of 16 and 32 bits are scaled by the range of their type, floating values from [0, 1].
    Transparency is dropped: what is below it is the photograph.

    Raises:
        ValueError: when nothing would be seen, or floating values have another range.
    """
    if image.mode == "F":
        values = np.asarray(image)
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):
            raise ValueError(f"floating pixels from {low:g} to {high:g}; expected 0 to 1")
        return Image.fromarray(np.rint(values * 255).astype(np.uint8)).convert("RGB")
    if image.mode == "I" or image.mode.startswith("I;"):
        values = np.asarray(image).astype(np.int64)
        highest = _highest(image)
        if highest > 2**31:
            values &= 0xFFFFFFFF  # Pillow holds unsigned values as signed ones
        scaled = np.clip(values * 255 // highest, 0, 255).astype(np.uint8)
        if values.any() and not scaled.any():
            raise ValueError(
                f"pixels from {values.min()} to {values.max()} of at most {highest}, which is all "
                "black; save it with 8 or 16 bits"
            )
        return Image.fromarray(scaled).convert("RGB")
    return image.convert("RGB")


def _highest(image: Image.Image) -> int:
    """The greatest value of an integer image's type: of PNG and PGM, which Pillow holds in more
    bits than they have, 16 bits; of TIFF, as its tags say."""
    if image.mode != "I" or image.format != "TIFF":
        return 2**16 - 1
    tags = getattr(image, "tag_v2", {})
    bits = int(np.max(tags.get(_TAG_BITS, 32)))
    signed = bool(np.any(np.equal(tags.get(_TAG_FORMAT, 1), _SIGNED)))
    return int(2 ** (bits - signed) - 1)


def _explained(path: ImageFile, what: str, error: Exception) -> InputError:
    if isinstance(path, Path) and is_file(path) and path.stat().st_size == 0:
        return InputError(f"{path}: the {what} file is empty; fetch it again.")
    leave = ", or leave it out with --skip-bad-images" if what == "image" else ""
    return InputError(
        f"{path}: the {what} cannot be decoded ({told(error)}); fetch it again{leave}."
    )
