"""`wsol compare`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsol.cli.app import app
from wsol.cli.options import StoreOption
from wsol.cli.output import OUTPUT, show_line, show_written, tell_emulated
from wsol.progress import logged, print_epoch, tell, track, track_training

if TYPE_CHECKING:
    from wsol.experiment.tasks import Result


@app.command(
    epilog="""Examples:

`wsol compare experiments/center-baseline.yaml --dry-run`

`wsol compare experiments/ilsvrc-val.yaml --limit 100 --out first-look`

`wsol compare experiments/cub-methods.yaml --only "ResNet-50*"`: trains six networks of it
"""
)
def compare(
    experiment: Annotated[
        Path, typer.Argument(metavar="EXPERIMENT.yaml", help="See the files in experiments/.")
    ],
    store: StoreOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for records, tables, plots and page; default: the file's `out`, "
            "else results/NAME; with --limit N, `-first-N` behind either.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="MODEL",
            help="Only models called so in the file; * stands for anything; repeatable.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only so many images of each data set.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only say what is there and what would be run; builds all that would be trained.",
        ),
    ] = False,
    save_every: Annotated[
        float | None,
        typer.Option(
            "--save-every",
            min=0,
            help="Seconds between saves of progress; default: the file's, else 30 in an "
            "evaluation and 120 in a training.",
        ),
    ] = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first model that fails.")
    ] = False,
) -> None:
    """Run a whole comparison from one file, skipping what the results folder has already.

    Models that the file says how to train are trained first. Interrupted, it goes on where it was
    when it is repeated. A model that fails does not stop the others; it is told at the end, and
    the command exits with 2.
    """
    from wsol.experiment.file import read_experiment
    from wsol.experiment.outputs import write_outputs
    from wsol.experiment.tasks import first_look, plan, run_tasks
    from wsol.files import require_writable_folder
    from wsol.launchers import joined
    from wsol.models.device import usable_device
    from wsol.records.store import Store
    from wsol.results.table import terminal_table
    from wsol.training.run import no_progress

    read = read_experiment(experiment, tell)
    if only:
        read = read.with_only(only)
    if save_every is not None:
        read = read.with_options(save_every=save_every)
    if out is None:
        out = first_look(read.outputs.out or Path("results", read.name), limit)
    trains = any(model.train is not None for model in read.models)
    with joined(usable_device(read.options.device), training=trains) as (processes, own_device):
        if not dry_run:
            processes.of_first(partial(require_writable_folder, out))
            processes.of_first(partial(require_writable_folder, Store(store).folder))
        if processes.is_first:
            trained = [read.recipe_of(m).precision for m in read.models if m.train is not None]
            tell_emulated(own_device, read.options.precision, *trained)
        if processes.count > 1:
            read = read.with_options(device=own_device)
        planned = partial(plan, read, limit=limit, modules=experiment.resolve().parent)
        tasks = processes.together(planned)
        named = [f"{task.title}, {len(task.dataset):,} images" for task in tasks]
        processes.require_same({"what to run": named})
        results = []
        for result in run_tasks(
            tasks,
            Store(store),
            dry_run=dry_run,
            fail_fast=fail_fast,
            track=track if processes.is_first else logged(processes.rank),
            track_training=track_training if processes.is_first else no_progress,
            on_epoch=print_epoch,
            processes=processes,
        ):
            results.append(result)
            if processes.is_first:
                _say(result, f"{len(results)}/{len(tasks)}")
    if not processes.is_first:
        if any(result.state == "failed" for result in results):
            raise typer.Exit(2)
        return
    missing = [result for result in results if result.state == "missing"]
    if len(missing) > 1:
        known = sum(result.passes or 0 for result in missing)
        unknown = sum(result.passes is None for result in missing)
        more = f", and those of {unknown} runs that cannot be told before" if unknown else ""
        tell(f"{len(missing)} runs to make: {known:,} forward passes{more}.", "wsol:")
    failed = [result for result in results if result.state == "failed"]
    done = [result for result in results if result.entry is not None]
    if done and not dry_run:
        written = write_outputs(results, read, out, tell)
        if read.title:
            show_line(read.title, "bold")
        OUTPUT.print(terminal_table(written.records, written.layout))
        show_written(out)
    if failed:
        tell(f"{len(failed)} of {len(results)} failed:", "wsol:")
        for result in failed:
            _say(result, "-")
        raise typer.Exit(2)


def _say(result: "Result", number: str) -> None:
    told = {
        "stored": "is stored",
        "evaluated": "evaluated",
        "missing": "would be evaluated",
        "failed": "failed",
    }[result.state]
    failed = result.state == "failed"
    tail = result.reason or (result.entry.short_id if result.entry else "")
    tell(f"{number} {result.task.title}: {told}{': ' if failed else ' '}{tail}".rstrip())
