"""What each of several processes judges, and how far they are together."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsol.processes import ALONE, Processes

_LOOK = 0.5
"""Seconds between two looks at how far the others are."""


@dataclass(frozen=True, slots=True)
class Share:
    """What of a data set is left to this process.

    Attributes:
        done: (n,) bool, the images that have been judged before.
        processes: that share the rest.
    """

    done: NDArray[np.bool_]
    processes: Processes = ALONE

    def batches(self, size: int) -> list[range]:
        """Positions in the data set, batch by batch; an image of them may be done already.

        Batch k holds the images from k * size on, whoever is at it and whatever is done: what a
        network says of an image may depend on how many others there are beside it.
        """
        images = len(self.done)
        starts = [
            start for start in range(0, images, size) if not self.done[start : start + size].all()
        ]
        first, last = (
            len(starts) * rank // self.processes.count
            for rank in (self.processes.rank, self.processes.rank + 1)
        )
        return [range(start, min(start + size, images)) for start in starts[first:last]]

    def positions(self) -> list[int]:
        """The images one by one, where what is said of each is the same in any company."""
        return [batch.start for batch in self.batches(1)]


class OthersFailedError(Exception):
    """Another process of the run has failed; this one saves what it has and waits to be told."""


class Tally:
    """Counts finished images: in the first process those of all, in another one its own."""

    def __init__(
        self, processes: Processes, name: str, advance: Callable[[int], None], done: int
    ) -> None:
        """Show what an earlier run has done.

        Args:
            name: of this count among those of the run's processes; the same in all of them.
            advance: called with the number of images finished since the last call.
        """
        self._processes = processes
        self._name = name
        self._advance = advance
        self._told = self._shown = 0
        self._own = 0
        self._looked = time.monotonic()
        if done and processes.is_first:
            advance(done)

    def add(self) -> None:
        """Count one image.

        Raises:
            OthersFailedError: when another process has failed since.
        """
        self._own += 1
        if self._processes.count == 1 or not self._processes.is_first:
            self._advance(1)
        if self._processes.count > 1 and time.monotonic() - self._looked >= _LOOK:
            self.look()
            if self._processes.add(f"{self._name}/failed", 0):
                raise OthersFailedError

    def look(self) -> None:
        """Tell the others, and show, how far this process and they are."""
        if self._processes.count == 1:
            return
        done = self._processes.add(self._name, self._own - self._told)
        self._told = self._own
        if self._processes.is_first:
            self._advance(done - self._shown)
            self._shown = done
        self._looked = time.monotonic()

    def fail(self) -> None:
        """Tell the others that this process has failed."""
        if self._processes.count > 1:
            self._processes.add(f"{self._name}/failed", 1)
