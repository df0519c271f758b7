"""Images inside of large files: WebDataset's tar files, plain or gzipped, and Parquet files in
which the Hugging Face hub stores images (`image`, a struct of bytes and path).

An index of a shard says where each image is, from the headers of a tar file or the column of names
of a Parquet file; pixels are read later, by whichever process needs them, which keeps the shard
open: images that are asked for in a shard's order are read in one go from front to back.

tarfile and Arrow read the formats. The `webdataset` library gives a shard's members as a stream,
which does not say where an image is, so that annotations could ask for it, and a run go on after
an interruption; and it opens addresses and commands given in place of files, and its decoders
unpickle members by their suffix. Here a member is bytes at a place in a regular file; nothing is
extracted.
"""

import gzip
import os
import re
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from wsol.datasets.base import ImageFile, Packed
from wsol.errors import InputError
from wsol.files import is_file, is_folder, require_file
from wsol.reading import FAILURES, parsed_json, quoted, reading, told

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
_SHARDS = (".tar", ".tar.gz", ".tgz", ".parquet")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)\Z")
_RECORDED = re.compile(r"(.+?\.(?:tar|tar\.gz|tgz|parquet))::(.+)\Z", re.IGNORECASE | re.DOTALL)
_MOST_SHARDS = 100_000
_NAMES = ("filename", "file_name", "path", "image_id", "name", "key", "__key__", "id")
"""Fields of a JSON file beside an image, or columns of a Parquet file, that may name it."""
_FIX = "fetch or pack it again"
_OPEN = 4
"""Shards that a process keeps open."""


def means_shards(images: Path) -> bool:
    """Whether an image root is shards: named by pattern or suffix, or a folder of them."""
    text = str(images)
    if _BRACES.search(text) or "*" in text or text.lower().endswith(_SHARDS):
        return True
    return is_folder(images) and any(_is_shard(place) for place in images.iterdir())


def expanded(images: Path) -> list[Path]:
    """The shards that a pattern (`{000000..000063}`, `{a,b}`, `*`), a file or a folder means.

    Raises:
        InputError: when one of them is missing, or there is none.
    """
    text = str(images)
    parts = _BRACES.split(text)
    choices = [
        [part] if place % 2 == 0 else _choices(part, text) for place, part in enumerate(parts)
    ]
    shards: list[Path] = []
    for chosen in product(*choices):
        place = Path("".join(chosen))
        if "*" in place.name:
            shards += sorted(place.parent.glob(place.name))
        elif is_folder(place):
            shards += sorted(inner for inner in place.iterdir() if _is_shard(inner))
        else:
            shards.append(require_file(place, "a shard: a .tar, .tar.gz or .parquet file"))
    if not shards:
        raise InputError(
            f"{images}: there are no shards; expected .tar, .tar.gz or .parquet files."
        )
    return shards


def _choices(text: str, whole: str) -> list[str]:
    bounds = _RANGE.match(text)
    if bounds is None:
        return text.split(",")
    first, last = bounds.groups()
    if not 0 <= int(last) - int(first) < _MOST_SHARDS:
        raise InputError(f"{whole}: {{{text}}} is no range of shards.")
    return [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]


def _is_shard(place: Path) -> bool:
    return place.name.lower().endswith(_SHARDS) and not place.name.startswith(".")


@dataclass(frozen=True, slots=True)
class Index:
    """What a shard holds: its images in their order; and what else may name them, read on demand.

    `other_names` gives, for each image, names from its JSON file or from other columns.
    """

    images: list[Packed]
    other_names: Callable[[], list[list[str]]]


def index_of(shard: Path) -> Index:
    """The images of a shard.

    Raises:
        InputError: naming the shard, and the member where it ends or is damaged.
    """
    require_file(shard, "a shard of images")
    return _parquet_index(shard) if shard.suffix.lower() == ".parquet" else _tar_index(shard)


def _tar_index(shard: Path) -> Index:
    images: list[Packed] = []
    texts: dict[str, Packed] = {}
    last = "its beginning"
    try:
        with _tar_stream(shard) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # which would keep all headers
                last = f"the member {quoted(member.name)[1:-1]}"
                if not member.isfile() or member.issparse():
                    continue
                packed = Packed(shard, member.name, member.offset_data, member.size)
                if member.name.lower().endswith(SUFFIXES):
                    images.append(packed)
                elif member.name.lower().endswith(".json"):
                    texts[member.name[:-5]] = packed
            stream.seek(tar.offset)
            if stream.read(512) != bytes(512):
                raise EOFError("it ends without the mark of its end")
            while is_zipped(shard) and stream.read(2**20):
                pass  # up to the checksum
    except FAILURES as error:
        raise InputError(f"{shard}: is damaged after {last} ({told(error)}); {_FIX}.") from error
    return Index(images, lambda: [_described(image, texts) for image in images])


def is_zipped(shard: Path) -> bool:
    """Whether a tar file is compressed, so that it can be read from its beginning alone."""
    with shard.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _tar_stream(shard: Path) -> BinaryIO:
    """A tar file's content, from its beginning and seekable."""
    return gzip.GzipFile(shard) if is_zipped(shard) else shard.open("rb")  # type: ignore[return-value]


def _described(image: Packed, texts: dict[str, Packed]) -> list[str]:
    """What the JSON file of an image calls it."""
    folder, slash, name = image.member.rpartition("/")
    keys = (name.rpartition(".")[0], name.partition(".")[0])
    found = next(
        (texts[key] for key in (f"{folder}{slash}{k}" for k in keys) if key in texts), None
    )
    if found is None:
        return []
    content = parsed_json(read_packed(found).decode("utf-8", "replace"), str(found))
    values = [content.get(name) for name in _NAMES] if isinstance(content, dict) else []
    return [str(value) for value in values if isinstance(value, str | int)]


def _parquet_index(shard: Path) -> Index:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with reading(shard, "a Parquet file", _FIX), pq.ParquetFile(shard) as file:
        schema = file.schema_arrow
        column = image_column(schema)
        if column is None:
            raise InputError(
                f"{shard}: has no column of images; expected `image`, a struct of bytes and path."
            )
        names = file.read(columns=[f"{column}.path"])[column].combine_chunks()
        paths = names.field("path").to_pylist()
        rows = file.metadata.num_rows
        others = [
            name
            for name in _NAMES
            if name in schema.names
            and (
                pa.types.is_string(schema.field(name).type)
                or pa.types.is_integer(schema.field(name).type)
            )
        ]
    if len(paths) != rows:
        raise InputError(f"{shard}: has {len(paths)} names for {rows} images; {_FIX}.")
    images = [
        Packed(shard, path if isinstance(path, str) and path else f"row {row}", row, -1)
        for row, path in enumerate(paths)
    ]

    def other_names() -> list[list[str]]:
        if not others:
            return [[] for _ in images]
        with reading(shard, "a Parquet file", _FIX), pq.ParquetFile(shard) as file:
            table = file.read(columns=others)
        columns = [table[name].to_pylist() for name in others]
        return [[str(v) for v in values if v is not None] for values in zip(*columns, strict=True)]

    return Index(images, other_names)


def _is_name(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind))


def image_column(schema: Any) -> str | None:
    """The column of an Arrow schema that holds images as the Hugging Face hub has them."""
    import pyarrow as pa

    for name in sorted(schema.names, key=lambda name: name != "image"):
        kind = schema.field(name).type
        if pa.types.is_struct(kind):
            fields = {kind.field(place).name for place in range(kind.num_fields)}
            if {"bytes", "path"} <= fields:
                return str(name)
    return None


# --- reading ------------------------------------------------------------------------------------


class _Reader(Protocol):
    """An open shard."""

    def read(self, packed: Packed) -> bytes: ...

    def close(self) -> None: ...


class _TarReader:
    def __init__(self, shard: Path) -> None:
        self._stream = _tar_stream(shard)

    def read(self, packed: Packed) -> bytes:
        self._stream.seek(packed.place)
        data = self._stream.read(packed.size)
        if len(data) != packed.size:
            raise EOFError(f"it has {len(data):,} of {packed.size:,} bytes")
        return data

    def close(self) -> None:
        self._stream.close()


class _ParquetReader:
    """Keeps the images of one row group, which is what can be read at a time."""

    def __init__(self, shard: Path) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(shard, page_checksum_verification=True)
        self._column = image_column(self._file.schema_arrow)
        self._starts = [0]
        for group in range(self._file.metadata.num_row_groups):
            self._starts.append(self._starts[-1] + self._file.metadata.row_group(group).num_rows)
        self._group = -1
        self._images: Any = None

    def read(self, packed: Packed) -> bytes:
        group = next(g for g, end in enumerate(self._starts[1:]) if packed.place < end)
        if group != self._group:
            table = self._file.read_row_group(group, columns=[f"{self._column}.bytes"])
            self._images = table[self._column].combine_chunks().field("bytes")
            self._group = group
        data = self._images[packed.place - self._starts[group]].as_py()
        if not isinstance(data, bytes):
            raise ValueError("it has a path and no bytes")
        return data

    def close(self) -> None:
        self._file.close()


class _OpenShards:
    """The shards that one thread has open, the least recently used of which is closed first."""

    def __init__(self) -> None:
        self._readers: OrderedDict[Path, _Reader] = OrderedDict()

    def read(self, packed: Packed) -> bytes:
        reader = self._readers.pop(packed.shard, None)
        if reader is None:
            require_file(packed.shard, "a shard of images")
            is_parquet = packed.shard.suffix.lower() == ".parquet"
            reader = _ParquetReader(packed.shard) if is_parquet else _TarReader(packed.shard)
            while len(self._readers) >= _OPEN:
                self._readers.popitem(last=False)[1].close()
        self._readers[packed.shard] = reader
        return reader.read(packed)


@cache
def _members(shard: Path) -> dict[str, Packed]:
    return {packed.member: packed for packed in index_of(shard).images}


def recorded_image(text: str) -> ImageFile:
    """What a per-image file calls a photograph: a path, or a shard and a member of it.

    Raises:
        InputError: when the shard is damaged.
    """
    match = _RECORDED.match(text)
    if match is None or not is_file(Path(match[1])):
        return Path(text)
    return _members(Path(match[1])).get(match[2]) or Packed(Path(match[1]), match[2], -1, 0)


class _Local(threading.local):
    """Each thread has readers of its own; so has, after a fork, each process."""

    def __init__(self) -> None:
        self.pid = 0
        self.shards = _OpenShards()


_local = _Local()


def read_packed(packed: Packed) -> bytes:
    """An image's file content.

    Raises:
        InputError: naming the shard and the member.
    """
    if packed.place < 0:
        raise InputError(f"{packed}: the shards have no such image; check --images.")
    if _local.pid != os.getpid():
        _local.pid, _local.shards = os.getpid(), _OpenShards()
    with reading(str(packed), "an image in a shard", _FIX):
        return _local.shards.read(packed)
