"""What an experiment writes: records, tables, plots and the page."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from wsol.errors import InputError
from wsol.evaluation.models import tail_of_method
from wsol.experiment.parts import Experiment
from wsol.experiment.tasks import Result
from wsol.files import atomic_path, is_file, plain, write_text
from wsol.records.outcomes import OUTCOMES_SUFFIX
from wsol.records.record import (
    ResultRecord,
    order_of,
    read_records,
    write_order,
    write_record,
)
from wsol.results.cells import GROUPS, Layout, arranged
from wsol.results.columns import metric_columns
from wsol.results.figures import save_figure
from wsol.results.optimism import Bootstrap
from wsol.results.plots import cost_figure
from wsol.results.recorded_run import read_run, with_intervals
from wsol.results.report import ReportOptions, write_report
from wsol.results.sources import read_sources, same_run
from wsol.results.statistics import intervals
from wsol.results.table import to_csv, to_html, to_latex, to_markdown
from wsol.results.threshold_plot import threshold_figure

_TRAINING_SUFFIX = ".training.json"
_TABLES: dict[str, tuple[str, Callable[..., str]]] = {
    "markdown": ("md", to_markdown),
    "csv": ("csv", to_csv),
    "latex": ("tex", to_latex),
    "html": ("html", to_html),
}


class Written(NamedTuple):
    """What an experiment has written: its records, and how its tables are laid out."""

    records: list[ResultRecord]
    layout: Layout


def write_outputs(
    results: list[Result],
    experiment: Experiment,
    out: Path,
    warn: Callable[[str], None] = lambda message: None,
) -> Written:
    """Write the records of all runs that there are, the tables, the plots and the page.

    Raises:
        InputError: where intervals are asked for and a run's outcomes are not those of its record.
    """
    wanted = experiment.outputs
    done = [result for result in results if result.entry is not None]
    records = [result.record for result in done]
    files = _record_files(done, out / "records")
    for result, file in zip(done, files, strict=True):
        _write_run(result, file)
    if wanted.intervals:
        records = [_with_intervals(file) for file in files]
    _remove_former(files, records)
    write_order(files)
    file_of = {id(record): file for record, file in zip(records, files, strict=True)}
    groups = arranged(records, Layout(group_by=GROUPS))
    by_name = len(groups) == len({(record.dataset, record.split) for record in records})
    layout = Layout(group_by=("dataset",) if by_name else GROUPS, intervals=wanted.intervals)
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
    return Written(records, layout)


def _with_intervals(file: Path) -> ResultRecord:
    """The record of a file with the intervals of `wsol stats --update`, which the file then has."""
    run, bootstrap = read_run(file), Bootstrap()
    record = with_intervals(run.record, intervals(run.facts, bootstrap), bootstrap)
    write_record(record, file)
    return record


def _record_files(results: list[Result], folder: Path) -> list[Path]:
    """A file a record, named by data set and model, by a method other than CAM, and by convention
    and seed where there are several; what nothing of that tells apart has a number."""
    files: list[Path] = []
    conventions = {_convention(result.record) for result in results}
    for result in results:
        record, seed = result.record, result.task.seed
        stem = f"{plain(record.dataset)}-{plain(record.model)}"
        stem += tail_of_method(result.task.options.map_method)
        stem += f"-{plain(_convention(record))}" if len(conventions) > 1 else ""
        stem += "" if seed is None else f"-seed-{seed}"
        path, number = folder / f"{stem}.json", 2
        while path in files:
            path, number = folder / f"{stem}-{number}.json", number + 1
        files.append(path)
    return files


def _remove_former(files: Sequence[Path], records: Sequence[ResultRecord]) -> None:
    """Delete what an earlier call wrote of the same runs under names that they no longer have.

    That call left them in the folder's order, where anything a user put there is not.
    """
    runs = {same_run(record) for record in records}
    for name in set(order_of(files[0].parent)) - {file.name for file in files}:
        former = files[0].with_name(name)
        try:
            here = read_records(former) if is_file(former) else []
        except InputError:  # nothing of this experiment's
            continue
        if here and all(same_run(record) in runs for record in here):
            for suffix in (OUTCOMES_SUFFIX, _TRAINING_SUFFIX, ".json"):
                former.with_name(former.stem + suffix).unlink(missing_ok=True)


def _convention(record: ResultRecord) -> str:
    return str(record.settings["convention"])


def _tails(groups: list[list[ResultRecord]]) -> list[str]:
    """What tells the plots and pages of records apart that do not compare; nothing for one."""
    if len(groups) == 1:
        return [""]
    several = len({_convention(group[0]) for group in groups}) > 1
    names = [
        plain(f"{group[0].dataset} {_convention(group[0])}" if several else group[0].dataset)
        for group in groups
    ]
    return [
        f"-{name}" if names.count(name) == 1 else f"-{name}-{number}"
        for number, name in enumerate(names, 1)
    ]


def _write_run(result: Result, file: Path) -> None:
    """A record, with its outcomes where the experiment asks for them, and that of its training."""
    assert result.entry is not None
    outcomes = file.with_name(file.stem + OUTCOMES_SUFFIX)
    if result.task.options.per_image and result.entry.outcomes is not None:
        with atomic_path(outcomes) as temporary:
            shutil.copyfile(result.entry.outcomes, temporary)
    else:
        outcomes.unlink(missing_ok=True)  # those of an earlier run tell other numbers
    training = result.task.training
    if training is not None and training.record.exists():
        with atomic_path(file.with_name(file.stem + _TRAINING_SUFFIX)) as temporary:
            shutil.copyfile(training.record, temporary)
    write_record(result.record, file)


def _plot(records: list[ResultRecord], out: Path, tail: str) -> None:
    """The plots that these records have something for."""
    if sum(bool(record.parameters) for record in records) > 1 and metric_columns(records):
        save_figure(cost_figure(records), out / f"parameters{tail}")
    if any(record.curves is not None and record.curves.all is not None for record in records):
        save_figure(threshold_figure(records), out / f"thresholds{tail}")
