"""The progress of long work, on stderr so that results on stdout stay clean."""

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
LINE_EVERY = 30.0
"""Seconds between two lines on long work in a log file."""


def tell(text: str, mark: str = "", style: str = "bold red") -> None:
    """Say something beside the results, on stderr: every message goes this way.

    A line stays one however long it is, nothing in it is taken for markup, and nothing is coloured
    but the mark before it, such as `wsol:`.
    """
    from rich.text import Text

    MESSAGES.print(Text.assemble((mark, style), " " if mark else "", text), soft_wrap=True)


def _columns() -> "tuple[ProgressColumn, ...]":
    """What a bar shows; imported here because every command starts with this module."""
    from rich import progress
    from rich.text import Text

    class Speed(progress.ProgressColumn):
        """Images a second."""

        def render(self, task: progress.Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(_pace(speed) if speed else "", style="dim")

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
    """Progress with speed and ETA on stderr; nothing is shown before the first image is done.

    A bar in a terminal; in a file or pipe a plain line every `LINE_EVERY` seconds.
    """
    with _shown(name, total, 0, note=False) as advance:
        yield lambda images: advance(images, "")


def logged(rank: int) -> "Callable[[str, int], AbstractContextManager[Callable[[int], None]]]":
    """Like `track`, in lines now and then: for one of several processes that has no bar."""

    @contextmanager
    def track(name: str, total: int) -> Iterator[Callable[[int], None]]:
        done, told = 0, time.monotonic()

        def say() -> None:
            tell(f"process {rank}: {name}: {done:,} images of {total:,} judged here")

        def advance(images: int) -> None:
            nonlocal done, told
            done += images
            if time.monotonic() - told >= LINE_EVERY:
                told = time.monotonic()
                say()

        yield advance
        say()

    return track


@contextmanager
def track_training(name: str, total: int, done: int) -> Iterator[Callable[[int, str], None]]:
    """Like `track`, from `done` images on, with a note behind it: loss and accuracy."""
    with _shown(name, total, done, note=True) as advance:
        yield advance


@contextmanager
def _shown(name: str, total: int, done: int, *, note: bool) -> Iterator[Callable[[int, str], None]]:
    if not MESSAGES.is_terminal:
        lines = _Lines(name, total, done)
        yield lines.advance
        lines.finish()
        return
    from rich.progress import Progress, TextColumn

    columns = _columns()
    if note:
        columns += (TextColumn("{task.fields[note]}", style="dim"),)
    progress = Progress(*columns, console=MESSAGES)
    task = progress.add_task(escape(name), total=total, completed=done, note="", start=False)
    began = False

    def advance(images: int, text: str) -> None:
        # What fails before the first image fails without a bar.
        nonlocal began
        if not began:
            began = True
            progress.start()
        progress.update(task, advance=images, note=text)

    progress.start_task(task)
    try:
        yield advance
    finally:
        if began:
            progress.stop()


class _Lines:
    """Progress for a log: lines without colours, bars or carriage returns."""

    def __init__(self, name: str, total: int, done: int) -> None:
        self._name, self._total, self._done, self._before = name, total, done, done
        self._start = self._told = time.monotonic()
        self._note, self._last = "", done

    def advance(self, images: int, note: str) -> None:
        self._done += images
        self._note = note
        now = time.monotonic()
        if now - self._told >= LINE_EVERY:
            self._told = now
            self._tell(now - self._start)

    def finish(self) -> None:
        """A last line, if there was any before it: short work leaves no trace in a log."""
        if self._told > self._start and self._last < self._done:
            self._tell(time.monotonic() - self._start)

    def _tell(self, seconds: float) -> None:
        self._last = self._done
        made = self._done - self._before
        speed = made / seconds if seconds else 0.0
        share = f" ({100 * self._done // self._total} %)" if self._total else ""
        left = (self._total - self._done) / speed if speed else 0.0
        told = f", {_clock(left)} left" if left else f" in {_clock(seconds)}"
        note = f"  {self._note}" if self._note else ""
        tell(f"{self._name}: {self._done:,}/{self._total:,}{share}, {_pace(speed)}{told}{note}")


def _pace(speed: float) -> str:
    """Images a second, or of slow work the seconds of each."""
    return f"{1 / speed:,.1f} s each" if 0 < speed < 1 else f"{speed:,.1f}/s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def print_epoch(epoch: "Epoch", is_best: bool) -> None:
    """A line on a finished epoch of a training."""
    selection = "" if epoch.selection is None else f"  selection {epoch.selection:.2f}"
    tell(
        f"epoch {epoch.epoch}: loss {epoch.loss:.4f}  accuracy {epoch.accuracy:.2f} %  "
        f"{epoch.seconds:.1f} s{selection}{'  best so far' if is_best else ''}"
    )
