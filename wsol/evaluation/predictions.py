"""What a classifier said about each image, read from a file: for maps and boxes from elsewhere.

Two layouts are understood:

- CSV with the header `image_id,c1,...,c5[,s1,...,s5]`: the classes by key or position, best first,
  and their scores;
- a per-image file (`.outcomes.parquet`) of another run on the same images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from wsol.datasets.base import Dataset
from wsol.errors import InputError
from wsol.evaluation.judging import Classification
from wsol.evaluation.naming import ClassNames, ImageNames
from wsol.reading import number, quoted, read_rows
from wsol.records.outcomes import read_outcomes

_TOP = 5
_WHAT = "predictions: CSV with the header image_id,c1,...,c5, or an .outcomes.parquet"


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions by image.

    Attributes:
        path: the file, for messages.
        of: by image id; only images of the data set.
        scored: whether they have scores.
    """

    path: Path
    of: dict[str, Classification]
    scored: bool

    def require(self, wanted: Sequence[str]) -> None:
        """Refuse to go on without predictions for some images.

        Args:
            wanted: ids of the images that have a map or a box.

        Raises:
            InputError: naming the file and the first such image.
        """
        missing = [image_id for image_id in wanted if image_id not in self.of]
        if missing:
            raise InputError(
                f"{self.path}: has no prediction for {missing[0]} ({len(missing):,} of "
                f"{len(wanted):,} images have none); write them, or leave the images out with "
                "--skip-bad."
            )


def read_predictions(path: Path, dataset: Dataset, *, skip_bad: bool = False) -> Predictions:
    """The predictions of a file.

    Args:
        skip_bad: pass over images that the data set has not.

    Raises:
        InputError: naming file and line of an unknown or repeated image, a class outside the data
            set or repeated, too few classes, or a score that is no finite number or greater than
            the one before.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        return _of_another_run(path, dataset, skip_bad)
    rows = list(read_rows(path, _WHAT))
    header, where = rows[0] if rows else ([], f"{path}:1")
    names = [name.strip() for name in header]
    count = sum(name.startswith("c") for name in names[1:])
    expected = ["image_id", *(f"c{i + 1}" for i in range(count))]
    scored = [*expected, *(f"s{i + 1}" for i in range(count))]
    if count == 0 or names not in (expected, scored):
        raise InputError(
            f"{where}: is not the header image_id,c1,...,c{_TOP}[,s1,...,s{_TOP}] of predictions."
        )
    least = min(_TOP, len(dataset.classes))
    if count < least:
        raise InputError(
            f"{where}: has {count} classes an image; Top-5 Loc needs {least}: write c1 to c{least}."
        )
    labels = {sample.image_id: sample.label for sample in dataset.samples}
    images = ImageNames(dataset, (fields[0] for fields, _ in rows[1:]))
    classes_of, found = ClassNames(dataset), dict[str, Classification]()
    for fields, place in rows[1:]:
        if len(fields) != len(names):
            raise InputError(f"{place}: has {len(fields)} fields; the header has {len(names)}.")
        if skip_bad and images.known(fields[0]) is None:
            continue
        image_id = images.of(fields[0], place)
        if image_id in found:
            raise InputError(f"{place}: {image_id} is listed twice; keep one line.")
        classes = [classes_of.label(text, place) for text in fields[1 : count + 1]]
        if len(set(classes)) < len(classes):
            raise InputError(f"{place}: names a class twice.")
        scores = _scores(fields[count + 1 :], place)
        found[image_id] = _said(classes, scores, labels[image_id])
    return Predictions(path, found, names == scored)


def _scores(texts: Sequence[str], where: str) -> list[float]:
    scores = []
    for text in texts:
        try:
            score = number(text)
        except ValueError as error:
            raise InputError(f"{where}: {error}; expected a score.") from error
        if not np.isfinite(score):
            raise InputError(f"{where}: the score {quoted(text)} is not finite.")
        scores.append(score)
    if any(after > before for before, after in pairwise(scores)):
        raise InputError(f"{where}: a score is greater than the one before; write the best first.")
    return scores


def _said(classes: Sequence[int], scores: Sequence[float], label: int) -> Classification:
    # A label that is not among them has some rank from there on; which, nobody says.
    rank = classes.index(label) if label in classes else max(len(classes), _TOP)
    given = np.array(scores if scores else np.zeros(len(classes)), dtype=np.float64)
    return Classification(rank, np.array(classes, dtype=np.int64), given, None)


def _of_another_run(path: Path, dataset: Dataset, skip_bad: bool) -> Predictions:
    columns = ["image_id", "label", "rank", "predicted", "scores"]
    table, _ = read_outcomes(path, columns)
    labels = {sample.image_id: sample.label for sample in dataset.samples}
    of_name: dict[str, int] = {}
    for label, name in enumerate(dataset.class_names):
        of_name.setdefault(name, label)
    found: dict[str, Classification] = {}
    for row in table.to_pylist():
        image_id = row["image_id"]
        where = f"{path}, {quoted(image_id)}"
        if image_id not in labels:
            if skip_bad:
                continue
            raise InputError(f"{where}: is no image of {dataset.name} {dataset.split}.")
        if row["label"] != labels[image_id]:
            raise InputError(f"{where}: has another label than in {dataset.name}.")
        if row["rank"] is None:
            raise InputError(f"{where}: has no prediction; that run had no classifier.")
        # Two classes of ImageNet may have one name: the label's place is known from its rank.
        classes = [
            labels[image_id] if place == row["rank"] else of_name.get(name, -1)
            for place, name in enumerate(row["predicted"])
        ]
        if -1 in classes:
            strange = row["predicted"][classes.index(-1)]
            raise InputError(f"{where}: {quoted(strange)} is no class of {dataset.name}.")
        scores = np.array(row["scores"], dtype=np.float64)
        found[image_id] = Classification(
            int(row["rank"]), np.array(classes, dtype=np.int64), scores, None
        )
    return Predictions(path, found, scored=True)


def read_map_classes(path: Path, dataset: Dataset) -> dict[str, tuple[list[int], str]]:
    """Of which classes the maps of an image are: CSV, `image_id,c1,...,cn[,s1,...]`.

    The header is optional; columns that it calls other than `c1`, `c2`, ... are passed over, so
    that a file of predictions is one, too. Images that the data set has not are passed over.

    Returns:
        Labels by image id, and the place of its line.

    Raises:
        InputError: naming file and line of a repeated image, or an unknown or repeated class.
    """
    rows = list(read_rows(path, "the classes of maps: CSV with the header image_id,c1,...,cn"))
    count: int | None = None
    if rows and rows[0][0][0].strip() == "image_id":
        count = sum(name.strip().startswith("c") for name in rows[0][0][1:])
        rows = rows[1:]
    images = ImageNames(dataset, (fields[0] for fields, _ in rows))
    names, found = ClassNames(dataset), dict[str, tuple[list[int], str]]()
    for fields, where in rows:
        image_id = images.known(fields[0])
        if image_id is None:
            continue
        if image_id in found:
            raise InputError(f"{where}: {image_id} is listed twice; keep one line.")
        texts = fields[1:] if count is None else fields[1 : count + 1]
        classes = [names.label(text, where) for text in texts if text.strip()]
        if not classes or len(set(classes)) < len(classes):
            raise InputError(f"{where}: names no class, or one twice.")
        found[image_id] = classes, where
    return found
