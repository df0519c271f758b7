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
from wsol.files import atomic_path, inside

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
            InputError: when the path is no known layout, or two maps claim one image, or one
                map's name fits two images.
        """
        self.path = Path(path)
        image_ids = list(image_ids)
        readers, describe = _open(self.path)
        self._describe = describe
        self._readers: dict[str, ReadArray] = {}
        names = _names(image_ids, readers)
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
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            if "allow_pickle" in str(error):
                raise InputError(
                    f"{self.where(image_id)}: holds Python objects, which are never unpickled; "
                    "save a plain float or uint8 array."
                ) from error
            raise InputError(
                f"{self.where(image_id)}: cannot be read as an array ({error}); write it again."
            ) from error
        if not isinstance(array, np.ndarray):
            raise InputError(f"{self.where(image_id)}: is an archive; expected one plain array.")
        return array


def save_score_map(folder: Path, image_id: str, score_map: NDArray[np.float32]) -> None:
    """Write one map as `<folder>/<image_id>.npy`, atomically, for `ScoreMaps` to read back."""
    path = inside(folder, f"{image_id}.npy", f"image id {image_id!r}")
    with atomic_path(path, durable=False) as temporary, temporary.open("wb") as stream:
        np.save(stream, score_map, allow_pickle=False)


def _files(path: Path, names: Iterable[str]) -> list[tuple[str, Path]]:
    if path.is_dir():
        return [(name, path / f"{name}.npy") for name in sorted(names)]
    index = path.with_suffix(".txt")
    return [(file.name, file) for file in (path, index) if file.is_file()]


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
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise InputError(f"{path}: does not exist; expected a folder or file of score maps.")
    layouts = {".npz": _npz, ".npy": _stack, ".h5": _hdf5, ".hdf5": _hdf5}
    if path.suffix.lower() not in layouts:
        raise InputError(
            f"{path}: not a layout of score maps; expected a folder of .npy files, "
            "an .npz archive, an .h5 file, or an .npy stack with its ids in a .txt."
        )
    try:
        return layouts[path.suffix.lower()](path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error


def _folder(path: Path) -> tuple[dict[str, ReadArray], Callable[[str], str]]:
    def reader(file: str) -> ReadArray:
        def read() -> NDArray[Any]:
            # Not np.load, which takes anything that is no array for a pickle.
            with Path(file).open("rb") as stream:
                array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
                return array

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
    archive = np.load(path, allow_pickle=False)
    lock = threading.Lock()

    def reader(name: str) -> ReadArray:
        def read() -> NDArray[Any]:
            with lock:
                array: NDArray[Any] = archive[name]
                return array

        return read

    return {name: reader(name) for name in archive.files}, lambda image_id: f"{path}[{image_id}]"


def _stack(path: Path) -> tuple[dict[str, ReadArray], Callable[[str], str]]:
    stack = np.load(path, mmap_mode="r", allow_pickle=False)
    index = path.with_suffix(".txt")
    if not index.is_file():
        raise InputError(
            f"{index}: does not exist; it lists the image id of each map, a line each."
        )
    ids = index.read_text(encoding="utf-8").split("\n")
    ids = ids[:-1] if ids[-1] == "" else ids
    if stack.ndim != 3 or len(ids) != len(stack):
        raise InputError(
            f"{index}: has {len(ids)} lines for an array of shape {stack.shape} in {path.name}; "
            "expected (number of lines, height, width)."
        )
    if len(set(ids)) != len(ids):
        raise InputError(f"{index}: lists an image id twice.")

    def reader(position: int) -> ReadArray:
        return lambda: np.array(stack[position])

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
        return lambda: file[name][()]

    return {name: reader(name) for name in names}, lambda image_id: f"{path}[{image_id}]"
