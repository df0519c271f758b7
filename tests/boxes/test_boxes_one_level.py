"""The largest component at one level: the same box as among all levels, and OpenCV's."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_boxes_all_levels import levels_maps

from wsol.boxes import one_level
from wsol.boxes.all_levels import box_runs
from wsol.boxes.one_level import largest_box_at


@settings(max_examples=1000, deadline=None)
@given(levels_maps(), st.sampled_from(["choe2020", "exact"]))
@example(np.zeros((1, 1), np.uint8), "exact")
@example(np.eye(9, dtype=np.uint8), "choe2020")
@example(np.indices((9, 9)).sum(0).astype(np.uint8) % 2, "choe2020")
def test_it_is_the_box_among_all_levels(opencv_boxes, levels, convention):
    runs = box_runs(levels, "largest", convention)
    for level in {0, int(levels.max()) // 2, int(levels.max())}:
        found = largest_box_at(levels, level, convention)
        assert found.dtype == np.int32 and found.shape[1:] == (4,)
        assert found.tolist() == runs.at(level).tolist()
        if convention == "choe2020":
            assert (found.tolist() or [[0, 0, 0, 0]]) == opencv_boxes(levels, level, "largest")


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**31), st.integers(5, 60), st.integers(5, 60))
def test_blobs_lines_and_rings_equal_opencv(opencv_boxes, seed, height, width):
    rng = np.random.default_rng(seed)
    levels = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.integers(1, 7))):
        a, b = (tuple(int(rng.integers(0, side)) for side in (width, height)) for _ in range(2))
        cv2.line(levels, a, b, int(rng.integers(0, 3)))
        cv2.circle(levels, a, int(rng.integers(1, 20)), 1, int(rng.choice([-1, 1, 2])))
    found = largest_box_at(levels, 0, "choe2020").tolist()
    assert (found or [[0, 0, 0, 0]]) == opencv_boxes(levels, 0, "largest")


@pytest.mark.parametrize("convention", ["choe2020", "exact"])
def test_a_clear_winner_needs_no_other_level(monkeypatch, convention):
    levels = np.zeros((40, 50), np.uint16)
    levels[10:30, 5:25] = 3
    levels[2:5, 40:44] = 3
    monkeypatch.setattr(one_level, "box_runs", pytest.fail)
    beyond = convention == "choe2020"
    expected = [[5, 10, 24 + beyond, 29 + beyond]]
    assert largest_box_at(levels, 2, convention).tolist() == expected
    assert largest_box_at(levels[::-1], 2, convention).tolist() == expected
    assert len(largest_box_at(levels, 3, convention)) == 0
