"""ILSVRC 2012 classification and localization, in the layouts in which people keep it.

Images: below the root, flat (`ILSVRC2012_val_00000001.JPEG`) or in one folder a class (named by
WordNet id), in any of the folders of `_IMAGE_FOLDERS`. Boxes: the VOC-style XML files of
`ILSVRC2012_bbox_val_v3.tgz`, or Kaggle's `LOC_val_solution.csv`. Labels: from whichever gives them
first of class folders, the CSV, the XML files, and the devkit's ground-truth file. Boxes of other
classes than the image's own do not count.

Class order is that of sorted WordNet ids. The devkit numbers classes differently; `map_clsloc.txt`
beside its file, or else what is known of its `meta.mat`, translates.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from wsol.datasets.base import Dataset, ImageFile, Sample
from wsol.datasets.classes import devkit_classes, imagenet_classes
from wsol.datasets.image_sources import Shards, class_in, means_shards
from wsol.datasets.parsing import (
    AnnotationError,
    Box,
    Problems,
    as_boxes,
    clipped,
    corner_box,
    fields,
    four_numbers,
    unique,
    whole_number,
)
from wsol.errors import InputError
from wsol.files import is_file, is_folder, require_folder
from wsol.reading import quoted, read_lines, read_rows, read_xml

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


@dataclass(frozen=True, slots=True)
class _Annotation:
    """What is said of one image: each object's class and box, and (width, height) if known."""

    file: Path
    where: str
    objects: list[tuple[str, Box]]
    size: tuple[int, int] | None = None


def read_ilsvrc(
    root: Path, split: str = "val", images: Path | None = None, problems: Problems | None = None
) -> Dataset:
    """Read `val` or `train`.

    Args:
        root: the folder that holds images and annotations.
        images: the image folder, where it is elsewhere, or shards.
        problems: collects what is wrong with single images; None raises at the first one.

    Raises:
        InputError: naming the file that is missing or wrong, and what was looked for.
    """
    problems = problems or Problems(strict=True)
    root = require_folder(root, "the ILSVRC folder")
    _require_split(split)
    folder, files = find_images(root, images, split)
    table = _boxes_from_csv(root, split, problems)
    xml = None if table is not None else _find_xml(root, split, files)
    if table is None and xml is None:
        raise InputError(
            f"{root}: no box annotations found; expected LOC_{split}_solution.csv, or XML files in "
            f"one of {', '.join(name.format(split=split) for name in _XML_FOLDERS)}."
        )
    stems = {Path(relative).stem for relative, _ in files}
    labels = _Labels(root, split)
    samples = []
    boxless = others = 0
    for relative, path in files:
        stem = Path(relative).stem
        with problems.leaving_out(relative):
            annotation = None
            if table is not None:
                annotation = table.get(stem)
            elif xml is not None and stem in xml:
                annotation = _read_xml(xml[stem])
            if annotation is None:
                if split == "train":
                    boxless += 1
                    continue
                expected = f"{stem}.xml" if table is None else f"a line in LOC_{split}_solution.csv"
                raise AnnotationError(
                    "image without annotation",
                    f"{path}: has no annotation; expected {expected}.",
                )
            label, boxes = labels.of(relative, class_in(path), annotation)
            others += len(annotation.objects) - len(boxes)
            where = annotation.where
            rows = []
            for box in boxes:
                with problems.leaving_out(relative):
                    rows.append(clipped(corner_box(box, where), annotation.size, where, problems))
            if rows:
                samples.append(Sample(relative, path, label, as_boxes(rows), annotation.size))
    for stem, place in sorted((xml or {}).items()):
        if stem not in stems and (WNID.match(stem[:9]) is not None) == (split == "train"):
            problems.tell("annotation without image", stem, f"{place}: its image is missing.")
    for stem, annotation in (table or {}).items():
        if stem not in stems and split == "val":
            told = f"{annotation.where}: the image {stem} is missing."
            problems.tell("annotation without image", stem, told)
    notes = []
    if boxless:
        notes.append(f"{boxless:,} training images without annotated boxes left out.")
    if others:
        notes.append(f"{others:,} boxes of other classes than their image's left out.")
    samples = unique(samples, folder, "annotated JPEG images", problems)
    return _dataset(split, samples, tuple(notes))


def read_ilsvrc_labels(root: Path, split: str = "train", images: Path | None = None) -> Dataset:
    """A training set: images in one folder a class, named by WordNet id; no box is opened."""
    folder, files = find_images(require_folder(root, "the ILSVRC folder"), images, split)
    label_of = {wnid: label for label, (wnid, _) in enumerate(imagenet_classes())}
    nothing = as_boxes([])
    samples = []
    for relative, path in files:
        wnid = class_in(path) or Path(relative).parent.name
        if wnid not in label_of:
            raise InputError(
                f"{path}: training images lie in one folder a class, named by WordNet id; "
                f"{wnid!r} is none of the 1,000 of ILSVRC 2012."
            )
        samples.append(Sample(relative, path, label_of[wnid], nothing))
    problems = Problems(strict=True)
    return _dataset(split, unique(samples, folder, "labelled images", problems))


def _require_split(split: str) -> None:
    if split not in ("train", "val"):
        raise InputError(f"ilsvrc: has no split {split!r}; there are train and val.")


def _dataset(split: str, samples: list[Sample], notes: tuple[str, ...] = ()) -> Dataset:
    keys, names = zip(*imagenet_classes(), strict=True)
    return Dataset("ILSVRC", split, samples, keys, names, notes)


class _Labels:
    """Which of an image's annotated classes is its own."""

    def __init__(self, root: Path, split: str) -> None:
        self._root = root
        self._split = split
        self._label_of = {wnid: label for label, (wnid, _) in enumerate(imagenet_classes())}
        self._truth: dict[int, tuple[str, str]] | None = None
        self._wnid_of: dict[int, str] = {}

    def of(self, relative: str, told: str | None, annotation: _Annotation) -> tuple[int, list[Box]]:
        """The label of an image, and the boxes that are of its class.

        `told` is the class that its name in a shard says, if it does.

        Raises:
            AnnotationError: when its class is unknown, or its folder and its annotation disagree.
        """
        parent = Path(relative).parent.name
        named = list(dict.fromkeys(name for name, _ in annotation.objects))
        known = [name for name in named if name in self._label_of]
        if told is not None:
            own = told
        elif WNID.match(parent):
            own = parent
        elif len(known) == 1:
            own = known[0]
        else:
            own = self._by_number(relative, named, annotation.where)
        if own not in self._label_of:
            raise AnnotationError(
                "foreign label",
                f"{annotation.file}: the class {quoted(own)} of {relative} is none of the 1,000 of "
                "ILSVRC 2012.",
            )
        if own not in known and known:
            raise AnnotationError(
                "contradiction",
                f"{annotation.where}: is of {' and '.join(known[:3])}, but {relative} is of {own}; "
                "keep the right one.",
            )
        boxes = [box for name, box in annotation.objects if name == own or not known]
        return self._label_of[own], boxes

    def _by_number(self, relative: str, named: list[str], where: str) -> str:
        """The class in the devkit's ground truth of validation images."""
        if self._truth is None:
            self._truth = {}
            if self._split == "val":
                self._truth, self._wnid_of = _ground_truth(self._root)
        number = _NUMBER.search(Path(relative).stem)
        line, place = self._truth.get(int(number.group(1)), ("", "")) if number else ("", "")
        wnid = None
        if place:  # a line that is wrong is wrong about this image alone
            key = whole_number(line, "class number", place)
            wnid = self._wnid_of.get(key)
            if wnid is None:
                raise AnnotationError(
                    "foreign label", f"{place}: class {key} is not in the devkit's table."
                )
        if wnid is None and len(set(named) & self._label_of.keys()) > 1:
            raise AnnotationError(
                "contradiction",
                f"{where}: has the classes {' and '.join(named[:3])}, and nothing says which is "
                f"that of {relative}; put it into a folder of its class's name.",
            )
        return wnid or named[0]


def find_images(
    root: Path, images: Path | None, split: str
) -> tuple[Path, list[tuple[str, ImageFile]]]:
    """The image folder, or shards, and (path relative to it, image) of its images, sorted by
    name."""
    if images is not None and means_shards(images):
        packed: list[tuple[str, ImageFile]] = list(Shards(images).all())
        return images, sorted(packed, key=lambda item: Path(item[0]).name)
    if images is not None:
        places = [require_folder(images, "the ILSVRC images")]
    else:
        places = [root / name.format(split=split) for name in _IMAGE_FOLDERS]
    for place in places:
        found: list[tuple[str, ImageFile]] = list(_images_in(place))
        found.sort(key=lambda item: Path(item[0]).name)
        if found:
            return place, found
    looked = ", ".join(str(place) for place in places)
    raise InputError(
        f"{root}: no images found; looked in {looked}. Name their folder with --images."
    )


def _images_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Images of a folder and of the class folders in it."""
    if not is_folder(folder):
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


def _boxes_from_csv(root: Path, split: str, problems: Problems) -> dict[str, _Annotation] | None:
    """Annotations by image stem from Kaggle's file: `ImageId`, then `wnid x0 y0 x1 y1 ...`."""
    path = root / f"LOC_{split}_solution.csv"
    if not is_file(path):
        return None
    table: dict[str, _Annotation] = {}
    for row, where in read_rows(path, "Kaggle's table of boxes"):
        if row[0] == "ImageId":
            continue
        with problems.leaving_out(row[0]):
            if len(row) != 2:
                raise AnnotationError(
                    "malformed line", f"{where}: has {len(row)} columns; expected image and boxes."
                )
            words = row[1].split()
            if not words or len(words) % 5:
                raise AnnotationError(
                    "malformed line", f"{where}: expected groups of a class and four numbers."
                )
            objects = [
                (words[i], four_numbers(words[i + 1 : i + 5], where))
                for i in range(0, len(words), 5)
            ]
            found = _Annotation(path, where, objects)
            first = table.setdefault(row[0], found)
            if first.objects != objects:
                raise AnnotationError(
                    "contradiction",
                    f"{where}: {quoted(row[0])[1:-1]} has other boxes than at {first.where}; keep "
                    "the right ones.",
                )
    return table


def _find_xml(root: Path, split: str, files: list[tuple[str, ImageFile]]) -> dict[str, Path] | None:
    """Annotation files by stem; class folders, and one folder more, may lie between."""
    for name in _XML_FOLDERS:
        place = root / name.format(split=split)
        if is_folder(place):
            found = {
                file.removesuffix(".xml"): Path(folder, file)
                for folder, _, names in os.walk(place)
                for file in names
                if file.endswith(".xml")
            }
            if any(Path(relative).stem in found for relative, _ in files[:1000]):
                return found
    return None


def _read_xml(path: Path) -> _Annotation:
    """A VOC-style annotation; a width or height of 0 says that the size is unknown."""
    try:
        root = read_xml(path, "a VOC-style annotation")
    except InputError as error:
        raise AnnotationError("malformed file", str(error)) from error
    where = str(path)
    width = whole_number(_text(root, "size/width", where), "width", where)
    height = whole_number(_text(root, "size/height", where), "height", where)
    objects = []
    for item in root.iter("object"):
        corners = [_text(item, f"bndbox/{key}", where) for key in ("xmin", "ymin", "xmax", "ymax")]
        objects.append((_text(item, "name", where), four_numbers(corners, where)))
    if not objects:
        raise AnnotationError("image without annotation", f"{path}: has no object.")
    return _Annotation(path, where, objects, (width, height) if width and height else None)


def _text(element: Element, path: str, where: str) -> str:
    text = element.findtext(path)
    if text is None or not text.strip():
        raise AnnotationError("malformed file", f"{where}: has no <{path.replace('/', '><')}>.")
    return text.strip()


def _ground_truth(root: Path) -> tuple[dict[int, tuple[str, str]], dict[int, str]]:
    """From the devkit: the line of each validation image, by number, with its place; and WordNet
    ids by the class numbers in them. Both empty where there is none."""
    for place in _DEVKIT:
        truth = root / place / _TRUTH
        if is_file(truth):
            lines = enumerate(read_lines(truth, "a class number a line"), 1)
            return dict(lines), _devkit_classes(truth.parent)
    return {}, {}


def _devkit_classes(folder: Path) -> dict[int, str]:
    """WordNet id by the devkit's own class number, from `map_clsloc.txt` if it is there."""
    table = folder / "map_clsloc.txt"
    if not is_file(table):
        return devkit_classes()
    rows = [(fields(line, 3, None, where), where) for line, where in read_lines(table, "classes")]
    return {whole_number(row[1], "class number", where): row[0] for row, where in rows}
