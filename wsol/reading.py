"""The one door for files that others made: what they are read with, and what can go wrong.

Whatever a file holds, it either comes through as what was expected, or is refused in one line
that names it. Readers of all rooms open files here and nowhere else.
"""

import csv
import io
import json
import lzma
import re
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from wsol.errors import InputError
from wsol.files import require_file

FAILURES: tuple[type[Exception], ...] = (
    OSError,  # unreadable, a name too long, an image that Pillow does not know
    ValueError,  # text in no encoding, JSON, numbers, headers; most of what NumPy and Arrow say
    LookupError,  # a missing key or column, an unknown encoding
    TypeError,
    AttributeError,
    ArithmeticError,  # a size that overflows
    AssertionError,
    EOFError,
    MemoryError,  # a header that claims more than there is
    RecursionError,  # nested without end
    RuntimeError,  # an encrypted archive, HDF5's own errors
    BufferError,
    SyntaxError,  # PNG chunks, NumPy headers
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tarfile.TarError,
    csv.Error,
    tokenize.TokenError,  # NumPy, of a header that is no Python
)
"""What decoders raise for damaged files. A fault of ours would be a fault of ours all the same:
only the call of a decoder stands inside `reading`, never what is done with its result."""

_FIELD_LIMIT = 2**31 - 1
"""Of a CSV field; the default of 131,072 is less than a long list of boxes."""


@contextmanager
def reading(path: Path | str, what: str, fix: str = "fetch or write it again") -> Iterator[None]:
    """Turn whatever a decoder raises into one line that names the file.

    Args:
        path: the file, and the place in it where there is one.
        what: what it should have been, such as "a JSON file".
        fix: what to do about it.
    """
    try:
        yield
    except InputError:
        raise
    except FAILURES as error:
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
        raise InputError(f"{path}: is not {what} ({told(error)}); {fix}.") from error


def failures_and(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """`FAILURES` with what one format's own library raises beside them."""
    return (*others, *FAILURES)


def told(error: BaseException) -> str:
    """An error's text in one short line."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it claims more than there is memory"
    text = " ".join(str(error).split())
    if isinstance(error, KeyError):
        text = f"{text} is missing"
    return shortened(text or type(error).__name__, 200)


def shortened(text: str, limit: int) -> str:
    """A text of at most `limit` characters, with dots for what is left out."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def quoted(value: object, limit: int = 60) -> str:
    """What a file holds, as it may stand in a message: in quotes, printable, and short."""
    text = value if isinstance(value, str) else repr(value)
    return repr(shortened(text, limit))


def read_bytes(path: Path, what: str) -> bytes:
    """All of a file.

    Raises:
        InputError: naming it, when it is missing, no regular file, or cannot be read.
    """
    require_file(path, what)
    with reading(path, what):
        return Path(path).read_bytes()


def read_text(path: Path, what: str) -> str:
    """A text file in UTF-8, or in UTF-16 with its mark; the mark is left out.

    Raises:
        InputError: as `read_bytes`, and naming the line that is no text.
    """
    return decoded(read_bytes(path, what), path)


def decoded(data: bytes, path: Path | str) -> str:
    """The text in a file's content, see `read_text`."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        with reading(path, "UTF-16 text", "save it as UTF-8"):
            return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: is not UTF-8 text ({error.reason}); save it as UTF-8."
        ) from error


def read_lines(path: Path, what: str) -> Iterator[tuple[str, str]]:
    """Non-empty lines of a text file, each with its place `file:line` for messages."""
    return numbered_lines(read_text(path, what), path)


def numbered_lines(text: str, path: Path) -> Iterator[tuple[str, str]]:
    """Non-empty lines, each with its place."""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if line.strip():
            yield line, f"{path}:{number}"


def read_rows(path: Path, what: str) -> Iterator[tuple[list[str], str]]:
    """Non-empty rows of a CSV file, each with the place of its last line."""
    text = read_text(path, what)
    csv.field_size_limit(_FIELD_LIMIT)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        with reading(f"{path}:{rows.line_num + 1}", "a line of CSV", "correct it"):
            row = next(rows, None)
        if row is None:
            return
        if row:
            yield row, f"{path}:{rows.line_num}"


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file; NaN and infinite numbers, which are no JSON, are refused."""
    return parsed_json(read_text(path, what), path)


def parsed_json(text: str, path: Path | str) -> Any:
    """The content of JSON text; `path` for messages."""
    with reading(path, "JSON", "correct or write it again"):
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {shortened(text, 40)} is too large")
    return value


def read_xml(path: Path, what: str) -> Element:
    """The root of an XML file, without entities and without anything fetched."""
    data = read_bytes(path, what)
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        with reading(path, "well-formed XML", "extract it again"):
            return fromstring(data)
    except InputError as error:
        if isinstance(error.__cause__, DefusedXmlException):
            raise InputError(
                f"{path}: declares entities or external files, which is refused."
            ) from error.__cause__
        raise


_NUMBER = re.compile(
    r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$|\s*[+-]?(inf|infinity|nan)\s*$", re.A | re.I
)


def number(text: str) -> float:
    """A number as files have it; unlike Python's own, without underscores and foreign digits.

    Raises:
        ValueError: when it is none.
    """
    if not _NUMBER.match(text):
        raise ValueError(f"{quoted(text, 40)} is no number")
    return float(text)
