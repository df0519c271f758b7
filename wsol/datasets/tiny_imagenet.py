"""Tiny ImageNet in its public layout: 64x64 photographs of 200 ILSVRC classes, with boxes.

Its boxes are inclusive pixel corners, counted from 0. Labels are positions among the sorted
WordNet ids of `wnids.txt`, so that they agree with ImageNet's order.
"""

from pathlib import Path

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.parsing import (
    AnnotationError,
    Problems,
    as_boxes,
    clipped,
    corner_box,
    fields,
    four_numbers,
    image_path,
    unique,
)
from wsol.errors import InputError
from wsol.files import require_folder
from wsol.reading import quoted, read_lines

NAME = "Tiny ImageNet"
SIZE = (64, 64)


def read_tiny_imagenet(root: Path, split: str = "val", problems: Problems | None = None) -> Dataset:
    """Read `val` or `train`; of `train`, the images that this copy holds.

    `problems` collects what is wrong with single lines; None raises at the first one.
    """
    problems = problems or Problems(strict=True)
    root = require_folder(root, "the folder tiny-imagenet-200")
    if split not in ("train", "val"):
        raise InputError(f"tiny-imagenet: has no split {split!r}; there are train and val.")
    names = class_names(root)
    read = _val if split == "val" else _train
    samples = unique(read(root, list(names), problems), root, "annotated images", problems)
    return _dataset(split, samples, names)


def read_tiny_imagenet_labels(root: Path, split: str = "train") -> Dataset:
    """A training set: the images in the class folders of this copy, in the order of their numbers;
    no file of boxes is opened."""
    root = require_folder(root, "the folder tiny-imagenet-200")
    names = class_names(root)
    nothing = as_boxes([])
    samples = []
    for label, wnid in enumerate(names):
        folder = require_folder(root / split / wnid / "images", f"the training images of {wnid}")
        for path in sorted(folder.iterdir(), key=lambda path: (len(path.name), path.name)):
            samples.append(Sample(f"{wnid}/{path.name}", path, label, nothing))
    problems = Problems(strict=True)
    return _dataset(split, unique(samples, root, "labelled images", problems), names)


def class_names(root: Path) -> dict[str, str]:
    """The classes in label order: WordNet id to a name for people."""
    wnids = sorted(line for line, _ in read_lines(root / "wnids.txt", "a WordNet id a line"))
    names = {wnid: wnid for wnid in wnids}
    for line, _ in read_lines(root / "words.txt", "WordNet id, tab, names"):
        wnid, _, words = line.partition("\t")
        if wnid in names:
            names[wnid] = words.split(",")[0]
    return names


def _dataset(split: str, samples: list[Sample], names: dict[str, str]) -> Dataset:
    return Dataset(NAME, split, samples, tuple(names), tuple(names.values()))


def _sample(
    image_id: str, path: Path, label: int, corners: list[str], where: str, problems: Problems
) -> Sample:
    box = corner_box(four_numbers(corners, where), where)
    return Sample(image_id, path, label, as_boxes([clipped(box, SIZE, where, problems)]), SIZE)


def _val(root: Path, wnids: list[str], problems: Problems) -> list[Sample]:
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    samples = []
    for line, where in read_lines(root / "val" / "val_annotations.txt", "file, wnid and box"):
        with problems.leaving_out(line.split("\t", 1)[0]):
            name, wnid, *corners = fields(line, 6, "\t", where)
            if wnid not in label_of:
                raise AnnotationError(
                    "foreign label", f"{where}: the class {quoted(wnid)} is not in wnids.txt."
                )
            path = image_path(root / "val" / "images", name, where)
            samples.append(_sample(name, path, label_of[wnid], corners, where, problems))
    return samples


def _train(root: Path, wnids: list[str], problems: Problems) -> list[Sample]:
    samples = []
    for label, wnid in enumerate(wnids):
        folder = root / "train" / wnid
        images = require_folder(folder / "images", f"the training images of {wnid}")
        present = {path.name for path in images.iterdir()}
        for line, where in read_lines(folder / f"{wnid}_boxes.txt", "file and box"):
            name = line.split("\t", 1)[0]
            with problems.leaving_out(f"{wnid}/{name}"):
                corners = fields(line, 5, "\t", where)[1:]
                path = image_path(images, name, where)
                if name in present:
                    samples.append(_sample(f"{wnid}/{name}", path, label, corners, where, problems))
    return samples
