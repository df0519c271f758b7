"""The exception that means "your input, not our bug"."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

_EXHAUSTED = (
    "not enough memory",
    "can't allocate memory",
    "out of memory",
    "bad_alloc",
    "ALLOC_FAILED",
)
_ENDLESS = re.compile(r"\S{1000,}")


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one or two sentences that name the file (and the line, where there is one)
    and say what would fix it. The command line prints it without a traceback and exits with 2.
    A word without end, of a file that is none, is cut: printing it takes quadratic time.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_ENDLESS.sub(lambda word: f"{word[0][:300]}...{word[0][-100:]}", message))


class ToldElsewhereError(InputError):
    """Another process of the same run has met an input error, and it is that one that tells it."""


class ProcessEndedError(ToldElsewhereError):
    """Another process of the same run has ended without a word, as one that was killed does."""


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that there is no memory left, on whatever device.

    PyTorch has a class of its own for accelerators alone; on a CPU the text is what tells it.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(told in str(error) for told in _EXHAUSTED)


def in_short(error: BaseException) -> str:
    """Type and first line of an error of someone else's code."""
    told = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}{': ' if told else ''}{told}"


@contextmanager
def within_memory(told: str) -> Iterator[None]:
    """Make of exhausted memory an `InputError`.

    Args:
        told: what needed the memory, and the option to lower.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_exhausted(error):
            raise
        raise InputError(told) from error
