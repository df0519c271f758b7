"""Opening photographs, and saying which one cannot be opened."""

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from wsol.errors import InputError

_FAILURES = (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError)


def open_image(path: Path) -> Image.Image:
    """A photograph decoded completely, in RGB.

    The file's content decides its format, not its suffix (ILSVRC has a PNG called JPEG and CMYK
    JPEGs). Orientation tags are not applied: boxes are annotated on the stored pixels.

    Raises:
        InputError: naming the file, when it is missing, truncated or no image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata, which no pixel depends on
            with Image.open(path) as image:
                return image.convert("RGB")
    except _FAILURES as error:
        raise _explained(path, error) from error


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) of a photograph, read from its header alone.

    Raises:
        InputError: naming the file, when it is missing or no image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return image.size
    except _FAILURES as error:
        raise _explained(path, error) from error


def _explained(path: Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: the image does not exist; check the image root.")
    if path.is_file() and path.stat().st_size == 0:
        return InputError(f"{path}: the image file is empty; fetch it again.")
    return InputError(
        f"{path}: the image cannot be decoded ({error}); fetch it again, "
        "or leave it out with --skip-bad-images."
    )
