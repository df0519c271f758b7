"""The classes of data sets that everybody knows, and how many images those have.

A part of such a data set keeps all its classes: a network for the whole set is right or wrong
among all its logits, whichever images were kept.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from wsol.errors import InputError

CLASSES_MOST = 1_000_000
"""Labels beyond this are taken for a mistake, before a class is made for every number below."""

PUBLISHED_IMAGES = {
    ("ILSVRC", 1000, "train"): 1_281_167,
    ("ILSVRC", 1000, "train-weaksup"): 1_281_167,
    ("ILSVRC", 1000, "train-fullsup"): 10_000,
    ("ILSVRC", 1000, "val"): 50_000,
    ("ILSVRC", 1000, "test"): 50_000,
    ("CUB", 200, "train"): 5_994,
    ("CUB", 200, "train-weaksup"): 5_994,
    ("CUB", 200, "train-fullsup"): 1_000,
    ("CUB", 200, "test"): 5_794,
    ("OpenImages", 100, "train-weaksup"): 29_819,
    ("OpenImages", 100, "train-fullsup"): 2_500,
    ("OpenImages", 100, "test"): 5_000,
    ("Tiny ImageNet", 200, "train"): 100_000,
    ("Tiny ImageNet", 200, "val"): 10_000,
}
"""Images by a `Dataset`'s name, number of classes, and split, as published; ILSVRC's and CUB's
`train-fullsup` are ImageNetV2 and CUBV2 of the WSOL protocol (Choe et al., CVPR 2020)."""


@cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """(WordNet id, name) of each of the 1,000 classes of ILSVRC 2012, in the order of sorted ids:
    that of ImageNet networks."""
    rows = (line.split("\t") for line in _lines("ilsvrc_classes.tsv"))
    return tuple((row[0], row[1]) for row in rows)


@cache
def devkit_classes() -> dict[int, str]:
    """WordNet id by the number that ILSVRC 2012's devkit has for a class, from 1 to 1,000: the
    `ILSVRC2012_ID` of its `meta.mat`, which is not the order of the ids."""
    rows = (line.split("\t") for line in _lines("ilsvrc_classes.tsv"))
    return {int(row[2]): row[0] for row in rows}


@cache
def cub_classes() -> tuple[tuple[str, str], ...]:
    """(key, name) of each of the 200 classes of CUB-200-2011, in its order; a key is such as
    `001.Black_footed_Albatross`."""
    return tuple((key, bird_name(key)) for key in _lines("cub_classes.txt"))


@cache
def openimages_classes() -> tuple[tuple[str, str], ...]:
    """(key, key) of each of the 100 classes of OpenImages30k, in the WSOL protocol's order."""
    return tuple((key, key) for key in _lines("openimages_classes.txt"))


def bird_name(key: str) -> str:
    """The name for people in a class key of CUB."""
    return key.partition(".")[2].replace("_", " ") or key


def known_classes(
    name: str, image_ids: Sequence[str], labels: Sequence[int]
) -> tuple[tuple[str, str], ...] | None:
    """(key, name) of the classes of the known data set that annotations are of, or None.

    Images in class folders tell by these, which have to agree with every label: the key itself, or
    the label as a number. Images without class folders tell by the names of ILSVRC's validation
    images, or by the name of the data set.

    Args:
        name: as the place of the files has it.
        image_ids: paths below the image root.
        labels: of these.
    """
    folders = [image_id.rpartition("/")[0].rpartition("/")[2] for image_id in image_ids]
    highest = max(labels, default=0)
    known = {
        "ILSVRC": imagenet_classes,
        "CUB": cub_classes,
        "OpenImages": openimages_classes,
    }
    for set_name, classes_of in known.items():
        classes = classes_of()
        if highest >= len(classes):
            continue
        pairs = list(zip(folders, labels, strict=True))
        if all(folder == classes[label][0] for folder, label in pairs):
            return classes
        named = name == set_name or (
            set_name == "ILSVRC" and all("ILSVRC2012_val_" in image_id for image_id in image_ids)
        )
        if named and (len(set(folders)) <= 1 or all(f == str(label) for f, label in pairs)):
            return classes
    return imagenet_classes() if highest == len(imagenet_classes()) - 1 else None


def _lines(file: str) -> list[str]:
    return files("wsol").joinpath("data", file).read_text(encoding="utf-8").splitlines()


def require_once(classes: Sequence[str], where: str) -> None:
    """Refuse a class that stands twice among others, of a data set or a network.

    Raises:
        InputError: naming the class.
    """
    if len(set(classes)) != len(classes):
        twice = next(key for key in classes if classes.count(key) > 1)
        raise InputError(f"{where}: the class {twice!r} stands twice among its classes.")
