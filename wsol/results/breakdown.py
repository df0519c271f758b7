"""Accuracy of groups of images: which classes, and which object sizes, are localized well."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wsol.errors import InputError
from wsol.results.image_facts import ImageFacts, contributions, level_metric

SIZE_EDGES = (0.1, 0.3, 0.6)
"""Where one object size ends and the next begins: the share of the photograph that the largest
true box covers. Fixed, so that the groups of two data sets are the same."""
_SHOWN = ("top1_cls", "top1_loc", "gt_known_loc")
_SIZE_NAMES = ("small", "medium", "large", "very large")


@dataclass(frozen=True, slots=True)
class Group:
    """Some of the images: how many, and their metrics in percent; what no image makes is absent."""

    name: str
    images: int
    metrics: dict[str, float]


def break_down(facts: ImageFacts, by: Literal["class", "size"]) -> list[Group]:
    """Top-1 Cls, Top-1 Loc, GT-known Loc and box accuracies of each class or object size.

    Box accuracies are at the thresholds that are best over all images: a group does not choose
    its own. Classes come in the order of their labels, sizes from small to large; both are left
    out where there is no image.

    Raises:
        InputError: by size, when no image has a true box and a known size.
    """
    split = {"class": _by_class, "size": _by_size}[by]
    found = contributions(facts)
    shown = [name for name in (*_SHOWN, *map(level_metric, facts.keys)) if name in found]
    return [
        Group(
            name,
            int(inside.sum()),
            {
                metric: found[metric].among(inside).percent
                for metric in shown
                if (found[metric].counts & inside).any()
            },
        )
        for name, inside in split(facts)
    ]


_Parts = list[tuple[str, NDArray[np.bool_]]]


def _by_class(facts: ImageFacts) -> _Parts:
    labels, first = np.unique(facts.labels, return_index=True)
    return [
        (str(facts.class_names[at]), facts.labels == label)
        for label, at in zip(labels, first, strict=True)
    ]


def _by_size(facts: ImageFacts) -> _Parts:
    known = ~np.isnan(facts.area)
    if not known.any():
        raise InputError("Object sizes are unknown: no image has a true box and its own size.")
    size = np.digitize(facts.area, SIZE_EDGES)
    bounds = [f"{100 * edge:g} %" for edge in SIZE_EDGES]
    ranges = [f"< {bounds[0]}", *map("{} to {}".format, bounds, bounds[1:]), f">= {bounds[-1]}"]
    parts = [
        (f"{name} ({text})", known & (size == number))
        for number, (name, text) in enumerate(zip(_SIZE_NAMES, ranges, strict=True))
    ]
    return [(name, inside) for name, inside in parts if inside.any()]
