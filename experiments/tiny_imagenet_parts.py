"""Fifty classes of Tiny ImageNet: to train on, to choose on, and to report on.

Every fourth of the 200 classes in the order of their WordNet ids. Of the training images of a class
every fifth is held out for the choice of checkpoint and thresholds; all validation images are
reported on, and nothing is chosen on them.
"""

from dataclasses import replace
from pathlib import Path

from every_fifth import part

from wsol.datasets.base import Dataset
from wsol.datasets.registry import open_dataset

_EVERY_CLASS = 4


def fit(root: Path) -> Dataset:
    """Four of five training images of each class."""
    return part(_fifty(root, "train"), "fit", held_out=False)


def held_out(root: Path) -> Dataset:
    """The others."""
    return part(_fifty(root, "train"), "held-out", held_out=True)


def val(root: Path) -> Dataset:
    """All validation images of the classes."""
    return _fifty(root, "val")


def _fifty(root: Path, split: str) -> Dataset:
    whole = open_dataset("tiny-imagenet", root, split=split)
    samples = [
        replace(sample, label=sample.label // _EVERY_CLASS)
        for sample in whole.samples
        if sample.label % _EVERY_CLASS == 0
    ]
    return replace(
        whole,
        name="Tiny ImageNet, 50 classes",
        samples=samples,
        classes=whole.classes[::_EVERY_CLASS],
        class_names=whole.class_names[::_EVERY_CLASS],
    )
