"""Where results go: the terminal, JSON files, folders; and where progress is kept meanwhile."""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from wsol.errors import InputError, ToldElsewhereError
from wsol.files import is_file, is_folder
from wsol.progress import tell

if TYPE_CHECKING:
    from wsol.options import Precision
    from wsol.records.record import ResultRecord
    from wsol.results.cells import Layout

OUTPUT = Console()


def fit_output() -> None:
    """Make tables as wide as the terminal, or as the variable COLUMNS says.

    A file or a pipe has no width of its own: there, no table is squeezed without being told so.
    """
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns) > 0:
        OUTPUT.width = int(columns)
    elif not sys.stdout.isatty():
        OUTPUT.width = 180


def progress_folder(
    out: Path | None, json_file: str | None, resume: bool, per_image: bool
) -> Path | None:
    """Where finished records and the progress of an unfinished one are kept during a run."""
    if out is not None:
        return out
    if json_file is not None and json_file != "-":
        return Path(f"{json_file}.progress")
    for option, given, what in (
        ("--resume", resume, "progress"),
        ("--per-image", per_image, "outcomes"),
    ):
        if given:
            raise InputError(f"{option} needs a place for the {what}: --json FILE or --out DIR.")
    return None


def require_targets(
    out: Path | None,
    json_file: str | None,
    folder: Path | None,
    *others: Path | None,
    outcomes: Iterable[Path] = (),
) -> None:
    """Try where results are to go before there are any.

    Args:
        others: more folders, such as the store.
        outcomes: files beside the JSON file that will be written or removed.

    Raises:
        InputError: naming what cannot be written.
    """
    from wsol.files import require_writable, require_writable_folder

    if json_file is not None and json_file != "-":
        require_writable(Path(json_file))
        for path in outcomes:
            require_writable(path)
    for place in {out, folder, *others} - {None}:
        assert place is not None
        require_writable_folder(place)


def outcome_files(json_file: str | None, names: list[str]) -> list[Path]:
    """Where each model's outcomes go beside a JSON file.

    `FILE.outcomes.parquet`, or `FILE.<model>.outcomes.parquet` where there are several.
    """
    from wsol.records.outcomes import OUTCOMES_SUFFIX

    if json_file is None or json_file == "-":
        return []
    path = Path(json_file)
    stems = [path.stem] if len(names) == 1 else [f"{path.stem}.{name}" for name in names]
    return [path.with_name(stem + OUTCOMES_SUFFIX) for stem in stems]


def settle_outcomes(folder: Path, names: list[str], json_file: str, per_image: bool) -> None:
    """Move each model's outcomes from the progress folder to beside the JSON file.

    Without `per_image` those of an earlier run are removed: they tell other numbers than the new
    record.
    """
    from wsol.records.outcomes import OUTCOMES_SUFFIX

    for name, target in zip(names, outcome_files(json_file, names), strict=True):
        if per_image:
            (folder / f"{name}{OUTCOMES_SUFFIX}").replace(target)
        else:
            target.unlink(missing_ok=True)


def add_to_store(
    records: "list[ResultRecord]", outcomes: "list[Path] | None", folder: Path | None
) -> None:
    """Add finished runs to the results folder that was asked for, and say what became of them."""
    from wsol.records.store import Store

    if folder is None:
        return
    store = Store(folder)
    for number, record in enumerate(records):
        added = store.add(record, None if outcomes is None else outcomes[number])
        said = {
            "new": "added as",
            "replaced": "the same run was there; replaced by",
            "kept": "the same run is there already; kept",
        }[added.state]
        tell(f"{store.folder}: {record.model}: {said} {added.entry.short_id}")


def show_line(text: str, style: str = "") -> None:
    """Print a line of a result, however long it is; nothing in it is taken for markup."""
    OUTPUT.print(Text(text, style), soft_wrap=True)


def show_written(path: Path, more: str = "") -> None:
    """Say where what was asked for stands."""
    show_line(f"Written to {path}{more}")


def tell_emulated(device: str, *precisions: "Precision") -> None:
    """Say where the device has no arithmetic of a precision that was asked for."""
    from wsol.models.precision import emulated

    for precision in dict.fromkeys(precisions):
        sentence = emulated(device, precision)
        if sentence is not None:
            tell(f"--precision {precision}: {sentence}")


def tell_left_out(records: list[Path]) -> None:
    """Name records that cannot be used because no per-image outcomes lie beside them."""
    if len(records) == 1:
        tell(f"{records[0]}: has no per-image outcomes and is left out.")
    elif records:
        told = ", ".join(path.name for path in records[:3]) + (", ..." if len(records) > 3 else "")
        tell(f"{len(records)} records have no per-image outcomes and are left out: {told}")


def clear(folder: Path) -> None:
    """Remove a progress folder: its records have been written where the user wants them."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def resume_hint(folder: Path | None) -> Iterator[None]:
    """Say where the progress of a run is, however it ends before its results are written."""
    started = time.time()
    try:
        yield
    except (KeyboardInterrupt, InputError) as error:
        told_elsewhere = isinstance(error, ToldElsewhereError)
        if folder is not None and not told_elsewhere and _keeps_something(folder, started):
            tell(f"What was done is kept in {folder}; repeat the command with --resume to go on.")
        raise


def _keeps_something(folder: Path, started: float) -> bool:
    """Whether a folder has progress, or anything that was written since a run started."""
    return is_folder(folder) and any(
        is_file(path) and (path.match(".*.progress*.npz") or path.stat().st_mtime >= started)
        for path in folder.iterdir()
    )


def deliver(records: "list[ResultRecord]", json_file: str | None, out: Path | None) -> None:
    """Write finished records, but to stdout; see `print_records`."""
    from wsol.files import write_text
    from wsol.results.table import to_csv, to_markdown

    layout = _layout(records)
    if out is not None:
        write_text(out / "table.md", to_markdown(records, layout))
        write_text(out / "table.csv", to_csv(records, layout))
    if json_file is not None and json_file != "-":
        write_json(_plain(records), json_file)


def print_records(records: "list[ResultRecord]", json_file: str | None) -> None:
    """Print finished records; last of all, for a stdout that takes nothing should cost nothing."""
    from wsol.results.table import terminal_table
    from wsol.results.thresholds_table import thresholds_table

    if json_file == "-":
        write_json(_plain(records), json_file)
    else:
        OUTPUT.print(terminal_table(records, _layout(records)))
        for record in records:
            metrics = record.metrics
            chosen = metrics.max_box_acc_chosen, metrics.max_box_acc_v2_chosen
            if metrics.loc_at or chosen != (None, None):
                OUTPUT.print(thresholds_table(record))
    for record in records:
        if record.skipped:
            first = record.skipped[0]
            tell(
                f"{record.model}: {len(record.skipped)} left out, listed in the record; "
                f"first: {first.image_id} ({first.reason})"
            )


def _plain(records: "list[ResultRecord]") -> object:
    """One record, or a list of several, in JSON values."""
    data = [json.loads(record.to_json()) for record in records]
    return data if len(data) > 1 else data[0]


def write_json(data: object, target: str) -> None:
    from wsol.files import json_text, write_text

    text = json_text(data)
    if target == "-":
        sys.stdout.write(text)
    else:
        write_text(Path(target), text)


def _layout(records: "list[ResultRecord]") -> "Layout":
    """Those of one command differ in nothing but the convention that tables do not mix."""
    from wsol.results.cells import Layout

    several = len({record.settings.get("convention") for record in records}) > 1
    return Layout(group_by=("convention",) if several else ())
