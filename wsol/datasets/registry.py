"""Data sets by the name of their layout."""

from pathlib import Path

from wsol.datasets.base import Dataset
from wsol.datasets.coco import read_coco
from wsol.datasets.cub import read_cub
from wsol.datasets.ilsvrc import read_ilsvrc
from wsol.datasets.protocol import read_protocol
from wsol.datasets.shapes import read_shapes
from wsol.datasets.tiny_imagenet import read_tiny_imagenet
from wsol.errors import InputError

DATASETS = ("ilsvrc", "cub", "protocol", "tiny-imagenet", "coco", "shapes")


def open_dataset(
    name: str,
    root: Path,
    *,
    images: Path | None = None,
    masks: Path | None = None,
    split: str | None = None,
    exclude: Path | None = None,
) -> Dataset:
    """Open a data set.

    Args:
        name: a layout of `DATASETS`.
        root: its folder; each reader says which.
        images: the image root, where the layout does not imply it (ilsvrc, cub, protocol, coco).
        masks: the mask root (protocol).
        split: None takes the layout's evaluation split.
        exclude: images to leave out (ilsvrc).

    Raises:
        InputError: for an unknown name or split, an option the layout does not have, or anything
            wrong in its files.
    """
    taken = {
        "ilsvrc": {"images", "split", "exclude"},
        "cub": {"images", "split"},
        "protocol": {"images", "masks"},
        "tiny-imagenet": {"split"},
        "coco": {"images", "split"},
        "shapes": {"split"},
    }
    if name not in taken:
        raise InputError(f"{name}: not a known data set layout; there are {', '.join(DATASETS)}.")
    given = {"images": images, "masks": masks, "split": split, "exclude": exclude}
    for option, value in given.items():
        if value is not None and option not in taken[name]:
            hint = " (each of its folders is one split)" if option == "split" else ""
            raise InputError(f"{name}: takes no --{option}{hint}.")
    root = Path(root)
    if name == "ilsvrc":
        return read_ilsvrc(root, split or "val", images, exclude)
    if name == "cub":
        return read_cub(root, images, split or "test")
    if name == "protocol":
        return read_protocol(root, images, masks)
    if name == "tiny-imagenet":
        return read_tiny_imagenet(root, split or "val")
    if name == "coco":
        return read_coco(root, images, split)
    return read_shapes(root, split or "test")  # type: ignore[arg-type]
