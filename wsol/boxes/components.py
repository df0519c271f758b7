"""Connected components of a map at all levels, in one pass.

Pixels are added from the highest level down while a union-find over component labels keeps each
component's extent. Whenever a component is about to change, the run of levels at which it stood
unchanged is written down. The cost does not depend on how many thresholds anyone asks about.
(The component tree: Jones 1999; union-find construction: Najman and Couprie 2006. Kept here is
not the tree but the list of its nodes with the levels between a node and its parent.)
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsol.boxes.neighbours import GROUPS_4, GROUPS_8, INCREMENTS

# Columns of the array that `component_runs` returns.
X0, Y0, X1, Y1, FIRST, LAST, AREA2, HOLES, START, PIXELS = range(10)


def outer_components(levels: NDArray[np.integer]) -> NDArray[np.int32]:
    """The 8-connected components of `levels > l` for every l from 0 to below the maximum.

    Args:
        levels: (H, W) non-negative integers, C-contiguous.

    Returns:
        (n, 10) int32, one row for every component and run of levels: tight inclusive corners
        x0, y0, x1, y1; first and last level; twice the summed area of its 2x2 blocks (the area of
        its outer polygon if it has no hole, else less); number of holes; index of its first pixel
        in raster order; number of pixels.
    """
    runs: NDArray[np.int32] = component_runs(levels, GROUPS_8, INCREMENTS, False)
    return runs


def holes(levels: NDArray[np.integer]) -> NDArray[np.int32]:
    """The holes of `levels > l`: 4-connected components of its complement inside the image.

    Returns:
        As `outer_components`, but only the corners and levels have a meaning.
    """
    top = int(levels.max())
    # The complement, as the foreground of a map turned upside down.
    turned = (top - levels.astype(np.int32)).astype(np.int32)
    runs: NDArray[np.int32] = component_runs(turned, GROUPS_4, INCREMENTS, True)
    first = top - 1 - runs[:, LAST]
    runs[:, LAST] = top - 1 - runs[:, FIRST]
    runs[:, FIRST] = first
    return runs


@njit(cache=True, nogil=True, inline="always")
def _root(union, label):  # type: ignore[no-untyped-def]
    while union[label] != label:
        union[label] = union[union[label]]
        label = np.uint64(union[label])
    return label


@njit(cache=True, nogil=True, inline="always")
def _write(runs, row, state, sums, s, below):  # type: ignore[no-untyped-def]
    """Write down component `s` as it stood above level `below`."""
    runs[row, 0] = state[s, 0]
    runs[row, 1] = state[s, 1]
    runs[row, 2] = state[s, 2]
    runs[row, 3] = state[s, 3]
    runs[row, 4] = below
    runs[row, 5] = state[s, 4] - 1
    area = np.int64(np.int32(sums[s] & 0xFFFFFFFF))
    runs[row, 6] = area
    runs[row, 7] = 1 - ((sums[s] - area) >> 32) // 4
    runs[row, 8] = state[s, 5]
    runs[row, 9] = state[s, 6]


@njit(cache=True, nogil=True)
def component_runs(levels, groups, increments, open_border):  # type: ignore[no-untyped-def]
    """The pass itself; see `outer_components`.

    `groups` fixes the connectivity. With `open_border` the pixels around the image are foreground
    at every level, and the component that holds them is left out.

    No array is allocated inside the loop: reassigning one there makes every access three times
    slower, so the bounds are allocated up front and, being untouched, cost no memory.
    """
    height, width = levels.shape
    padded = width + 2
    size = (height + 2) * padded
    up = np.uint64(padded)
    one = np.uint64(1)
    offsets = np.array(
        [-padded - 1, -padded, -padded + 1, -1, 1, padded - 1, padded, padded + 1]
    ).astype(np.uint64)

    top = 0
    for y in range(height):
        for x in range(width):
            top = max(top, levels[y, x])
    count = np.zeros(top + 2, np.int64)
    for y in range(height):
        for x in range(width):
            count[levels[y, x]] += 1
    place = np.empty(top + 1, np.int64)
    total = 0
    for level in range(top, 0, -1):
        place[level] = total
        total += count[level]
    order = np.empty(total, np.uint32)
    for y in range(height):
        for x in range(width):
            level = levels[y, x]
            if level > 0:
                order[place[level]] = (y << 16) | x
                place[level] += 1

    label = np.empty(size, np.uint32)
    around = np.zeros(size, np.uint8)
    # A label is born where no neighbour is foreground: no two of them are 4-adjacent.
    bound = (height * width + 1) // 2 + 1
    state = np.empty((bound, 7), np.int32)  # x0, y0, x1, y1, unchanged above, start, pixels
    sums = np.empty(bound, np.int64)
    union = np.empty(bound, np.uint32)
    labels = 0
    # Each run that is written was opened by a pixel of its own.
    runs = np.empty((total, 10), np.int32)
    written = 0

    if open_border:
        labels = 1
        union[0] = 0
        for x in range(padded):
            label[x] = 0
            label[size - 1 - x] = 0
            if x < width:
                around[padded + 1 + x] |= np.uint8(0b00000111)
                around[height * padded + 1 + x] |= np.uint8(0b11100000)
        for y in range(height + 2):
            label[y * padded] = 0
            label[y * padded + padded - 1] = 0
            if y < height:
                around[(y + 1) * padded + 1] |= np.uint8(0b00101001)
                around[(y + 1) * padded + width] |= np.uint8(0b10010100)

    k = np.uint64(0)
    for level in range(top, 0, -1):
        end = k + np.uint64(count[level])
        while k < end:
            packed = order[k]
            k += one
            y = np.int32(packed >> 16)  # type: ignore[assignment]
            x = np.int32(packed & 65535)  # type: ignore[assignment]
            raster = y * np.int32(width) + x
            p = np.uint64((y + 1) * padded + x + 1)
            pattern = np.uint64(around[p])
            around[p - up - one] |= np.uint8(128)
            around[p - up] |= np.uint8(64)
            around[p - up + one] |= np.uint8(32)
            around[p - one] |= np.uint8(16)
            around[p + one] |= np.uint8(8)
            around[p + up - one] |= np.uint8(4)
            around[p + up] |= np.uint8(2)
            around[p + up + one] |= np.uint8(1)
            info = groups[pattern]
            touching = info & np.uint32(15)
            if touching == 0:
                s = np.uint64(labels)
                labels += 1
                union[s] = s
                label[p] = s
                state[s, 0] = x
                state[s, 1] = y
                state[s, 2] = x
                state[s, 3] = y
                state[s, 4] = level
                state[s, 5] = raster
                state[s, 6] = 1
                sums[s] = increments[pattern]
                continue
            near = np.uint64(label[p + offsets[np.uint64((info >> np.uint32(4)) & np.uint32(15))]])
            s = np.uint64(union[near])
            if s != near:
                s = _root(union, s)
                union[near] = s
            label[p] = s
            outside = open_border and s == 0
            if not outside:
                if state[s, 4] != level:
                    _write(runs, written, state, sums, s, level)
                    written += 1
                    state[s, 4] = level
                if x < state[s, 0]:
                    state[s, 0] = x
                elif x > state[s, 2]:
                    state[s, 2] = x
                if y < state[s, 1]:
                    state[s, 1] = y
                elif y > state[s, 3]:
                    state[s, 3] = y
                if raster < state[s, 5]:
                    state[s, 5] = raster
                state[s, 6] += 1
                sums[s] += increments[pattern]
            for j in range(1, touching):
                far = np.uint32(4 * (j + 1))
                bit = np.uint64((info >> far) & np.uint32(15))
                t = _root(union, np.uint64(label[p + offsets[bit]]))
                if t == s:
                    continue
                t_outside = open_border and t == 0
                for loser in (s, t):
                    # Both end here, unless they are the outside or have changed at this level.
                    if not (open_border and loser == 0) and state[loser, 4] != level:
                        _write(runs, written, state, sums, loser, level)
                        written += 1
                if outside or t_outside:
                    union[s] = 0
                    union[t] = 0
                    s = np.uint64(0)
                    outside = True
                    continue
                if state[t, 6] > state[s, 6]:
                    s, t = t, s
                union[t] = s
                state[s, 0] = min(state[s, 0], state[t, 0])
                state[s, 1] = min(state[s, 1], state[t, 1])
                state[s, 2] = max(state[s, 2], state[t, 2])
                state[s, 3] = max(state[s, 3], state[t, 3])
                state[s, 4] = level
                state[s, 5] = min(state[s, 5], state[t, 5])
                state[s, 6] += state[t, 6]
                sums[s] += sums[t]
    for i in range(labels):
        s = np.uint64(i)
        if union[s] == s and not (open_border and i == 0):
            _write(runs, written, state, sums, s, 0)
            written += 1
    return runs[:written].copy()
