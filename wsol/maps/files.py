"""Precomputed score maps on disk: where they are, and reading and writing one.

Four layouts are understood:

- a folder with `<image_id>.npy`, or `<image_id without its suffix>.npy`, for every image;
- one `.npz` archive with an array for every image, named the same two ways;
- one `.h5`/`.hdf5` file with a data set for every image, named the same two ways (extra `hdf5`);
- one `.npy` stack (N, H, W), memory-mapped, with the N image ids in a `.txt` of the same name.
"""

import os
import threading
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsol.errors import InputError
from wsol.files import atomic_path, exists, inside, is_file, is_folder, require_file
from wsol.maps.arrays import (
    PIXELS_MOST,
    file_size,
    native,
    npy_header,
    read_npy,
    read_npy_bytes,
    require_plain,
)
from wsol.reading import FAILURES, quoted, read_text, reading, told

ReadArray = Callable[[], NDArray[Any]]


class ScoreMaps:
    """Score maps by image id; nothing is read before `read`.

    Attributes:
        path: the folder or file, for messages and the record.
        extra: names of maps that belong to no image of the data set.
        missing: image ids without a map, in the data set's order.
        files: all that the maps are in, by their names below `path`.
    """

    def __init__(self, path: Path, image_ids: Iterable[str]) -> None:
        """List the maps under `path` and match them with `image_ids`.

        Raises:
            InputError: when the path is no known layout, two maps claim one image, one map's name
                fits two images, or no name fits any.
        """
        self.path = Path(path)
        image_ids = list(image_ids)
        readers, describe = _open(self.path)
        self._describe = describe
        self._readers: dict[str, ReadArray] = {}
        names = _names(image_ids, readers)
        if image_ids and not names:
            raise InputError(f"{self.path}: {_nothing_fits(image_ids, sorted(readers))}")
        self.missing = [image_id for image_id in image_ids if image_id not in names]
        for image_id, name in names.items():
            self._readers[image_id] = readers[name]
        self.extra = sorted(set(readers) - set(names.values()))
        self.files = _files(self.path, readers)

    def where(self, image_id: str) -> str:
        """The file (and the name in it) of an image's map, for messages."""
        return self._describe(image_id)

    def read(self, image_id: str) -> NDArray[Any]:
        """The array of an image, unchecked but for being a plain array.

        Raises:
            InputError: naming the file, when it is missing, damaged, or holds Python objects
                (which are never unpickled).
        """
        if image_id not in self._readers:
            raise InputError(
                f"{self.where(image_id)}: there is no score map for {image_id}; "
                "write it, or leave the image out with --skip-bad."
            )
        try:
            array = self._readers[image_id]()
        except InputError:
            raise
        except FAILURES as error:
            fix = "save a plain float or uint8 array" if "unpickled" in str(error) else "write it"
            again = "" if fix.startswith("save") else " again"
            raise InputError(
                f"{self.where(image_id)}: cannot be read as an array ({told(error)}); {fix}{again}."
            ) from error
        if not isinstance(array, np.ndarray):
            raise InputError(f"{self.where(image_id)}: is no array; expected one plain array.")
        return array


def save_score_map(folder: Path, image_id: str, score_map: NDArray[np.float32]) -> None:
    """Write one map as `<folder>/<image_id>.npy`, atomically, for `ScoreMaps` to read back."""
    path = inside(folder, f"{image_id}.npy", f"image id {image_id!r}")
    with atomic_path(path, durable=False) as temporary, temporary.open("wb") as stream:
        np.save(stream, score_map, allow_pickle=False)


def _nothing_fits(image_ids: list[str], available: list[str]) -> str:
    """What is there instead of maps named after images, and what was expected."""
    expected = f"{image_ids[0]} or {PurePosixPath(image_ids[0]).with_suffix('')}"
    if not available:
        return f"holds no score maps; expected one named {expected}, and so on."
    shown = ", ".join(quoted(name)[1:-1] for name in available[:3])
    more = f" and {len(available) - 3:,} more" if len(available) > 3 else ""
    return (
        f"none of its score maps is named after an image: there are {shown}{more}; expected "
        f"{expected}, and so on."
    )


def _files(path: Path, names: Iterable[str]) -> list[tuple[str, Path]]:
    if is_folder(path):
        return [(name, path / f"{name}.npy") for name in sorted(names)]
    index = path.with_suffix(".txt")
    return [(file.name, file) for file in (path, index) if is_file(file)]


def _names(image_ids: list[str], available: Mapping[str, Any]) -> dict[str, str]:
    """The map's name of every image that has one."""
    names: dict[str, str] = {}
    owner: dict[str, str] = {}
    for image_id in image_ids:
        stem = str(PurePosixPath(image_id).with_suffix(""))
        found = [name for name in dict.fromkeys((image_id, stem)) if name in available]
        if len(found) > 1:
            raise InputError(
                f"{image_id}: has two score maps, {found[0]!r} and {found[1]!r}; keep one."
            )
        for name in found:
            if name in owner:
                raise InputError(
                    f"The score map {name!r} fits two images, {owner[name]} and {image_id}; "
                    "name maps by the whole image id, suffix included."
                )
            owner[name] = image_id
            names[image_id] = name
    return names


def _open(path: Path) -> tuple[dict[str, ReadArray], Callable[[str], str]]:
    """A reader for every map under `path`, and how to name an image's place in messages."""
    if is_folder(path):
        return _folder(path)
    if not exists(path):
        raise InputError(f"{path}: does not exist; expected a folder or file of score maps.")
    layouts = {".npz": _npz, ".npy": _stack, ".h5": _hdf5, ".hdf5": _hdf5}
    if path.suffix.lower() not in layouts:
        raise InputError(
            f"{path}: not a layout of score maps; expected a folder of .npy files, "
            "an .npz archive, an .h5 file, or an .npy stack with its ids in a .txt."
        )
    require_file(path, "a file of score maps")
    with reading(path, "a file of score maps", "write it again"):
        return layouts[path.suffix.lower()](path)


def _folder(path: Path) -> tuple[dict[str, ReadArray], Callable[[str], str]]:
    def reader(file: str) -> ReadArray:
        def read() -> NDArray[Any]:
            require_file(Path(file), "a score map")
            with Path(file).open("rb") as stream:
                return read_npy(stream, file_size(stream))

        return read

    readers: dict[str, ReadArray] = {}
    for parent, _, files in os.walk(path):
        relative = os.path.relpath(parent, path)
        prefix = "" if relative == "." else relative.replace(os.sep, "/") + "/"
        for file in files:
            # A leading dot marks a half-written file of a run that was killed.
            if file.endswith(".npy") and not file.startswith("."):
                readers[prefix + file.removesuffix(".npy")] = reader(str(Path(parent, file)))
    return readers, lambda image_id: str(path / f"{image_id}.npy")


def _npz(path: Path) -> tuple[dict[str, ReadArray], Callable[[str], str]]:
    archive = zipfile.ZipFile(path)
    lock = threading.Lock()

    def reader(member: zipfile.ZipInfo) -> ReadArray:
        def read() -> NDArray[Any]:
            if member.file_size > 8 * PIXELS_MOST + 2**16:
                raise ValueError(f"has {member.file_size:,} bytes, more than a map can have")
            with lock:
                data = archive.read(member)
            return read_npy_bytes(data)

        return read

    readers: dict[str, ReadArray] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name in readers:
            raise InputError(f"{path}: holds two score maps called {quoted(name)}; keep one.")
        if name != member.filename:
            readers[name] = reader(member)
    return readers, lambda image_id: f"{path}[{image_id}]"


def _stack(path: Path) -> tuple[dict[str, ReadArray], Callable[[str], str]]:
    with path.open("rb") as stream:
        shape, column_order, dtype = npy_header(stream)
        start, found = stream.tell(), file_size(stream)
    index = path.with_suffix(".txt")
    ids = read_text(index, "the image id of each map, a line each").split("\n")
    ids = [line.removesuffix("\r") for line in (ids[:-1] if ids[-1] == "" else ids)]
    if len(shape) != 3 or len(ids) != shape[0]:
        raise InputError(
            f"{index}: has {len(ids)} lines for an array of shape {shape} in {path.name}; "
            "expected (number of lines, height, width)."
        )
    if len(set(ids)) != len(ids):
        raise InputError(f"{index}: lists an image id twice.")
    require_plain(shape[1:], dtype)
    expected = start + shape[0] * shape[1] * shape[2] * dtype.itemsize
    if found != expected:
        raise ValueError(f"has {found:,} bytes where its header says {expected:,}")
    order: Any = "F" if column_order else "C"
    stack = (
        np.memmap(path, dtype, "r", start, shape, order) if expected > start else np.empty(shape)
    )

    def reader(position: int) -> ReadArray:
        return lambda: native(np.array(stack[position]))

    readers = {image_id: reader(i) for i, image_id in enumerate(ids)}
    return readers, lambda image_id: f"{path}[{image_id}]"


def _hdf5(path: Path) -> tuple[dict[str, ReadArray], Callable[[str], str]]:
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path}: reading it needs h5py; pip install 'wsol[hdf5]'.") from error
    file = h5py.File(path, "r")
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)

    def reader(name: str) -> ReadArray:
        def read() -> NDArray[Any]:
            item = file[name]
            if item.external or item.is_virtual:
                raise ValueError("keeps its values in other files, which are not opened")
            if item.shape is None:
                raise ValueError("is empty")
            require_plain(item.shape, item.dtype)
            return native(item[()])

        return read

    return {name: reader(name) for name in names}, lambda image_id: f"{path}[{image_id}]"
