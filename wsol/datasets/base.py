"""What every data set reader yields."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wsol.datasets.classes import require_once
from wsol.errors import InputError
from wsol.files import exists

Boxes = NDArray[np.float64]
"""Boxes as an (n, 4) float64 array of x0, y0, x1, y1 in pixels of the original image,
**inclusive corners**: a box that covers the single pixel (3, 5) is 3, 5, 3, 5."""

Exif = Literal["auto", "apply", "ignore"]
"""Whether photographs are turned as their orientation tags say: where the annotated size says so,
always, or never."""

ROUNDING = 0.5
"""How far a box may leave its image, in pixels: less is the rounding of a conversion."""

_NOWHERE = (float("nan"), float("nan"))


@dataclass(frozen=True, slots=True)
class MaskFiles:
    """Pixel annotation of one image (OpenImages30k): the union of `objects` is the foreground;
    pixels of `ignore` outside it count neither way. Every file is a grey PNG, > 0 = inside."""

    objects: tuple[Path, ...]
    ignore: Path | None = None


@dataclass(frozen=True, slots=True)
class Packed:
    """An image inside of a shard: a member of a tar file, or a row of a Parquet file.

    Attributes:
        shard: the file.
        member: the image's name in it.
        place: where its content begins in the tar file (in the unzipped one), or its row; negative
            for an image that was looked for and is in no shard.
        size: bytes of its content; -1 where only reading it tells.
    """

    shard: Path
    member: str
    place: int
    size: int

    def __str__(self) -> str:
        return f"{self.shard}::{self.member}"

    def exists(self) -> bool:
        """Whether its shard is there and should hold it."""
        return self.place >= 0 and exists(self.shard)

    def absolute(self) -> "Packed":
        """The same with its shard's whole path."""
        return replace(self, shard=self.shard.absolute())


ImageFile = Path | Packed
"""Where a photograph is."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One annotated image; no pixel has been read yet.

    Attributes:
        image_id: unique within the data set; relative path or number, never absolute.
        path: the image file, or its place in a shard; None where the annotations were opened
            without images.
        label: class index into `Dataset.classes`.
        boxes: (n, 4) inclusive corners (see `Boxes`); n = 0 where only masks exist.
        size: (width, height) as the annotations state it, or None: read it from the image.
        mask: pixel annotation, or None.
    """

    image_id: str
    path: ImageFile | None
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
    `exif` says whether boxes are on photographs as stored or as seen, and `skip_bad_annotations`
    that boxes outside of them are left out and not refused; see `wsol.datasets.settling`.

    Raises:
        InputError: on construction, for a name, split or class that is no text, or naming the first
            sample that has another one's id, a label that is no position in `classes`, a path,
            size or mask of another type than `Sample` says, or boxes that are none: not an (n, 4)
            array, not finite, with a far corner before the near one, or outside an image of known
            size.
    """

    name: str
    split: str
    samples: Sequence[Sample]
    classes: tuple[str, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())
    exif: Exif = "auto"
    skip_bad_annotations: bool = False

    def __post_init__(self) -> None:
        where = f"{self.name}, split {self.split}"
        for told, text in (("name", self.name), ("split", self.split)):
            if not isinstance(text, str) or not text:
                raise InputError(f"{where}: the {told} of a data set is a text, not {text!r:.40}.")
        for told in ("classes", "class_names"):
            texts = getattr(self, told)
            if not isinstance(texts, tuple | list) or not all(isinstance(t, str) for t in texts):
                raise InputError(f"{where}: {told} is {texts!r:.40}; expected a tuple of texts.")
            object.__setattr__(self, told, tuple(texts))
        require_once(self.classes, where)
        if len(self.class_names) != len(self.classes):
            raise InputError(
                f"{where}: {len(self.class_names)} class names for {len(self.classes)} classes."
            )
        _check_samples(self.samples, len(self.classes), where)

    @classmethod
    def of_checked(
        cls,
        name: str,
        split: str,
        samples: Sequence[Sample],
        classes: tuple[str, ...],
        class_names: tuple[str, ...],
    ) -> "Dataset":
        """A data set of samples that a reader has checked already, a million of them at once."""
        empty = cls(name, split, (), classes, class_names)
        return empty._with(samples=samples)

    def noting(self, *notes: str) -> "Dataset":
        """The same with more notes."""
        return self._with(notes=(*self.notes, *notes))

    def opened_with(self, exif: Exif, skip_bad_annotations: bool) -> "Dataset":
        """The same, with what is to be done about its photographs."""
        return self._with(exif=exif, skip_bad_annotations=skip_bad_annotations)

    def _with(self, **fields: Any) -> "Dataset":
        changed = copy(self)
        # Nothing that was checked on construction changes, so it is not checked again.
        for name, value in fields.items():
            object.__setattr__(changed, name, value)
        return changed

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)


def limited(dataset: Dataset, limit: int | None) -> Dataset:
    """So many images of a data set, spread evenly over its classes; all of them for None.

    Every class gets the same number as far as it has so many. With fewer images than classes,
    the classes that get one are spread over the list of classes; within a class, its images over
    the data set's order, which stays as it is.

    Raises:
        InputError: when the limit is no whole number above 0.
    """
    if limit is not None and (not _is_integer(type(limit)) or limit < 1):
        raise InputError(f"limit: should be a whole number above 0, not {limit!r:.40}.")
    if limit is None or limit >= len(dataset):
        return dataset
    labels = np.array([sample.label for sample in dataset.samples])
    chosen = spread(labels, limit)
    covered, present = len(np.unique(labels[chosen])), len(np.unique(labels))
    note = (
        f"Only {limit:,} of {len(dataset):,} images, spread evenly over {covered:,} of "
        f"{present:,} classes."
    )
    return replace(
        dataset,
        samples=[dataset.samples[position] for position in chosen],
        notes=(*dataset.notes, note),
    )


def spread(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """`count` ascending positions in (n,) `labels`, as evenly over the labels as there are images.

    `count` is at most n.
    """
    by_label = np.argsort(labels, kind="stable")
    sizes = np.unique(labels, return_counts=True)[1]
    quota = np.zeros(len(sizes), dtype=np.int64)
    while (left := count - int(quota.sum())) > 0:
        able = np.flatnonzero(quota < sizes)
        if left < len(able):
            quota[able[_even(len(able), left)]] += 1
        else:
            quota[able] = np.minimum(sizes[able], quota[able] + left // len(able))
    starts = np.cumsum(sizes) - sizes
    chosen = [
        start + _even(int(size), int(number))
        for start, size, number in zip(starts, sizes, quota, strict=True)
    ]
    return np.sort(by_label[np.concatenate(chosen)])


def _even(total: int, count: int) -> NDArray[np.int64]:
    """`count` of the positions 0 to `total` - 1, evenly spaced, beginning with 0."""
    return np.arange(count) * total // max(count, 1)


def _check_samples(samples: Sequence[Sample], classes: int, where: str) -> None:
    """Refuse samples that no evaluation could be right about.

    All of them are looked at together, for a million takes a second; only where one is wrong is
    it looked for.
    """
    if not hasattr(samples, "__len__") or not hasattr(samples, "__getitem__"):
        raise InputError(
            f"{where}: its samples are {_kind(samples)}; expected a sequence, such as a list."
        )
    if not all(issubclass(kind, Sample) for kind in _kinds(samples)):
        stranger = next(sample for sample in samples if not isinstance(sample, Sample))
        raise InputError(f"{where}: its samples hold {_kind(stranger)} instead of Sample objects.")
    ids = [sample.image_id for sample in samples]
    boxes = [sample.boxes for sample in samples]
    if not all(issubclass(kind, str) for kind in _kinds(ids)) or "" in ids:
        found = next(image_id for image_id in ids if not isinstance(image_id, str) or not image_id)
        raise InputError(f"{where}: the image id {found!r:.40} is no text.")
    if len(set(ids)) != len(ids):
        twice = next(image_id for image_id, count in Counter(ids).items() if count > 1)
        raise InputError(f"{where}: the image {twice} is listed twice.")
    _check_labels(samples, classes, where)
    _check_files(samples, where)
    _check_sizes(samples, where)
    if (
        _kinds(boxes) - {np.ndarray}
        or {box.ndim for box in boxes} - {2}
        or {box.shape[1] for box in boxes} - {4}
    ):
        _refuse_shape(ids, boxes, where)
    _check_boxes(samples, boxes, where)


def _check_labels(samples: Sequence[Sample], classes: int, where: str) -> None:
    labels = [sample.label for sample in samples]
    if all(map(_is_integer, _kinds(labels))) and all(0 <= x < classes for x in set(labels)):
        return
    for sample in samples:
        if not _is_integer(type(sample.label)) or not 0 <= sample.label < classes:
            raise InputError(
                f"{where}: {sample.image_id} has the label {sample.label!r:.40}; expected a "
                f"position among the {classes} classes, counted from 0."
            )


def _check_files(samples: Sequence[Sample], where: str) -> None:
    if not all(map(_is_place, _kinds(sample.path for sample in samples))):
        found = next(sample for sample in samples if not _is_place(type(sample.path)))
        raise InputError(
            f"{where}: the path of {found.image_id} is {found.path!r:.80}; expected a pathlib.Path "
            "or None."
        )
    for sample in samples:
        if sample.mask is not None and not _is_mask(sample.mask):
            raise InputError(
                f"{where}: the mask of {sample.image_id} is {sample.mask!r:.80}; expected "
                "MaskFiles of one or more pathlib.Path, or None."
            )


def _check_sizes(samples: Sequence[Sample], where: str) -> None:
    sizes = [sample.size for sample in samples if sample.size is not None]
    if (
        all(issubclass(kind, tuple) for kind in _kinds(sizes))
        and set(map(len, sizes)) <= {2}
        and all(map(_is_integer, _kinds(chain.from_iterable(sizes))))
        and min(chain.from_iterable(sizes), default=1) > 0
    ):
        return
    found = next(s for s in samples if s.size is not None and not _is_size(s.size))
    raise InputError(
        f"{where}: {found.image_id} has the size {found.size!r:.40}; expected (width, height), two "
        "whole numbers above 0, or None."
    )


def _kinds(values: Iterable[Any]) -> set[type]:
    return set(map(type, values))


def _is_integer(kind: type) -> bool:
    """Whether it is one of whole numbers; True and False, which index as masks do, are none."""
    return issubclass(kind, int | np.integer) and kind is not bool


def _is_place(kind: type) -> bool:
    return issubclass(kind, Path | Packed | None)


def _is_mask(mask: Any) -> bool:
    if not isinstance(mask, MaskFiles) or not isinstance(mask.objects, tuple) or not mask.objects:
        return False
    files = (*mask.objects, *(() if mask.ignore is None else (mask.ignore,)))
    return all(isinstance(file, Path) for file in files)


def _is_size(size: Any) -> bool:
    is_pair = isinstance(size, tuple) and len(size) == 2
    return is_pair and all(_is_integer(type(side)) and side > 0 for side in size)


def _refuse_shape(ids: list[str], boxes: list[Any], where: str) -> None:
    for image_id, box in zip(ids, boxes, strict=True):
        if not isinstance(box, np.ndarray) or box.shape[1:] != (4,):
            found = f"the shape {box.shape}" if isinstance(box, np.ndarray) else _kind(box)
            raise InputError(
                f"{where}: the boxes of {image_id} have {found}; expected an (n, 4) array."
            )


def _check_boxes(samples: Sequence[Sample], arrays: list[Boxes], where: str) -> None:
    counts = [len(array) for array in arrays]
    boxes = np.concatenate(arrays) if arrays else np.empty((0, 4))
    if boxes.dtype.kind not in "fiu":
        raise InputError(f"{where}: boxes have the type {boxes.dtype}; expected numbers.")
    sizes = np.array([sample.size or _NOWHERE for sample in samples], dtype=np.float64)
    limits = np.repeat(sizes.reshape(-1, 2), counts, axis=0)
    near, far = boxes[:, :2], boxes[:, 2:]
    wrong = np.asarray(~np.isfinite(boxes).all(axis=1) | (near > far).any(axis=1))
    # A comparison with an unknown size, which is NaN, is false.
    outside = ((near < -ROUNDING) & ~np.isnan(limits) | (far > limits + ROUNDING)).any(1)
    bad = np.flatnonzero(wrong | outside)
    if len(bad):
        sample = samples[int(np.repeat(np.arange(len(samples)), counts)[bad[0]])]
        box = ",".join(f"{value!r}" for value in boxes[bad[0]].tolist())
        told = "is not x0 <= x1, y0 <= y1 and finite"
        if sample.size is not None and not wrong[bad[0]]:
            told = f"lies outside its image of {sample.size[0]}x{sample.size[1]} pixels"
        raise InputError(f"{where}: a box of {sample.image_id}, {box}, {told}.")


def _kind(value: Any) -> str:
    return f"the type {type(value).__name__}"
