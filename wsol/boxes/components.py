"""Connected components of a map at all levels, in one pass.

Pixels are added from the highest level down while a union-find over component labels keeps each
component's extent. Whenever a component is about to change, the run of levels at which it stood
unchanged is written down. The cost does not depend on how many thresholds anyone asks about.
(The component tree: Jones 1999; union-find construction: Najman and Couprie 2006. Kept here is
not the tree but the list of its nodes with the levels between a node and its parent.)

Holes are found the other way round, from their lowest pixels up: water that rises from every
regional minimum fills exactly the holes, and a basin is given up when it would spill over the
border. So their cost is that of the pixels that are ever in a hole, which a smooth map has few of.
"""

import threading

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsol.boxes.neighbours import DIRECT, GROUPS_8, INCREMENTS

# Labels of pixels that belong to no hole, while holes are flooded.
_OUTSIDE = np.uint32(0)
_WAITING = np.uint32(0xFFFFFFFE)
_DRY = np.uint32(0xFFFFFFFF)
_DIRECT = np.uint8(sum(1 << bit for bit in DIRECT))

# Columns of the array that `outer_components` returns.
X0, Y0, X1, Y1, FIRST, LAST, AREA2, HOLES, START, PIXELS = range(10)


def outer_components(levels: NDArray[np.integer]) -> NDArray[np.int32]:
    """The 8-connected components of `levels > l` for every l from 0 to below the maximum.

    Args:
        levels: (H, W) non-negative integers, C-contiguous, neither side above 65,535.

    Returns:
        (n, 10) int32, one row for every component and run of levels: tight inclusive corners
        x0, y0, x1, y1; first and last level; twice the summed area of its 2x2 blocks (the area of
        its outer polygon if it has no hole, else less); number of holes; index of its first pixel
        in raster order; number of pixels.
    """
    memory = _MEMORY.of(levels.shape)
    runs: NDArray[np.int32] = _outer_runs(
        levels, GROUPS_8, INCREMENTS, memory.order, memory.label, memory.state, memory.sums,
        memory.union, memory.runs,
    )  # fmt: skip
    return runs


def holes(levels: NDArray[np.integer]) -> NDArray[np.int32]:
    """The holes of `levels > l`: 4-connected components of its complement inside the image.

    Args:
        levels: as for `outer_components`.

    Returns:
        (n, 6) int32, one row for every hole and run of levels: tight inclusive corners x0, y0, x1,
        y1; first and last level.
    """
    memory = _MEMORY.of(levels.shape)
    runs: NDArray[np.int32] = _hole_runs(
        levels, memory.order, memory.label, memory.state, memory.union, memory.runs
    )
    return runs


class _Memory(threading.local):
    """Arrays that all maps of one thread are worked on in, as large as the largest map so far.

    Fresh memory for every map would cost a third of the time: its pages have to be cleared. The
    arrays are as large as the worst map needs; pages that no map has needed take no memory.
    """

    def __init__(self) -> None:
        self._pixels = 0

    def of(self, shape: tuple[int, ...]) -> "_Memory":
        """Itself, large enough for a map of this shape."""
        pixels = (shape[0] + 2) * (shape[1] + 2)
        if pixels > self._pixels:
            self._pixels = pixels
            # A label is born where no neighbour is foreground: no two of them are 4-adjacent.
            labels = pixels // 2 + 2
            self.order = np.empty(pixels, dtype=np.uint32)
            self.label = np.empty(pixels, dtype=np.uint32)
            self.state = np.empty((labels, 6), dtype=np.int64)
            self.sums = np.empty(labels, dtype=np.int64)
            self.union = np.empty(labels, dtype=np.uint32)
            # Each run that is written was opened by a pixel of its own.
            self.runs = np.empty((pixels, 10), dtype=np.int32)
        return self


_MEMORY = _Memory()


@njit(cache=True, nogil=True, inline="always")
def _root(union, label):  # type: ignore[no-untyped-def]
    while union[label] != label:
        union[label] = union[union[label]]
        label = np.uint64(union[label])
    return label


@njit(cache=True, nogil=True)
def _padded(levels, border):  # type: ignore[no-untyped-def]
    """The map with one more pixel of the value `border` on every side."""
    height, width = levels.shape
    padded = np.full((height + 2, width + 2), border, levels.dtype)
    for y in range(height):
        for x in range(width):
            padded[y + 1, x + 1] = levels[y, x]
    return padded


@njit(cache=True, nogil=True)
def _earlier_neighbours(levels):  # type: ignore[no-untyped-def]
    """Which neighbours precede each pixel when the highest come first, raster order among equals.

    Bits as in `wsol.boxes.neighbours`. Free of branches, so that it runs on whole vectors.
    """
    height, width = levels.shape
    padded = _padded(levels, 0)
    earlier = np.empty((height, width), np.uint8)
    for y in range(height):
        above, row, below = padded[y], padded[y + 1], padded[y + 2]
        for x in range(width):
            own = row[x + 1]
            earlier[y, x] = (
                np.uint8(above[x] >= own)
                | np.uint8(above[x + 1] >= own) << 1
                | np.uint8(above[x + 2] >= own) << 2
                | np.uint8(row[x] >= own) << 3
                | np.uint8(row[x + 2] > own) << 4
                | np.uint8(below[x] > own) << 5
                | np.uint8(below[x + 1] > own) << 6
                | np.uint8(below[x + 2] > own) << 7
            )
    return earlier


@njit(cache=True, nogil=True)
def _sort_pixels(levels, top, order):  # type: ignore[no-untyped-def]
    """Write all pixels as y << 16 | x into `order`, highest first, raster order among equals.

    Returns how many each level has.

    The upper and the lower half of the map are counted side by side: neighbours tend to be equal,
    and two counters in turn do not have to wait for each other.
    """
    height, width = levels.shape
    middle = height // 2
    place = np.zeros((2, top + 1), np.int64)
    flat = levels.ravel()
    half = middle * width
    for i in range(half):
        place[0, flat[i]] += 1
        place[1, flat[i + half]] += 1
    for i in range(2 * half, height * width):
        place[1, flat[i]] += 1
    count = place[0] + place[1]
    total = 0
    for level in range(top, -1, -1):
        above = place[0, level]
        place[0, level] = total
        place[1, level] = total + above
        total += count[level]
    for y in range(middle):
        for x in range(width):
            upper, lower = levels[y, x], levels[y + middle, x]
            order[np.uint64(place[0, upper])] = y << 16 | x
            order[np.uint64(place[1, lower])] = (y + middle) << 16 | x
            place[0, upper] += 1
            place[1, lower] += 1
    for y in range(2 * middle, height):
        for x in range(width):
            lower = levels[y, x]
            order[place[1, lower]] = y << 16 | x
            place[1, lower] += 1
    return count


@njit(cache=True, nogil=True, inline="always")
def _write_outer(runs, row, state, sums, s, below, width):  # type: ignore[no-untyped-def]
    """Write down component `s` as it stood above level `below`."""
    start = state[s, 2]
    runs[row, 0] = state[s, 0]
    runs[row, 1] = start >> 16
    runs[row, 2] = state[s, 1]
    runs[row, 3] = state[s, 3] >> 16
    runs[row, 4] = below
    runs[row, 5] = state[s, 4] - 1
    area = np.int64(np.int32(sums[s] & 0xFFFFFFFF))
    runs[row, 6] = area
    runs[row, 7] = 1 - ((sums[s] - area) >> 32) // 4
    runs[row, 8] = (start >> 16) * width + (start & 65535)
    runs[row, 9] = state[s, 5]


@njit(cache=True, nogil=True)
def _outer_runs(  # type: ignore[no-untyped-def]
    levels, groups, increments, order, label, state, sums, union, runs
):
    """See `outer_components`; all arguments from `order` on are memory to work in.

    `state` holds x0, x1, first and last pixel (y << 16 | x, so that they hold y0 and y1), the
    level above which a component is unchanged, and its number of pixels.
    """
    width = levels.shape[1]
    padded = width + 2
    offsets = np.array(
        [-padded - 1, -padded, -padded + 1, -1, 1, padded - 1, padded, padded + 1]
    ).astype(np.uint64)
    top = np.int64(levels.max())
    earlier = _earlier_neighbours(levels)
    count = _sort_pixels(levels, top, order)
    labels = 0
    written = 0

    k = np.uint64(0)
    for level in range(top, 0, -1):
        end = k + np.uint64(count[level])
        while k < end:
            packed = np.uint64(order[k])
            k += np.uint64(1)
            pixel = np.int64(packed)
            y, x = pixel >> 16, pixel & 65535
            p = np.uint64((y + 1) * padded + x + 1)
            pattern = earlier[packed >> np.uint64(16), packed & np.uint64(65535)]
            info = groups[pattern]
            touching = info & np.uint32(15)
            if touching == 0:
                s = np.uint64(labels)
                labels += 1
                union[s] = s
                label[p] = s
                state[s, 0] = x
                state[s, 1] = x
                state[s, 2] = pixel
                state[s, 3] = pixel
                state[s, 4] = level
                state[s, 5] = 1
                sums[s] = increments[pattern]
                continue
            near = np.uint64(label[p + offsets[np.uint64((info >> np.uint32(4)) & np.uint32(15))]])
            s = np.uint64(union[near])
            if s != near:
                s = _root(union, s)
                union[near] = s
            label[p] = s
            if state[s, 4] != level:
                _write_outer(runs, written, state, sums, s, level, width)
                written += 1
                state[s, 4] = level
            if x < state[s, 0]:
                state[s, 0] = x
            elif x > state[s, 1]:
                state[s, 1] = x
            if pixel < state[s, 2]:
                state[s, 2] = pixel
            elif pixel > state[s, 3]:
                state[s, 3] = pixel
            state[s, 5] += 1
            sums[s] += increments[pattern]
            for j in range(1, touching):
                far = np.uint32(4 * (j + 1))
                bit = np.uint64((info >> far) & np.uint32(15))
                t = _root(union, np.uint64(label[p + offsets[bit]]))
                if t == s:
                    continue
                # It ends here, unless it has changed at this level.
                if state[t, 4] != level:
                    _write_outer(runs, written, state, sums, t, level, width)
                    written += 1
                if state[t, 5] > state[s, 5]:
                    s, t = t, s
                union[t] = s
                state[s, 0] = min(state[s, 0], state[t, 0])
                state[s, 1] = max(state[s, 1], state[t, 1])
                state[s, 2] = min(state[s, 2], state[t, 2])
                state[s, 3] = max(state[s, 3], state[t, 3])
                state[s, 4] = level
                state[s, 5] += state[t, 5]
                sums[s] += sums[t]
    for i in range(labels):
        s = np.uint64(i)
        if union[s] == s:
            _write_outer(runs, written, state, sums, s, 0, width)
            written += 1
    return runs[:written].copy()


@njit(cache=True, nogil=True)
def _hole_runs(levels, after, label, state, union, runs):  # type: ignore[no-untyped-def]
    """See `holes`: a flood from every regional minimum inside, in the order of levels.

    All arguments after the first are memory to work in. `state` holds x0, y0, x1, y1 and the
    level from which a hole is unchanged.

    A pixel outside every hole at its own level is one from which water could run off: its basin
    touches the border, or holds an unflooded pixel below (every lower pixel of a hole would have
    been flooded before, from that hole's own minimum).
    """
    height, width = levels.shape
    top = np.int64(levels.max())
    stride = width + 2
    size = (height + 2) * stride
    flat = _padded(levels, 0).ravel()
    earlier = _earlier_neighbours(levels)
    # What is around the map is outside from the beginning.
    label[:size] = _OUTSIDE
    # Pixels waiting at each level, as linked lists that end in 0, a place outside.
    head = np.zeros(top + 1, np.uint32)
    for y in range(height):
        first = (y + 1) * stride + 1
        label[first : first + width] = _DRY
        for x in range(width):
            # The last pixel of a regional minimum, in raster order.
            if earlier[y, x] & _DIRECT == _DIRECT:
                p = first + x
                after[p] = head[flat[p]]
                head[flat[p]] = p
                label[p] = _WAITING

    union[_OUTSIDE] = _OUTSIDE
    labels = 1
    written = 0
    steps = (-stride, -1, 1, stride)
    for level in range(top):
        while head[level] > 0:
            p = np.int64(head[level])
            head[level] = after[p]
            outside = False
            s = np.uint64(0)
            for step in steps:
                q = p + step
                if label[q] >= _WAITING:
                    outside |= flat[q] < level
                    continue
                t = _root(union, np.uint64(label[q]))
                if t == _OUTSIDE:
                    outside = True
                    continue
                if t == s:
                    continue
                if state[t, 4] != level:
                    _write_hole(runs, written, state, t, level)
                    written += 1
                    state[t, 4] = level
                if s == 0:
                    s = t
                    continue
                union[t] = s
                state[s, 0] = min(state[s, 0], state[t, 0])
                state[s, 1] = min(state[s, 1], state[t, 1])
                state[s, 2] = max(state[s, 2], state[t, 2])
                state[s, 3] = max(state[s, 3], state[t, 3])
            if outside:
                label[p] = _OUTSIDE
                union[s] = _OUTSIDE
                continue
            y, x = p // stride - 1, p % stride - 1
            if s == 0:
                s = np.uint64(labels)
                labels += 1
                union[s] = s
                state[s, 0] = x
                state[s, 1] = y
                state[s, 2] = x
                state[s, 3] = y
                state[s, 4] = level
            else:
                state[s, 0] = min(state[s, 0], x)
                state[s, 1] = min(state[s, 1], y)
                state[s, 2] = max(state[s, 2], x)
                state[s, 3] = max(state[s, 3], y)
            label[p] = s
            for step in steps:
                q = p + step
                if label[q] == _DRY:
                    label[q] = _WAITING
                    at = flat[q]
                    after[q] = head[at]
                    head[at] = q
    for i in range(1, labels):
        s = np.uint64(i)
        if union[s] == s:
            _write_hole(runs, written, state, s, top)
            written += 1
    return runs[:written, :6].copy()


@njit(cache=True, nogil=True, inline="always")
def _write_hole(runs, row, state, s, above):  # type: ignore[no-untyped-def]
    """Write down hole `s` as it stood below level `above`."""
    runs[row, 0] = state[s, 0]
    runs[row, 1] = state[s, 1]
    runs[row, 2] = state[s, 2]
    runs[row, 3] = state[s, 3]
    runs[row, 4] = state[s, 4]
    runs[row, 5] = above - 1
