"""Boxes that were found, as files that other programs read: COCO results, CSV, Pascal VOC.

- COCO: a results file, a JSON list of `{"image_id", "category_id", "bbox": [x, y, width, height],
  "score"}` with continuous edges: a box over the single pixel 3, 5 is 3, 5, 1, 1.
- CSV: the header `image_id,x0,y0,x1,y1,score[,class]`, corners that are both pixels of the box;
  or the outer edges as fractions of the photograph's sides.
- VOC: an XML file an image, whose corners are both pixels of the box, counted from 1.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from wsol.boxes.geometry import to_xywh
from wsol.files import atomic_path, inside, write_text

HEADER = ("image_id", "x0", "y0", "x1", "y1", "score", "class")


@dataclass(frozen=True, slots=True)
class FoundBoxes:
    """The boxes of one image.

    Attributes:
        boxes: (n, 4) inclusive corners in pixels of the photograph, best first; n may be 0.
        scores: (n,).
        size: (width, height) of the photograph.
        label: position of the class among its network's; None where it is not known.
        key, name: of the class in files, such as a WordNet id, and for people.
    """

    image_id: str
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    size: tuple[int, int]
    label: int | None = None
    key: str | None = None
    name: str | None = None


def write_coco(found: Iterable[FoundBoxes], place: Path) -> None:
    """Write a COCO results file."""
    lines = []
    for item in found:
        for box, score in zip(to_xywh(item.boxes), item.scores, strict=True):
            detection = {
                "image_id": item.image_id,
                **({} if item.label is None else {"category_id": item.label}),
                "bbox": [round(value, 3) for value in box.tolist()],
                "score": round(float(score), 6),
            }
            lines.append(json.dumps(detection))
    text = ",\n".join(lines)
    write_text(place, f"[\n{text}\n]\n" if lines else "[]\n")


def write_csv(found: Iterable[FoundBoxes], place: Path, *, fractions: bool = False) -> None:
    """Write CSV with inclusive corners, or with edges as `fractions` of the photograph's sides; the
    class by its key, else by its position."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    items = list(found)
    classes = bool(items) and all(item.label is not None for item in items)
    writer.writerow(HEADER if classes else HEADER[:6])
    for item in items:
        named = [item.label if item.key is None else item.key] if classes else []
        boxes, digits = item.boxes, 3
        if fractions:
            boxes, digits = (boxes + np.array([0, 0, 1, 1])) / np.tile(item.size, 2), 9
        for box, score in zip(boxes, item.scores, strict=True):
            corners = [_plain(value, digits) for value in box.tolist()]
            writer.writerow([item.image_id, *corners, _plain(float(score), 6), *named])
    write_text(place, stream.getvalue())


def write_fractions(found: Iterable[FoundBoxes], place: Path) -> None:
    """`write_csv` with fractions."""
    write_csv(found, place, fractions=True)


def write_voc(found: Iterable[FoundBoxes], place: Path) -> None:
    """Write an XML file an image below the folder `place`, as of Pascal VOC."""
    for item in found:
        width, height = item.size
        lines = [
            "<annotation>",
            f"  <filename>{escape(PurePosixPath(item.image_id).name)}</filename>",
            f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        ]
        for box in np.rint(item.boxes).astype(int) + 1:
            corners = "".join(
                f"<{name}>{value}</{name}>"
                for name, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
            )
            lines += [
                "  <object>",
                f"    <name>{escape(item.name or 'object')}</name>",
                f"    <bndbox>{corners}</bndbox>",
                "  </object>",
            ]
        stem = str(PurePosixPath(item.image_id).with_suffix(".xml"))
        file = inside(place, stem, f"image id {item.image_id!r}")
        with atomic_path(file, durable=False) as temporary:
            temporary.write_text("\n".join([*lines, "</annotation>"]) + "\n", encoding="utf-8")


def _plain(value: float, digits: int = 3) -> str:
    """A number without a fraction that says nothing."""
    return repr(round(value, digits)).removesuffix(".0")


WRITERS: dict[str, Callable[[Iterable[FoundBoxes], Path], None]] = {
    "coco": write_coco,
    "csv": write_csv,
    "fractions": write_fractions,
    "voc": write_voc,
}
"""What writes each format: a file, of `voc` a folder; `fractions` are CSV, too."""
