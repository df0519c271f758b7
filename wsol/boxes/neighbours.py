"""What adding one pixel does to a binary image, by the pattern of its eight neighbours.

A neighbourhood is a byte; bit i stands for the i-th of the offsets NW, N, NE, W, E, SW, S, SE.
Two facts make one pass over a score map enough:

- Pixels of one 2x2 block always belong to one 8-connected component, so anything that is a sum
  over 2x2 blocks adds up per component while pixels are added one at a time. The area of the
  polygon through a component's boundary pixel centres is such a sum (1 for a full block, 1/2 for
  three pixels) and so is its Euler number (Gray 1971: (one-pixel blocks - three-pixel blocks -
  2 * diagonal blocks) / 4), which tells whether the component has holes.
- Neighbours that touch each other around the new pixel already are one component, so it is enough
  to look up one representative of each group.
"""

import numpy as np
from numpy.typing import NDArray

OFFSETS = ((-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1))
"""dx, dy of each bit."""

DIRECT = (1, 3, 4, 6)
"""The bits of the neighbours that share an edge with the pixel."""

_SHIFT = 32


def _block_value(pattern: int) -> tuple[int, int]:
    """(2 * area, 4 * Euler number) of a 2x2 block; bits: upper left, upper right, lower ones."""
    filled = pattern.bit_count()
    if pattern in (0b0110, 0b1001):
        return 0, -2
    return {0: (0, 0), 1: (0, 1), 2: (0, 0), 3: (1, -1), 4: (2, 0)}[filled]


def _increments(*, count: bool) -> NDArray[np.int64]:
    """For each neighbourhood, what the new pixel adds: size + (4 * Euler number << 32).

    The size is 2 * area, or the `count` of pixels.
    """
    table = np.zeros(256, dtype=np.int64)
    for pattern in range(256):
        nw, n, ne, w, e, sw, s, se = (pattern >> bit & 1 for bit in range(8))
        # The four blocks that hold the pixel, and its own place in each.
        blocks = (
            (nw + 2 * n + 4 * w, 8),
            (n + 2 * ne + 8 * e, 4),
            (w + 4 * sw + 8 * s, 2),
            (2 * e + 4 * s + 8 * se, 1),
        )
        for before, own in blocks:
            (area, euler), (area_before, euler_before) = (
                _block_value(before | own),
                _block_value(before),
            )
            table[pattern] += (euler - euler_before) << _SHIFT
            if not count:
                table[pattern] += area - area_before
        if count:
            table[pattern] += 1
    return table


def _groups() -> NDArray[np.uint32]:
    """For each neighbourhood, its groups of mutually 8-connected neighbours.

    The lowest four bits count them; each further four bits name one representative.
    """
    table = np.zeros(256, dtype=np.uint32)
    for pattern in range(256):
        left = {bit for bit in range(8) if pattern >> bit & 1}
        representatives = []
        while left:
            # A direct neighbour first: it is the likelier one to be in the cache.
            first = min(left, key=lambda bit: (bit not in DIRECT, bit))
            group, todo = {first}, [first]
            left.remove(first)
            while todo:
                (x, y) = OFFSETS[todo.pop()]
                for bit in tuple(left):
                    dx, dy = abs(OFFSETS[bit][0] - x), abs(OFFSETS[bit][1] - y)
                    if max(dx, dy) == 1:
                        left.remove(bit)
                        group.add(bit)
                        todo.append(bit)
            representatives.append(first)
        table[pattern] = len(representatives)
        for place, bit in enumerate(representatives):
            table[pattern] |= bit << (4 * (place + 1))
    return table


BLOCK_AREA = _increments(count=False)
PIXEL_COUNT = _increments(count=True)
GROUPS_8 = _groups()
