"""Writing shards: the images of a folder in tar files, as WebDataset reads them.

The same folder gives the same bytes, whoever packs it and when.
"""

import gzip
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from wsol.datasets.shards import SUFFIXES
from wsol.errors import InputError
from wsol.files import atomic_folder, is_folder, is_no_folder, require_folder
from wsol.reading import read_bytes

_BLOCK = 512
_NAME = "images-{:06d}.tar"


def pack_folder(
    folder: Path,
    out: Path,
    *,
    shard_bytes: int,
    zipped: bool = False,
    advance: Callable[[int], None] = lambda images: None,
) -> list[Path]:
    """Write all images in and below a folder into shards, in the order of their names.

    Members are called as the images are below the folder, which is how annotations name them.

    Args:
        out: a new or empty folder for `images-000000.tar`, ...; it appears with all of them.
        shard_bytes: begin another shard before one grows larger; an image is never divided.
        zipped: gzip them (`.tar.gz`), which saves little of JPEGs, and lets each be read from its
            beginning alone.
        advance: called with the number of images that have been packed since the last call.

    Returns:
        The shards.

    Raises:
        InputError: for a folder without images, a file that cannot be read, or anything in `out`.
    """
    folder = require_folder(folder, "a folder of images to pack")
    names = images_below(folder)
    if not names:
        raise InputError(f"{folder}: has no images in it to pack.")
    if is_no_folder(out) or (is_folder(out) and any(out.iterdir())):
        raise InputError(f"{out}: is there already; choose another folder, or remove it.")
    shards: list[Path] = []
    with atomic_folder(out) as place:
        for group in _groups(folder, names, shard_bytes):
            shard = _NAME.format(len(shards)) + (".gz" if zipped else "")
            with (
                _written(place / shard, zipped) as stream,
                tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar,
            ):
                for name in group:
                    _add(tar, folder, name)
                    advance(1)
            shards.append(out / shard)
    return shards


def images_below(folder: Path) -> list[str]:
    """Names of all images in and below a folder, sorted."""
    return sorted(
        Path(place, file).relative_to(folder).as_posix()
        for place, _, files in os.walk(folder)
        for file in files
        if file.lower().endswith(SUFFIXES) and not file.startswith(".")
    )


def pattern_of(shards: list[Path]) -> str:
    """What `--images` takes to mean these shards."""
    if len(shards) == 1:
        return str(shards[0])
    first, last = shards[0].name, shards[-1].name
    number, end = first[7:13], last[7:13]
    return str(shards[0].with_name(first.replace(number, f"{{{number}..{end}}}")))


def _groups(folder: Path, names: list[str], shard_bytes: int) -> Iterator[list[str]]:
    group: list[str] = []
    filled = 0
    for name in names:
        size = (folder / name).stat().st_size
        needed = _BLOCK + -(-size // _BLOCK) * _BLOCK
        if group and filled + needed > shard_bytes:
            yield group
            group, filled = [], 0
        group.append(name)
        filled += needed
    yield group


def _add(tar: tarfile.TarFile, folder: Path, name: str) -> None:
    # All of it first, so that what the disk of the shards says is not said of the image.
    data = read_bytes(folder / name, "an image to pack")
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


@contextmanager
def _written(path: Path, zipped: bool) -> Iterator[BinaryIO]:
    with path.open("wb") as stream:
        if not zipped:
            yield stream
            return
        with gzip.GzipFile("", "wb", 6, stream, mtime=0) as packed:
            yield packed  # type: ignore[misc]
