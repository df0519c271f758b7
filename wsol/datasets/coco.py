"""Any data set in COCO's JSON format, one sample for every category in an image.

An image with boxes of one category is one sample under its file name. One with several becomes a
sample for each, named `file#category`, because localization is asked for one class at a time.
Crowd annotations are left out. Boxes x, y, width, height with continuous edges become inclusive
corners.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.parsing import as_boxes, box_of, check_inside, require_samples
from wsol.errors import InputError
from wsol.files import inside, require_file, require_folder


def read_coco(root: Path, images: Path | None = None, split: str | None = None) -> Dataset:
    """Read one JSON file.

    Args:
        root: the JSON file; or a folder with `annotations/instances_<split>.json` and the images
            in `<split>`.
        images: the image root; None takes the folder `<split>`, or the JSON's own.
        split: the split's name; needed where `root` is a folder.
    """
    root = Path(root)
    file = root
    if root.is_dir():
        if split is None:
            found = sorted((root / "annotations").glob("instances_*.json"))
            names = ", ".join(p.stem.removeprefix("instances_") for p in found) or "none found"
            raise InputError(f"{root}: name the split with --split ({names}), or the JSON file.")
        file = root / "annotations" / f"instances_{split}.json"
    require_file(file, "a COCO JSON file")
    default = root / split if root.is_dir() and split is not None else file.parent
    image_root = require_folder(images or default, "the images of the JSON file")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{file}: is not JSON ({error}).") from error
    try:
        samples, classes, notes = _samples(data, file, image_root)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file}: is not in COCO's format ({type(error).__name__}: {error})."
        ) from error
    return Dataset(
        name=file.stem if split is None else f"COCO {file.stem}",
        split=split or "all",
        samples=require_samples(samples, file, "images with annotated boxes"),
        classes=classes,
        class_names=classes,
        notes=notes,
    )


def _samples(
    data: dict[str, Any], file: Path, image_root: Path
) -> tuple[list[Sample], tuple[str, ...], tuple[str, ...]]:
    categories = sorted(data["categories"], key=lambda item: item["id"])
    label_of = {item["id"]: label for label, item in enumerate(categories)}
    classes = tuple(str(item["name"]) for item in categories)
    pictures = {item["id"]: item for item in data["images"]}
    boxes: dict[Any, dict[int, list[tuple[float, float, float, float]]]] = defaultdict(dict)
    crowds = 0
    for item in data["annotations"]:
        where = f"{file}, annotation {item.get('id')}"
        if item.get("iscrowd"):
            crowds += 1
            continue
        if item["image_id"] not in pictures:
            raise InputError(f"{where}: belongs to the unknown image {item['image_id']}.")
        if item["category_id"] not in label_of:
            raise InputError(f"{where}: has the unknown category {item['category_id']}.")
        if not isinstance(item["bbox"], list) or len(item["bbox"]) != 4:
            raise InputError(f"{where}: its bbox is not four numbers.")
        x, y, width, height = map(float, item["bbox"])
        if not (width > 0 and height > 0):
            raise InputError(f"{where}: its bbox has the size {width:g}x{height:g}.")
        picture = pictures[item["image_id"]]
        check_inside((x, y, x + width, y + height), (picture["width"], picture["height"]), where)
        # A box thinner than a pixel keeps its place.
        far = [str(max(x, x + width - 1)), str(max(y, y + height - 1))]
        box = box_of([str(x), str(y), *far], where)
        boxes[item["image_id"]].setdefault(label_of[item["category_id"]], []).append(box)
    samples = []
    for key, picture in pictures.items():
        name = str(picture["file_name"])
        path = inside(image_root, name, f"{file}, image {key}")
        for label, rows in sorted(boxes.get(key, {}).items()):
            image_id = name if len(boxes[key]) == 1 else f"{name}#{classes[label]}"
            size = (int(picture["width"]), int(picture["height"]))
            samples.append(Sample(image_id, path, label, as_boxes(rows), size))
    notes = (f"{crowds} crowd annotations left out.",) if crowds else ()
    return samples, classes, notes
