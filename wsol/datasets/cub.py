"""CUB-200-2011 as distributed (Wah et al., 2011).

`bounding_boxes.txt` gives x, y, width, height. They are read as x, y, x + width, y + height, the
numbers that the published protocol's annotation files have.
"""

from dataclasses import dataclass
from pathlib import Path

from wsol.datasets.base import Dataset, ImageFile, Sample
from wsol.datasets.classes import bird_name, cub_classes
from wsol.datasets.image_sources import image_source
from wsol.datasets.parsing import (
    AnnotationError,
    Problems,
    as_boxes,
    corner_box,
    fields,
    four_numbers,
    image_path,
    sized_box,
    unique,
    whole_number,
)
from wsol.errors import InputError
from wsol.files import exists, is_folder, require_folder
from wsol.reading import quoted, read_lines


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """The images of one split without their boxes.

    Attributes:
        root: the folder CUB_200_2011.
        images: image number to name below the image root, path and label, in `images.txt`'s order.
        others: numbers of the images that are left out: of the other split, or with a problem.
        classes: names such as `001.Black_footed_Albatross`: all 200, where those of this copy are
            some of them.
    """

    root: Path
    images: dict[str, tuple[str, ImageFile, int]]
    others: frozenset[str]
    classes: tuple[str, ...]

    def dataset(self, split: str, samples: list[Sample]) -> Dataset:
        """These samples of them as a data set."""
        names = tuple(map(bird_name, self.classes))
        return Dataset("CUB", split, samples, self.classes, names)


def labelled_images(
    root: Path, images: Path | None, split: str, problems: Problems
) -> LabelledImages:
    """Read what says which images belong to `train` or `test`, and their classes; no box file.

    Args:
        root: the folder CUB_200_2011, or the one that holds it.
        images: the image root, a folder or shards; None takes `root/images`.
    """
    root = require_folder(root, "the folder CUB_200_2011")
    if not exists(root / "images.txt") and is_folder(root / "CUB_200_2011"):
        root = root / "CUB_200_2011"
    if split not in ("train", "test"):
        raise InputError(f"cub: has no split {split!r}; there are train and test.")
    source = image_source(images or root / "images", "the photographs in class folders")
    labels = _table(root / "image_class_labels.txt", problems)
    parts = _table(root / "train_test_split.txt", problems)
    classes = _classes(root / "classes.txt")
    wanted: dict[str, tuple[str, str, int]] = {}
    others = set()
    for number, (name, where) in _table(root / "images.txt", problems).items():
        with problems.leaving_out(name):
            others.add(number)
            if number not in labels or number not in parts:
                raise AnnotationError(
                    "image without label", f"{where}: image {number} has no class or no split."
                )
            part, place = parts[number]
            if part not in ("0", "1"):
                raise AnnotationError(
                    "bad number",
                    f"{place}: the split {quoted(part, 40)} is neither 1 (train) nor 0 (test).",
                )
            label = whole_number(labels[number][0], "class number", labels[number][1]) - 1
            if not 0 <= label < len(classes):
                raise AnnotationError(
                    "foreign label",
                    f"{labels[number][1]}: class {label + 1} is not in classes.txt.",
                )
            if (part == "1") == (split == "train"):
                image_path(root, name, where)
                wanted[number] = (name, where, label)
                others.discard(number)
    source.expect([name for name, _, _ in wanted.values()])
    found = {
        number: (name, source.find(name, where), label)
        for number, (name, where, label) in wanted.items()
    }
    return LabelledImages(root, found, frozenset(others), classes)


def read_cub(
    root: Path, images: Path | None = None, split: str = "test", problems: Problems | None = None
) -> Dataset:
    """Read the `train` or `test` images; see `labelled_images` for the arguments."""
    problems = problems or Problems(strict=True)
    labelled = labelled_images(root, images, split, problems)
    file = labelled.root / "bounding_boxes.txt"
    boxes: dict[str, list[tuple[float, float, float, float]]] = {}
    for line, where in read_lines(file, "image number and box"):
        number = line.split(maxsplit=1)[0]
        with problems.leaving_out(labelled.images.get(number, ("",))[0]):
            if number in labelled.others:
                continue
            if number not in labelled.images:
                raise AnnotationError(
                    "unknown image", f"{where}: image {quoted(number)[1:-1]} is not in images.txt."
                )
            found = boxes.setdefault(number, [])
            x, y, width, height = sized_box(
                four_numbers(fields(line, 5, None, where)[1:], where), where
            )
            found.append(corner_box((x, y, x + width, y + height), where))
    samples = []
    for number, (name, path, label) in labelled.images.items():
        if number not in boxes:
            told = f"{file}: has no line for image {number}, {name}."
            problems.tell("image without annotation", name, told)
        elif boxes[number]:
            samples.append(Sample(name, path, label, as_boxes(boxes[number])))
    return labelled.dataset(split, unique(samples, file, "a box for every image", problems))


def read_cub_labels(root: Path, images: Path | None = None, split: str = "train") -> Dataset:
    """A training set: images and labels alone; the file of boxes is not opened."""
    problems = Problems(strict=True)
    labelled = labelled_images(root, images, split, problems)
    nothing = as_boxes([])
    samples = [Sample(name, path, label, nothing) for name, path, label in labelled.images.values()]
    return labelled.dataset(split, unique(samples, labelled.root, "labelled images", problems))


def _classes(file: Path) -> tuple[str, ...]:
    classes: list[str] = []
    for line, where in read_lines(file, "class number and name"):
        number, name = fields(line, 2, None, where)
        if whole_number(number, "class number", where) != len(classes) + 1:
            raise InputError(f"{where}: class {quoted(number)[1:-1]} is out of order.")
        classes.append(name)
    if not classes:
        raise InputError(f"{file}: is empty; expected class number and name a line.")
    every = tuple(key for key, _ in cub_classes())
    return every if every[: len(classes)] == tuple(classes) else tuple(classes)


def _table(path: Path, problems: Problems) -> dict[str, tuple[str, str]]:
    """Image number to value and the value's place."""
    table: dict[str, tuple[str, str]] = {}
    for line, where in read_lines(path, "an image number and a value a line"):
        with problems.leaving_out():
            number, value = fields(line, 2, None, where)
            if number in table:
                raise AnnotationError("listed twice", f"{where}: image {number} is listed twice.")
            table[number] = (value, where)
    return table
