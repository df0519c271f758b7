"""The progress bar of long work, on stderr so that results on stdout stay clean."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

    from wsol.records.training import Epoch

MESSAGES = Console(stderr=True)
_SECONDS_PER_LINE = 30.0


def _columns() -> "tuple[ProgressColumn, ...]":
    """What a bar shows; imported here because every command starts with this module."""
    from rich import progress
    from rich.text import Text

    class Speed(progress.ProgressColumn):
        """Images a second."""

        def render(self, task: progress.Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.1f}/s", style="dim")

    return (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        Speed(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("ETA"),
        progress.TimeRemainingColumn(),
    )


@contextmanager
def track(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar with speed and ETA on stderr."""
    from rich.progress import Progress

    with Progress(*_columns(), console=MESSAGES) as progress:
        task = progress.add_task(escape(name), total=total)

        def advance(images: int) -> None:
            progress.advance(task, images)

        yield advance


def logged(rank: int) -> "Callable[[str, int], AbstractContextManager[Callable[[int], None]]]":
    """Like `track`, in lines now and then: for one of several processes that has no bar."""

    @contextmanager
    def track(name: str, total: int) -> Iterator[Callable[[int], None]]:
        done, told = 0, time.monotonic()

        def say() -> None:
            MESSAGES.print(
                f"process {rank}: {name}: {done:,} images of {total:,} judged here",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

        def advance(images: int) -> None:
            nonlocal done, told
            done += images
            if time.monotonic() - told >= _SECONDS_PER_LINE:
                told = time.monotonic()
                say()

        yield advance
        say()

    return track


@contextmanager
def track_training(name: str, total: int, done: int) -> Iterator[Callable[[int, str], None]]:
    """Like `track`, from `done` images on, with a note behind the bar: loss and accuracy."""
    from rich.progress import Progress, TextColumn

    note = TextColumn("{task.fields[note]}", style="dim")
    with Progress(*_columns(), note, console=MESSAGES) as progress:
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
