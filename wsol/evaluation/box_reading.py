"""Files of predicted boxes: COCO results, or CSV.

A COCO results file is a JSON list of `{"image_id", "category_id", "bbox": [x, y, width, height],
"score"}` with continuous edges. CSV has the header `image_id,x0,y0,x1,y1[,score[,class]]`.
`wsol.evaluation.box_writing` writes both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsol.datasets.base import ROUNDING, Dataset
from wsol.errors import InputError
from wsol.evaluation.box_corners import BoxCorners, BoxPixels
from wsol.evaluation.box_writing import HEADER
from wsol.evaluation.naming import ClassNames, ImageNames
from wsol.reading import number, quoted, read_json, read_rows

_WHAT = "boxes: CSV with the header image_id,x0,y0,x1,y1[,score[,class]], or COCO results JSON"


@dataclass(frozen=True, slots=True)
class GivenBoxes:
    """The boxes of one image.

    Attributes:
        boxes: (n, 4) as the file has them; COCO's as x0, y0, x1, y1 with exclusive corners.
        scores: (n,), or None where none are given.
        classes: (n,) labels, or None where none are given.
        where: n places in the file.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64] | None
    classes: NDArray[np.int64] | None
    where: tuple[str, ...]

    def of_label(self, label: int) -> NDArray[np.int64]:
        """Which boxes stand for a label, the highest score first, the first at ties: those of its
        class, or all where no classes are given."""
        own = np.arange(len(self.boxes))
        if self.classes is not None:
            own = own[self.classes == label]
        if self.scores is None:
            return own
        return own[np.argsort(-self.scores[own], kind="stable")]

    def in_photograph(
        self, size: tuple[int, int], corners: BoxCorners, pixels: BoxPixels
    ) -> NDArray[np.float64]:
        """(n, 4) inclusive corners in a photograph of `size` (width, height).

        Raises:
            InputError: naming the line of a box that lies outside of it.
        """
        side = np.tile(np.array(size, np.float64), 2)
        boxes = self.boxes * side if pixels == "fractions" else self.boxes
        edges = boxes + np.array([0, 0, 1, 1]) * (pixels == "photograph" and corners == "inclusive")
        outside = (edges[:, :2] < -ROUNDING).any(1) | (edges[:, 2:] > side[:2] + ROUNDING).any(1)
        if outside.any():
            place = int(outside.argmax())
            raise InputError(
                f"{self.where[place]}: the box {_told(self.boxes[place])} lies outside its image "
                f"of {size[0]}x{size[1]} pixels; see --box-pixels and --box-corners, or write "
                "fractions where the photographs are copies of another size."
            )
        inside: NDArray[np.float64] = edges - np.array([0, 0, 1, 1])
        return inside


@dataclass(frozen=True, slots=True)
class BoxFile:
    """The boxes of a file.

    Attributes:
        of: by image id.
        extra: a name and its place for each box of an image that the data set has not.
    """

    path: Path
    of: dict[str, GivenBoxes]
    extra: list[tuple[str, str]]
    corners: BoxCorners


def is_box_file(path: Path) -> bool:
    """Whether a path names a file of boxes, and not score maps."""
    return Path(path).suffix.lower() in (".json", ".csv")


def read_boxes(
    path: Path,
    dataset: Dataset,
    corners: BoxCorners,
    *,
    with_classes: bool = True,
    skip_bad: bool = False,
) -> BoxFile:
    """The boxes of a file.

    Args:
        corners: of a CSV file; COCO's are exclusive.
        with_classes: take the classes that the file names; otherwise boxes are of none.
        skip_bad: list images that the data set has not, instead of refusing them.

    Raises:
        InputError: naming file and place of an unknown image, a class outside the data set, a box
            that is none (not finite, or with a far corner before the near one), or several boxes of
            an image without scores that say which one counts.
    """
    path = Path(path)
    is_coco = path.suffix.lower() == ".json"
    if is_coco:
        corners = "exclusive"
    rows = list(_of_coco(path) if is_coco else _of_csv(path))
    if not rows:
        raise InputError(f"{path}: holds no box.")
    images = ImageNames(dataset, (row.image for row in rows))
    classes = ClassNames(dataset)
    found: dict[str, list[tuple[_Row, int | None]]] = {}
    extra = []
    for row in rows:
        image_id = images.known(row.image)
        if image_id is None:
            if not skip_bad:
                raise images.unknown(row.image, row.where)
            extra.append((row.image, row.where))
            continue
        _require_box(row, corners)
        label = None
        if row.name is not None and with_classes:
            try:
                label = classes.label(row.name, row.where)
            except InputError as error:
                told = f"{error} --no-box-classes takes the boxes without their classes."
                raise InputError(told) from error
        found.setdefault(image_id, []).append((row, label))
    of = {image_id: _gathered(image_id, items) for image_id, items in found.items()}
    return BoxFile(path, of, extra, corners)


@dataclass(frozen=True, slots=True)
class _Row:
    image: str
    box: tuple[float, float, float, float]
    score: float | None
    name: str | None
    where: str


def _require_box(row: _Row, corners: BoxCorners) -> None:
    x0, y0, x1, y1 = row.box
    values = [*row.box, 0.0 if row.score is None else row.score]
    # Corners of which both are pixels of the box may be the same.
    wide = x1 >= x0 and y1 >= y0 if corners == "inclusive" else x1 > x0 and y1 > y0
    if not (np.isfinite(values).all() and wide):
        sign = "<=" if corners == "inclusive" else "<"
        raise InputError(
            f"{row.where}: {_told(row.box)} is no box; expected finite numbers, x0 {sign} x1 and "
            f"y0 {sign} y1."
        )


def _gathered(image_id: str, items: list[tuple[_Row, int | None]]) -> GivenBoxes:
    rows, labels = [row for row, _ in items], [label for _, label in items]
    scores = [row.score for row in rows]
    classes = None if None in labels else np.array(labels, dtype=np.int64)
    if None in scores:
        of_class = dict[Any, _Row]()
        for row, label in items:
            key = None if classes is None else label
            if key in of_class:
                raise InputError(
                    f"{row.where}: {image_id} has a second box, and no scores say which one "
                    "counts; add scores, or keep one line."
                )
            of_class[key] = row
    return GivenBoxes(
        np.array([row.box for row in rows], dtype=np.float64),
        None if None in scores else np.array(scores, dtype=np.float64),
        classes,
        tuple(row.where for row in rows),
    )


def _of_csv(path: Path) -> Iterator[_Row]:
    rows = read_rows(path, _WHAT)
    header, where = next(rows, ([], f"{path}:1"))
    names = [name.strip() for name in header]
    if len(names) < 5 or names != list(HEADER[: len(names)]):
        raise InputError(f"{where}: is not the header {','.join(HEADER[:5])}[,score[,class]].")
    for fields, place in rows:
        if len(fields) != len(names):
            raise InputError(f"{place}: has {len(fields)} fields; the header has {len(names)}.")
        try:
            x0, y0, x1, y1, *score = (number(text) for text in fields[1:6])
        except ValueError as error:
            raise InputError(f"{place}: {error}.") from error
        name = fields[6] if len(names) > 6 else None
        yield _Row(fields[0], (x0, y0, x1, y1), score[0] if score else None, name, place)


def _of_coco(path: Path) -> Iterator[_Row]:
    content = read_json(path, _WHAT)
    if not isinstance(content, list):
        raise InputError(f"{path}: is no COCO results file, which is a list of detections.")
    for place, item in enumerate(content):
        where = f"{path}, detection {place}"
        if not isinstance(item, dict):
            raise InputError(f"{where}: is {quoted(item)}; expected an object.")
        image_id, box, score = item.get("image_id"), item.get("bbox"), item.get("score")
        if not isinstance(image_id, str | int) or isinstance(image_id, bool):
            raise InputError(f"{where}: has no image_id.")
        if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
            raise InputError(f"{where}: its bbox is {quoted(box)}; expected [x, y, width, height].")
        if score is not None and not _is_number(score):
            raise InputError(f"{where}: its score is {quoted(score)}; expected a number.")
        category = item.get("category_id")
        if category is not None and (
            isinstance(category, bool) or not isinstance(category, int | str)
        ):
            raise InputError(f"{where}: its category_id is {quoted(category)}.")
        try:
            x, y, width, height = map(float, box)
            value = None if score is None else float(score)
        except OverflowError as error:
            raise InputError(f"{where}: has a number beyond all measure.") from error
        name = None if category is None else str(category)
        yield _Row(str(image_id), (x, y, x + width, y + height), value, name, where)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _told(box: Any) -> str:
    return ",".join(f"{value:g}" for value in box)
