"""Reading and writing files so that nothing is half-written and nothing escapes its root."""

import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from wsol.errors import InputError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, else removed.

    The temporary name keeps the suffix, because many writers choose a format by it.
    Missing parent folders are made. A reader sees the old file or the new one, never a part.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}-", suffix=path.suffix or ".tmp", dir=path.parent
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}).") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def inside(root: Path, relative: str, source: str) -> Path:
    """Join a path read from a data file to its root, refusing one that leaves the root.

    `source` names where the path was read (file and line) for the error message.
    Only the text is examined: links inside the root are the user's own business.
    """
    pure = PurePosixPath(relative)
    if (
        not relative
        or pure.is_absolute()
        or ".." in pure.parts
        or "\\" in relative
        or "\0" in relative
    ):
        raise InputError(
            f"{source}: the path {relative!r} leaves its folder; "
            "use a path relative to the root, with forward slashes and without '..'."
        )
    return Path(root) / pure


def require_folder(path: Path, what: str) -> Path:
    """Return `path` if it is a folder, else raise an `InputError` that says what belongs there."""
    return _require(path, what, stat.S_ISDIR, "is not a folder")


def require_file(path: Path, what: str) -> Path:
    """Return `path` if it is a regular file, else raise an `InputError` that says what belongs
    there. A FIFO or device, which may never end, is none."""
    return _require(path, what, stat.S_ISREG, "is not a file")


def _require(path: Path, what: str, is_wanted: Callable[[int], bool], otherwise: str) -> Path:
    path = Path(path)
    cause: Exception | None = None
    try:
        if is_wanted(path.stat().st_mode):
            return path
        state = otherwise
    except (FileNotFoundError, NotADirectoryError) as error:
        state, cause = "does not exist", error
    except (OSError, ValueError) as error:  # no permission, a name too long, a NUL in it
        state, cause = f"cannot be read ({getattr(error, 'strerror', None) or error})", error
    name = str(path)
    name = name if len(name) <= 500 else f"{name[:497]}..."
    raise InputError(f"{name}: {state}; expected {what}.") from cause


def plain(text: str) -> str:
    """Text as a part of a file name anywhere: letters, digits, `_`, `.` and `-`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:80].strip("-.") or "unnamed"
