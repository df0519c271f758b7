"""Score map to boxes, at all thresholds in one pass."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsol.boxes.components import (
    FIRST,
    HOLES,
    LAST,
    SIZE,
    START,
    X0,
    X1,
    Y0,
    Y1,
    LevelMap,
    holes,
    level_map,
    outer_components,
)
from wsol.boxes.runs import BoxRuns, Contours, Convention


def box_runs(levels: NDArray[np.integer], contours: Contours, convention: Convention) -> BoxRuns:
    """The boxes at every level of one map.

    Args:
        levels: (H, W) non-negative integers, see `wsol.boxes.levels`; the foreground at level l is
            `levels > l`.
        contours: `largest` keeps one component a level, `all` keeps each.
        convention: see `wsol.boxes.runs.Convention`.
    """
    of = level_map(levels)
    outer = outer_components(of, convention)
    if contours == "largest":
        return _largest(of, outer, convention)
    return _all(of, outer, convention)


def both_box_runs(levels: NDArray[np.integer], convention: Convention) -> tuple[BoxRuns, BoxRuns]:
    """`box_runs` of `largest` and of `all`, sharing the pass over the pixels."""
    of = level_map(levels)
    outer = outer_components(of, convention)
    return _largest(of, outer, convention), _all(of, outer, convention)


def _largest(of: LevelMap, outer: NDArray[np.int32], convention: Convention) -> BoxRuns:
    beyond = convention == "choe2020"
    winners = _largest_polygon(of.levels, outer, of.top) if beyond else _most_pixels(outer, of.top)
    height, width = of.levels.shape
    boxes, first, last = _winning_boxes(outer, winners, height, width, beyond)
    return BoxRuns(boxes, first, last, of.top)


def _all(of: LevelMap, outer: NDArray[np.int32], convention: Convention) -> BoxRuns:
    beyond = convention == "choe2020"
    # Contour search finds a contour around every hole, too.
    inner = holes(of) if beyond and (outer[:, HOLES] > 0).any() else _NO_HOLES
    height, width = of.levels.shape
    boxes, first, last = _every_box(outer, inner, height, width, beyond)
    return BoxRuns(boxes, first, last, of.top)


_NO_HOLES = np.empty((0, 6), dtype=np.int32)


@njit(cache=True, nogil=True, inline="always")
def write_corners(boxes, row, x0, y0, x1, y1, height, width, beyond):  # type: ignore[no-untyped-def]
    """Write tight inclusive corners as the convention has them: the far one lies one pixel
    `beyond` the object in the published protocol, but within the map."""
    boxes[row, 0] = x0
    boxes[row, 1] = y0
    boxes[row, 2] = min(x1 + beyond, width - 1)
    boxes[row, 3] = min(y1 + beyond, height - 1)


@njit(cache=True, nogil=True)
def _winning_boxes(outer, winners, height, width, beyond):  # type: ignore[no-untyped-def]
    """Boxes, first and last levels; neighbouring levels with equal boxes are one run."""
    boxes = np.empty((len(winners), 4), np.int32)
    first = np.empty(len(winners), np.int32)
    last = np.empty(len(winners), np.int32)
    rows = 0
    previous = -1
    for level in range(len(winners)):
        w = winners[level]
        if (
            previous < 0
            or outer[w, X0] != outer[previous, X0]
            or outer[w, Y0] != outer[previous, Y0]
            or outer[w, X1] != outer[previous, X1]
            or outer[w, Y1] != outer[previous, Y1]
        ):
            write_corners(
                boxes, rows, outer[w, X0], outer[w, Y0], outer[w, X1], outer[w, Y1],
                height, width, beyond,
            )  # fmt: skip
            first[rows] = level
            rows += 1
        last[rows - 1] = level
        previous = w
    return boxes[:rows], first[:rows], last[:rows]


@njit(cache=True, nogil=True)
def _every_box(outer, inner, height, width, beyond):  # type: ignore[no-untyped-def]
    """Boxes, first and last levels of all components, and of all holes' contours."""
    rows = len(outer) + len(inner)
    boxes = np.empty((rows, 4), np.int32)
    first = np.empty(rows, np.int32)
    last = np.empty(rows, np.int32)
    for i in range(len(outer)):
        write_corners(
            boxes, i, outer[i, X0], outer[i, Y0], outer[i, X1], outer[i, Y1],
            height, width, beyond,
        )  # fmt: skip
        first[i] = outer[i, FIRST]
        last[i] = outer[i, LAST]
    for j in range(len(inner)):
        i = len(outer) + j
        # A hole's contour runs through the pixels around it, one further on every side.
        write_corners(
            boxes, i, inner[j, X0] - 1, inner[j, Y0] - 1, inner[j, X1] + 1, inner[j, Y1] + 1,
            height, width, beyond,
        )  # fmt: skip
        first[i] = inner[j, FIRST]
        last[i] = inner[j, LAST]
    return boxes, first, last


@njit(cache=True, nogil=True)
def _most_pixels(outer, top):  # type: ignore[no-untyped-def]
    """Row of the component with the most pixels at each level; first in raster order at ties."""
    winners = np.full(top, -1, np.int64)
    for i in range(len(outer)):
        for level in range(outer[i, FIRST], outer[i, LAST] + 1):
            w = winners[level]
            if (
                w < 0
                or outer[i, SIZE] > outer[w, SIZE]
                or (outer[i, SIZE] == outer[w, SIZE] and outer[i, START] < outer[w, START])
            ):
                winners[level] = i
    return winners


@njit(cache=True, nogil=True)
def _largest_polygon(levels, outer, top):  # type: ignore[no-untyped-def]
    """Row of the component with the largest outer polygon at each level.

    At ties the one whose first pixel comes last in raster order, because contour search lists
    the contour found last first. No other contour can win: one inside a hole lies within the
    polygon of the component around it and is strictly smaller, and a hole's own polygon equals
    its component's only when their boxes are equal too.

    The block sum is a component's area unless it has holes, whose area is missing then. It is
    always a lower bound and the area of the tight box an upper one; only where these leave the
    winner open is an outer contour walked.
    """
    lower = np.full(top, -1, np.int64)
    for i in range(len(outer)):
        for level in range(outer[i, FIRST], outer[i, LAST] + 1):
            lower[level] = max(lower[level], outer[i, SIZE])
    candidates = np.zeros(top, np.int64)
    upper = np.empty(len(outer), np.int64)
    for i in range(len(outer)):
        upper[i] = outer[i, SIZE]
        if outer[i, HOLES] > 0:
            upper[i] = 2 * (outer[i, X1] - outer[i, X0]) * (outer[i, Y1] - outer[i, Y0])
        for level in range(outer[i, FIRST], outer[i, LAST] + 1):
            if upper[i] >= lower[level]:
                candidates[level] += 1
    winners = np.full(top, -1, np.int64)
    area = np.full(len(outer), -1, np.int64)
    for i in range(len(outer)):
        for level in range(outer[i, FIRST], outer[i, LAST] + 1):
            if upper[i] < lower[level]:
                continue
            if candidates[level] == 1:
                winners[level] = i
                continue
            if area[i] < 0:
                area[i] = outer[i, SIZE]
                if outer[i, HOLES] > 0:
                    area[i] = _polygon_area2(levels, outer[i, FIRST], outer[i, START])
            w = winners[level]
            if (
                w < 0
                or area[i] > area[w]
                or (area[i] == area[w] and outer[i, START] > outer[w, START])
            ):
                winners[level] = i
    return winners


@njit(cache=True, nogil=True)
def _polygon_area2(levels, level, start):  # type: ignore[no-untyped-def]
    """Twice the area within the outer contour of the component of `levels > level` whose first
    pixel in raster order has the index `start` (border following: Suzuki and Abe 1985)."""
    height, width = levels.shape
    # Counter-clockwise on the screen, beginning at the west.
    dx = (-1, -1, 0, 1, 1, 1, 0, -1)
    dy = (0, 1, 1, 1, 0, -1, -1, -1)
    y0, x0 = start // width, start % width

    first = -1
    for step in range(8):  # clockwise from the west
        d = (8 - step) % 8
        x, y = x0 + dx[d], y0 + dy[d]
        if 0 <= x < width and 0 <= y < height and levels[y, x] > level:
            first = d
            break
    if first < 0:
        return np.int64(0)
    first_x, first_y = x0 + dx[first], y0 + dy[first]

    area = np.int64(0)
    x, y = x0, y0
    back = first
    while True:
        for step in range(1, 9):  # counter-clockwise, after where we came from
            d = (back + step) % 8
            next_x, next_y = x + dx[d], y + dy[d]
            if 0 <= next_x < width and 0 <= next_y < height and levels[next_y, next_x] > level:
                break
        area += np.int64(x) * next_y - np.int64(next_x) * y
        if next_x == x0 and next_y == y0 and x == first_x and y == first_y:
            return abs(area)
        x, y = next_x, next_y
        back = (d + 4) % 8
