"""What an annotation says against what its photograph is: sizes, orientation, boxes outside.

Where sizes differ, the annotated one is what boxes are in: copies that were squashed or shrunk are
common. Where they are each other's swapped, one of the two is wrong, unless the photograph's
orientation tag explains it: tools that show pictures upright write boxes of what they show.
"""

from dataclasses import dataclass, replace
from enum import IntFlag
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsol.datasets.base import Dataset, Exif, Sample
from wsol.datasets.loading import SWAPPING, eight_bits, opened, orientation, turned
from wsol.datasets.parsing import Problems, as_boxes, clipped
from wsol.errors import InputError

Look = Literal["if needed", "header", "pixels"]
"""How closely to look at a photograph, see `settle`."""


class Finding(IntFlag):
    """What was noticed about one photograph."""

    NONE = 0
    OTHER_SIZE = 1
    TURNED = 2
    UNSETTLED = 4
    CLIPPED = 8
    LEFT_OUT = 16


_TOLD = {
    Finding.OTHER_SIZE: "photographs have another size than annotated, as copies have that were "
    "squashed or shrunk; boxes are scaled from the annotated size.",
    Finding.TURNED: "photographs turned as their EXIF orientation says.",
    Finding.UNSETTLED: "photographs have an EXIF orientation that no annotated size confirms; they "
    "are taken as stored (--exif apply turns them).",
    Finding.CLIPPED: "photographs have boxes that were clipped to them, by less than half a pixel.",
    Finding.LEFT_OUT: "photographs have boxes outside of them, which were left out.",
}


def finding_notes(findings: NDArray[Any]) -> list[str]:
    """A sentence for each kind among (n,) findings, with its count."""
    counts = {kind: int(np.count_nonzero(findings & kind)) for kind in _TOLD}
    return [f"{count:,} {_TOLD[kind]}" for kind, count in counts.items() if count]


class SwappedSizeError(InputError):
    """The annotated width is the photograph's height, and the other way round."""


class NoBoxLeftError(InputError):
    """Every box of an image is wrong, so that there is nothing to compare with."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A sample that agrees with its photograph: its size is known where it has boxes, and these
    lie within.

    `size` (width, height) is what boxes are in, None where nothing was asked that needs it;
    `image` is the photograph, if it was asked for.
    """

    sample: Sample
    size: tuple[int, int] | None
    findings: Finding = Finding.NONE
    image: Image.Image | None = None


def settle(
    sample: Sample,
    *,
    exif: Exif = "auto",
    skip_bad_annotations: bool = False,
    look: Look = "if needed",
) -> Settled:
    """Compare a sample with its photograph.

    Args:
        skip_bad_annotations: leave boxes out that lie outside, instead of refusing them.
        look: how closely to look at the photograph. `if needed`: measure it where boxes need a
            size that is not annotated; `header`: measure it; `pixels`: decode it, in RGB.

    Raises:
        InputError: when it cannot be opened or measured, when width and height are annotated
            swapped, or for a box outside; `NoBoxLeftError` where every box was left out.
    """
    image, findings, size = None, Finding.NONE, sample.size
    if look != "if needed" or (size is None and len(sample.boxes)):
        if sample.path is None:
            raise InputError(
                f"{sample.image_id}: its size is neither annotated nor readable; name the image "
                "folder."
            )
        with opened(sample.path) as stored:
            tag = orientation(stored) if "exif" in stored.info or stored.size != size else 1
            turn, findings = _decided(str(sample.path), stored.size, size, tag, exif)
            if look == "pixels":
                image = turned(eight_bits(stored), tag) if turn else eight_bits(stored)
            seen = stored.size[::-1] if turn and tag >= SWAPPING else stored.size
        size = size or seen
    if sample.size is None and size is not None and len(sample.boxes):
        sample, more = _within(replace(sample, size=size), size, skip_bad_annotations)
        findings |= more
    return Settled(sample, size, findings, image)


def settle_in(dataset: Dataset, sample: Sample, look: Look = "if needed") -> Settled:
    """`settle` a sample in the way that its data set was opened."""
    return settle(
        sample,
        exif=dataset.exif,
        skip_bad_annotations=dataset.skip_bad_annotations,
        look=look,
    )


def _decided(
    where: str,
    stored: tuple[int, int],
    annotated: tuple[int, int] | None,
    tag: int,
    exif: Exif,
) -> tuple[bool, Finding]:
    """Whether to turn a photograph by its tag, and what is to be told of its size."""
    turn = exif == "apply" and tag > 1
    findings = Finding.NONE
    if exif == "auto" and tag > 1:
        swapped = stored[::-1]
        told = tag >= SWAPPING and annotated is not None
        turn = told and _nearer(swapped, stored, annotated or stored)
        if not turn and not (told and _nearer(stored, swapped, annotated or stored)):
            findings |= Finding.UNSETTLED
    if turn:
        findings |= Finding.TURNED
    seen = stored[::-1] if turn and tag >= SWAPPING else stored
    if annotated is None or annotated == seen:
        return turn, findings
    if annotated == seen[::-1]:
        raise SwappedSizeError(
            f"{where}: is {seen[0]}x{seen[1]}, but annotated as {annotated[0]}x{annotated[1]}: "
            "width and height are swapped; correct the annotation."
        )
    return turn, findings | Finding.OTHER_SIZE


def _nearer(one: tuple[int, int], other: tuple[int, int], wanted: tuple[int, int]) -> bool:
    """Whether the first has a shape nearer to the wanted one than the second; exactly."""

    def distance(size: tuple[int, int]) -> Fraction:
        ratio = Fraction(size[0] * wanted[1], size[1] * wanted[0])
        return max(ratio, 1 / ratio)

    return distance(one) < distance(other)


def _within(
    sample: Sample, size: tuple[int, int], skip_bad_annotations: bool
) -> tuple[Sample, Finding]:
    """A sample whose boxes lie within its size, and what was done for that."""
    problems = Problems(strict=not skip_bad_annotations)
    kept = []
    for x0, y0, x1, y1 in sample.boxes.tolist():
        with problems.leaving_out(sample.image_id):
            kept.append(clipped((x0, y0, x1, y1), size, sample.image_id, problems))
    findings = Finding.CLIPPED if problems.clipped else Finding.NONE
    if problems.found:
        findings |= Finding.LEFT_OUT
        if not kept and sample.mask is None:
            raise NoBoxLeftError(problems.found[0].message)
    return replace(sample, boxes=as_boxes(kept)), findings
