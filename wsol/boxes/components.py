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
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsol.boxes.neighbours import BLOCK_AREA, DIRECT, GROUPS_8, PIXEL_COUNT
from wsol.boxes.runs import Convention

# Labels of pixels that belong to no hole, while holes are flooded.
_OUTSIDE = np.uint32(0)
_WAITING = np.uint32(0xFFFFFFFE)
_DRY = np.uint32(0xFFFFFFFF)
_LOW = np.int64(0xFFFFFFFF)  # the size in a component's sums, see `wsol.boxes.neighbours`
_DIRECT = np.uint8(sum(1 << bit for bit in DIRECT))

# Columns of the array that `outer_components` returns.
X0, Y0, X1, Y1, FIRST, LAST, SIZE, HOLES, START = range(9)

_SIZES = {"choe2020": BLOCK_AREA, "exact": PIXEL_COUNT}


class LevelMap(NamedTuple):
    """A map of levels and what components and holes both need of it; see `level_map`."""

    levels: NDArray[np.integer]
    top: int
    padded: NDArray[np.integer]
    earlier: NDArray[np.uint8]


def level_map(levels: NDArray[np.integer]) -> LevelMap:
    """Look at every pixel's neighbours once.

    Args:
        levels: (H, W) non-negative integers, neither side above 65,535.
    """
    levels = np.ascontiguousarray(levels)
    padded = _padded(levels)
    return LevelMap(levels, int(levels.max()), padded, _earlier_neighbours(padded))


def outer_components(of: LevelMap, convention: Convention) -> NDArray[np.int32]:
    """The 8-connected components of `levels > l` for every l from 0 to below the maximum.

    Args:
        of: from `level_map`.
        convention: what the size is.

    Returns:
        (n, 9) int32, one row for every component and run of levels: tight inclusive corners
        x0, y0, x1, y1; first and last level; its size: `exact` its number of pixels,
        `choe2020` twice the summed area of its 2x2 blocks (the area of its outer polygon if
        it has no hole, else less); number of holes; index of its first pixel in raster order.
    """
    memory = _MEMORY.of(of.levels.shape)
    runs: NDArray[np.int32] = _outer_runs(
        of.levels, of.top, of.earlier, GROUPS_8, _SIZES[convention], memory.order, memory.label,
        memory.state, memory.sums, memory.union, memory.runs,
    )  # fmt: skip
    return runs


def holes(of: LevelMap) -> NDArray[np.int32]:
    """The holes of `levels > l`: 4-connected components of its complement inside the image.

    Args:
        of: from `level_map`.

    Returns:
        (n, 6) int32, one row for every hole and run of levels: tight inclusive corners x0, y0, x1,
        y1; first and last level.
    """
    memory = _MEMORY.of(of.levels.shape)
    runs: NDArray[np.int32] = _hole_runs(
        of.padded, of.top, of.earlier, memory.order, memory.label, memory.state, memory.union,
        memory.runs,
    )  # fmt: skip
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
            self.state = np.empty((labels, 5), dtype=np.int64)
            self.sums = np.empty(labels, dtype=np.int64)
            self.union = np.empty(labels, dtype=np.uint32)
            # Each run that is written was opened by a pixel of its own.
            self.runs = np.empty((pixels, 9), dtype=np.int32)
        return self


_MEMORY = _Memory()


@njit(cache=True, nogil=True, inline="always")
def root_of(union, label):  # type: ignore[no-untyped-def]
    """The label that stands for the united set of `label` (uint64), whose path is shortened."""
    while union[label] != label:
        union[label] = union[union[label]]
        label = np.uint64(union[label])
    return label


@njit(cache=True, nogil=True)
def _padded(levels):  # type: ignore[no-untyped-def]
    """The map with one more pixel of level 0 on every side."""
    height, width = levels.shape
    padded = np.zeros((height + 2, width + 2), levels.dtype)
    for y in range(height):
        for x in range(width):
            padded[y + 1, x + 1] = levels[y, x]
    return padded


@njit(cache=True, nogil=True)
def _earlier_neighbours(padded):  # type: ignore[no-untyped-def]
    """Which neighbours precede each pixel when the highest come first, raster order among equals.

    Takes a map with a border and returns a flat array of its size, of which the border has no
    meaning. Bits as in `wsol.boxes.neighbours`. Free of branches, so that it runs on whole vectors.
    """
    height, width = padded.shape
    earlier = np.empty(padded.size, np.uint8)
    for y in range(1, height - 1):
        above, row, below = padded[y - 1], padded[y], padded[y + 1]
        patterns = earlier[y * width + 1 : (y + 1) * width - 1]
        for x in range(width - 2):
            own = row[x + 1]
            patterns[x] = (
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

    Four quarters of the map are counted side by side: neighbours tend to be equal, and four
    counters in turn do not have to wait for each other.
    """
    height, width = levels.shape
    rows = height // 4
    place = np.zeros((4, top + 1), np.int64)
    place_a, place_b, place_c, place_d = place[0], place[1], place[2], place[3]
    flat = levels.ravel()
    n = rows * width
    for i in range(n):
        place_a[flat[i]] += 1
        place_b[flat[i + n]] += 1
        place_c[flat[i + 2 * n]] += 1
        place_d[flat[i + 3 * n]] += 1
    for i in range(4 * n, height * width):
        place_d[flat[i]] += 1
    count = np.empty(top + 1, np.int64)
    total = 0
    for level in range(top, -1, -1):
        before = total
        for quarter in range(4):
            own = place[quarter, level]
            place[quarter, level] = total
            total += own
        count[level] = total - before
    for y in range(rows):
        y_b, y_c, y_d = y + rows, y + 2 * rows, y + 3 * rows
        for x in range(width):
            a, b, c, d = levels[y, x], levels[y_b, x], levels[y_c, x], levels[y_d, x]
            # No counter has to be read again after a pixel is written.
            k_a, k_b, k_c, k_d = place_a[a], place_b[b], place_c[c], place_d[d]
            place_a[a] = k_a + 1
            place_b[b] = k_b + 1
            place_c[c] = k_c + 1
            place_d[d] = k_d + 1
            order[np.uint64(k_a)] = y << 16 | x
            order[np.uint64(k_b)] = y_b << 16 | x
            order[np.uint64(k_c)] = y_c << 16 | x
            order[np.uint64(k_d)] = y_d << 16 | x
    for y in range(4 * rows, height):
        for x in range(width):
            d = levels[y, x]
            order[np.uint64(place_d[d])] = y << 16 | x
            place_d[d] += 1
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
    runs[row, 6] = sums[s] & _LOW
    runs[row, 7] = 1 - (sums[s] >> 32) // 4
    runs[row, 8] = (start >> 16) * width + (start & 65535)


@njit(cache=True, nogil=True)
def _outer_runs(  # type: ignore[no-untyped-def]
    levels, top, earlier, groups, increments, order, label, state, sums, union, runs
):
    """See `outer_components`; all arguments from `order` on are memory to work in.

    `state` holds x0, x1, first and last pixel (y << 16 | x, so that they hold y0 and y1), and the
    level above which a component is unchanged.
    """
    width = levels.shape[1]
    stride = width + 2
    offsets = np.array(
        [-stride - 1, -stride, -stride + 1, -1, 1, stride - 1, stride, stride + 1]
    ).astype(np.uint64)
    touching = (groups & np.uint32(15)).astype(np.uint8)  # how many groups each pattern has
    nearest = offsets[(groups >> np.uint32(4)) & np.uint32(7)]  # the first one's representative
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
            p = np.uint64((y + 1) * stride + x + 1)
            pattern = earlier[p]
            if touching[pattern] == 0:
                s = np.uint64(labels)
                labels += 1
                union[s] = s
                label[p] = s
                state[s, 0] = x
                state[s, 1] = x
                state[s, 2] = pixel
                state[s, 3] = pixel
                state[s, 4] = level
                sums[s] = increments[pattern]
                continue
            near = np.uint64(label[p + nearest[pattern]])
            s = np.uint64(union[near])
            # Whether `near` is a root itself cannot be predicted; that its parent is one can.
            if union[s] != s:
                s = root_of(union, s)
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
            sums[s] += increments[pattern]
            if touching[pattern] == 1:
                continue
            for j in range(1, touching[pattern]):
                bit = np.uint64((groups[pattern] >> np.uint32(4 * (j + 1))) & np.uint32(15))
                t = root_of(union, np.uint64(label[p + offsets[bit]]))
                if t == s:
                    continue
                # It ends here, unless it has changed at this level.
                if state[t, 4] != level:
                    _write_outer(runs, written, state, sums, t, level, width)
                    written += 1
                if sums[t] & _LOW > sums[s] & _LOW:
                    s, t = t, s
                union[t] = s
                state[s, 0] = min(state[s, 0], state[t, 0])
                state[s, 1] = max(state[s, 1], state[t, 1])
                state[s, 2] = min(state[s, 2], state[t, 2])
                state[s, 3] = max(state[s, 3], state[t, 3])
                state[s, 4] = level
                sums[s] += sums[t]
    for i in range(labels):
        s = np.uint64(i)
        if union[s] == s:
            _write_outer(runs, written, state, sums, s, 0, width)
            written += 1
    return runs[:written].copy()


@njit(cache=True, nogil=True, inline="always")
def _ranked(label):  # type: ignore[no-untyped-def]
    """Labels in their order, with those of unflooded pixels below them instead of above."""
    return np.uint32(label + np.uint32(2))


@njit(cache=True, nogil=True)
def _hole_runs(padded, top, earlier, after, label, state, union, runs):  # type: ignore[no-untyped-def]
    """See `holes`: a flood from every regional minimum inside, in the order of levels.

    All arguments from `after` on are memory to work in. `state` holds x0, y0, x1, y1 and the
    level from which a hole is unchanged.

    A pixel outside every hole at its own level is one from which water could run off: its basin
    touches the border, or holds an unflooded pixel below (every lower pixel of a hole would have
    been flooded before, from that hole's own minimum).
    """
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    stride = width + 2
    size = (height + 2) * stride
    flat = padded.ravel()
    # What is around the map is outside from the beginning.
    label[:size] = _OUTSIDE
    # Pixels waiting at each level, as linked lists that end in 0, a place outside.
    head = np.zeros(top + 1, np.uint32)
    for y in range(height):
        first = (y + 1) * stride + 1
        label[first : first + width] = _DRY
        if y in (0, height - 1):  # No hole is at the border.
            continue
        patterns = earlier[first : first + width]
        for x in range(1, width - 1):
            # The last pixel of a regional minimum, in raster order.
            if patterns[x] & _DIRECT == _DIRECT:
                own = first + x
                after[own] = head[flat[own]]
                head[flat[own]] = own
                label[own] = _WAITING

    union[_OUTSIDE] = _OUTSIDE
    labels = 1
    written = 0
    up, one = np.uint64(stride), np.uint64(1)
    for level in range(top):
        while head[level] > 0:
            p = np.uint64(head[level])
            head[level] = after[p]
            q0, q1, q2, q3 = p - up, p - one, p + one, p + up
            l0, l1, l2, l3 = label[q0], label[q1], label[q2], label[q3]
            outside = (
                ((l0 >= _WAITING) & (flat[q0] < level))
                | ((l1 >= _WAITING) & (flat[q1] < level))
                | ((l2 >= _WAITING) & (flat[q2] < level))
                | ((l3 >= _WAITING) & (flat[q3] < level))
            )
            # Nearly always one basin at most is near: this tells without a branch a neighbour.
            smallest = min(min(l0, l1), min(l2, l3))
            largest = max(max(_ranked(l0), _ranked(l1)), max(_ranked(l2), _ranked(l3)))
            s = np.uint64(0)
            if _ranked(smallest) == largest:
                if smallest < _WAITING:
                    s = root_of(union, np.uint64(smallest))
                    if s == _OUTSIDE:
                        outside = True
                    elif state[s, 4] != level:
                        _write_hole(runs, written, state, s, level)
                        written += 1
                        state[s, 4] = level
            else:
                for q in (q0, q1, q2, q3):
                    if label[q] >= _WAITING:
                        continue
                    t = root_of(union, np.uint64(label[q]))
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
            row = p // up
            y0, x0 = np.int64(row) - 1, np.int64(p - row * up) - 1
            if s == 0:
                s = np.uint64(labels)
                labels += 1
                union[s] = s
                state[s, 0] = x0
                state[s, 1] = y0
                state[s, 2] = x0
                state[s, 3] = y0
                state[s, 4] = level
            else:
                state[s, 0] = min(state[s, 0], x0)
                state[s, 1] = min(state[s, 1], y0)
                state[s, 2] = max(state[s, 2], x0)
                state[s, 3] = max(state[s, 3], y0)
            label[p] = s
            for q in (q0, q1, q2, q3):
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
