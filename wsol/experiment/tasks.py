"""Runs an experiment: every model on every data set, skipping what the results folder has."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from wsol.datasets.base import Dataset, limited
from wsol.errors import InputError, ProcessEndedError
from wsol.evaluation.lifecycle import Place
from wsol.evaluation.models import (
    ModelRequest,
    Track,
    evaluate_model,
    load_model,
    no_progress,
    of_one_pass,
    passes_of,
    passes_told,
    weights_name,
)
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.protocol import Protocol
from wsol.evaluation.settings import run_settings
from wsol.experiment.parts import DataPart, Experiment, ModelPart
from wsol.experiment.trainings import PlannedTraining, plan_trainings
from wsol.files import plain
from wsol.maps.baselines import BASELINES
from wsol.models.classifier import Classifier
from wsol.plugin import also_look_in
from wsol.processes import ALONE, Processes
from wsol.records.record import ResultRecord
from wsol.records.store import Added, Entry, Store, run_key
from wsol.training.run import OnEpoch, ignore_epoch
from wsol.training.run import Track as TrainingTrack
from wsol.training.run import no_progress as no_training_progress


@dataclass(frozen=True, slots=True)
class Task:
    """One model on one data set by one convention, trained before where there is a `training`."""

    model: ModelPart
    dataset: Dataset
    options: EvaluationOptions
    training: PlannedTraining | None = None
    is_repeated: bool = False

    @property
    def title(self) -> str:
        """For messages."""
        method = "" if self.options.method == ("cam",) else f", {self.options.map_method}"
        seed = "" if self.seed is None else f" (seed {self.seed})"
        rules = self.options.protocol.rules
        under = "" if rules == Protocol().rules else f" under {rules.name}"
        return (
            f"{self.model.label}{method}{seed} on {self.dataset.name} {self.dataset.split}{under}"
        )

    @property
    def seed(self) -> int | None:
        """Which of several trainings it is of; None where there is only one."""
        training = self.training
        return training.recipe.seed if training is not None and self.is_repeated else None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a task: `stored` before, `evaluated` now, `missing` (a dry run), `failed`.

    `entry` is its run in the store, where there is one; `reason` says why it failed, or what a
    dry run found out. `passes` are the forward passes that a dry run counts for it, beside those
    of the results before it; None where nobody knows.
    """

    task: Task
    state: Literal["stored", "evaluated", "missing", "failed"]
    entry: Entry | None = None
    reason: str | None = None
    passes: int | None = None

    @property
    def record(self) -> ResultRecord:
        """The run's record, under the name that the experiment gives the model.

        What the network is called by itself stays in the settings, as `network`.
        """
        assert self.entry is not None
        record = self.entry.record
        if self.task.model.name is None:
            return record
        settings = record.settings | {"network": record.model}
        return record.model_copy(update={"model": self.task.model.name, "settings": settings})


def plan(
    experiment: Experiment, *, limit: int | None = None, modules: Path | None = None
) -> list[Task]:
    """Every model, method and convention on every data set, in the file's order; opens the data
    sets.

    Args:
        limit: takes the place of the data sets' own, that of training too.
        modules: a folder of Python modules that `module:callable` may come from too.

    Raises:
        InputError: when a data set cannot be opened.
    """
    if modules is not None:
        also_look_in(modules)
    trainings = plan_trainings(
        experiment,
        _training_folders(experiment, first_look(_runs(experiment), limit)),
        limit=limit,
    )
    return [
        Task(
            model,
            dataset,
            own,
            None if seed is None else trainings[model.label, seed],
            is_repeated=len(experiment.seeds_of(model)) > 1,
        )
        for data in experiment.data
        for dataset in [limited(data.whole(), limit or data.limit)]
        for model in experiment.models
        for options in _options(experiment, data, model)
        for seed in experiment.seeds_of(model)
        for own in options.each()
    ]


def _options(experiment: Experiment, data: DataPart, model: ModelPart) -> list[EvaluationOptions]:
    """The options of a model's runs on a data set: one for each of its methods."""
    options = experiment.options_on(data)
    for name in ("size", "layer", "method"):
        if getattr(model, name) is not None:
            options = options.replaced(**{name: getattr(model, name)})
    # The page and intervals need every image's outcome.
    needed = experiment.outputs.report or experiment.outputs.intervals
    options = options.replaced(per_image=options.per_image or needed)
    methods = ("cam",) if model.model in BASELINES else options.method
    return [options.replaced(method=(method,)) for method in methods]


def _runs(experiment: Experiment) -> Path:
    """The folder for the checkpoints of an experiment."""
    out = None if experiment.training is None else experiment.training.out
    return out or Path("runs", experiment.name)


def _training_folders(experiment: Experiment, runs: Path) -> dict[tuple[str, int], Path]:
    """A folder for every training: the model's name, and its seed where there are several."""
    return {
        (model.label, seed): runs / plain(model.label)
        if len(seeds) == 1
        else runs / f"{plain(model.label)}-seed-{seed}"
        for model in experiment.models
        for seeds in [experiment.seeds_of(model)]
        for seed in seeds
        if seed is not None
    }


def first_look(folder: Path, limit: int | None) -> Path:
    """The folder for results on the first images alone, beside the one for all."""
    return folder if limit is None else folder.with_name(f"{folder.name}-first-{limit}")


def run_tasks(
    tasks: list[Task],
    store: Store,
    *,
    dry_run: bool = False,
    fail_fast: bool = False,
    track: Track = no_progress,
    track_training: TrainingTrack = no_training_progress,
    on_epoch: OnEpoch = ignore_epoch,
    processes: Processes = ALONE,
) -> Iterator[Result]:
    """Make what the store does not have; yields each task's result as soon as it is known.

    A killed run goes on where it was: its progress is kept in the store's folder, that of a
    training in the training's.

    Args:
        dry_run: only say what there is; what is to be trained is built, with its optimizer.
        fail_fast: raise what a model fails with, instead of going on with the next one.
        processes: that share the images of every training and evaluation, each of which calls
            this. A training that fails in one of them is raised, because the others wait for it.
    """
    to_come = {task.training.checkpoint for task in tasks if task.training is not None}
    for group in _at_once(tasks):
        try:
            ready = _trained(group[0], dry_run, to_come, track_training, on_epoch, processes)
            if isinstance(ready, Result):
                yield from (replace(ready, task=task) for task in group)
            else:
                both = [_with_weights_of(ready, task) for task in group]
                yield from _results(both, store, dry_run, fail_fast, track, processes)
        except (_FailedAloneError, ProcessEndedError):
            raise
        except Exception as error:  # of a user's own network it may be anything
            if fail_fast:
                raise
            yield from (_failed(task, error) for task in group)


def _failed(task: Task, error: Exception) -> Result:
    kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
    return Result(task, "failed", reason=f"{kind}{error}")


def _at_once(tasks: list[Task]) -> Iterator[list[Task]]:
    """Tasks that differ in nothing but convention and method, of one model that is loaded once."""

    def apart(task: Task) -> tuple[object, ...]:
        plain = task.options.replaced(protocol=Protocol(), method=("cam",))
        return id(task.model), id(task.dataset), id(task.training), plain

    for _, group in groupby(tasks, apart):
        yield list(group)


def _with_weights_of(ready: Task, task: Task) -> Task:
    """A task with what another one of its group got by training."""
    options = task.options.replaced(threshold_from=ready.options.threshold_from)
    return replace(task, model=ready.model, options=options)


class _FailedAloneError(InputError):
    """A process has failed in the middle of what it does step by step with others."""


def _trained(
    task: Task,
    dry_run: bool,
    to_come: set[Path],
    track: TrainingTrack,
    on_epoch: OnEpoch,
    processes: Processes,
) -> Task | Result:
    """The task with trained weights and chosen thresholds, or what a dry run says of it.

    `to_come` are the checkpoints that trainings of this experiment make.
    """
    training = task.training
    if training is None:
        return task
    start = Path(training.recipe.weights)
    if dry_run and start in to_come and not start.exists():
        return Result(task, "missing", reason=f"after a training that begins with {start}")
    run = training.prepared(processes)
    if not processes.of_first(run.is_finished):
        if dry_run:
            return Result(task, "missing", reason=f"after training on {run.images:,} images")
        lock = training.folder.with_name(f"{training.folder.name}.lock")
        with _held(lock, f"{task.model.label} in training", processes):
            try:
                run.run(resume=True, track=track, on_epoch=on_epoch)
            except ProcessEndedError:
                raise
            except Exception as error:
                if processes.count == 1:
                    raise
                raise _FailedAloneError(f"{task.model.label} in training: {error}") from error
    options = task.options
    if training.selection is not None:
        options = options.replaced(threshold_from=training.record)
    # The checkpoint brings the builder's arguments along.
    model = task.model.model_copy(update={"weights": str(training.checkpoint), "arguments": {}})
    return replace(task, model=model, options=options)


def _results(
    tasks: list[Task],
    store: Store,
    dry_run: bool,
    fail_fast: bool,
    track: Track,
    processes: Processes,
) -> Iterator[Result]:
    """The results of tasks that differ in convention and method alone, in their order."""
    part, dataset = tasks[0].model, tasks[0].dataset
    request = ModelRequest(part.model, part.weights, part.arguments, ema=part.ema)
    model = processes.together(partial(load_model, request, dataset))
    weights = weights_name(request)
    results: dict[int, Result] = {}
    left: dict[int, tuple[str, Entry | None]] = {}
    for number, task in enumerate(tasks):
        try:
            key = _key(task, model, weights)
        except InputError as error:  # such as a convention that states no threshold
            if fail_fast:
                raise
            results[number] = _failed(task, error)
            continue
        entry = processes.of_first(partial(store.find, key))
        if entry is not None and _is_complete(task, entry):
            results[number] = Result(task, "stored", entry)
        else:
            left[number] = key, entry
    numbers = list(left)
    for places in of_one_pass(model, [tasks[number].options for number in numbers]):
        group = [numbers[place] for place in places]
        wanted, known = [tasks[number] for number in group], [left[number] for number in group]
        if dry_run:
            results |= zip(group, _expected(model, wanted), strict=True)
            continue
        try:
            made = _evaluated(model, weights, wanted, known, store, track, processes)
        except ProcessEndedError:
            raise
        except Exception as error:  # of a user's own network it may be anything
            if fail_fast:
                raise
            made = [_failed(task, error) for task in wanted]
        results |= zip(group, made, strict=True)
    yield from (results[number] for number in range(len(tasks)))


def _expected(model: Classifier | str, tasks: Sequence[Task]) -> Iterator[Result]:
    """What a dry run says of tasks that the same forward passes are enough for."""
    dataset = tasks[0].dataset
    passes = passes_of(model, dataset, [task.options for task in tasks])
    told = None if isinstance(model, str) else passes_told(passes, len(dataset))
    if told is not None and len(tasks) > 1:
        told += f", for {len(tasks)} runs"
    total = None if passes is None else passes * len(dataset)
    yield Result(tasks[0], "missing", reason=told, passes=total)
    for task in tasks[1:]:
        yield Result(task, "missing", reason=told and "by the same passes", passes=0)


def _evaluated(
    model: Classifier | str,
    weights: str | None,
    tasks: list[Task],
    known: list[tuple[str, Entry | None]],
    store: Store,
    track: Track,
    processes: Processes,
) -> list[Result]:
    """What tasks come to that the store has not, or not whole; `known` is what it has of each."""
    folders = [store.folder / ".running" / key for key, _ in known]
    with ExitStack() as locks:
        for task, folder in zip(tasks, folders, strict=True):
            locks.enter_context(_held(folder.with_suffix(".lock"), task.title, processes))
        # Runs that are made again keep what they had, so that they take the others' places.
        before = [entry for _, entry in known if entry is not None]
        options = tasks[0].options
        outcomes = options.per_image or any(entry.outcomes is not None for entry in before)
        curves = options.curves or any(entry.record.curves is not None for entry in before)
        places = [Place(folder, "run", resume=True) for folder in folders]
        records = evaluate_model(
            model,
            weights,
            tasks[0].dataset,
            [task.options.replaced(per_image=outcomes, curves=curves) for task in tasks],
            places=places,
            track=track,
            processes=processes,
        )

        def add() -> list[Added]:
            added = []
            for record, place in zip(records, places, strict=True):
                added.append(store.add(record, place.outcomes if outcomes else None))
                shutil.rmtree(place.folder, ignore_errors=True)
            return added

        added = processes.of_first(add)
    return [Result(task, "evaluated", new.entry) for task, new in zip(tasks, added, strict=True)]


@contextmanager
def _held(path: Path, title: str, processes: Processes) -> Iterator[None]:
    """Keep other runs away from what this one is at; makes the folder that the lock lies in.

    Raises:
        InputError: when another one is at it.
    """
    lock = FileLock(path)

    def acquire() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(
                f"{title}: another process is at it; wait for its result, or name another folder."
            ) from error

    processes.of_first(acquire)
    try:
        yield
    finally:
        lock.release()
    if processes.is_first:
        path.unlink(missing_ok=True)


def _key(task: Task, model: Classifier | str, weights: str | None) -> str:
    name, parameters = (model, 0) if isinstance(model, str) else (model.name, model.parameters)
    settings = run_settings(model, task.dataset, task.options, weights)
    return run_key(name, parameters, task.dataset.name, task.dataset.split, settings)


def _is_complete(task: Task, entry: Entry) -> bool:
    """Whether a run has everything that is asked of it."""
    record, options = entry.record, task.options
    timed = record.cost is not None and record.cost.latency_ms is not None
    return (
        (entry.outcomes is not None or not options.per_image)
        and (record.curves is not None or not options.curves or not options.protocol.searches)
        and (timed or not options.latency or record.parameters == 0)
    )
