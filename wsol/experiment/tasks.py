"""Runs an experiment: every model on every data set, skipping what the results folder has."""

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from wsol.datasets.base import Dataset
from wsol.errors import InputError
from wsol.evaluation.loop import Options, limited, run_settings
from wsol.evaluation.models import (
    ModelRequest,
    Track,
    evaluate_model,
    load_model,
    no_progress,
    weights_name,
)
from wsol.experiment.parts import Experiment, ModelPart
from wsol.experiment.trainings import PlannedTraining, open_part, plan_trainings
from wsol.files import atomic_path, write_text
from wsol.models.classifier import Classifier
from wsol.records.outcomes import OUTCOMES_SUFFIX
from wsol.records.record import ResultRecord, write_order, write_record
from wsol.records.store import Entry, Store, run_key
from wsol.records.thresholds import read_thresholds
from wsol.results.cells import GROUPS, Layout, arranged
from wsol.results.plots import plot_parameters, plot_threshold_curves
from wsol.results.report import ReportOptions, write_report
from wsol.results.sources import read_sources
from wsol.results.table import to_csv, to_html, to_latex, to_markdown
from wsol.training.run import OnEpoch, ignore_epoch
from wsol.training.run import Track as TrainingTrack
from wsol.training.run import no_progress as no_training_progress

_TABLES: dict[str, tuple[str, Callable[..., str]]] = {
    "markdown": ("md", to_markdown),
    "csv": ("csv", to_csv),
    "latex": ("tex", to_latex),
    "html": ("html", to_html),
}


@dataclass(frozen=True, slots=True)
class Task:
    """One model on one data set, trained before where there is a `training`."""

    model: ModelPart
    dataset: Dataset
    options: Options
    per_image: bool
    training: PlannedTraining | None = None
    is_repeated: bool = False

    @property
    def title(self) -> str:
        """For messages."""
        seed = "" if self.seed is None else f" (seed {self.seed})"
        return f"{self.model.label}{seed} on {self.dataset.name} {self.dataset.split}"

    @property
    def seed(self) -> int | None:
        """Which of several trainings it is of; None where there is only one."""
        training = self.training
        return training.recipe.seed if training is not None and self.is_repeated else None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a task: `stored` before, `evaluated` now, `missing` (a dry run), `failed`.

    `entry` is its run in the store, where there is one; `reason` says why it failed, or what a
    dry run found out.
    """

    task: Task
    state: Literal["stored", "evaluated", "missing", "failed"]
    entry: Entry | None = None
    reason: str | None = None

    @property
    def record(self) -> ResultRecord:
        """The run's record, under the name that the experiment gives the model."""
        assert self.entry is not None
        record = self.entry.record
        return record.model_copy(update={"model": self.task.model.name or record.model})


def plan(
    experiment: Experiment, *, device: str, workers: int, limit: int | None = None
) -> list[Task]:
    """Every model on every data set, in the file's order; opens the data sets.

    Args:
        device: a usable one, instead of the experiment's `auto`.
        workers: where the experiment names no number.
        limit: takes the place of the experiment's; training then has so many images, too.

    Raises:
        InputError: when a data set cannot be opened.
    """
    chosen = experiment.options
    options = Options(
        resize_mode=chosen.resize_mode,
        precision=chosen.precision,
        coco=chosen.coco,
        batch_size=chosen.batch_size,
        workers=workers if chosen.workers is None else chosen.workers,
        device=device,
        skip_bad_images=chosen.skip_bad_images,
        curves=chosen.curves,
        latency=chosen.latency,
    )
    trainings = plan_trainings(
        experiment,
        _training_folders(experiment, first_look(_runs(experiment), limit)),
        options,
        limit=limit,
    )
    return [
        Task(
            model,
            dataset,
            replace(options, protocol=experiment.protocol_on(data), size=model.size or chosen.size),
            chosen.per_image or experiment.outputs.report,
            None if seed is None else trainings[model.label, seed],
            is_repeated=len(experiment.seeds_of(model)) > 1,
        )
        for data in experiment.data
        for dataset in [limited(open_part(data), limit or chosen.limit)]
        for model in experiment.models
        for seed in experiment.seeds_of(model)
    ]


def _runs(experiment: Experiment) -> Path:
    """The folder for the checkpoints of an experiment."""
    out = None if experiment.training is None else experiment.training.out
    return out or Path("runs", experiment.name)


def _training_folders(experiment: Experiment, runs: Path) -> dict[tuple[str, int], Path]:
    """A folder for every training: the model's name, and its seed where there are several."""
    return {
        (model.label, seed): runs / _plain(model.label)
        if len(seeds) == 1
        else runs / f"{_plain(model.label)}-seed-{seed}"
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
    modules: Path,
    dry_run: bool = False,
    fail_fast: bool = False,
    track: Track = no_progress,
    track_training: TrainingTrack = no_training_progress,
    on_epoch: OnEpoch = ignore_epoch,
) -> Iterator[Result]:
    """Make what the store does not have; yields each task's result as soon as it is known.

    A killed run goes on where it was: its progress is kept in the store's folder, that of a
    training in the training's.

    Args:
        modules: a folder of Python modules that `module:callable` models may come from.
        dry_run: only say what there is; what is to be trained is built, with its optimizer.
        fail_fast: raise what a model fails with, instead of going on with the next one.
    """
    if str(modules) not in sys.path:
        sys.path.insert(0, str(modules))
    to_come = {task.training.checkpoint for task in tasks if task.training is not None}
    for task in tasks:
        try:
            weights = _trained(task, dry_run, to_come, track_training, on_epoch)
            if isinstance(weights, Result):
                yield weights
            else:
                yield _result(weights, store, dry_run, track)
        except Exception as error:  # of a user's own network it may be anything
            if fail_fast:
                raise
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            yield Result(task, "failed", reason=f"{kind}{error}")


def _trained(
    task: Task, dry_run: bool, to_come: set[Path], track: TrainingTrack, on_epoch: OnEpoch
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
    run = training.prepared()
    if not run.is_finished():
        if dry_run:
            return Result(task, "missing", reason=f"after training on {run.images:,} images")
        folder = training.folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _held(folder.with_name(f"{folder.name}.lock"), f"{task.model.label} in training"):
            run.run(resume=True, track=track, on_epoch=on_epoch)
    chosen = {} if training.selection is None else read_thresholds(training.record)
    # The checkpoint brings the builder's arguments along.
    model = task.model.model_copy(update={"weights": str(training.checkpoint), "arguments": {}})
    return replace(task, model=model, options=replace(task.options, thresholds=chosen))


def _result(task: Task, store: Store, dry_run: bool, track: Track) -> Result:
    part = task.model
    request = ModelRequest(part.model, part.weights, part.arguments)
    model, weights = load_model(request, task.dataset), weights_name(request)
    key = _key(task, model, weights)
    entry = store.find(key)
    if entry is not None and _is_complete(task, entry):
        return Result(task, "stored", entry)
    if dry_run:
        return Result(task, "missing")
    folder = store.folder / ".running" / key
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder.with_suffix(".lock"), task.title):
        # A run that is made again keeps what it had, so that it takes the other's place.
        options, per_image = task.options, task.per_image
        if entry is not None:
            per_image = per_image or entry.outcomes is not None
            options = replace(options, curves=options.curves or entry.record.curves is not None)
        record = evaluate_model(
            model,
            weights,
            task.dataset,
            options,
            folder=folder,
            name="run",
            resume=True,
            per_image=per_image,
            track=track,
        )
        added = store.add(record, folder / f"run{OUTCOMES_SUFFIX}" if per_image else None)
        shutil.rmtree(folder, ignore_errors=True)
    return Result(task, "evaluated", added.entry)


@contextmanager
def _held(path: Path, title: str) -> Iterator[None]:
    """Keep other processes away from what this one is at.

    Raises:
        InputError: when another one is at it.
    """
    lock = FileLock(path)
    try:
        held = lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"{title}: another process is at it; wait for its result, or name another folder."
        ) from error
    with held:
        yield
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
        (entry.outcomes is not None or not task.per_image)
        and (record.curves is not None or not options.curves)
        and (timed or not options.latency or record.parameters == 0)
    )


def write_outputs(
    results: list[Result],
    experiment: Experiment,
    out: Path,
    warn: Callable[[str], None] = lambda message: None,
) -> Layout:
    """Write the records of all runs that there are, the tables, the plots and the page.

    Returns:
        How the tables are laid out.
    """
    wanted = experiment.outputs
    done = [result for result in results if result.entry is not None]
    records = [result.record for result in done]
    files = _record_files(done, out / "records")
    for result, file in zip(done, files, strict=True):
        _write_run(result, file)
    write_order(files)
    file_of = {id(record): file for record, file in zip(records, files, strict=True)}
    groups = arranged(records, Layout(group_by=GROUPS))
    by_name = len(groups) == len({(record.dataset, record.split) for record in records})
    layout = Layout(group_by=("dataset",) if by_name else GROUPS)
    for table in wanted.tables:
        suffix, render = _TABLES[table]
        write_text(out / f"table.{suffix}", render(records, layout))
    for group, tail in zip(groups, _tails(groups), strict=True):
        for suffix in wanted.plots:
            _plot(group, out, f"{tail}.{suffix}")
        if wanted.report:
            write_report(
                read_sources([file_of[id(record)] for record in group]),
                out / f"report{tail}",
                ReportOptions(title=experiment.title, examples=wanted.examples),
                warn=warn,
            )
    return layout


def _record_files(results: list[Result], folder: Path) -> list[Path]:
    """A file a record, named by data set and model, and by the seed where there are several."""
    files: list[Path] = []
    for result in results:
        record, seed = result.record, result.task.seed
        stem = f"{_plain(record.dataset)}-{_plain(record.model)}"
        stem += "" if seed is None else f"-seed-{seed}"
        path, number = folder / f"{stem}.json", 2
        while path in files:
            path, number = folder / f"{stem}-{number}.json", number + 1
        files.append(path)
    return files


def _tails(groups: list[list[ResultRecord]]) -> list[str]:
    """What tells the plots and pages of records apart that do not compare; nothing for one."""
    if len(groups) == 1:
        return [""]
    names = [_plain(group[0].dataset) for group in groups]
    return [
        f"-{name}" if names.count(name) == 1 else f"-{name}-{number}"
        for number, name in enumerate(names, 1)
    ]


def _write_run(result: Result, file: Path) -> None:
    """A record, with its outcomes where the experiment asks for them, and that of its training."""
    assert result.entry is not None
    outcomes = file.with_name(file.stem + OUTCOMES_SUFFIX)
    if result.task.per_image and result.entry.outcomes is not None:
        with atomic_path(outcomes) as temporary:
            shutil.copyfile(result.entry.outcomes, temporary)
    else:
        outcomes.unlink(missing_ok=True)  # those of an earlier run tell other numbers
    training = result.task.training
    if training is not None and training.record.exists():
        with atomic_path(file.with_name(file.stem + ".training.json")) as temporary:
            shutil.copyfile(training.record, temporary)
    write_record(result.record, file)


def _plot(records: list[ResultRecord], out: Path, tail: str) -> None:
    """The plots that these records have something for."""
    metric = next(
        (
            name
            for name in ("max_box_acc_v2", "max_box_acc")
            if sum(bool(r.parameters) and getattr(r.metrics, name) is not None for r in records) > 1
        ),
        None,
    )
    if metric is not None:
        plot_parameters(records, out / f"parameters{tail}", metric)
    if any(record.curves is not None and record.curves.all is not None for record in records):
        plot_threshold_curves(records, out / f"thresholds{tail}")


def _plain(text: str) -> str:
    """Text as a part of a file name anywhere."""
    return re.sub(r" *[^A-Za-z0-9_. -]+ *", "-", text)[:80].strip("-. ") or "unnamed"
