"""Training sets: images and image-level labels, and nothing that localizes.

No function here opens a file of boxes, sizes or masks; where a format keeps labels and boxes in
one file (`shapes`), the box columns are not looked at. Samples have no boxes.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from wsol.datasets import cub, ilsvrc, protocol, tiny_imagenet
from wsol.datasets.base import Dataset, Sample
from wsol.datasets.classes import imagenet_classes
from wsol.datasets.parsing import as_boxes, require_samples
from wsol.datasets.shapes import read_shape_labels
from wsol.errors import InputError
from wsol.files import require_folder

TRAINING_SETS = ("ilsvrc", "cub", "openimages", "protocol", "tiny-imagenet", "shapes")


def open_training_set(
    name: str,
    root: Path,
    *,
    images: Path | None = None,
    split: str | None = None,
    limit: int | None = None,
) -> Dataset:
    """Open images with their labels alone.

    Args:
        name: a layout of `TRAINING_SETS`. `protocol` is one four-file folder; `openimages` is the
            folder whose subfolders are those splits.
        root: its folder.
        images: the image root (ilsvrc, cub, openimages, protocol).
        split: None takes `train`.
        limit: keep so many images, spread evenly over the set, which lists class after class.

    Raises:
        InputError: for an unknown name, a missing split, or anything wrong in the files.
    """
    root = Path(root)
    if name not in TRAINING_SETS:
        raise InputError(
            f"{name}: nothing can be trained on it; there are {', '.join(TRAINING_SETS)}."
        )
    if images is not None and name in ("tiny-imagenet", "shapes"):
        raise InputError(f"{name}: takes no --images.")
    if split is not None and name == "protocol":
        raise InputError("protocol: takes no --split (each of its folders is one split).")
    split = split or "train"
    if split != "train" and name in ("ilsvrc", "tiny-imagenet"):
        raise InputError(f"{name}: training has the split train, not {split!r}.")
    if name == "ilsvrc":
        dataset = _ilsvrc(root, images)
    elif name == "cub":
        dataset = _cub(root, images, split)
    elif name == "openimages":
        dataset = _protocol(root / split, images)
    elif name == "protocol":
        dataset = _protocol(root, images)
    elif name == "tiny-imagenet":
        dataset = _tiny_imagenet(root)
    else:
        dataset = read_shape_labels(root, split)  # type: ignore[arg-type]
    return dataset if limit is None else _spread(dataset, limit)


def _ilsvrc(root: Path, images: Path | None) -> Dataset:
    """Images in one folder a class, named by WordNet id."""
    folder, files = ilsvrc.find_images(require_folder(root, "the ILSVRC folder"), images, "train")
    label_of = {wnid: label for label, (wnid, _) in enumerate(imagenet_classes())}
    labelled = []
    for relative, path in files:
        wnid = path.parent.name
        if wnid not in label_of:
            raise InputError(
                f"{path}: training images lie in one folder a class, named by WordNet id; "
                f"{wnid!r} is none of the 1,000 of ILSVRC 2012."
            )
        labelled.append((relative, path, label_of[wnid]))
    return Dataset(
        name="ILSVRC",
        split="train",
        samples=_samples(labelled, folder),
        classes=tuple(label_of),
        class_names=tuple(name for _, name in imagenet_classes()),
    )


def _cub(root: Path, images: Path | None, split: str) -> Dataset:
    labelled = cub.labelled_images(root, images, split)
    return Dataset(
        name="CUB",
        split=split,
        samples=_samples(labelled.images.values(), labelled.root),
        classes=labelled.classes,
        class_names=labelled.class_names,
    )


def _protocol(root: Path, images: Path | None) -> Dataset:
    """A four-file folder, of which two files are enough here."""
    require_folder(root, "a training split: a folder with image_ids.txt and class_labels.txt")
    if images is None:
        raise InputError(f"{root}: holds no photographs; name the image root with --images.")
    require_folder(images, "the image root")
    labels = protocol.image_labels(root)
    items = ((image_id, images / image_id, label) for image_id, label in labels.items())
    return protocol.as_dataset(root, _samples(items, root))


def _tiny_imagenet(root: Path) -> Dataset:
    """The images in the class folders of this copy, in the order of their numbers."""
    names = tiny_imagenet.class_names(require_folder(root, "the folder tiny-imagenet-200"))
    labelled = []
    for label, wnid in enumerate(names):
        folder = require_folder(root / "train" / wnid / "images", f"the training images of {wnid}")
        for path in sorted(folder.iterdir(), key=lambda path: (len(path.name), path.name)):
            labelled.append((f"{wnid}/{path.name}", path, label))
    return Dataset(
        name=tiny_imagenet.NAME,
        split="train",
        samples=_samples(labelled, root),
        classes=tuple(names),
        class_names=tuple(names.values()),
    )


def _samples(items: Iterable[tuple[str, Path, int]], where: Path) -> list[Sample]:
    nothing = as_boxes([])
    samples = [Sample(image_id, path, label, nothing) for image_id, path, label in items]
    return require_samples(samples, where, "labelled images")


def _spread(dataset: Dataset, limit: int) -> Dataset:
    if limit >= len(dataset):
        return dataset
    chosen = np.linspace(0, len(dataset), limit, endpoint=False).astype(int)
    return replace(
        dataset,
        samples=[dataset.samples[i] for i in chosen],
        notes=(*dataset.notes, f"Only {limit} of {len(dataset)} images, spread evenly."),
    )
