"""The training photographs of CUB-200-2011 in two parts: to train on, and to choose on.

`cub_parts:fit` and `cub_parts:held_out` are for `data` of trainings and of their `select` in
experiment files: checkpoint and thresholds are chosen on every fifth training photograph of a class
and nothing is chosen on a test photograph.
"""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.registry import open_dataset

_EVERY = 5


def fit(root: Path) -> Dataset:
    """Four of five training photographs of each class, in the order of `images.txt`."""
    return _part(root, "fit", held_out=False)


def held_out(root: Path) -> Dataset:
    """The others."""
    return _part(root, "held-out", held_out=True)


def _part(root: Path, name: str, *, held_out: bool) -> Dataset:
    whole = open_dataset("cub", root, split="train")
    of_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in whole.samples:
        of_class[sample.label].append(sample)
    samples = [
        sample
        for group in of_class.values()
        for number, sample in enumerate(group, 1)
        if (number % _EVERY == 0) == held_out
    ]
    return replace(whole, split=name, samples=samples)
