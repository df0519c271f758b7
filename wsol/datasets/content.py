"""What a data set says of its images, as a digest that does not depend on who read it.

The same annotations come as XML files, as one file a column, or as a folder; readers name images
and splits differently. The digest is of the content alone: each image's own name without folders
and suffix, its label, its size and its boxes in whole pixels, in the order of the names.
"""

import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

Annotation = tuple[str, int, tuple[int, int], NDArray[np.float64]]
"""An image's id, label, (width, height) and (n, 4) true boxes, inclusive corners in pixels."""


@dataclass(frozen=True, slots=True)
class KnownContent:
    """Annotations that everybody evaluates on.

    Attributes:
        dataset, split: as wsol's readers call them; `also` are other names of the split.
        digest: of `content_fingerprint`.
        source: where the files come from that it was computed of.
    """

    dataset: str
    split: str
    also: tuple[str, ...]
    images: int
    digest: str
    source: str

    def is_called(self, dataset: str, split: str) -> bool:
        """Whether a record's data set and split have these names."""
        return dataset == self.dataset and split in (self.split, *self.also)


def content_fingerprint(annotations: Iterable[Annotation]) -> str:
    """SHA-256 over all images, shortened; equal annotations, equal text."""
    lines = []
    for image_id, label, size, boxes in annotations:
        corners = sorted(map(tuple, np.rint(boxes).astype(np.int64).reshape(-1, 4).tolist()))
        lines.append(f"{PurePosixPath(image_id).stem} {label} {size[0]}x{size[1]} {corners}\n")
    digest = hashlib.sha256()
    for line in sorted(lines):
        digest.update(line.encode())
    return digest.hexdigest()[:32]


@cache
def known_contents() -> tuple[KnownContent, ...]:
    """The annotations of ILSVRC, CUB and Tiny ImageNet."""
    text = files("wsol").joinpath("data/annotations.toml").read_text(encoding="utf-8")
    return tuple(
        KnownContent(**{**entry, "also": tuple(entry.get("also", ()))})
        for entry in tomllib.loads(text)["annotations"]
    )
