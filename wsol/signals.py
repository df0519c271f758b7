"""Being told to stop: by Ctrl-C, by a scheduler, by the end of a terminal."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Terminated(KeyboardInterrupt):
    """The process was told to end by a signal: what saves after a Ctrl-C saves after this too."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def name(self) -> str:
        """The signal's name."""
        return signal.Signals(self.number).name


# Ctrl-C, what schedulers send before they kill, and the end of a terminal.
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Make of SIGTERM and SIGHUP what Python makes of a Ctrl-C: an exception, `Terminated`.

    Yields the list that the first of them will stand in. A signal that is ignored, as under
    `nohup`, or has a handler already, stays so. Once the first has come, more of them change
    nothing: the exception is on its way.
    """
    told: list[int] = []

    def tell(number: int, frame: FrameType | None) -> None:
        if not told:
            told.append(number)
            raise Terminated(number)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if number != signal.SIGINT and signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, tell)
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def unbroken() -> Iterator[list[int]]:
    """Hold Ctrl-C, SIGTERM and SIGHUP back until the block has ended; yields those that came.

    What is saved after an interrupt must hold every image wholly or not at all.
    """
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held
        return
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler):
            handlers[number] = handler
    frames: list[FrameType | None] = []

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)
        frames.append(frame)

    for number in handlers:
        signal.signal(number, hold)
    try:
        yield held
    finally:
        for number in handlers:
            signal.signal(number, handlers[number])
        if held:
            handlers[held[0]](held[0], frames[0])
