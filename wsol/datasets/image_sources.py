"""Where a data set's photographs are: below a folder, or in shards. Readers ask by name."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from wsol.datasets.base import ImageFile, Packed
from wsol.datasets.names import joined
from wsol.datasets.parsing import image_path
from wsol.datasets.shards import Index, expanded, index_of, means_shards
from wsol.errors import InputError
from wsol.files import require_folder
from wsol.reading import quoted

_SPLIT_FILE = re.compile(r"([a-z]+)-\d+-of-\d+\.parquet$")
"""A Parquet file of one split, as the Hugging Face hub names them."""


class ImageSource(Protocol):
    """Finds photographs by the names that annotations have for them."""

    def expect(self, asked: Sequence[str]) -> None:
        """Say all names that will be asked for; refuses them where none is there."""

    def find(self, name: str, where: str) -> ImageFile:
        """The photograph of a name; `where` that name was read, for messages."""


class Folder:
    """Photographs as files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def expect(self, asked: Sequence[str]) -> None:
        """Nothing to do: whether a file is there shows when it is opened."""

    def find(self, name: str, where: str) -> ImageFile:
        """The file, whether or not it is there."""
        return image_path(self.root, name, where)


class Shards:
    """Photographs in shards, joined by name: as they are called in there, in a JSON file or column
    beside them, or in the Hugging Face hub's way, with the class behind the name."""

    def __init__(self, images: Path) -> None:
        self._images = images
        self._shards = expanded(images)
        self._found: dict[str, Packed] = {}

    def expect(self, asked: Sequence[str]) -> None:
        """Index the shards, and join.

        Raises:
            InputError: with examples of both sides where nothing joins, or a damaged shard.
        """
        left = list(dict.fromkeys(asked))
        seen: list[Packed] = []
        for group in _groups(self._shards):
            indices = [index_of(shard) for shard in group]
            there = [packed for index in indices for packed in index.images]
            seen += there
            names = [packed.member for packed in there]
            self._add(joined(left, names), dict(zip(names, there, strict=True)))
            left = [name for name in left if name not in self._found]
            if left:
                others = _by_other_names(indices)
                self._add(joined(left, list(others)), others)
                left = [name for name in left if name not in self._found]
            if not left:
                return
        if left and not self._found:
            wanted = ", ".join(quoted(name)[1:-1] for name in left[:3])
            held = ", ".join(quoted(packed.member)[1:-1] for packed in seen[:3]) or "none"
            raise InputError(
                f"{self._images}: none of its images is called like one of the data set, such as "
                f"{wanted}; the shards have {held}."
            )

    def _add(self, names: dict[str, str], images: dict[str, Packed]) -> None:
        self._found |= {asked: images[name] for asked, name in names.items()}

    def find(self, name: str, where: str) -> ImageFile:
        """The image's place; one that is in no shard is told when it is opened."""
        return self._found.get(name) or Packed(self._images, name, -1, 0)

    def all(self) -> list[tuple[str, Packed]]:
        """Every image with its name, for layouts whose images are not listed; sorted by name.

        The class that the hub appends to a name is left out of it; see `class_in`.
        """
        found = [packed for shard in self._shards for packed in index_of(shard).images]
        named = [(without_class(packed.member), packed) for packed in found]
        return sorted(named, key=lambda item: item[0])


def image_source(images: Path, what: str) -> ImageSource:
    """The source that an image root means.

    Raises:
        InputError: when it is neither a folder nor shards that are there.
    """
    images = Path(images)
    return Shards(images) if means_shards(images) else Folder(require_folder(images, what))


_APPENDED = re.compile(r"_(n\d{8})$")


def without_class(name: str) -> str:
    """A file name without the WordNet id that the Hugging Face hub appends to it."""
    path = PurePosixPath(name)
    return str(path.with_name(_APPENDED.sub("", path.stem) + path.suffix)) if path.name else name


def class_in(packed: ImageFile) -> str | None:
    """The WordNet id that is appended to an image's name in a shard."""
    found = (
        _APPENDED.search(PurePosixPath(packed.member).stem) if isinstance(packed, Packed) else None
    )
    return found.group(1) if found else None


def _groups(shards: Iterable[Path]) -> list[list[Path]]:
    """Shards to index together: those of one split, the smallest split first."""
    splits: dict[str, list[Path]] = {}
    for shard in shards:
        match = _SPLIT_FILE.search(shard.name)
        splits.setdefault(match.group(1) if match else "", []).append(shard)
    return sorted(splits.values(), key=len)


def _by_other_names(indices: list[Index]) -> dict[str, Packed]:
    """Images by what else they are called; a name that two share is none."""
    found: dict[str, Packed | None] = {}
    for index in indices:
        for packed, names in zip(index.images, index.other_names(), strict=True):
            for name in dict.fromkeys(names):
                found[name] = None if name in found else packed
    return {name: packed for name, packed in found.items() if packed is not None}
