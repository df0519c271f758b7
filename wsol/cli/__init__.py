"""The command line: arguments in, tables out; the work is done elsewhere.

A module a command; importing them registers the commands, in the order of `wsol --help`.
"""

from wsol.cli import (  # noqa: F401, I001
    evaluate, score, compare, table, report, plot, show, published, results, train, import_weights,
    models, datasets, demo,
)  # fmt: skip
from wsol.cli.app import app, main

__all__ = ["app", "main"]
