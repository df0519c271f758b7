"""The progress bar of long work, on stderr so that results on stdout stay clean."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from wsol.records.training import Epoch

MESSAGES = Console(stderr=True)


class _Speed(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="dim")


_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    _Speed(),
    TimeElapsedColumn(),
    TextColumn("ETA"),
    TimeRemainingColumn(),
)


@contextmanager
def track(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar with speed and ETA on stderr."""
    with Progress(*_COLUMNS, console=MESSAGES) as progress:
        task = progress.add_task(escape(name), total=total)

        def advance(images: int) -> None:
            progress.advance(task, images)

        yield advance


@contextmanager
def track_training(name: str, total: int, done: int) -> Iterator[Callable[[int, str], None]]:
    """Like `track`, from `done` images on, with a note behind the bar: loss and accuracy."""
    note = TextColumn("{task.fields[note]}", style="dim")
    with Progress(*_COLUMNS, note, console=MESSAGES) as progress:
        task = progress.add_task(escape(name), total=total, completed=done, note="")

        def advance(images: int, text: str) -> None:
            progress.update(task, advance=images, note=text)

        yield advance


def print_epoch(epoch: "Epoch", is_best: bool) -> None:
    """A line on a finished epoch of a training."""
    selection = "" if epoch.selection is None else f"  selection {epoch.selection:.2f}"
    MESSAGES.print(
        f"epoch {epoch.epoch}: loss {epoch.loss:.4f}  accuracy {epoch.accuracy:.2f} %  "
        f"{epoch.seconds:.1f} s{selection}{'  best so far' if is_best else ''}",
        highlight=False,
    )
