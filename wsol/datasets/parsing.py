"""Small pieces that several readers share: numbers and boxes, with their place in a file; and what
becomes of annotations that cannot be used."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import TracebackType

import numpy as np

from wsol.datasets.base import ROUNDING, Boxes, Sample
from wsol.errors import InputError
from wsol.files import inside
from wsol.reading import number, quoted, shortened

Box = tuple[float, float, float, float]

_WHOLE = re.compile(r"\s*[+-]?\d{1,18}\s*\Z", re.ASCII)


class AnnotationError(InputError):
    """A line, box or file about one image that cannot be used; the rest of the data set can.

    `kind` says what is wrong in the words that `wsol datasets check` counts by.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one image; `image_id` is empty where it is unknown."""

    kind: str
    image_id: str
    message: str


class Problems:
    """What a reader could not use.

    Attributes:
        found: in the order of the files; empty for `strict`.
        missing: images without annotation and annotations without image, where a part of a data
            set is a data set still: told, and refused by nobody.
        clipped: boxes that left their image by less than half a pixel and were clipped.
    """

    def __init__(self, *, strict: bool = False) -> None:
        """`strict` raises at the first one instead of collecting them."""
        self.found: list[Problem] = []
        self.missing: list[Problem] = []
        self.clipped = 0
        self._strict = strict
        self._image_id = ""

    def leaving_out(self, image_id: str = "") -> "Problems":
        """A `with` block whose `AnnotationError` is one of the problems, of this image."""
        self._image_id = image_id
        return self

    def add(self, kind: str, image_id: str, message: str) -> None:
        """Add one that is known already."""
        if self._strict:
            raise AnnotationError(kind, message)
        self.found.append(Problem(kind, image_id, message))

    def tell(self, kind: str, image_id: str, message: str) -> None:
        """Add one of `missing`."""
        self.missing.append(Problem(kind, image_id, message))

    def notes(self) -> tuple[str, ...]:
        """What a record says of what is missing and what was left out."""
        notes = []
        for kind in dict.fromkeys(problem.kind for problem in self.missing):
            messages = [problem.message for problem in self.missing if problem.kind == kind]
            notes.append(f"{len(messages):,} x {kind}; first: {messages[0]}")
        if self.clipped:
            notes.append(
                f"{self.clipped:,} boxes clipped to their image, by less than half a pixel."
            )
        if self.found:
            kinds = Counter(problem.kind for problem in self.found)
            told = ", ".join(f"{count:,} x {kind}" for kind, count in kinds.items())
            notes.append(f"Bad annotations left out: {told}; first: {self.found[0].message}")
        return tuple(notes)

    @staticmethod
    def clipped_note(count: int) -> list[str]:
        """A note of so many clipped boxes, or none."""
        told = f"{count:,} boxes clipped to their image, by less than half a pixel."
        return [told] if count else []

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, AnnotationError) or self._strict:
            return False
        self.found.append(Problem(error.kind, self._image_id, str(error)))
        return True


def fields(line: str, count: int, separator: str | None, where: str) -> list[str]:
    """The fields of a line, exactly `count` of them."""
    parts = line.split(separator)
    if len(parts) != count:
        raise AnnotationError(
            "malformed line",
            f"{where}: has {len(parts)} fields instead of {count}: {quoted(line, 80)}.",
        )
    return parts


def whole_number(text: str, what: str, where: str) -> int:
    """A non-negative whole number of at most 18 digits."""
    value = int(text) if _WHOLE.match(text) else -1
    if value < 0:
        raise AnnotationError(
            "malformed line", f"{where}: the {what} {quoted(text, 40)} is not a whole number."
        )
    return value


def four_numbers(texts: Sequence[str], where: str) -> Box:
    """Four numbers, whatever they are."""
    try:
        first, second, third, fourth = map(number, texts)
    except ValueError as error:
        raise AnnotationError(
            "bad box", f"{where}: the box {quoted(','.join(texts))} is not four numbers."
        ) from error
    return first, second, third, fourth


def corner_box(box: Box, where: str) -> Box:
    """x0, y0, x1, y1 again, if they are finite with x0 <= x1 and y0 <= y1."""
    x0, y0, x1, y1 = box
    if not all(map(isfinite, box)) or x0 > x1 or y0 > y1:
        raise AnnotationError(
            "bad box",
            f"{where}: the box {plain_box(box)} is not x0 <= x1, y0 <= y1 and finite.",
        )
    return box


def sized_box(box: Box, where: str) -> Box:
    """x, y, width, height again, if they are finite and the size is positive."""
    _, _, width, height = box
    if not all(map(isfinite, box)):
        raise AnnotationError("bad box", f"{where}: the box {plain_box(box)} is not finite.")
    if not (width > 0 and height > 0):
        raise AnnotationError(
            "bad box", f"{where}: the box has the size {plain(width)}x{plain(height)}."
        )
    return box


def clipped(box: Box, size: tuple[int, int] | None, where: str, problems: Problems) -> Box:
    """A box within its image: what sticks out by less than half a pixel is cut off.

    A far corner may equal the width or height: annotations that mean continuous edges, or count
    pixels from 1, say so for a box that touches the border.

    Raises:
        AnnotationError: when it sticks out by more.
    """
    if size is None:
        return box
    x0, y0, x1, y1 = box
    width, height = size
    if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
        return box
    if min(x0, y0) <= -ROUNDING or x1 - width >= ROUNDING or y1 - height >= ROUNDING:
        raise AnnotationError(
            "box outside its image",
            f"{where}: the box {plain_box(box)} lies outside its image of {width}x{height} "
            "pixels; correct the annotation or leave it out.",
        )
    problems.clipped += 1
    x0, y0 = min(max(x0, 0.0), float(width)), min(max(y0, 0.0), float(height))
    return x0, y0, max(min(x1, float(width)), x0), max(min(y1, float(height)), y0)


def plain(value: float) -> str:
    """A number with all its digits, so that what is wrong with it shows."""
    return repr(float(value)).removesuffix(".0")


def plain_box(box: Sequence[float]) -> str:
    """Four numbers with all their digits."""
    return ",".join(map(plain, box))


def as_boxes(rows: Sequence[Box]) -> Boxes:
    """(n, 4) float64, n = 0 included."""
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def image_path(root: Path, name: str, where: str) -> Path:
    """An image below its root; the name comes from a data file.

    Raises:
        AnnotationError: when it leaves the root.
    """
    # The text of nearly all names says at once that they do not leave it.
    if name and name[0] != "/" and ".." not in name and "\\" not in name and "\0" not in name:
        return root / name
    try:
        return inside(root, name, where)
    except InputError as error:
        raise AnnotationError("bad file name", shortened(str(error), 400)) from error


def unique(samples: list[Sample], where: Path, what: str, problems: Problems) -> list[Sample]:
    """Samples without those whose image id came before; an empty data set is refused.

    It is refused where nothing else is known to be wrong: the first problem says more.
    """
    if not samples and not problems.found:
        raise InputError(f"{where}: the data set is empty; expected {what}.")
    seen: set[str] = set()
    if len({sample.image_id for sample in samples}) == len(samples):
        return samples
    kept = []
    for sample in samples:
        if sample.image_id in seen:
            problems.add(
                "listed twice",
                sample.image_id,
                f"{where}: the image {sample.image_id} is listed twice.",
            )
            continue
        seen.add(sample.image_id)
        kept.append(sample)
    return kept
