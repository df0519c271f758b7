"""Tiny ImageNet in its public layout: 64x64 photographs of 200 ILSVRC classes, with boxes.

Its boxes are inclusive pixel corners, counted from 0. Labels are positions among the sorted
WordNet ids of `wnids.txt`, so that they agree with ImageNet's order.
"""

from pathlib import Path

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.parsing import (
    as_boxes,
    box_of,
    check_inside,
    fields,
    read_lines,
    require_samples,
)
from wsol.errors import InputError
from wsol.files import inside, require_folder

NAME = "Tiny ImageNet"
SIZE = (64, 64)


def read_tiny_imagenet(root: Path, split: str = "val") -> Dataset:
    """Read `val` or `train`; of `train`, the images that this copy holds."""
    root = require_folder(root, "the folder tiny-imagenet-200")
    if split not in ("train", "val"):
        raise InputError(f"tiny-imagenet: has no split {split!r}; there are train and val.")
    names = class_names(root)
    label_of = {wnid: label for label, wnid in enumerate(names)}
    samples = _val(root, label_of) if split == "val" else _train(root, list(names))
    return Dataset(
        name=NAME,
        split=split,
        samples=require_samples(samples, root, "annotated images"),
        classes=tuple(names),
        class_names=tuple(names.values()),
    )


def class_names(root: Path) -> dict[str, str]:
    """The classes in label order: WordNet id to a name for people."""
    wnids = sorted(line for line, _ in read_lines(root / "wnids.txt", "a WordNet id a line"))
    names = {wnid: wnid for wnid in wnids}
    for line, _ in read_lines(root / "words.txt", "WordNet id, tab, names"):
        wnid, _, words = line.partition("\t")
        if wnid in names:
            names[wnid] = words.split(",")[0]
    return names


def _sample(image_id: str, path: Path, label: int, corners: list[str], where: str) -> Sample:
    box = box_of(corners, where)
    check_inside(box, SIZE, where)
    return Sample(image_id, path, label, as_boxes([box]), SIZE)


def _val(root: Path, label_of: dict[str, int]) -> list[Sample]:
    samples = []
    for line, where in read_lines(root / "val" / "val_annotations.txt", "file, wnid and box"):
        name, wnid, *corners = fields(line, 6, "\t", where)
        if wnid not in label_of:
            raise InputError(f"{where}: the class {wnid!r} is not in wnids.txt.")
        path = inside(root / "val" / "images", name, where)
        samples.append(_sample(name, path, label_of[wnid], corners, where))
    return samples


def _train(root: Path, wnids: list[str]) -> list[Sample]:
    samples = []
    for label, wnid in enumerate(wnids):
        folder = root / "train" / wnid
        images = require_folder(folder / "images", f"the training images of {wnid}")
        present = {path.name for path in images.iterdir()}
        for line, where in read_lines(folder / f"{wnid}_boxes.txt", "file and box"):
            name, *corners = fields(line, 5, "\t", where)
            path = inside(images, name, where)
            if name in present:
                samples.append(_sample(f"{wnid}/{name}", path, label, corners, where))
    return samples
