"""The progress bar of long work, on stderr so that results on stdout stay clean."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

MESSAGES = Console(stderr=True)


class _Speed(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="dim")


@contextmanager
def track(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar with speed and ETA on stderr."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=MESSAGES,
    ) as progress:
        task = progress.add_task(escape(name), total=total)

        def advance(images: int) -> None:
            progress.advance(task, images)

        yield advance
