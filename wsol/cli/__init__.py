"""The command line: arguments in, tables out; the work is done elsewhere.

A module a command, imported when the command is asked for: see `wsol.cli.commands`.
"""

from wsol.cli.app import app, main

__all__ = ["app", "main"]
