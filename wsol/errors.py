"""The exception that means "your input, not our bug"."""


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one or two sentences that name the file (and the line, where there is one)
    and say what would fix it. The command line prints it without a traceback and exits with 2.
    """


class ToldElsewhereError(InputError):
    """Another process of the same run has met an input error, and it is that one that tells it."""
