"""Tiny ImageNet in its public layout: 64x64 photographs of 200 ILSVRC classes, with boxes.

Its boxes are inclusive pixel corners, counted from 0. Labels are positions among the sorted
WordNet ids of `wnids.txt`, so that they agree with ImageNet's order.
"""

from pathlib import Path, PurePosixPath

from wsol.datasets.base import Dataset, ImageFile, Sample
from wsol.datasets.image_sources import Folder, ImageSource, Shards
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


def read_tiny_imagenet(
    root: Path,
    images: Path | None = None,
    split: str = "val",
    problems: Problems | None = None,
) -> Dataset:
    """Read `val` or `train`; of `train`, the images that this copy holds.

    Args:
        images: shards of the split's images, named as in the folder; None for its own folders.
        problems: collects what is wrong with single lines; None raises at the first one.
    """
    problems = problems or Problems(strict=True)
    root = require_folder(root, "the folder tiny-imagenet-200")
    if split not in ("train", "val"):
        raise InputError(f"tiny-imagenet: has no split {split!r}; there are train and val.")
    names = class_names(root)
    packed = None if images is None else Shards(images)
    read = _val if split == "val" else _train
    samples = unique(read(root, list(names), packed, problems), root, "annotated images", problems)
    return _dataset(split, samples, names)


def read_tiny_imagenet_labels(
    root: Path, images: Path | None = None, split: str = "train"
) -> Dataset:
    """A training set: the images in the class folders of this copy, or in shards, in the order of
    their numbers; no file of boxes is opened."""
    root = require_folder(root, "the folder tiny-imagenet-200")
    names = class_names(root)
    nothing = as_boxes([])
    samples = []
    if images is not None:
        there = sorted(_packed_by_name(Shards(images)), key=lambda item: (len(item[0]), item[0]))
        labelled = {wnid: label for label, wnid in enumerate(names)}
        found = [(name.partition("_")[0], name, packed) for name, packed in there]
        samples = [
            Sample(f"{wnid}/{name}", packed, labelled[wnid], nothing)
            for wnid, name, packed in sorted(found, key=lambda item: labelled.get(item[0], -1))
            if wnid in labelled
        ]
    for label, wnid in enumerate(names if images is None else ()):
        folder = require_folder(root / split / wnid / "images", f"the training images of {wnid}")
        for path in sorted(folder.iterdir(), key=lambda path: (len(path.name), path.name)):
            samples.append(Sample(f"{wnid}/{path.name}", path, label, nothing))
    problems = Problems(strict=True)
    return _dataset(split, unique(samples, root, "labelled images", problems), names)


def _packed_by_name(packed: Shards) -> list[tuple[str, ImageFile]]:
    return [(PurePosixPath(name).name, image) for name, image in packed.all()]


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
    image_id: str, path: ImageFile, label: int, corners: list[str], where: str, problems: Problems
) -> Sample:
    box = corner_box(four_numbers(corners, where), where)
    return Sample(image_id, path, label, as_boxes([clipped(box, SIZE, where, problems)]), SIZE)


def _val(root: Path, wnids: list[str], packed: Shards | None, problems: Problems) -> list[Sample]:
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    source: ImageSource = packed or Folder(root / "val" / "images")
    lines = list(read_lines(root / "val" / "val_annotations.txt", "file, wnid and box"))
    source.expect([line.split("\t", 1)[0] for line, _ in lines])
    samples = []
    for line, where in lines:
        with problems.leaving_out(line.split("\t", 1)[0]):
            name, wnid, *corners = fields(line, 6, "\t", where)
            if wnid not in label_of:
                raise AnnotationError(
                    "foreign label", f"{where}: the class {quoted(wnid)} is not in wnids.txt."
                )
            image_path(root, name, where)
            path = source.find(name, where)
            samples.append(_sample(name, path, label_of[wnid], corners, where, problems))
    return samples


def _train(root: Path, wnids: list[str], packed: Shards | None, problems: Problems) -> list[Sample]:
    there = dict(_packed_by_name(packed)) if packed is not None else None
    samples = []
    for label, wnid in enumerate(wnids):
        folder = root / "train" / wnid
        if there is None:
            images = require_folder(folder / "images", f"the training images of {wnid}")
            present: dict[str, ImageFile] = {path.name: path for path in images.iterdir()}
        else:
            present = there
        for line, where in read_lines(folder / f"{wnid}_boxes.txt", "file and box"):
            name = line.split("\t", 1)[0]
            with problems.leaving_out(f"{wnid}/{name}"):
                corners = fields(line, 5, "\t", where)[1:]
                image_path(folder, name, where)
                if name in present:
                    image_id, path = f"{wnid}/{name}", present[name]
                    samples.append(_sample(image_id, path, label, corners, where, problems))
    return samples
