"""In which order photographs are read, so that shards are read from front to back, and by whom."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wsol.datasets.base import Packed, Sample

Item = TypeVar("Item")


def is_packed(samples: Sequence[Sample]) -> bool:
    """Whether any of the photographs is in a shard."""
    return any(isinstance(sample.path, Packed) for sample in samples)


def reading_order(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """(n,) positions in the order in which the images lie in their shards; as they are without.

    Processes that take runs of it read shards of their own, but for those at the ends of runs.
    """
    if not is_packed(samples):
        return np.arange(len(samples))

    def place(position: int) -> tuple[str, int]:
        path = samples[position].path
        return (str(path.shard), path.place) if isinstance(path, Packed) else ("", position)

    return np.array(sorted(range(len(samples)), key=place), dtype=np.int64)


def in_turns(items: Sequence[Item], workers: int) -> list[Item]:
    """Items in an order in which each of some workers, who take them in turns, gets a run of them.

    A loader's processes take batches in turns; this way each goes through shards of its own.
    """
    count = max(workers, 1)
    ends = [len(items) * worker // count for worker in range(count + 1)]
    runs = sorted(
        (list(items[start:end]) for start, end in pairwise(ends)),
        key=len,
        reverse=True,
    )
    return [run[turn] for turn in range(len(runs[0])) for run in runs if turn < len(run)]
