"""ILSVRC 2012 classification and localization, in the layouts in which people keep it.

Images: below the root, flat (`ILSVRC2012_val_00000001.JPEG`) or in one folder a class (named by
WordNet id), in any of the folders of `_IMAGE_FOLDERS`. Boxes: the VOC-style XML files of
`ILSVRC2012_bbox_val_v3.tgz`, or Kaggle's `LOC_val_solution.csv`. Labels: from whichever gives them
first of class folders, the CSV, the XML files, and the devkit's ground-truth file.

Class order is that of sorted WordNet ids. The devkit numbers classes differently; its own table
(`meta.mat` or `map_clsloc.txt`) is read to translate.
"""

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.classes import imagenet_classes
from wsol.datasets.parsing import (
    as_boxes,
    box_of,
    check_inside,
    fields,
    read_lines,
    require_samples,
    whole_number,
)
from wsol.errors import InputError
from wsol.files import require_folder

Box = tuple[float, float, float, float]

_IMAGE_FOLDERS = ("{split}", "ILSVRC/Data/CLS-LOC/{split}", "Data/CLS-LOC/{split}",
                  "images/{split}", "ILSVRC2012_img_{split}", "images", ".")  # fmt: skip
_XML_FOLDERS = ("ILSVRC/Annotations/CLS-LOC/{split}", "Annotations/CLS-LOC/{split}",
                "bbox/{split}", "bbox_{split}", "ILSVRC2012_bbox_{split}_v3",
                "ILSVRC2012_bbox_{split}", "Annotation/{split}", "{split}_boxes",
                "Annotations/{split}", "Annotations", "bbox")  # fmt: skip
_DEVKIT = ("", "ILSVRC2012_devkit_t12/data", "devkit/data", "data", "ILSVRC/devkit/data")
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_IMAGE = re.compile(r".+\.(jpe?g|png)$", re.IGNORECASE)
WNID = re.compile(r"n\d{8}$")
_NUMBER = re.compile(r"(\d+)(?:\.\w+)?$")


def read_ilsvrc(
    root: Path, split: str = "val", images: Path | None = None, exclude: Path | None = None
) -> Dataset:
    """Read `val` or `train`.

    Args:
        root: the folder that holds images and annotations.
        images: the image folder, where it is elsewhere.
        exclude: a file of validation images to leave out, a number or a name a line (the
            CLS-LOC blacklist).

    Raises:
        InputError: naming the file that is missing or wrong, and what was looked for.
    """
    root = require_folder(root, "the ILSVRC folder")
    if split not in ("train", "val"):
        raise InputError(f"ilsvrc: has no split {split!r}; there are train and val.")
    folder, files = find_images(root, images, split)
    notes = []
    if exclude is not None:
        before = len(files)
        files = _without(files, exclude)
        notes.append(f"{before - len(files)} images left out as listed in {exclude.name}.")
    label_of = {wnid: label for label, (wnid, _) in enumerate(imagenet_classes())}
    boxes = _boxes_from_csv(root, split)
    xml = None if boxes is not None else _find_xml(root, split, files)
    if boxes is None and xml is None:
        raise InputError(
            f"{root}: no box annotations found; expected LOC_{split}_solution.csv, or XML files in "
            f"one of {', '.join(name.format(split=split) for name in _XML_FOLDERS)}."
        )
    truth = None
    samples = []
    boxless = 0
    for relative, path in files:
        stem = Path(relative).stem
        size = None
        if boxes is not None:
            found = boxes.get(stem)
            if found is None:
                raise InputError(f"{root}: LOC_{split}_solution.csv has no line for {stem}.")
            wnid, rows = found
        else:
            assert xml is not None
            file = xml.get(stem)
            if file is None:
                if split == "val":
                    raise InputError(f"{path}: has no annotation; expected {stem}.xml.")
                boxless += 1
                continue
            wnid, rows, size = _read_xml(file)
        parent = Path(relative).parent.name
        if WNID.match(parent):
            wnid = parent
        if wnid not in label_of and split == "val":
            truth = _ground_truth(root) if truth is None else truth
            wnid = truth.get(int(_number(stem)), wnid)
        if wnid not in label_of:
            raise InputError(f"{path}: its class {wnid!r} is none of the 1,000 of ILSVRC 2012.")
        samples.append(Sample(relative, path, label_of[wnid], as_boxes(rows), size))
    if boxless:
        notes.append(f"{boxless} training images without annotated boxes left out.")
    return Dataset(
        name="ILSVRC",
        split=split,
        samples=require_samples(samples, folder, "annotated JPEG images"),
        classes=tuple(label_of),
        class_names=tuple(name for _, name in imagenet_classes()),
        notes=tuple(notes),
    )


def find_images(root: Path, images: Path | None, split: str) -> tuple[Path, list[tuple[str, Path]]]:
    """The image folder and (path relative to it, path) of its images, sorted by name."""
    if images is not None:
        places = [require_folder(images, "the ILSVRC images")]
    else:
        places = [root / name.format(split=split) for name in _IMAGE_FOLDERS]
    for place in places:
        found = sorted(_images_in(place), key=lambda item: Path(item[0]).name)
        if found:
            return place, found
    looked = ", ".join(str(place) for place in places)
    raise InputError(
        f"{root}: no images found; looked in {looked}. Name their folder with --images."
    )


def _images_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Images of a folder and of the class folders in it."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir() and WNID.match(entry.name):
                with os.scandir(entry.path) as inner:
                    for image in inner:
                        if _IMAGE.match(image.name):
                            yield f"{entry.name}/{image.name}", Path(image.path)
            elif _IMAGE.match(entry.name):
                yield entry.name, Path(entry.path)


def _without(files: list[tuple[str, Path]], exclude: Path) -> list[tuple[str, Path]]:
    """Leave out the images that a list names by number or by file name."""
    numbers, names = set(), set()
    for line, where in read_lines(exclude, "an image number or name a line"):
        text = line.strip()
        if text.isdigit():
            numbers.add(int(text))
        elif _NUMBER.search(text):
            names.add(Path(text).stem)
        else:
            raise InputError(f"{where}: {text[:40]!r} is neither a number nor an image name.")
    return [
        (relative, path)
        for relative, path in files
        if path.stem not in names and int(_number(path.stem)) not in numbers
    ]


def _number(stem: str) -> str:
    found = _NUMBER.search(stem)
    return found.group(1) if found else "0"


def _boxes_from_csv(root: Path, split: str) -> dict[str, tuple[str, list[Box]]] | None:
    """Class and boxes by image stem from Kaggle's file: `ImageId`, then `wnid x0 y0 x1 y1 ...`."""
    path = next((p for p in (root / f"LOC_{split}_solution.csv",) if p.is_file()), None)
    if path is None:
        return None
    table = {}
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        for row in rows:
            where = f"{path}:{rows.line_num}"
            if row[:1] == ["ImageId"] or not row:
                continue
            if len(row) != 2:
                raise InputError(f"{where}: has {len(row)} columns; expected image and boxes.")
            words = row[1].split()
            if not words or len(words) % 5:
                raise InputError(f"{where}: expected groups of a class and four numbers.")
            boxes = [box_of(words[i + 1 : i + 5], where) for i in range(0, len(words), 5)]
            table[row[0]] = (words[0], boxes)
    return table


def _find_xml(root: Path, split: str, files: list[tuple[str, Path]]) -> dict[str, Path] | None:
    """Annotation files by stem; class folders, and one folder more, may lie between."""
    for name in _XML_FOLDERS:
        place = root / name.format(split=split)
        if place.is_dir():
            found = {
                file.removesuffix(".xml"): Path(folder, file)
                for folder, _, names in os.walk(place)
                for file in names
                if file.endswith(".xml")
            }
            if any(path.stem in found for _, path in files[:1000]):
                return found
    return None


def _read_xml(path: Path) -> tuple[str, list[Box], tuple[int, int]]:
    """Class, boxes and (width, height) of a VOC-style annotation."""
    try:
        root = fromstring(path.read_bytes())
    except DefusedXmlException as error:
        raise InputError(
            f"{path}: declares entities or external files, which is refused."
        ) from error
    except (ParseError, ValueError) as error:
        raise InputError(f"{path}: is not well-formed XML ({error}); extract it again.") from error
    where = str(path)
    size = (
        whole_number(_text(root, "size/width", where), "width", where),
        whole_number(_text(root, "size/height", where), "height", where),
    )
    wnid, boxes = "", []
    for item in root.iter("object"):
        wnid = wnid or _text(item, "name", where)
        corners = [_text(item, f"bndbox/{key}", where) for key in ("xmin", "ymin", "xmax", "ymax")]
        box = box_of(corners, where)
        if size[0] and size[1]:
            check_inside(box, size, where)
        boxes.append(box)
    if not boxes:
        raise InputError(f"{path}: has no object.")
    return wnid, boxes, size


def _text(element: Element, path: str, where: str) -> str:
    text = element.findtext(path)
    if text is None or not text.strip():
        raise InputError(f"{where}: has no <{path.replace('/', '><')}>.")
    return text.strip()


def _ground_truth(root: Path) -> dict[int, str]:
    """WordNet id by validation image number, from the devkit."""
    for place in _DEVKIT:
        truth = root / place / _TRUTH
        if truth.is_file():
            wnid_of = _devkit_classes(truth.parent)
            labels = {}
            for number, (line, where) in enumerate(read_lines(truth, "a class number a line"), 1):
                key = whole_number(line.strip(), "class number", where)
                if key not in wnid_of:
                    raise InputError(f"{where}: class {key} is not in the devkit's table.")
                labels[number] = wnid_of[key]
            return labels
    return {}


def _devkit_classes(folder: Path) -> dict[int, str]:
    """WordNet id by the devkit's own class number, from `map_clsloc.txt` or `meta.mat`."""
    table = folder / "map_clsloc.txt"
    if table.is_file():
        rows = (fields(line, 3, None, where) for line, where in read_lines(table, "the classes"))
        return {int(number): wnid for wnid, number, _ in rows}
    meta = folder / "meta.mat"
    if not meta.is_file():
        raise InputError(
            f"{folder / _TRUTH}: numbers classes in the devkit's own order; put the devkit's "
            "meta.mat or map_clsloc.txt beside it."
        )
    from scipy.io import loadmat

    synsets = loadmat(meta, squeeze_me=True)["synsets"]
    return {int(item["ILSVRC2012_ID"]): str(item["WNID"]) for item in synsets}
