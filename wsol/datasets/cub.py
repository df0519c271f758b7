"""CUB-200-2011 as distributed (Wah et al., 2011).

`bounding_boxes.txt` gives x, y, width, height. They are read as x, y, x + width, y + height, the
numbers that the published protocol's annotation files have.
"""

from dataclasses import dataclass
from pathlib import Path

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.parsing import (
    as_boxes,
    box_of,
    fields,
    read_lines,
    require_samples,
    whole_number,
)
from wsol.errors import InputError
from wsol.files import inside, require_folder


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """The images of one split without their boxes.

    Attributes:
        root: the folder CUB_200_2011.
        images: image number to name below the image root, path and label, in `images.txt`'s order.
        others: numbers of the images of the other split.
        classes: names such as `001.Black_footed_Albatross`.
    """

    root: Path
    images: dict[str, tuple[str, Path, int]]
    others: frozenset[str]
    classes: tuple[str, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names for people."""
        return tuple(name.partition(".")[2].replace("_", " ") or name for name in self.classes)


def labelled_images(root: Path, images: Path | None, split: str) -> LabelledImages:
    """Read what says which images belong to `train` or `test`, and their classes; no box file.

    Args:
        root: the folder CUB_200_2011, or the one that holds it.
        images: the image root; None takes `root/images`.
    """
    root = require_folder(root, "the folder CUB_200_2011")
    if not (root / "images.txt").exists() and (root / "CUB_200_2011").is_dir():
        root = root / "CUB_200_2011"
    if split not in ("train", "test"):
        raise InputError(f"cub: has no split {split!r}; there are train and test.")
    image_root = require_folder(images or root / "images", "the photographs in class folders")
    labels = _table(root / "image_class_labels.txt")
    parts = _table(root / "train_test_split.txt")
    wanted = {"train": "1", "test": "0"}[split]

    classes: list[str] = []
    for line, where in read_lines(root / "classes.txt", "class number and name"):
        number, name = fields(line, 2, None, where)
        if whole_number(number, "class number", where) != len(classes) + 1:
            raise InputError(f"{where}: class {number} is out of order.")
        classes.append(name)

    found: dict[str, tuple[str, Path, int]] = {}
    others = set()
    for number, (name, where) in _table(root / "images.txt").items():
        if number not in labels or number not in parts:
            raise InputError(f"{where}: image {number} has no class or no split.")
        if parts[number][0] != wanted:
            others.add(number)
            continue
        label = whole_number(labels[number][0], "class number", labels[number][1]) - 1
        if not 0 <= label < len(classes):
            raise InputError(f"{labels[number][1]}: class {label + 1} is not in classes.txt.")
        found[number] = (name, inside(image_root, name, where), label)
    return LabelledImages(root, found, frozenset(others), tuple(classes))


def read_cub(root: Path, images: Path | None = None, split: str = "test") -> Dataset:
    """Read the `train` or `test` images; see `labelled_images` for the arguments."""
    labelled = labelled_images(root, images, split)
    file = labelled.root / "bounding_boxes.txt"
    samples = []
    for line, where in read_lines(file, "image number and box"):
        number, *corners = fields(line, 5, None, where)
        if number in labelled.others:
            continue
        if number not in labelled.images:
            raise InputError(f"{where}: image {number} is not in images.txt.")
        name, path, label = labelled.images[number]
        x, y, width, height = box_of_size(corners, where)
        box = box_of([str(x), str(y), str(x + width), str(y + height)], where)
        samples.append(Sample(name, path, label, as_boxes([box])))
    return Dataset(
        name="CUB",
        split=split,
        samples=require_samples(samples, file, "a box for every image"),
        classes=labelled.classes,
        class_names=labelled.class_names,
    )


def box_of_size(texts: list[str], where: str) -> tuple[float, float, float, float]:
    """Four numbers x, y, width, height with a positive size."""
    try:
        x, y, width, height = map(float, texts)
    except ValueError as error:
        raise InputError(
            f"{where}: the box {' '.join(texts)[:60]!r} is not four numbers."
        ) from error
    if not (width > 0 and height > 0):
        raise InputError(f"{where}: the box has the size {width:g}x{height:g}.")
    return x, y, width, height


def _table(path: Path) -> dict[str, tuple[str, str]]:
    """Image number to value and the value's place."""
    table = {}
    for line, where in read_lines(path, "an image number and a value a line"):
        number, value = fields(line, 2, None, where)
        if number in table:
            raise InputError(f"{where}: image {number} is listed twice.")
        table[number] = (value, where)
    return table
