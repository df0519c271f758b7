"""The command line within the test's own process: what a user types, and what it prints."""

import contextlib
import io
import os
import sys
from pathlib import Path
from unittest import mock

from wsol.cli import main


class _Stream(io.StringIO):
    """A stream of text that is no terminal; binary output goes through `buffer` as usual."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = self

    def write(self, text):
        return super().write(text.decode() if isinstance(text, bytes) else text)


def wsol(place, *arguments, code=0, environment=None):
    """Run `wsol ARGUMENTS` in the folder `place`; its stdout and stderr, checking how it exits.

    Modules that a command imports from `place` are forgotten again. Signals, worker processes
    and real streams need a process of their own: use `subprocess` there.
    """
    out, err = _Stream(), _Stream()
    here, path, before = Path.cwd(), list(sys.path), set(sys.modules)
    variables = {"COLUMNS": "160", "TERM": "dumb", **(environment or {})}
    found = 0
    try:
        os.chdir(place)
        with (
            mock.patch.object(sys, "argv", ["wsol", *map(str, arguments)]),
            mock.patch.dict(os.environ, variables),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as end:
                found = end.code or 0
    finally:
        os.chdir(here)
        sys.path[:] = path
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).resolve().is_relative_to(Path(place).resolve()):
                del sys.modules[name]
    assert found == code, out.getvalue() + err.getvalue()
    assert "Traceback" not in err.getvalue()
    return out.getvalue(), err.getvalue()
