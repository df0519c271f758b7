"""Small pieces that several readers share: lines, numbers and boxes, with their place in a file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wsol.datasets.base import Boxes, Sample
from wsol.errors import InputError
from wsol.files import require_file


def read_lines(path: Path, what: str) -> Iterator[tuple[str, str]]:
    """Non-empty lines of a UTF-8 text file, each with its place `file:line` for messages."""
    require_file(path, what)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text ({error.reason}).") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if line.strip():
            yield line, f"{path}:{number}"


def fields(line: str, count: int, separator: str | None, where: str) -> list[str]:
    """The fields of a line, exactly `count` of them."""
    parts = line.split(separator)
    if len(parts) != count:
        raise InputError(f"{where}: has {len(parts)} fields instead of {count}: {line[:80]!r}.")
    return parts


def whole_number(text: str, what: str, where: str) -> int:
    """A non-negative whole number."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise InputError(f"{where}: the {what} {text[:40]!r} is not a whole number.")
    return value


def box_of(texts: list[str], where: str) -> tuple[float, float, float, float]:
    """A box of four finite numbers x0, y0, x1, y1 with x0 <= x1 and y0 <= y1."""
    try:
        x0, y0, x1, y1 = map(float, texts)
    except ValueError as error:
        raise InputError(
            f"{where}: the box {','.join(texts)[:60]!r} is not four numbers."
        ) from error
    if not all(map(np.isfinite, (x0, y0, x1, y1))) or x0 > x1 or y0 > y1:
        raise InputError(
            f"{where}: the box {x0:g},{y0:g},{x1:g},{y1:g} is not x0 <= x1, y0 <= y1 and finite."
        )
    return x0, y0, x1, y1


def check_inside(box: tuple[float, float, float, float], size: tuple[int, int], where: str) -> None:
    """Refuse a box that leaves its image.

    A far corner may equal the width or height: annotations that mean continuous edges, or count
    pixels from 1, say so for a box that touches the border.
    """
    x0, y0, x1, y1 = box
    width, height = size
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        raise InputError(
            f"{where}: the box {x0:g},{y0:g},{x1:g},{y1:g} lies outside its image of "
            f"{width}x{height} pixels; correct the annotation or leave the image out."
        )


def as_boxes(rows: list[tuple[float, float, float, float]]) -> Boxes:
    """(n, 4) float64, n = 0 included."""
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def require_samples(samples: list[Sample], where: Path, what: str) -> list[Sample]:
    """Refuse an empty data set and one that has an image id twice."""
    if not samples:
        raise InputError(f"{where}: the data set is empty; expected {what}.")
    seen: set[str] = set()
    for sample in samples:
        if sample.image_id in seen:
            raise InputError(f"{where}: the image {sample.image_id} is listed twice.")
        seen.add(sample.image_id)
    return samples
