"""The life of an evaluation, whoever judges the images: progress, rows, resuming, finishing.

A `Run` is what one convention adds up. Where several are asked for, `add_all` gives each the
outcomes of one pass over the images; each keeps a progress of its own.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wsol.datasets.base import Dataset
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import Outcome
from wsol.evaluation.provenance import environment, files_fingerprint, fingerprint
from wsol.evaluation.rows import OutcomeFile
from wsol.evaluation.shares import OthersFailedError, Share, Tally
from wsol.files import is_folder
from wsol.processes import ALONE, Processes
from wsol.records.outcomes import OUTCOMES_SUFFIX
from wsol.records.record import ResultRecord, SkippedImage, Timing, write_record
from wsol.resume import SavedProgress
from wsol.signals import unbroken


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run keeps its record, and what it has done as long as it is unfinished.

    Attributes:
        folder: made where it is missing; of several processes, one that all of them see.
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
        """What an unfinished run has done; of several processes, the first."""
        return self.progress_of(0)

    def progress_of(self, rank: int) -> Path:
        """What one of several processes has done."""
        return self.folder / f".{self.name}.progress{f'-{rank}' if rank else ''}.npz"

    def saved(self) -> list[Path]:
        """The progress of any process that has left some, by rank."""
        rank = re.compile(re.escape(f".{self.name}.progress") + r"(?:-(\d+))?\.npz")
        if not is_folder(self.folder):
            return []
        found = [(rank.fullmatch(path.name), path) for path in self.folder.iterdir()]
        return [
            path for _, path in sorted((int(m[1] or 0), path) for m, path in found if m is not None)
        ]


def names_of(name: str, conventions: Sequence[str]) -> list[str]:
    """The names of the records of a run under each of its conventions."""
    return [name] if len(conventions) == 1 else [f"{name}-{own}" for own in conventions]


def places_of(
    folder: Path | None, name: str, conventions: Sequence[str], *, resume: bool
) -> list[Place | None]:
    """Where the record of each convention is kept; None where none is."""
    return [
        None if folder is None else Place(folder, own, resume)
        for own in names_of(name, conventions)
    ]


@dataclass(slots=True)
class Seconds:
    """Where the time went; the parts overlap where they run beside each other."""

    data: float = 0.0
    forward: float = 0.0
    localization: float = 0.0


Judged = tuple[Outcome | SkippedImage, ...] | SkippedImage
"""An image's outcome for each of the evaluators, or why it was left out: by one, or by all."""


class Judging(Protocol):
    """Judges images, for one evaluator or several of the same data set."""

    seconds: Seconds

    def judged(self, share: Share) -> Iterator[Judged]:
        """What is said of each image of a share."""


def ignore_progress(images: int) -> None:
    """The default progress callback."""


class Run:
    """One evaluation under one convention: what has been added up, and where it is kept.

    Where several processes are at it, each makes one and adds its share of the images. After that
    the first has what all have added, and it alone makes and writes the record.

    Attributes:
        done: (n,) bool, the images that an earlier run has added.
        name: of the run among its processes.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        settings: Mapping[str, Any],
        place: Place | None,
        *,
        files: Iterable[tuple[str, Path]],
        per_image: bool,
        save_every: float,
        processes: Processes = ALONE,
    ) -> None:
        """Load what an earlier run of the same settings and files has done.

        Args:
            settings: everything that decides the result, in JSON values.
            place: where to keep it; None keeps nothing.
            files: what is read, by names that stay when their folder is moved.
            per_image: also keep every image's outcome; needs a place.

        Raises:
            InputError: when the progress to go on from is damaged or that of another run; when
                processes do not agree, or do not see the same folder.
        """
        self._start = time.perf_counter()
        self.evaluator = evaluator
        self._place = place
        self.processes = processes
        self._saved: SavedProgress | None = None
        self._rows: OutcomeFile | None = None
        self._seconds: list[Seconds] = []
        if place is None and per_image:
            raise InputError("Outcomes of images need a folder to be kept in.")
        if processes.count > 1:
            made_with = environment("cpu")
            processes.require_same(
                made_with.versions
                | {"commit": made_with.commit, "threads (OMP_NUM_THREADS)": made_with.threads}
                | dict(settings)
            )
        identity = ""
        if place is not None:
            processes.require_shared(place.folder)
            identity = processes.of_first(lambda: fingerprint(settings, files_fingerprint(files)))
            own = place.progress_of(processes.rank)
            self._saved = SavedProgress(own, identity, save_every)
            if per_image:
                self._rows = OutcomeFile(
                    place.outcomes,
                    evaluator.dataset,
                    evaluator.protocol,
                    processes.rank,
                    evaluator.candidates,
                )
        self.done, self.name = processes.of_first(lambda: self._taken_up(identity))

    def _taken_up(self, identity: str) -> tuple[NDArray[np.bool_], str]:
        """What any process of an earlier run has done is the first one's from here on.

        Returns:
            Which images those are, and a name for the run among its processes.
        """
        evaluator, place = self.evaluator, self._place
        if place is not None:
            assert self._saved is not None
            files = place.saved()
            if place.resume:
                states = [SavedProgress(path, identity).load() for path in files]
                add_states(evaluator, [state for state in states if state is not None])
            if files and files != [place.progress]:
                if evaluator.num_images:
                    self._saved.save(evaluator.state())
                for path in files[files[0] == place.progress :]:
                    path.unlink(missing_ok=True)
            if self._rows is not None:
                self._rows.begin(evaluator.evaluated())
        done = np.zeros(len(evaluator.dataset), dtype=bool)
        done[evaluator.evaluated()] = True
        return done, secrets.token_hex(8)

    def add(self, outcome: Outcome) -> None:
        """Add an image, unless an earlier run has."""
        if self.done[self.evaluator.position_of(outcome.image_id)]:
            return
        with unbroken():
            self.evaluator.add(outcome)
            if self._rows is not None and outcome.row is not None:
                self._rows.add(outcome.row)

    def save_if_due(self) -> None:
        """Save what has been added, where enough time has passed since the last time."""
        if self._saved is not None and self._saved.due():
            self.save()

    def collect(self, states: Iterable[Mapping[str, NDArray[Any]]], seconds: list[Seconds]) -> None:
        """Add what the other processes have added, and take what all of them spent."""
        add_states(self.evaluator, states)
        self._seconds = seconds

    def timing(self) -> Timing:
        """The seconds of a record, up to now: those of all processes, and by the clock."""

        def spent(part: str) -> float:
            return round(sum(asdict(seconds)[part] for seconds in self._seconds), 3)

        return Timing(
            data=spent("data"),
            forward=spent("forward"),
            localization=spent("localization"),
            total=round(time.perf_counter() - self._start, 3),
        )

    def finish(self, record: ResultRecord) -> None:
        """Write the record, its outcomes first; then no progress is needed any more.

        The first of several processes alone calls it.
        """
        if self._place is None:
            return
        if self._rows is not None:
            self._rows.join(self.evaluator.evaluated(), self.evaluator.chosen_candidate)
        else:  # those of an earlier run tell other numbers
            self._place.outcomes.unlink(missing_ok=True)
        write_record(record, self._place.record)
        for path in self._place.saved():
            path.unlink(missing_ok=True)
        if self._rows is not None:
            self._rows.discard_parts()

    def save(self) -> None:
        """Save what has been evaluated, its rows first; a signal waits until that is done."""
        if self._saved is None or not self.evaluator.num_images:
            return
        with unbroken():
            if self._rows is not None:
                self._rows.flush()
            self._saved.save(self.evaluator.state())


def add_all(
    runs: Sequence[Run], judging: Judging, advance: Callable[[int], None] = ignore_progress
) -> list[list[SkippedImage]]:
    """Add this process's share of the images to each run that it is not in.

    On any exception, what has been added is saved first.

    Args:
        runs: one for each of the evaluators that `judging` judges for, in their order.
        advance: called with the number of images finished since the last call, at first with
            those of the runs that these go on from; in the first process those of all.

    Returns:
        The images that each of the runs left out, of all processes in the first.

    Raises:
        InputError: also when that of another process ended it.
    """
    processes = runs[0].processes
    share = Share(np.logical_and.reduce([run.done for run in runs]), processes)
    skipped: list[list[SkippedImage]] = [[] for _ in runs]
    tally = Tally(processes, runs[0].name, advance, int(share.done.sum()))
    failure: Exception | None = None
    try:
        for item in judging.judged(share):
            each = (item,) * len(runs) if isinstance(item, SkippedImage) else item
            for run, outcome, own_skipped in zip(runs, each, skipped, strict=True):
                if isinstance(outcome, SkippedImage):
                    own_skipped.append(outcome)
                else:
                    run.add(outcome)
            tally.add()
            for run in runs:
                run.save_if_due()
    except OthersFailedError:
        pass
    except BaseException as error:
        _save(runs)
        if processes.count == 1 or not isinstance(error, Exception):
            raise
        failure = error
        tally.fail()
    if processes.count > 1:
        _save(runs)
        tally.look()
        processes.wait(tally.look)
        tally.look()
        processes.raise_any(failure)
    own = [] if processes.is_first else [run.evaluator.state() for run in runs]
    collected = processes.collected((own, skipped, judging.seconds))
    for number, run in enumerate(runs):
        states = [states[number] for states, _, _ in collected if states]
        run.collect(states, [spent for _, _, spent in collected])
    return [[item for _, left, _ in collected for item in left[n]] for n in range(len(runs))]


def _save(runs: Iterable[Run]) -> None:
    for run in runs:
        run.save()


def add_states(evaluator: Evaluator, states: Iterable[Mapping[str, NDArray[Any]]]) -> None:
    """Add what other evaluators of the same data set and protocol have added up.

    A state is passed over whose images are all there, as when it was taken up before.

    Raises:
        InputError: when it holds some of the images that are there and others.
    """
    for state in sorted(states, key=lambda state: -int(state["seen"].sum())):
        other = evaluator.emptied()
        other.load_state(dict(state))
        if not set(other.evaluated()) <= set(evaluator.evaluated()):
            evaluator.merge(other)


def in_order(skipped: Iterable[SkippedImage], dataset: Dataset) -> list[SkippedImage]:
    """Images that were left out, in the data set's order whoever met them first."""
    position = {sample.image_id: place for place, sample in enumerate(dataset.samples)}
    return sorted(skipped, key=lambda item: position[item.image_id])


def require_images(dataset: Dataset) -> None:
    """Refuse a data set without images."""
    if len(dataset) == 0:
        raise InputError(f"{dataset.name}, split {dataset.split}: there is no image to evaluate.")
