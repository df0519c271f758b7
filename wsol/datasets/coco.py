"""Any data set in COCO's JSON format, one sample for every category in an image.

An image with boxes of one category is one sample under its file name. One with several becomes a
sample for each, named `file#category`, because localization is asked for one class at a time.
Crowd annotations are left out. Boxes x, y, width, height with continuous edges become inclusive
corners. An image without a width or height is measured when it is opened.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.image_sources import image_source
from wsol.datasets.parsing import (
    AnnotationError,
    Box,
    Problems,
    as_boxes,
    clipped,
    image_path,
    sized_box,
    unique,
)
from wsol.errors import InputError
from wsol.files import is_folder, require_file
from wsol.reading import quoted, read_json

Key = int | str
"""How a file names an image or a category."""


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One image of a file: its boxes as inclusive corners, by the position of their category."""

    name: str
    where: str
    size: tuple[int, int] | None
    boxes: dict[int, list[Box]]


@dataclass(frozen=True, slots=True)
class CocoFile:
    """What a file holds: images in its order, names of categories in the order of their ids."""

    images: list[CocoImage]
    categories: tuple[str, ...]
    crowds: int


def read_coco(
    root: Path,
    images: Path | None = None,
    split: str | None = None,
    problems: Problems | None = None,
) -> Dataset:
    """Read one JSON file.

    Args:
        root: the JSON file; or a folder with `annotations/instances_<split>.json` and the images
            in `<split>`.
        images: the image root, a folder or shards; None takes the folder `<split>`, or the
            JSON's own.
        split: the split's name; needed where `root` is a folder.
        problems: collects what is wrong with single entries; None raises at the first one.
    """
    problems = problems or Problems(strict=True)
    root = Path(root)
    file = root
    if is_folder(root):
        if split is None:
            found = sorted((root / "annotations").glob("instances_*.json"))
            names = ", ".join(p.stem.removeprefix("instances_") for p in found) or "none found"
            raise InputError(f"{root}: name the split with --split ({names}), or the JSON file.")
        file = root / "annotations" / f"instances_{split}.json"
    require_file(file, "a COCO JSON file")
    default = root / split if is_folder(root) and split is not None else file.parent
    source = image_source(images or default, "the images of the JSON file")
    content = read_coco_file(file, problems)
    source.expect([image.name for image in content.images if image.boxes])
    classes = content.categories
    samples = []
    boxless = 0
    for image in content.images:
        boxless += not image.boxes
        with problems.leaving_out(image.name):
            image_path(Path(), image.name, image.where)
            path = source.find(image.name, image.where)
            for label, rows in sorted(image.boxes.items()):
                only = len(image.boxes) == 1
                image_id = image.name if only else f"{image.name}#{classes[label]}"
                samples.append(Sample(image_id, path, label, as_boxes(rows), image.size))
    notes = []
    if content.crowds:
        notes.append(f"{content.crowds} crowd annotations left out.")
    if boxless:
        notes.append(f"{boxless:,} images without annotated boxes left out.")
    return Dataset(
        name=file.stem if split is None else f"COCO {file.stem}",
        split=split or "all",
        samples=unique(samples, file, "images with annotated boxes", problems),
        classes=classes,
        class_names=classes,
        notes=tuple(notes),
    )


def read_coco_file(file: Path, problems: Problems) -> CocoFile:
    """The images, boxes and categories of a JSON file.

    Raises:
        InputError: naming the file, and the entry in it that is wrong.
    """
    data = read_json(file, "a COCO JSON file")
    parts = {}
    for key in ("images", "categories", "annotations"):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise InputError(f"{file}: is not in COCO's format (it has no list of {key}).")
        parts[key] = data[key]
    label_of, names = _categories(parts["categories"], file)
    found: dict[Key, CocoImage] = {}
    for number, item in enumerate(parts["images"]):
        with problems.leaving_out(_name_of(item)):
            where = f"{file}, image {_label(item, number)}"
            own = _key(item, "id", where)
            if own in found:
                raise AnnotationError("listed twice", f"{where}: this id is listed twice.")
            size = _size(item, where)
            found[own] = CocoImage(_text(item, "file_name", where), where, size, {})
    crowds = 0
    for number, item in enumerate(parts["annotations"]):
        where = f"{file}, annotation {_label(item, number)}"
        image_key = item.get("image_id") if isinstance(item, dict) else None
        known = found.get(image_key) if isinstance(image_key, int | str) else None
        with problems.leaving_out("" if known is None else known.name):
            if isinstance(item, dict) and item.get("iscrowd"):
                crowds += 1
                continue
            if known is None:
                other = _key(item, "image_id", where)
                raise AnnotationError(
                    "unknown image",
                    f"{where}: belongs to the unknown image {quoted(other)[1:-1]}.",
                )
            category = _key(item, "category_id", where)
            if category not in label_of:
                raise AnnotationError(
                    "foreign label",
                    f"{where}: has the unknown category {quoted(category)[1:-1]}.",
                )
            box = _corners(item, known.size, where, problems)
            known.boxes.setdefault(label_of[category], []).append(box)
    return CocoFile(list(found.values()), names, crowds)


def _categories(items: list[Any], file: Path) -> tuple[dict[Key, int], tuple[str, ...]]:
    """Positions of categories by their ids, and their names."""
    named: dict[Key, str] = {}
    for number, item in enumerate(items):
        where = f"{file}, category {_label(item, number)}"
        key = _key(item, "id", where)
        if key in named:
            raise InputError(f"{where}: this id is listed twice.")
        named[key] = _text(item, "name", where)
    if len({type(key) for key in named}) > 1:
        raise InputError(
            f"{file}: has ids of categories that are numbers and ids that are text; make them all "
            "numbers."
        )
    ordered = sorted(named, key=lambda key: (key if isinstance(key, int) else 0, str(key)))
    names = tuple(named[key] for key in ordered)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{file}: two categories are called {quoted(twice[0])}; rename one.")
    return {key: label for label, key in enumerate(ordered)}, names


def _corners(
    item: dict[str, Any], size: tuple[int, int] | None, where: str, problems: Problems
) -> Box:
    """An annotation's box as inclusive corners."""
    box = item.get("bbox")
    numbers = isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))
    if not numbers or box is None:
        raise AnnotationError(
            "bad box", f"{where}: its bbox {quoted(box)[1:-1]} is not four numbers."
        )
    numbers_of_box = [float(number) for number in box]
    x, y, width, height = sized_box(
        (numbers_of_box[0], numbers_of_box[1], numbers_of_box[2], numbers_of_box[3]), where
    )
    x0, y0, x1, y1 = clipped((x, y, x + width, y + height), size, where, problems)
    # A box thinner than a pixel keeps its place.
    return x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)


def _size(item: Any, where: str) -> tuple[int, int] | None:
    """Width and height; None where one of them is missing or 0."""
    numbers = []
    for key in ("width", "height"):
        value = item.get(key) or 0
        if not _is_number(value) or value != int(value) or value < 0:
            raise AnnotationError(
                "bad number", f"{where}: the {key} {quoted(value)} is not a whole number."
            )
        numbers.append(int(value))
    return (numbers[0], numbers[1]) if all(numbers) else None


def _is_number(value: Any) -> bool:
    # Of a whole number of any length, JSON knows no limit.
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300


def _key(item: Any, key: str, where: str) -> Key:
    value = item.get(key) if isinstance(item, dict) else None
    if not isinstance(value, int | str) or isinstance(value, bool):
        raise AnnotationError(
            "malformed entry",
            f"{where}: its {key} is {quoted(value)}; expected a whole number or text.",
        )
    return value


def _text(item: Any, key: str, where: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value:
        raise AnnotationError(
            "malformed entry", f"{where}: its {key} is {quoted(value)}; expected text."
        )
    return value


def _label(item: Any, number: int) -> str:
    """What an entry calls itself, or its position in its list."""
    value = item.get("id") if isinstance(item, dict) else None
    return quoted(value, 40)[1:-1] if isinstance(value, int | str) else f"no. {number}"


def _name_of(item: Any) -> str:
    name = item.get("file_name") if isinstance(item, dict) else None
    return name if isinstance(name, str) else ""
