"""What every data set reader yields."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
"""Boxes as an (n, 4) float64 array of x0, y0, x1, y1 in pixels of the original image,
**inclusive corners**: a box that covers the single pixel (3, 5) is 3, 5, 3, 5."""


@dataclass(frozen=True, slots=True)
class MaskFiles:
    """Pixel annotation of one image (OpenImages30k): the union of `objects` is the foreground;
    pixels of `ignore` outside it count neither way. Every file is a grey PNG, > 0 = inside."""

    objects: tuple[Path, ...]
    ignore: Path | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One annotated image; no pixel has been read yet.

    Attributes:
        image_id: unique within the data set; relative path or number, never absolute.
        path: the image file, or None where the annotations were opened without images.
        label: class index into `DatasetInfo.classes`.
        boxes: (n, 4) inclusive corners (see `Boxes`); n = 0 where only masks exist.
        size: (width, height) as the annotations state it, or None: read it from the image.
        mask: pixel annotation, or None.
    """

    image_id: str
    path: Path | None
    label: int
    boxes: Boxes
    size: tuple[int, int] | None = None
    mask: MaskFiles | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named, finite, ordered collection of samples.

    `samples` is a sequence so that a run can be sharded, resumed and sampled by index; readers
    keep it light (paths and boxes only). `classes` holds the class keys in label order (wnids
    for ImageNet-like sets), which is how a model's outputs are matched to labels.
    `class_names` are for people. `notes` are facts about this copy worth keeping in a record.
    """

    name: str
    split: str
    samples: Sequence[Sample]
    classes: tuple[str, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)


def limited(dataset: Dataset, limit: int | None) -> Dataset:
    """The first `limit` images of a data set, or all of them."""
    if limit is None or limit >= len(dataset):
        return dataset
    return replace(
        dataset,
        samples=dataset.samples[:limit],
        notes=(*dataset.notes, f"Only the first {limit} of {len(dataset)} images."),
    )
