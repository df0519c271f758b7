"""The exception that means "your input, not our bug"."""

import re

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
