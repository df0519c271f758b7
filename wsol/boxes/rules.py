"""Boxes by any rule for components and corners, beside the two that have an engine of their own.

The engine of `wsol.boxes.all_levels` knows the outline of the greatest polygon and the component
with the most pixels; here are also the component with the greatest box and all foreground as one,
and whatever corners a convention has.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsol.boxes.all_levels import box_runs
from wsol.boxes.one_level import largest_box_at
from wsol.boxes.runs import BoxRuns, Contours

Component = Literal["contour", "pixels", "box", "union"]
"""`contour`: 8-connected, the outline that encloses the greatest polygon, the last in raster order
at ties (and an outline around each hole, where every component counts); `pixels`: 8-connected,
most pixels, the first in raster order at ties; `box`: 4-connected, the greatest bounding box, the
first at ties; `union`: all foreground, whatever touches what."""

Corners = Literal["inclusive", "exclusive", "clipped"]
"""Whether the far corner is the last pixel, one beyond it, or one beyond it within the map."""

_ENGINES: dict[str, Literal["choe2020", "exact"]] = {
    "contour": "choe2020",
    "pixels": "exact",
}


def tight_box(foreground: NDArray[np.bool_], component: Component) -> NDArray[np.int32]:
    """The box of the chosen component of (H, W) foreground.

    Returns:
        (1, 4) inclusive corners, or (0, 4) where nothing is foreground.
    """
    if component == "union":
        return _extent(foreground)
    if component == "box":
        boxes = _boxes_4(foreground)
        if len(boxes) == 0:
            return boxes
        sizes = np.prod(boxes[:, 2:] - boxes[:, :2] + 1, axis=1, dtype=np.int64)
        return boxes[[int(sizes.argmax())]]
    found = largest_box_at(_margin(foreground.view(np.uint8), component), 0, _ENGINES[component])
    return _tight(found, component)


def tight_runs(levels: NDArray[np.integer], contours: Contours, component: Component) -> BoxRuns:
    """The boxes at every level of (H, W) non-negative integers; the foreground at level l is
    `levels > l`. Inclusive corners.

    Args:
        contours: `largest` keeps the chosen component's, `all` one for each; of `union` there is
            one either way.
    """
    if component in _ENGINES:
        runs = box_runs(_margin(levels, component), contours, _ENGINES[component])
        return BoxRuns(_tight(runs.boxes, component), runs.first, runs.last, runs.max_level)
    top = int(levels.max())
    if component == "union":
        return _union_runs(levels, top)
    found, at = [np.empty((0, 4), np.int32)], [np.empty(0, np.int32)]
    # Between two values that occur the foreground stays the same.
    for level in np.unique(levels[levels < top]).tolist() if top else ():
        foreground = levels > level
        boxes = _boxes_4(foreground) if contours == "all" else tight_box(foreground, component)
        found.append(boxes)
        at.append(np.full(len(boxes), level, np.int32))
    boxes, first = np.concatenate(found), np.concatenate(at)
    if top and levels.min() > 0:
        whole = np.array([[0, 0, levels.shape[1] - 1, levels.shape[0] - 1]], np.int32)
        boxes = np.concatenate([whole, boxes])
        first = np.concatenate([np.zeros(1, np.int32), first])
    ends = np.append(np.unique(first), top)
    last = ends[np.searchsorted(ends, first, side="right")] - 1 if len(first) else first
    return BoxRuns(boxes, first, last.astype(np.int32), top)


def with_corners(boxes: NDArray[Any], corners: Corners, size: tuple[int, int]) -> NDArray[Any]:
    """(n, 4) boxes with inclusive corners as a convention has them, on a map of `size` (width,
    height)."""
    if corners == "inclusive":
        return boxes
    beyond = boxes + np.array([0, 0, 1, 1], boxes.dtype)
    if corners == "exclusive":
        return beyond
    limit = np.array([*size, *size], boxes.dtype) - 1
    return np.minimum(beyond, limit)


def _margin(levels: NDArray[Any], component: Component) -> NDArray[Any]:
    """The engine clips an outline's far corner to the map: with a margin there is nothing to."""
    return np.pad(levels, ((0, 1), (0, 1))) if component == "contour" else levels


def _tight(boxes: NDArray[np.int32], component: Component) -> NDArray[np.int32]:
    far = 1 if component == "contour" else 0
    return boxes - np.array([0, 0, far, far], np.int32)


def _extent(foreground: NDArray[np.bool_]) -> NDArray[np.int32]:
    columns, rows = np.flatnonzero(foreground.any(0)), np.flatnonzero(foreground.any(1))
    if len(columns) == 0:
        return np.empty((0, 4), np.int32)
    return np.array([[columns[0], rows[0], columns[-1], rows[-1]]], np.int32)


def _union_runs(levels: NDArray[np.integer], top: int) -> BoxRuns:
    """All foreground's box at every level: an end moves in where its columns or rows give out."""
    ends = []
    asked = np.arange(top)
    for most in (levels.max(axis=0), levels.max(axis=1)):
        reached = [np.maximum.accumulate(side) for side in (most, most[::-1])]
        start, end = (np.searchsorted(side, asked, side="right") for side in reached)
        ends.append((start, len(most) - 1 - end))
    (x0, x1), (y0, y1) = ends
    boxes = np.stack([x0, y0, x1, y1], axis=1).astype(np.int32)
    changed = (np.diff(boxes, axis=0) != 0).any(axis=1)
    first = np.concatenate([np.zeros(min(top, 1), np.int64), np.flatnonzero(changed) + 1])
    last = np.append(first[1:], top)[: len(first)] - 1
    return BoxRuns(boxes[first], first.astype(np.int32), last.astype(np.int32), top)


def _boxes_4(foreground: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(n, 4) the boxes of all 4-connected components, in raster order of their first pixels."""
    labels, _ = ndimage.label(foreground)
    found = [(x.start, y.start, x.stop - 1, y.stop - 1) for y, x in ndimage.find_objects(labels)]
    return np.array(found, np.int32).reshape(-1, 4)
