"""What is done to every data set after its reader: images that a list leaves out, what is wrong
with single annotations, whether a copy is whole."""

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from wsol.datasets.base import Dataset
from wsol.datasets.classes import PUBLISHED_IMAGES
from wsol.datasets.parsing import Problems
from wsol.errors import InputError
from wsol.reading import read_lines

_NUMBER = re.compile(r"(?:^|_val_|^val_|_val\d{4}_)(\d+)$")
"""The number in the name of a validation image, or in a name that is a number."""


@contextmanager
def nothing_collected() -> Iterator[None]:
    """A block that makes a million objects, all of which stay: looking for garbage among them again
    and again would take as long as making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Opening:
    """One data set on its way from its reader to its user.

    `problems` is for the reader: what it cannot use. A gatherer from outside keeps them to itself;
    otherwise they refuse the data set, or are left out with a note.
    """

    def __init__(self, gatherer: Problems | None) -> None:
        self.problems = Problems() if gatherer is None else gatherer
        self._gathers = gatherer is not None

    def finished(self, dataset: Dataset, exclude: Path | None, *, strict: bool) -> Dataset:
        """The data set without the images of a list, with notes on what else is not in it.

        Args:
            exclude: a file of images to leave out: a path, name or number a line.
            strict: refuse the data set where there are problems.

        Raises:
            InputError: the first problem, and how many more there are.
        """
        whole = whole_note(dataset)
        if exclude is not None:
            dataset = _without(dataset, self.problems, exclude)
        dataset = dataset.noting(*whole)
        if self._gathers:
            return dataset
        found = self.problems.found
        if found and (strict or not len(dataset)):
            more = f" ({len(found) - 1:,} more: `wsol datasets check`)" if len(found) > 1 else ""
            how = " --skip-bad-annotations leaves it out." if strict else ""
            raise InputError(f"{found[0].message}{more}{how}")
        return dataset.noting(*self.problems.notes())


def whole_or_noted(dataset: Dataset) -> Dataset:
    """The data set, with a note where it is not all of the published one of its name."""
    return dataset.noting(*whole_note(dataset))


def whole_note(dataset: Dataset) -> tuple[str, ...]:
    """A note that a copy is not whole, or none."""
    published = PUBLISHED_IMAGES.get((dataset.name, len(dataset.classes), dataset.split))
    if published is None or len(dataset) >= published:
        return ()
    classes = len({sample.label for sample in dataset.samples})
    return (
        f"This copy has {len(dataset):,} of the {published:,} images of {dataset.name} "
        f"{dataset.split}, of {classes:,} of {len(dataset.classes):,} classes.",
    )


def _without(dataset: Dataset, problems: Problems, exclude: Path) -> Dataset:
    """Leave out the images that a list names by path, by file name with or without its suffix, or
    by number, with all that is wrong with them."""
    listed = set()
    for line, _ in read_lines(exclude, "an image number or name a line"):
        text = line.strip()
        listed.add(text.lstrip("0") or "0" if text.isascii() and text.isdigit() else text)
    met: set[str] = set()

    def is_left_out(image_id: str) -> bool:
        found = [name for name in _names(image_id) if name in listed]
        met.update(found)
        return bool(found)

    kept = [sample for sample in dataset.samples if not is_left_out(sample.image_id)]
    for part in (problems.found, problems.missing):
        part[:] = [problem for problem in part if not is_left_out(problem.image_id)]
    notes = [f"{len(dataset) - len(kept):,} images left out as listed in {exclude.name}."]
    if len(met) < len(listed):
        notes.append(f"{len(listed) - len(met):,} lines of {exclude.name} name no image here.")
    return replace(dataset, samples=kept).noting(*notes)


def _names(image_id: str) -> Iterator[str]:
    """What a list may call an image."""
    for name in dict.fromkeys((image_id, image_id.rpartition("#")[0])):
        path = PurePosixPath(name)
        number = _NUMBER.search(path.stem)
        yield from (name, str(path.with_suffix("")) if path.name else name, path.name, path.stem)
        if number:
            yield number.group(1).lstrip("0") or "0"
