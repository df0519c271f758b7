"""A training set in two parts: to train on, and to choose checkpoint and thresholds on."""

from collections import defaultdict
from dataclasses import replace

from wsol.datasets.base import Dataset, Sample

_EVERY = 5


def part(whole: Dataset, name: str, *, held_out: bool) -> Dataset:
    """Every fifth image of each class, in the order of the data set, or the other four."""
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
