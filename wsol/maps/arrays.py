"""Reading one array of numbers from a file that others wrote, and only that.

What a header claims is held against the size of what follows it before anything is allocated, so
that neither a claim of terabytes nor bytes that belong to nothing go through.
"""

import io
import math
import os
import threading
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

PIXELS_MOST = 2**26
"""Of one score map: 8,192 x 8,192."""

_PARSING = threading.Lock()
"""NumPy reads headers with `ast`, and where several threads do so at once, Python 3.11 now and then
gives one of them a SystemError (github.com/python/cpython/issues/106905)."""


def read_npy(stream: BinaryIO, size: int) -> NDArray[Any]:
    """The array of a `.npy` file.

    Args:
        stream: at its beginning.
        size: of all of it, in bytes.

    Raises:
        ValueError: when it is damaged, longer or shorter than its header says, too large for a
            map, or holds Python objects; one clause.
    """
    shape, column_order, dtype = npy_header(stream)
    require_plain(shape, dtype)
    expected, found = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if found != expected:
        raise ValueError(f"has {found:,} bytes of data where its header says {expected:,}")
    data = bytearray(expected)
    view = memoryview(data)
    while view:
        read = stream.readinto(view)  # type: ignore[attr-defined]
        if not read:
            raise ValueError("ends before its data does")
        view = view[read:]
    array = np.frombuffer(data, dtype=dtype)
    return native(array.reshape(shape, order="F" if column_order else "C"))


def read_npy_bytes(data: bytes) -> NDArray[Any]:
    """Like `read_npy`, of a whole file's content."""
    return read_npy(io.BytesIO(data), len(data))


def npy_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type; the stream is at the data afterwards."""
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(
            f"has the .npy version {version[0]}.{version[1]}, which no plain array has"
        )
    with _PARSING:
        shape, column_order, dtype = readers[version](stream)
    return shape, column_order, dtype


def require_plain(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse what is no map of numbers before its data is touched.

    Raises:
        ValueError: one clause.
    """
    if dtype.hasobject:
        raise ValueError("holds Python objects, which are never unpickled")
    if dtype.kind not in "fiub" or (dtype.kind == "f" and dtype.itemsize > 8):
        raise ValueError(f"has the type {dtype}; expected float16/32/64 or uint8")
    if any(side < 0 for side in shape):
        raise ValueError(f"has the shape {shape}")
    if math.prod(shape) > PIXELS_MOST:
        raise ValueError(f"has the shape {shape}; a map has at most {PIXELS_MOST:,} pixels")


def native(array: NDArray[Any]) -> NDArray[Any]:
    """The same values in this machine's order of bytes."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def file_size(stream: BinaryIO) -> int:
    """Bytes of an open file."""
    return os.fstat(stream.fileno()).st_size
