"""Joining images by name where two sides spell them differently.

`val/ILSVRC2012_val_00000025.JPEG` in annotations may be `ILSVRC2012_val_00000025.jpg` in an archive
or `ILSVRC2012_val_00000025_n01616318.JPEG` in a copy from the Hugging Face hub.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

_CLASS = re.compile(r"_n\d{8}$")

_SPELLINGS = 4


def joined(asked: Sequence[str], available: Sequence[str]) -> dict[str, str]:
    """Which of the available names is meant by each name asked for, as far as one is.

    A name is found as it is; else without its suffix; else by the last part of its path; else by
    that without a class that was appended to it. A spelling that two of the available names share
    finds neither.
    """
    found: dict[str, str] = {}
    left = list(dict.fromkeys(asked))
    for spelling in range(_SPELLINGS):
        if not left:
            break
        place: dict[str, str | None] = {}
        for name in available:
            key = _spelled(name, spelling)
            place[key] = None if key in place else name
        still = []
        for name in left:
            match = place.get(_spelled(name, spelling))
            if match is None:
                still.append(name)
            else:
                found[name] = match
        left = still
    return found


def _spelled(name: str, spelling: int) -> str:
    """A name as the first, second, ... way of spelling has it."""
    if spelling == 0:
        return name
    path = PurePosixPath(name)
    if spelling == 1:
        return str(path.with_suffix("")) if path.name else name
    return path.stem if spelling == 2 else _CLASS.sub("", path.stem)
