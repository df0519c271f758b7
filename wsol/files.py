"""Reading and writing files so that nothing is half-written and nothing escapes its root."""

import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from wsol.errors import InputError

_ATTEMPTS = 100
_NUMBERS = re.compile(r"\[\n([^][{}\"]*)\]")
"""A list of indented JSON that holds neither text nor other lists."""


@contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, else removed.

    The temporary name keeps the suffix, because many writers choose a format by it.
    Missing parent folders are made. A reader sees the old file or the new one, never a part.

    Args:
        durable: return only when the file is on the disk, so that what it replaces elsewhere may
            be removed; for thousands of small files that can be made again, False is faster.
    """
    path = Path(path)
    try:
        _require_no_other_kind(path)
        temporary = _beside(path)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        if durable:
            _flush(temporary)
        temporary.replace(path)
        if durable:
            _flush_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`; on success it becomes `path`, which is new or an empty
    folder, else it is removed with all that is in it. A name that cannot be had is refused before.

    Raises:
        InputError: naming `path`, whatever the system refuses in the block, too.
    """
    path = Path(path)
    require_writable_folder(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}-", dir=path.parent))
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield temporary
        temporary.chmod(path.parent.stat().st_mode & 0o777)
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_writable(path: Path) -> None:
    """Refuse a file that could not be written, before the work whose result is to go there.

    Nothing is left behind.

    Raises:
        InputError: when it is a folder or device, its name is too long, or its folder takes no
            files.
    """
    path = Path(path)
    try:
        _require_no_other_kind(path)
        _try_beside(path)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error


def require_writable_folder(folder: Path) -> None:
    """Refuse a folder that takes no files or could not be made; nothing is left behind.

    Raises:
        InputError: when it is a file, its name is too long, or nothing can be written into it.
    """
    folder = Path(folder)
    try:
        if is_no_folder(folder):
            raise InputError(f"{folder}: is not a folder; name one, or remove the file.")
        _try_beside(folder / "record.json")
    except (OSError, ValueError) as error:
        raise _unwritable(folder, error) from error


def _require_no_other_kind(path: Path) -> None:
    """Refuse to put a file in the place of a folder, a FIFO or a device such as /dev/null."""
    with suppress(FileNotFoundError):
        mode = os.stat(path).st_mode  # noqa: PTH116 (of what a link leads to)
        if not stat.S_ISREG(mode):
            kind = "is a folder" if stat.S_ISDIR(mode) else "is no regular file"
            raise InputError(f"{path}: cannot be written ({kind}); name a file.")


def _try_beside(path: Path) -> None:
    missing = [folder for folder in path.parents if not exists(folder)]
    try:
        _beside(path).unlink()
    finally:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()


def _beside(path: Path) -> Path:
    """A new empty file beside `path`, whose folder is made."""
    for attempt in range(_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Cut, because a name may be as long as names can be, which this one then exceeds.
            handle, name = tempfile.mkstemp(
                prefix=f".{path.stem[:40]}-", suffix=path.suffix[:40] or ".tmp", dir=path.parent
            )
        except (FileNotFoundError, FileExistsError):
            # Another process that only tried whether the folder can be made has removed it.
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            os.close(handle)
            break
    return Path(name)


def _unwritable(path: Path, error: OSError | ValueError) -> InputError:
    name = str(path)
    shown = name if len(name) <= 500 else name[:497] + "..."
    reason = getattr(error, "strerror", None) or error
    if isinstance(error, OSError) and error.errno is None:  # NumPy's, of a file written in part
        reason = f"{reason}; the disk may be full"
    return InputError(f"{shown}: cannot be written ({reason}).")


def _flush(file: Path) -> None:
    with file.open("r+b") as stream:
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    """Bring a renaming to the disk, on systems and file systems where a folder can be flushed."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_text(data: object) -> str:
    """Indented JSON with a final newline, with a list of numbers on one line."""
    # No text of JSON holds a line break, so a match begins outside of texts, and it has no quotes.
    return _NUMBERS.sub(_on_one_line, json.dumps(data, indent=2)) + "\n"


def _on_one_line(match: re.Match[str]) -> str:
    return f"[{' '.join(match[1].split())}]"


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


def is_folder(path: Path | str) -> bool:
    """Whether there is a folder; unlike `Path.is_dir`, also of what the system refuses to look
    for, such as a name too long."""
    return os.path.isdir(path)  # noqa: PTH112


def is_no_folder(path: Path | str) -> bool:
    """Whether there is something else than a folder, or a link that leads nowhere.

    One look decides: between two, another process may make a folder, or remove one that it tried.
    """
    for look in (os.stat, os.lstat):
        with suppress(OSError, ValueError):
            return not stat.S_ISDIR(look(path).st_mode)
    return False


def is_file(path: Path | str) -> bool:
    """Whether there is a regular file, see `is_folder`."""
    return os.path.isfile(path)  # noqa: PTH113


def exists(path: Path | str) -> bool:
    """Whether there is anything, see `is_folder`."""
    return os.path.exists(path)  # noqa: PTH110


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
