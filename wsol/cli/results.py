"""`wsol results`."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from wsol.cli.app import app
from wsol.cli.options import JsonOption, ShownJsonOption, StoreOption
from wsol.cli.output import OUTPUT, show_line, write_json
from wsol.errors import InputError
from wsol.files import is_folder
from wsol.progress import tell

if TYPE_CHECKING:
    from wsol.records.store import Entry, Store

results_app = typer.Typer(
    help="List, show and remove the runs in a results folder (`--store`).",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(results_app, name="results")

_IdArgument = typer.Argument(
    metavar="ID", help="As `wsol results list` shows it, or any part of a file name."
)


@results_app.command(
    "list",
    epilog="""Examples:

`wsol results list --dataset cub --since 2025-01-31`

`wsol results list --metric max_box_acc_v2 --json -`
""",
)
def list_results(
    store: StoreOption = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Only models whose name contains this.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Only data sets whose name contains this.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Only this split.")] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="Only runs that measured this; best first."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DATE", help="Only runs since this day (UTC)."),
    ] = None,
    json_file: ShownJsonOption = None,
) -> None:
    """List runs, oldest first."""
    earliest = None if since is None else _day(since)
    if metric is not None:
        _require_metric(metric)
    entries = [
        entry
        for entry in _entries(_open(store))
        if (model is None or model.lower() in entry.record.model.lower())
        and (dataset is None or dataset.lower() in entry.record.dataset.lower())
        and (split is None or split == entry.record.split)
        and (metric is None or getattr(entry.record.metrics, metric) is not None)
        and (earliest is None or entry.date >= earliest)
    ]
    if metric is not None:
        entries.sort(key=lambda entry: -getattr(entry.record.metrics, metric))
    if json_file is not None:
        write_json([_described(entry) for entry in entries], json_file)
        return
    OUTPUT.print(_table(entries, metric))


@results_app.command("show", epilog="Example: `wsol results show 3f9a0c21d4 --json -`")
def show(
    name: Annotated[str, _IdArgument], store: StoreOption = None, json_file: JsonOption = None
) -> None:
    """Show one run: its numbers and how they were made."""
    import json

    from wsol.results.table import terminal_table

    entry = _open(store).resolve(name)
    record = entry.record
    if json_file is not None:
        write_json(json.loads(record.to_json()), json_file)
        return
    OUTPUT.print(terminal_table([record]))
    facts: dict[str, Any] = {
        "file": entry.path,
        "outcomes": entry.outcomes or "none (--per-image writes them)",
        "run key": entry.run_key,
        "made": f"{record.environment.date} on {record.environment.device}",
        "seconds": f"{record.timing.total:g}",
        **record.settings,
    }
    if record.skipped:
        facts["left out"] = f"{len(record.skipped)} images"
    table = Table(box=None, show_header=False)
    for fact, value in facts.items():
        table.add_row(escape(fact), escape(str(value)))
    OUTPUT.print(table)
    for note in record.notes:
        show_line(note)


@results_app.command("remove", epilog="Example: `wsol results remove 3f9a0c21d4 --yes`")
def remove(
    names: Annotated[list[str], _IdArgument],
    store: StoreOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove runs with their per-image outcomes."""
    opened = _open(store)
    entries = {entry.id: entry for entry in map(opened.resolve, names)}
    for entry in entries.values():
        show_line(entry.id)
    if not yes:
        if not sys.stdin.isatty():
            raise InputError("Nothing removed: nobody is there to ask; add --yes.")
        typer.confirm(f"Remove {len(entries)} run(s)?", abort=True)
    for entry in entries.values():
        opened.remove(entry)
    tell(f"Removed {len(entries)}.")


@results_app.command("path", epilog="Example: `wsol table $(wsol results path 3f9a0c21d4)`")
def path(name: Annotated[str, _IdArgument], store: StoreOption = None) -> None:
    """Print where a run's record is."""
    typer.echo(_open(store).resolve(name).path)


def _open(folder: Path | None) -> "Store":
    from wsol.records.store import Store

    store = Store(folder)
    if not is_folder(store.folder):
        raise InputError(
            f"{store.folder}: does not exist; `wsol evaluate ... --store` makes it, "
            "--store DIR or the variable WSOL_RESULTS names another."
        )
    return store


def _entries(store: "Store") -> "list[Entry]":
    entries, problems = store.read()
    for problem in problems:
        tell(problem, "passed over:", "yellow")
    return entries


def _day(text: str) -> datetime:
    try:
        day = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"--since {text}: expected a date such as 2025-01-31.") from error
    return day if day.tzinfo else day.replace(tzinfo=UTC)


def _require_metric(name: str) -> None:
    from wsol.records.record import Metrics

    known = [name for name, field in Metrics.model_fields.items() if field.annotation != _BY_LEVEL]
    if name not in known:
        raise InputError(f"--metric {name}: no such metric; there are {', '.join(known)}.")


_BY_LEVEL = dict[str, float] | None


def _described(entry: "Entry") -> dict[str, Any]:
    record = entry.record
    return {
        "id": entry.id,
        "path": str(entry.path),
        "outcomes": None if entry.outcomes is None else str(entry.outcomes),
        "run_key": entry.run_key,
        "date": record.environment.date,
        "model": record.model,
        "method": record.cam_method,
        "parameters": record.parameters,
        "dataset": record.dataset,
        "split": record.split,
        "num_images": record.num_images,
        "metrics": record.metrics.model_dump(mode="json"),
    }


def _table(entries: "list[Entry]", metric: str | None) -> Table:
    from wsol.metrics.catalog import heading

    names = (metric,) if metric else ("gt_known_loc", "max_box_acc_v2")
    shown = {name: heading(name) for name in names}
    table = Table(box=None, header_style="bold", pad_edge=False)
    several = len({entry.record.cam_method for entry in entries}) > 1
    for about in ("ID", "Made (UTC)", "Model", *(["Method"] if several else []), "Data set"):
        table.add_column(about, overflow="fold" if about == "Model" else "ellipsis")
    for number in ("Images", *shown.values()):
        table.add_column(number, justify="right")
    table.add_column("Per image")
    for entry in entries:
        record = entry.record
        values = [getattr(record.metrics, name) for name in shown]
        table.add_row(
            entry.short_id,
            f"{entry.date.astimezone(UTC):%Y-%m-%d %H:%M}",
            escape(record.model),
            *([escape(record.cam_method)] if several else []),
            escape(f"{record.dataset} {record.split}"),
            f"{record.num_images:,}",
            *("–" if value is None else f"{value:.2f}" for value in values),
            "yes" if entry.outcomes else "no",
        )
    return table
