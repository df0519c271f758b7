"""The largest component's box at one threshold, for maps of which nothing else is asked."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsol.boxes.all_levels import box_runs, write_corners
from wsol.boxes.components import root_of
from wsol.boxes.runs import Convention


def largest_box_at(
    levels: NDArray[np.integer], level: int, convention: Convention
) -> NDArray[np.int32]:
    """The box at one level alone; (m, 4) int32 as in `BoxRuns`, m = 0 without foreground.

    Nearly every map has a component that is the largest by far: its box is known after one scan
    of the rows. The others go to `box_runs`, so that the answer is the same.
    """
    levels = np.ascontiguousarray(levels)
    clear, box = _clear_winner(levels, level, convention == "choe2020")
    if clear:
        return box
    return box_runs((levels > level).astype(np.uint8), "largest", convention).boxes


@njit(cache=True, nogil=True)
def _clear_winner(levels, level, beyond):  # type: ignore[no-untyped-def]
    """Whether it is clear which 8-connected component is the largest, and its box if there is one.

    Largest is the one with the most pixels or, `beyond`, the one whose outline encloses the
    largest polygon between pixel centres. That is at least its number of squares of 2x2
    foreground pixels, and at most the polygon of its box.
    """
    height, width = levels.shape
    most = height * ((width + 1) // 2)
    parent = np.empty(most, np.int32)
    # Of each component, at its root.
    left = np.empty(most, np.int32)
    upper = np.empty(most, np.int32)
    right = np.empty(most, np.int32)
    lower = np.empty(most, np.int32)
    size = np.empty(most, np.int32)
    start = np.empty(most, np.int32)  # of each run of foreground pixels, with its row's others
    end = np.empty(most, np.int32)
    runs = 0
    above = 0  # the first run of the row before
    for y in range(height):
        first = runs
        x = 0
        while x < width:
            if levels[y, x] <= level:
                x += 1
                continue
            begin = x
            while x < width and levels[y, x] > level:
                x += 1
            run = runs
            runs += 1
            start[run], end[run], parent[run] = begin, x, run
            left[run], right[run], upper[run], lower[run] = begin, x - 1, y, y
            size[run] = 0 if beyond else x - begin
            root = np.int64(run)
            # Runs above that end before this one's left neighbour touch no later one either.
            while above < first and end[above] < begin:
                above += 1
            other = above
            while other < first and start[other] <= x:
                if beyond:
                    shared = min(end[other], x) - max(start[other], begin)
                    size[root] += max(shared - 1, 0)
                base = np.int64(root_of(parent, np.uint64(other)))
                if base != root:
                    kept, gone = min(base, root), max(base, root)
                    parent[gone] = kept
                    left[kept] = min(left[kept], left[gone])
                    right[kept] = max(right[kept], right[gone])
                    upper[kept] = min(upper[kept], upper[gone])
                    lower[kept] = max(lower[kept], lower[gone])
                    size[kept] += size[gone]
                    root = kept
                other += 1
        above = first
    box = np.empty((1, 4), np.int32)
    nothing = np.empty((0, 4), np.int32)
    if runs == 0:
        return True, nothing
    winner = 0  # the first run is the root of its component
    for run in range(runs):
        if parent[run] == run and size[run] > size[winner]:
            winner = run
    for run in range(runs):
        if parent[run] == run and run != winner:
            rival = size[run]
            if beyond:
                rival = (right[run] - left[run]) * (lower[run] - upper[run])
            if rival >= size[winner]:
                return False, nothing
    write_corners(
        box, 0, left[winner], upper[winner], right[winner], lower[winner], height, width, beyond
    )
    return True, box
