"""The training photographs of CUB-200-2011 in two parts: to train on, and to choose on.

`cub_parts:fit` and `cub_parts:held_out` are for `data` of trainings and of their `select` in
experiment files: checkpoint and thresholds are chosen on every fifth training photograph of a class
and nothing is chosen on a test photograph.
"""

from pathlib import Path

from every_fifth import part

from wsol.datasets.base import Dataset
from wsol.datasets.registry import open_dataset


def fit(root: Path) -> Dataset:
    """Four of five training photographs of each class, in the order of `images.txt`."""
    return part(open_dataset("cub", root, split="train"), "fit", held_out=False)


def held_out(root: Path) -> Dataset:
    """The others."""
    return part(open_dataset("cub", root, split="train"), "held-out", held_out=True)
