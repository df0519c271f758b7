"""Boxes by each rule are those of a flood fill in plain Python, at one level and at all."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_boxes_all_levels import levels_maps

from wsol.boxes.rules import tight_box, tight_runs, with_corners

_CROSS = ((0, 1), (1, 0), (0, -1), (-1, 0))
_ALL = (*_CROSS, (1, 1), (1, -1), (-1, 1), (-1, -1))


def _components(foreground, steps):
    """Lists of (y, x), in raster order of their first pixels."""
    waiting = {(int(y), int(x)) for y, x in zip(*np.nonzero(foreground), strict=True)}
    found = []
    for start in sorted(waiting):
        if start not in waiting:
            continue
        waiting.remove(start)
        component, edge = [start], [start]
        while edge:
            y, x = edge.pop()
            for dy, dx in steps:
                if (y + dy, x + dx) in waiting:
                    waiting.remove((y + dy, x + dx))
                    component.append((y + dy, x + dx))
                    edge.append((y + dy, x + dx))
        found.append(component)
    return found


def _box(pixels):
    ys, xs = zip(*pixels, strict=True)
    return [min(xs), min(ys), max(xs), max(ys)]


def _area(box):
    return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)


def _expected(foreground, rule):
    if not foreground.any():
        return []
    if rule == "union":
        return [_box(np.argwhere(foreground).tolist())]
    components = _components(foreground, _CROSS if rule == "box" else _ALL)
    if rule == "box":
        return [max(map(_box, components), key=_area)]
    return [_box(max(components, key=len))]


@settings(max_examples=300, deadline=None)
@given(levels_maps(), st.sampled_from(["union", "box", "pixels"]))
@example(np.array([[1, 0, 1, 1], [1, 0, 0, 0], [0, 0, 1, 1]], np.uint8), "box")  # a tie
@example(np.array([[0, 0, 0], [0, 2, 0], [1, 0, 1]], np.uint8), "box")  # touching at corners
@example(np.array([[3, 3, 0], [3, 3, 0], [0, 0, 1]], np.uint8), "union")
@example(np.full((2, 3), 7, np.uint8), "box")
@example(np.zeros((2, 3), np.uint8), "union")
def test_rules_are_a_flood_fill_at_one_level_and_at_all(levels, rule):
    runs = tight_runs(levels, "largest", rule)
    top = int(levels.max())
    assert runs.max_level == top
    for level in range(min(top, 40) + 2):
        expected = _expected(levels > level, rule)
        assert tight_box(levels > level, rule).tolist() == expected
        assert runs.at(level).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(levels_maps())
def test_all_boxes_of_a_level_are_those_of_all_its_components(levels):
    runs = tight_runs(levels, "all", "box")
    for level in range(min(int(levels.max()), 20) + 1):
        every = sorted(map(_box, _components(levels > level, _CROSS)))
        assert sorted(runs.at(level).tolist()) == every


@pytest.mark.parametrize(
    "blobs",
    [
        [(2, 3, 6, 9)],
        [(0, 0, 4, 4), (6, 0, 9, 9)],  # the second has more pixels and the greater outline
        [(5, 5, 11, 11)],  # at the map's far corner, where an outline would be clipped
    ],
)
def test_an_outline_s_box_ends_at_its_last_pixel(blobs):
    foreground = np.zeros((12, 12), bool)
    for x0, y0, x1, y1 in blobs:
        foreground[y0 : y1 + 1, x0 : x1 + 1] = True
    assert tight_box(foreground, "contour").tolist() == [list(blobs[-1])]
    runs = tight_runs(foreground.astype(np.uint8), "largest", "contour")
    assert runs.at(0).tolist() == [list(blobs[-1])]


@pytest.mark.parametrize(
    ("corners", "expected"),
    [("inclusive", [1, 2, 9, 4]), ("exclusive", [1, 2, 10, 5]), ("clipped", [1, 2, 9, 5])],
)
def test_far_corners_are_the_last_pixel_one_beyond_or_clipped(corners, expected):
    boxes = np.array([[1, 2, 9, 4]], np.int32)
    assert with_corners(boxes, corners, (10, 8)).tolist() == [expected]
    assert with_corners(boxes[:0], corners, (10, 8)).shape == (0, 4)
