"""The life of one evaluation, whoever judges the images: progress, rows, resuming, finishing."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wsol.datasets.base import Dataset
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import Outcome
from wsol.evaluation.rows import OutcomeFile
from wsol.records.outcomes import OUTCOMES_SUFFIX
from wsol.records.record import ResultRecord, SkippedImage, Timing, write_record
from wsol.resume import SavedProgress, unbroken


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run keeps its record, and what it has done as long as it is unfinished.

    Attributes:
        folder: made where it is missing.
        name: of the record without its suffix; outcomes and progress have it too.
        resume: go on from the saved progress if there is any, else start anew.
    """

    folder: Path
    name: str
    resume: bool = False

    @property
    def record(self) -> Path:
        """The record."""
        return self.folder / f"{self.name}.json"

    @property
    def outcomes(self) -> Path:
        """Every image's outcome."""
        return self.folder / f"{self.name}{OUTCOMES_SUFFIX}"

    @property
    def progress(self) -> Path:
        """What an unfinished run has done."""
        return self.folder / f".{self.name}.progress.npz"


@dataclass(slots=True)
class Seconds:
    """Where the time went; the parts overlap where they run beside each other."""

    data: float = 0.0
    forward: float = 0.0
    localization: float = 0.0


class Judging(Protocol):
    """Judges an evaluator's pending images, in the data set's order."""

    seconds: Seconds

    def __iter__(self) -> Iterator[Outcome | SkippedImage]:
        """Each image's outcome, or why it was left out."""


def ignore_progress(images: int) -> None:
    """The default progress callback."""


class Run:
    """One evaluation: what has been added up, and where it is kept."""

    def __init__(
        self,
        evaluator: Evaluator,
        identity: str,
        place: Place | None,
        *,
        per_image: bool,
        save_every: float,
    ) -> None:
        """Load what an earlier run of the same identity has done.

        Args:
            identity: of everything that decides the result.
            place: where to keep it; None keeps nothing.
            per_image: also keep every image's outcome; needs a place.

        Raises:
            InputError: when the progress to go on from is damaged or that of another run.
        """
        self._start = time.perf_counter()
        self.evaluator = evaluator
        self._place = place
        self._saved: SavedProgress | None = None
        self._rows: OutcomeFile | None = None
        if place is None:
            if per_image:
                raise InputError("Outcomes of images need a folder to be kept in.")
            return
        self._saved = SavedProgress(place.progress, identity, save_every)
        state = self._saved.load() if place.resume else None
        if state is not None:
            evaluator.load_state(state)
        if per_image:
            self._rows = OutcomeFile(place.outcomes, evaluator.dataset, evaluator.protocol)
            self._rows.begin(evaluator.evaluated())

    def add_all(
        self, judging: Judging, advance: Callable[[int], None] = ignore_progress
    ) -> list[SkippedImage]:
        """Add every pending image; on any exception, what has been added is saved first.

        Args:
            advance: called with the number of images finished since the last call, at first with
                those of the run that this one goes on from.

        Returns:
            The images that were left out.
        """
        if self.evaluator.num_images:
            advance(self.evaluator.num_images)
        skipped: list[SkippedImage] = []
        try:
            for item in judging:
                if isinstance(item, SkippedImage):
                    skipped.append(item)
                else:
                    with unbroken():
                        self.evaluator.add(item)
                        if self._rows is not None and item.row is not None:
                            self._rows.add(item.row)
                advance(1)
                if self._saved is not None and self._saved.due():
                    self._save()
        except BaseException:
            if self.evaluator.num_images:
                self._save()
            raise
        return skipped

    def timing(self, seconds: Seconds) -> Timing:
        """The seconds of a record, up to now."""
        return Timing(
            data=round(seconds.data, 3),
            forward=round(seconds.forward, 3),
            localization=round(seconds.localization, 3),
            total=round(time.perf_counter() - self._start, 3),
        )

    def finish(self, record: ResultRecord) -> None:
        """Write the record, its outcomes first; then no progress is needed any more."""
        if self._place is None:
            return
        if self._rows is not None:
            self._rows.join(self.evaluator.evaluated())
        else:  # those of an earlier run tell other numbers
            self._place.outcomes.unlink(missing_ok=True)
        write_record(record, self._place.record)
        if self._saved is not None:
            self._saved.remove()
        if self._rows is not None:
            self._rows.discard_parts()

    def _save(self) -> None:
        """Save what has been evaluated, its rows first."""
        if self._rows is not None:
            self._rows.flush()
        if self._saved is not None:
            self._saved.save(self.evaluator.state())


def require_images(dataset: Dataset) -> None:
    """Refuse a data set without images."""
    if len(dataset) == 0:
        raise InputError(f"{dataset.name}, split {dataset.split}: there is no image to evaluate.")
