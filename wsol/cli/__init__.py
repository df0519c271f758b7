"""The command line: arguments in, tables out; the work is done elsewhere.

A module a command, imported when the command is asked for: see `wsol.cli.commands`.
"""

import gc
import sys

if not {"-h", "--help"}.isdisjoint(sys.argv):
    gc.disable()  # to look for garbage among modules and help texts takes a tenth of the time

from wsol.cli.app import app, main

__all__ = ["app", "main"]
