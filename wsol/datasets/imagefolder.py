"""Photographs in one folder a class, as torchvision's `ImageFolder` has them, and their boxes in
one CSV file or COCO JSON file.

    birds/wren/a.jpg      birds/auk/b.jpg      birds/boxes.csv

or, with splits, `birds/test/wren/a.jpg` and `birds/test.csv` or `birds/test/boxes.csv`; `.json` in
place of `.csv`. Classes are the names of the folders in sorted order. The CSV has a line a box
below a header: `image,x0,y0,x1,y1` for inclusive corners, or `image,x,y,width,height` for a corner
and a size. Images are named as below the split's folder (`wren/a.jpg`); the file's name alone will
do where it is the only one. A column `class`, and the categories of a JSON file that are names of
folders, tell boxes of other classes than the image's own, which do not count.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsol.datasets.base import Dataset, ImageFile, Sample
from wsol.datasets.coco import read_coco_file
from wsol.datasets.image_sources import Shards, means_shards
from wsol.datasets.names import joined
from wsol.datasets.parsing import (
    AnnotationError,
    Box,
    Problems,
    as_boxes,
    clipped,
    corner_box,
    four_numbers,
    sized_box,
    unique,
)
from wsol.datasets.shards import SUFFIXES
from wsol.errors import InputError
from wsol.files import is_file, is_folder, require_folder
from wsol.reading import quoted, read_rows

_CORNERS = ("x0", "y0", "x1", "y1")
_SIZED = ("x", "y", "width", "height")


@dataclass(frozen=True, slots=True)
class _Boxes:
    """One image's boxes in the file: each with the class it is said to be of, or None."""

    where: str
    boxes: list[tuple[str | None, Box]]
    size: tuple[int, int] | None = None


def read_imagefolder(
    root: Path,
    images: Path | None = None,
    split: str | None = None,
    problems: Problems | None = None,
) -> Dataset:
    """Read one split.

    Args:
        root: the folder of the class folders or of the splits; or the file of boxes.
        images: the folder of the class folders, where it is elsewhere, or shards.
        split: the subfolder of `root` that holds the class folders; None for `root` itself.
        problems: collects what is wrong with single images; None raises at the first one.

    Raises:
        InputError: naming the file that is missing or wrong, and what was looked for.
    """
    problems = problems or Problems(strict=True)
    root = Path(root)
    file = root if is_file(root) else None
    if file is not None:
        root = root.parent
    folder = _folder(root, images, split)
    classes, files = _images(folder)
    file = file or _box_file(root, root if split is None else root / split, split)
    known = set(classes)
    rows = (
        _from_csv(file, problems) if file.suffix.lower() == ".csv" else _from_json(file, problems)
    )
    name_of = joined(list(rows), [image_id for image_id, _, _ in files])
    found: dict[str, _Boxes] = {}
    for name, annotated in rows.items():
        if name not in name_of:
            told = f"{annotated.where}: the image {quoted(name)[1:-1]} is not in {folder}."
            problems.tell("annotation without image", name, told)
        elif found.setdefault(name_of[name], annotated) is not annotated:
            with problems.leaving_out(name_of[name]):
                raise AnnotationError(
                    "listed twice",
                    f"{annotated.where}: {name_of[name]} has boxes under another name, too; keep "
                    "one.",
                )
    samples = []
    others = 0
    for image_id, path, label in files:
        if image_id not in found:
            told = f"{file}: has no box of {image_id}."
            problems.tell("image without annotation", image_id, told)
            continue
        annotated = found[image_id]
        kept = []
        for own, box in annotated.boxes:
            if own in known and own != classes[label]:
                others += 1
                continue
            with problems.leaving_out(image_id):
                kept.append(clipped(box, annotated.size, annotated.where, problems))
        if kept:
            samples.append(Sample(image_id, path, label, as_boxes(kept), annotated.size))
    samples = unique(samples, file, "boxes of the images in the class folders", problems)
    notes = (f"{others:,} boxes of other classes than their image's left out.",) if others else ()
    return _dataset(root, split, samples, classes, notes)


def read_imagefolder_labels(
    root: Path, images: Path | None = None, split: str | None = None
) -> Dataset:
    """A training set: the images in the class folders; no file of boxes is opened.

    `split` None takes the folder `train`, if there is one.
    """
    root = Path(root)
    root = root.parent if is_file(root) else root
    if split is None and images is None and is_folder(root / "train"):
        split = "train"
    folder = _folder(root, images, split)
    classes, files = _images(folder)
    nothing = as_boxes([])
    samples = [Sample(image_id, path, label, nothing) for image_id, path, label in files]
    return _dataset(root, split, samples, classes)


def _dataset(
    root: Path,
    split: str | None,
    samples: list[Sample],
    classes: tuple[str, ...],
    notes: tuple[str, ...] = (),
) -> Dataset:
    return Dataset(root.resolve().name, split or "all", samples, classes, classes, notes)


def _folder(root: Path, images: Path | None, split: str | None) -> Path:
    """The folder that holds the class folders, or the shards."""
    if images is not None and means_shards(images):
        return images
    if images is not None:
        return require_folder(images, "the folder of the class folders")
    require_folder(root, "a folder with one folder of images a class")
    folder = root if split is None else root / split
    return require_folder(folder, f"the split {split}: one folder of images a class")


def _images(folder: Path) -> tuple[tuple[str, ...], list[tuple[str, ImageFile, int]]]:
    """The classes, and (name below the folder, image, label) of every image."""
    if means_shards(folder):
        return _packed(folder)
    classes = tuple(sorted(place.name for place in folder.iterdir() if _is_class(place)))
    files: list[tuple[str, ImageFile, int]] = []
    for label, name in enumerate(classes):
        # Images may lie deeper, as they may for torchvision.
        for place, folders, names in os.walk(folder / name):
            folders.sort()
            for file in sorted(names):
                if file.lower().endswith(SUFFIXES) and not file.startswith("."):
                    path = Path(place, file)
                    files.append((path.relative_to(folder).as_posix(), path, label))
    if not files:
        raise InputError(f"{folder}: the data set is empty; expected one folder of images a class.")
    if all(name.count("/") > 1 for name, _, _ in files):
        # No image lies directly in any class folder, so these are splits.
        raise InputError(f"{folder}: name the split with --split ({', '.join(classes)}).")
    return classes, files


def _packed(images: Path) -> tuple[tuple[str, ...], list[tuple[str, ImageFile, int]]]:
    """The same of shards whose members are called by class folder and name."""
    found = [(name, packed) for name, packed in Shards(images).all() if "/" in name]
    classes = tuple(sorted({name.partition("/")[0] for name, _ in found}))
    label_of = {name: label for label, name in enumerate(classes)}
    if not found:
        raise InputError(f"{images}: its images lie in no folders, which would name their classes.")
    return classes, [(name, packed, label_of[name.partition("/")[0]]) for name, packed in found]


def _is_class(place: Path) -> bool:
    return is_folder(place) and not place.name.startswith(".")


def _box_file(root: Path, folder: Path, split: str | None) -> Path:
    """The one file of boxes for a split."""
    stems = [folder / "boxes"] + ([root / "boxes"] if split is None else [root / split])
    places = list(
        dict.fromkeys(Path(f"{s}{suffix}") for s in stems for suffix in (".csv", ".json"))
    )
    found = [place for place in places if is_file(place)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{found[0]} and {found[1]}: both hold boxes of one split; keep one.")
    raise InputError(f"{root}: has no file of boxes; looked for {', '.join(map(str, places))}.")


def _from_csv(file: Path, problems: Problems) -> dict[str, _Boxes]:
    """The boxes of every image that a CSV file names."""
    rows = read_rows(file, "a CSV file of boxes")
    header, where = next(rows, ([], f"{file}:1"))
    columns = [name.strip().lower() for name in header]
    corners = set(_CORNERS) <= set(columns)
    if "image" not in columns or not (corners or set(_SIZED) <= set(columns)):
        raise InputError(
            f"{where}: has the columns {quoted(','.join(header))}; expected image,x0,y0,x1,y1 or "
            "image,x,y,width,height."
        )
    places = [columns.index(name) for name in (_CORNERS if corners else _SIZED)]
    image = columns.index("image")
    class_column = columns.index("class") if "class" in columns else None
    found: dict[str, _Boxes] = {}
    for row, where in rows:
        with problems.leaving_out(row[image] if image < len(row) else ""):
            if len(row) != len(columns):
                raise AnnotationError(
                    "malformed line", f"{where}: has {len(row)} columns instead of {len(columns)}."
                )
            box = four_numbers([row[place] for place in places], where)
            box = corner_box(box, where) if corners else _inclusive(sized_box(box, where))
            own = None if class_column is None else row[class_column]
            found.setdefault(row[image], _Boxes(where, [])).boxes.append((own, box))
    return found


def _from_json(file: Path, problems: Problems) -> dict[str, _Boxes]:
    """The boxes of every image with boxes in a COCO file; they are in their images already."""
    content = read_coco_file(file, problems)
    return {
        image.name: _Boxes(
            image.where,
            [(content.categories[k], box) for k, boxes in image.boxes.items() for box in boxes],
            image.size,
        )
        for image in content.images
        if image.boxes
    }


def _inclusive(box: Sequence[float]) -> Box:
    """x, y, width, height with continuous edges as inclusive corners, as COCO's are read."""
    x, y, width, height = box
    return x, y, max(x, x + width - 1), max(y, y + height - 1)
