"""The annotation files of the WSOL evaluation protocol (Choe et al., CVPR 2020).

A folder such as `CUB/test` holds four files of comma-separated lines:

- `image_ids.txt`: the images, as paths below the image root;
- `class_labels.txt`: image, label;
- `image_sizes.txt`: image, width, height (empty for OpenImages);
- `localization.txt`: image, x0, y0, x1, y1, a line a box; or, for OpenImages, image, mask PNG,
  ignore PNG (empty where there is none), a line an object.

The folders `train`, `val` and `test` are the splits that the protocol calls `train-weaksup`,
`train-fullsup` and `test`.

Files of a million lines are read as columns; whatever is not plainly right in them is looked at
line by line, by the same functions.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsol.datasets.base import Boxes, Dataset, ImageFile, MaskFiles, Sample
from wsol.datasets.classes import CLASSES_MOST, known_classes
from wsol.datasets.columns import Columns, arrow_names, fast_columns
from wsol.datasets.image_sources import image_source
from wsol.datasets.parsing import (
    AnnotationError,
    Problems,
    as_boxes,
    clipped,
    corner_box,
    fields,
    four_numbers,
    image_path,
    unique,
    whole_number,
)
from wsol.errors import InputError
from wsol.files import exists, is_folder, require_folder
from wsol.reading import decoded, numbered_lines, quoted, read_bytes, read_text

_IDS = "image_ids.txt"
_LOOKED_AT = 50
"""How many folders are looked into for splits."""
_WHAT = "one of the protocol's four annotation files"
_ODD = ("\n/", "..", "\\", "\r", "\0")
"""In a list of images: what has to be looked at line by line."""
_SPLITS = {"train": "train-weaksup", "val": "train-fullsup", "test": "test"}


def read_protocol(
    root: Path,
    images: Path | None = None,
    masks: Path | None = None,
    problems: Problems | None = None,
) -> Dataset:
    """Read one four-file folder.

    Args:
        root: the folder.
        images: the image root, a folder or shards; None leaves `Sample.path` empty.
        masks: the mask root of OpenImages; None takes the image root.
        problems: collects what is wrong with single lines; None raises at the first one.

    Raises:
        InputError: naming file and line of what is wrong.
    """
    problems = problems or Problems(strict=True)
    root = require_folder(root, "a folder with image_ids.txt, class_labels.txt, ...")
    _require_split(root)
    source = None if images is None else image_source(images, "the image root")
    mask_root = masks or images
    if masks is not None:
        require_folder(masks, "the mask root")
    lines = _Lines(root, problems)
    labels = lines.labels()
    sizes = lines.sizes()
    found = lines.localization(sizes, mask_root)
    size_of = [(width, height) if width >= 0 else None for width, height in sizes.tolist()]
    paths: Iterable[ImageFile | None] = repeat(None)
    if source is not None:
        source.expect(lines.ids)
        paths = map(source.find, lines.ids, repeat(str(root / _IDS)))
    rows = (lines.ids, paths, labels.tolist(), found.boxes, size_of)
    if lines.refused or found.objects or not all(map(len, found.boxes)):
        samples = list(_usable(zip(*rows, strict=False), lines, found, problems))
    else:  # as nearly always; a million samples are made in a second this way
        samples = list(map(Sample, *rows))
    if not samples and not problems.found:
        raise InputError(
            f"{root / _IDS}: the data set is empty; expected an image path on every line."
        )
    return as_dataset(root, samples)


def _require_split(root: Path) -> None:
    """Refuse a folder that only holds those of splits, and name them.

    Raises:
        InputError: where the split itself is a folder or two further down.
    """
    if exists(root / _IDS):
        return
    below = sorted(path for path in root.iterdir() if is_folder(path))[:_LOOKED_AT]
    further = [path / split for path in below for split in (*_SPLITS, *_SPLITS.values())]
    found = [path for path in dict.fromkeys((*below, *further)) if exists(path / _IDS)]
    if found:
        told = ", ".join(map(str, found[:6])) + (", ..." if len(found) > 6 else "")
        raise InputError(f"{root}: is no split and has no {_IDS}; did you mean {told}?")


def _usable(
    rows: Iterable[tuple[Any, ...]], lines: "_Lines", found: "_Localization", problems: Problems
) -> Iterator[Sample]:
    """The samples of rows whose images have a label and some annotation."""
    for place, (image_id, path, label, boxes, size) in enumerate(rows):
        mask = found.mask_of(place)
        if place in lines.refused:
            continue
        if mask is not None or len(boxes):
            yield Sample(image_id, path, label, boxes, size, mask)
        elif place not in found.mentioned:
            told = f"{lines.root / 'localization.txt'}: has no line for {image_id}."
            problems.add("image without annotation", image_id, told)


def read_protocol_labels(root: Path, images: Path | None = None) -> Dataset:
    """A training set: images and labels alone, of which `image_ids.txt` and `class_labels.txt` are
    enough; neither boxes nor sizes are opened."""
    root = require_folder(root, "a training split: a folder with image_ids.txt, class_labels.txt")
    _require_split(root)
    if images is None:
        raise InputError(f"{root}: holds no photographs; name the image root with --images.")
    source = image_source(images, "the image root")
    problems = Problems(strict=True)
    lines = _Lines(root, problems)
    source.expect(lines.ids)
    nothing = as_boxes([])
    samples = [
        Sample(image_id, source.find(image_id, str(root)), label, nothing)
        for image_id, label in zip(lines.ids, lines.labels().tolist(), strict=True)
    ]
    return as_dataset(root, unique(samples, root, "labelled images", problems))


def read_openimages(
    root: Path,
    images: Path | None = None,
    masks: Path | None = None,
    split: str = "test",
    problems: Problems | None = None,
) -> Dataset:
    """One of the four-file folders below `root`, as of OpenImages30k; see `read_protocol`."""
    return read_protocol(_split_folder(root, split), images, masks, problems)


def read_openimages_labels(root: Path, images: Path | None = None, split: str = "train") -> Dataset:
    """One of the four-file folders below `root`; see `read_protocol_labels`."""
    return read_protocol_labels(_split_folder(root, split), images)


def _split_folder(root: Path, split: str) -> Path:
    root = require_folder(root, "the folder whose subfolders are the splits")
    return require_folder(root / split, f"a training split or test split called {split}")


@dataclass(slots=True)
class _Localization:
    """What `localization.txt` says, by an image's place in the list of images.

    `boxes` has an array for every image; `mentioned` are images of which a line was left out,
    among others.
    """

    boxes: list[Boxes]
    objects: dict[int, list[Path]] = field(default_factory=lambda: defaultdict(list))
    ignored: dict[int, Path] = field(default_factory=dict)
    mentioned: set[int] = field(default_factory=set)

    def mask_of(self, place: int) -> MaskFiles | None:
        """The mask files of an image that has some."""
        if place not in self.objects:
            return None
        return MaskFiles(tuple(self.objects[place]), self.ignored.get(place))


class _Lines:
    """The lines of one folder's files.

    Attributes:
        ids: the images, in the order of `image_ids.txt`.
        refused: places in `ids` of images whose label or size is not to be had.
    """

    def __init__(self, root: Path, problems: Problems) -> None:
        self.root = root
        self._problems = problems
        self.refused: set[int] = set()
        self._place_of = self._read_ids()
        self.ids = list(self._place_of)
        self._arrow_ids: Any = None

    def _read_ids(self) -> dict[str, int]:
        """The images and their places in the file's order."""
        file = self.root / _IDS
        text = read_text(file, _WHAT).removesuffix("\n")
        lines = text.split("\n")
        place_of = dict(zip(lines, range(len(lines)), strict=True))
        plain = text[:1] != "/" and not any(odd in text for odd in _ODD)
        if plain and len(place_of) == len(lines) and all(map(str.strip, lines)):
            return place_of
        place_of.clear()
        for line, where in numbered_lines(text, file):
            with self._problems.leaving_out(line):
                if line in place_of:
                    raise AnnotationError(
                        "listed twice", f"{where}: the image {line} is listed twice."
                    )
                image_path(self.root, line, where)
                place_of[line] = len(place_of)
        return place_of

    def labels(self) -> NDArray[np.int64]:
        """(n,) the label of every image; -1 where it is refused.

        Raises:
            InputError: naming the line of an unknown image, of no label, of one that contradicts
                an earlier line; or the image that has none.
        """

        def sound(values: NDArray[np.int64]) -> NDArray[np.bool_]:
            return values[:, 0] < CLASSES_MOST

        file = self.root / "class_labels.txt"
        told = "the label {} is beyond a million classes; correct it"
        labels = self._per_image(file, ("label",), sound, told)[:, 0]
        for place in np.flatnonzero(labels < 0).tolist():
            if place not in self.refused:
                self.refused.add(place)
                image_id = self.ids[place]
                message = f"{file}: has no label for {image_id}."
                self._problems.add("image without label", image_id, message)
        return labels

    def sizes(self) -> NDArray[np.int64]:
        """(n, 2) width and height of every image; -1 where they are not annotated."""

        def sound(values: NDArray[np.int64]) -> NDArray[np.bool_]:
            return np.asarray((values > 0).all(axis=1))

        file = self.root / "image_sizes.txt"
        return self._per_image(file, ("width", "height"), sound, "the size {} is empty")

    def _per_image(
        self,
        file: Path,
        what: tuple[str, ...],
        sound: Callable[[NDArray[np.int64]], NDArray[np.bool_]],
        otherwise: str,
    ) -> NDArray[np.int64]:
        """(n, k) whole numbers of each image from a file with a line an image; -1 without one.

        Args:
            what: the k numbers are.
            sound: says of (m, k) numbers whether they may be.
            otherwise: what to say of those that may not.
        """
        data = read_bytes(file, _WHAT)
        result = np.full((len(self.ids), len(what)), -1, dtype=np.int64)
        columns = fast_columns(data, len(what), "whole number")
        if columns is not None:
            places, values = self._places(columns), columns.values
            once = np.bincount(places[places >= 0], minlength=1).max() <= 1
            if once and (places >= 0).all() and (values >= 0).all() and sound(values).all():
                result[places] = values
                return result
        first: dict[int, str] = {}
        for line, where in numbered_lines(decoded(data, file), file):
            name = line.split(",", 1)[0]
            with self._problems.leaving_out(name):
                place = self._place(name, where)
                unsettled = place not in self.refused
                self.refused.add(place)  # until the line is found to be good
                texts = fields(line, 1 + len(what), ",", where)[1:]
                pairs = zip(texts, what, strict=True)
                numbers = np.array([whole_number(text, kind, where) for text, kind in pairs])
                if not sound(numbers[None])[0]:
                    shown = "x".join(map(str, numbers))
                    raise AnnotationError("bad number", f"{where}: {otherwise.format(shown)}.")
                if place in first and (result[place] != numbers).any():
                    raise AnnotationError(
                        "contradiction",
                        f"{where}: {name} has the {' and '.join(what)} "
                        f"{','.join(map(str, numbers))}, but {','.join(map(str, result[place]))} "
                        f"at {first[place]}; keep the right one.",
                    )
                first.setdefault(place, where)
                result[place] = numbers
                if unsettled:
                    self.refused.discard(place)
        return result

    def localization(self, sizes: NDArray[np.int64], mask_root: Path | None) -> _Localization:
        """Boxes and mask files of every image.

        Raises:
            InputError: naming the line of an unknown image, of no box or mask, of a box that is
                none or leaves its image; or where masks are named and their root is unknown.
        """
        file = self.root / "localization.txt"
        data = read_bytes(file, _WHAT)
        found = _Localization([])
        columns = fast_columns(data, 4, "number")
        if columns is None:
            columns = self._by_line(data, file, found, mask_root)
        places, values = self._places(columns), columns.values
        near, far, limits = values[:, :2], values[:, 2:], sizes[places]
        plain = (places >= 0) & np.isfinite(values).all(1) & (near <= far).all(1)
        plain &= ((limits < 0) | (near >= 0) & (far <= limits)).all(1)
        for row in np.flatnonzero(~plain).tolist():
            name, where = columns.name(row), f"{file}:{columns.lines[row]}"
            with self._problems.leaving_out(name):
                place = self._place(name, where)
                found.mentioned.add(place)
                x0, y0, x1, y1 = values[row].tolist()
                box = corner_box((x0, y0, x1, y1), where)
                width, height = sizes[place].tolist()
                size = (width, height) if width >= 0 else None
                values[row] = clipped(box, size, where, self._problems)
                plain[row] = True
        places, values = places[plain], values[plain]
        order = np.argsort(places, kind="stable")
        ends = np.cumsum(np.bincount(places, minlength=len(self.ids))).tolist()
        sorted_boxes = values[order]
        starts = [0, *ends]
        found.boxes = [sorted_boxes[a:b] for a, b in zip(starts, ends, strict=False)]
        return found

    def _by_line(
        self, data: bytes, file: Path, found: _Localization, mask_root: Path | None
    ) -> Columns:
        """The lines with a box; those with masks go to `found`."""
        names, rows, numbers = [], [], []
        for line, where in numbered_lines(decoded(data, file), file):
            parts = line.split(",")
            with self._problems.leaving_out(parts[0]):
                if len(parts) == 3:
                    self._add_mask(parts, where, found, mask_root)
                elif len(parts) == 5:
                    place = self._place(parts[0], where)
                    found.mentioned.add(place)
                    rows.append(four_numbers(parts[1:], where))
                    names.append(parts[0])
                    numbers.append(int(where.rpartition(":")[2]))
                else:
                    raise AnnotationError(
                        "malformed line",
                        f"{where}: is neither image,x0,y0,x1,y1 nor image,mask,ignore: "
                        f"{quoted(line, 80)}.",
                    )
        return Columns(names, as_boxes(rows), np.array(numbers, dtype=np.int64))

    def _add_mask(
        self, parts: list[str], where: str, found: _Localization, mask_root: Path | None
    ) -> None:
        place = self._place(parts[0], where)
        if mask_root is None:
            file = self.root / "localization.txt"
            raise InputError(f"{file}: names mask files; say where they are with --masks.")
        found.objects[place].append(image_path(Path(mask_root), parts[1], where))
        if parts[2]:
            ignored = image_path(Path(mask_root), parts[2], where)
            if found.ignored.setdefault(place, ignored) != ignored:
                raise AnnotationError(
                    "contradiction",
                    f"{where}: {parts[0]} has the ignore region {parts[2]}, but "
                    f"{found.ignored[place].name} in an earlier line; keep the right one.",
                )

    def _place(self, name: str, where: str) -> int:
        """An image's place in `ids`."""
        if name not in self._place_of:
            raise AnnotationError(
                "unknown image", f"{where}: {quoted(name)} is not among image_ids.txt."
            )
        return self._place_of[name]

    def _places(self, columns: Columns) -> NDArray[np.int64]:
        """The places in `ids` of the images that rows name; -1 for unknown ones."""
        names = columns.names
        if not isinstance(names, list):
            if self._arrow_ids is None:
                self._arrow_ids = arrow_names(self.ids)
            if columns.named_as(self._arrow_ids):  # as in files that have a line an image
                return np.arange(len(names))
            names = names.to_pylist()
        found = map(self._place_of.get, names, repeat(-1))
        return np.fromiter(found, dtype=np.int64, count=len(names))


def as_dataset(root: Path, samples: list[Sample]) -> Dataset:
    """Samples of a four-file folder with what the folder's place says: data set and split."""
    resolved = root.resolve()
    classes, names = _classes(resolved.parent.name, samples)
    return Dataset.of_checked(
        resolved.parent.name, _SPLITS.get(resolved.name, resolved.name), samples, classes, names
    )


def _classes(name: str, samples: list[Sample]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Keys and names: those of a known data set, else the folders of the images, else numbers."""
    ids, labels = [s.image_id for s in samples], [s.label for s in samples]
    known = known_classes(name, ids, labels)
    if known is not None:
        return tuple(key for key, _ in known), tuple(told for _, told in known)
    folder_of: dict[int, str] = {}
    for image_id, label in zip(ids, labels, strict=True):
        folder = image_id.rpartition("/")[0].rpartition("/")[2]
        if folder_of.setdefault(label, folder) != folder:
            folder_of[label] = ""
    keys = [folder_of.get(label, "") for label in range(max(labels, default=-1) + 1)]
    if "" in keys or len(set(keys)) != len(keys):
        keys = [str(label) for label in range(len(keys))]
    return tuple(keys), tuple(keys)
