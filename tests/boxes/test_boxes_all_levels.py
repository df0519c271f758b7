"""Boxes at all levels against plain OpenCV (the protocol) and scikit-image (exact)."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import label, regionprops

from wsol.boxes.all_levels import both_box_runs, box_runs
from wsol.boxes.components import FIRST, HOLES, LAST, SIZE, level_map, outer_components
from wsol.boxes.levels import exact_levels, threshold_grid

SHAPES = st.tuples(st.integers(1, 14), st.integers(1, 14))


def levels_maps():
    """Few levels make plateaus, nesting and ties; many make white noise."""
    return st.sampled_from([1, 2, 3, 5, 255]).flatmap(
        lambda top: hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, top), fill=st.nothing())
    )


def smooth(seed, height, width, cells):
    rng = np.random.default_rng(seed)
    coarse = rng.random((cells, cells)).astype(np.float32)
    score_map = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    spread = np.ptp(score_map)
    score_map = (score_map - score_map.min()) / (spread if spread else 1)
    return (score_map * 255).astype(np.uint8)


def assert_as_opencv(levels, opencv_boxes, at=None):
    largest, every = both_box_runs(levels, "choe2020")
    for level in range(int(levels.max()) + 1) if at is None else at:
        found = largest.at(level).tolist() or [[0, 0, 0, 0]]
        assert found == opencv_boxes(levels, level, "largest")
        found = every.at(level).tolist() or [[0, 0, 0, 0]]
        assert sorted(found) == sorted(opencv_boxes(levels, level, "all"))


@settings(max_examples=1500, deadline=None)
@given(levels_maps())
@example(np.zeros((1, 1), np.uint8))
@example(np.full((3, 4), 255, np.uint8))
@example(np.eye(9, dtype=np.uint8))
@example(np.indices((9, 9)).sum(0).astype(np.uint8) % 2)
@example((np.maximum(*np.abs(np.indices((15, 15)) - 7)) % 2 * 9).astype(np.uint8))
@example((np.maximum(*np.abs(np.indices((15, 15)) - 7)) % 4).astype(np.uint8))
def test_small_maps_equal_opencv_at_every_level(opencv_boxes, levels):
    assert_as_opencv(levels, opencv_boxes)


@settings(max_examples=250, deadline=None)
@given(
    st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 60), st.sampled_from([2, 3, 7, 14])
)
def test_smooth_maps_equal_opencv_at_every_level(opencv_boxes, seed, height, width, cells):
    assert_as_opencv(smooth(seed, height, width, cells), opencv_boxes)


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**31), st.integers(5, 40), st.floats(0.02, 0.6))
def test_rings_lines_and_dots_equal_opencv(opencv_boxes, seed, side, density):
    """Random thin lines and rings over noise: holes within holes, touching corners, borders."""
    rng = np.random.default_rng(seed)
    levels = (rng.random((side, side)) < density).astype(np.uint8) * 2
    for _ in range(4):
        a, b = (tuple(map(int, rng.integers(0, side, 2))) for _ in range(2))
        cv2.line(levels, a, b, int(rng.integers(0, 5)))
        cv2.circle(levels, a, int(rng.integers(1, side)), int(rng.integers(0, 5)))
    assert_as_opencv(levels, opencv_boxes)


@pytest.mark.parametrize(
    ("height", "width", "kind"),
    [(224, 224, "smooth"), (512, 512, "smooth"), (224, 224, "noise"), (1, 512, "noise"),
     (512, 1, "noise"), (200, 300, "checkerboard"), (301, 301, "rings")],
)  # fmt: skip
def test_large_maps_equal_opencv(opencv_boxes, height, width, kind):
    rng = np.random.default_rng(5)
    y, x = np.indices((height, width))
    levels = {
        "smooth": lambda: smooth(1, height, width, 14),
        "noise": lambda: rng.integers(0, 256, (height, width)).astype(np.uint8),
        "checkerboard": lambda: ((x + y) % 2 * 7 + 1).astype(np.uint8),
        "rings": lambda: (np.hypot(x - 150, y - 150) // 3 % 2 * 200).astype(np.uint8),
    }[kind]()
    assert_as_opencv(levels, opencv_boxes, at=range(0, 256, 17))


@settings(max_examples=400, deadline=None)
@given(levels_maps())
def test_exact_boxes_equal_scikit_image(levels):
    largest, every = both_box_runs(levels, "exact")
    for level in range(int(levels.max()) + 1):
        regions = regionprops(label(levels > level, connectivity=2))
        boxes = [[r.bbox[1], r.bbox[0], r.bbox[3] - 1, r.bbox[2] - 1] for r in regions]
        assert sorted(every.at(level).tolist()) == sorted(boxes)
        # scikit-image numbers regions in raster order, and max takes the first of equals.
        best = max(range(len(regions)), key=lambda i: regions[i].area, default=None)
        assert largest.at(level).tolist() == ([] if best is None else [boxes[best]])


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.5, 0.1, 0.01, 0.0001]))
def test_exact_levels_are_thresholds_on_the_unquantized_map(seed, step):
    score_map = np.random.default_rng(seed).random((9, 11))
    thresholds = threshold_grid(step)
    levels = exact_levels(score_map, thresholds)
    for i in np.linspace(0, len(thresholds) - 1, 7).astype(int):
        expected = score_map >= thresholds[i] * score_map.max()
        np.testing.assert_array_equal(levels > i, expected)


def test_ten_thousand_levels():
    levels = exact_levels(np.random.default_rng(0).random((40, 40)), threshold_grid(0.0001))
    runs = box_runs(levels, "all", "exact")
    assert runs.max_level == 10_000
    for level in (0, 4999, 9998):
        count = label(levels > level, connectivity=2).max()
        assert len(runs.at(level)) == count


@settings(max_examples=200, deadline=None)
@given(levels_maps())
def test_runs_are_well_formed(levels):
    for runs in both_box_runs(levels, "choe2020"):
        assert runs.boxes.dtype == np.int32 and runs.boxes.shape[1] == 4
        assert (runs.first >= 0).all() and (runs.last < max(runs.max_level, 1)).all()
        assert (runs.first <= runs.last).all()


def test_a_planted_square_by_hand():
    levels = np.zeros((20, 30), np.uint8)
    levels[5:9, 10:16] = 7
    assert box_runs(levels, "largest", "exact").at(6).tolist() == [[10, 5, 15, 8]]
    assert box_runs(levels, "largest", "choe2020").at(0).tolist() == [[10, 5, 16, 9]]


def test_a_hole_has_a_box_in_the_protocol_only():
    levels = np.zeros((12, 12), np.uint8)
    levels[2:9, 2:9] = 1
    levels[4:7, 4:7] = 0
    every = box_runs(levels, "all", "choe2020").at(0).tolist()
    assert sorted(every) == [[2, 2, 9, 9], [3, 3, 8, 8]]
    assert box_runs(levels, "all", "exact").at(0).tolist() == [[2, 2, 8, 8]]


@settings(max_examples=200, deadline=None)
@given(levels_maps())
@example((np.maximum(*np.abs(np.indices((9, 9)) - 4)) % 2 * 3).astype(np.uint8))
@example(np.pad(np.zeros((3, 9), np.uint8), 1, constant_values=2) | np.eye(5, 11, dtype=np.uint8))
def test_components_know_their_pixels_and_how_many_holes_they_have(levels):
    found = outer_components(level_map(levels), "exact")
    for level in range(int(levels.max())):
        there = found[(found[:, FIRST] <= level) & (level <= found[:, LAST])]
        regions = regionprops(label(levels > level, connectivity=2))
        expected = [(int(region.area), 1 - region.euler_number) for region in regions]
        assert sorted(map(tuple, there[:, [SIZE, HOLES]].tolist())) == sorted(expected)
