"""Conversions between box conventions, by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsol.boxes.geometry import (
    exact_ground_truth,
    protocol_ground_truth,
    to_xywh,
    true_boxes_on,
)
from wsol.boxes.levels import protocol_levels, protocol_threshold_levels, threshold_grid


def test_one_pixel_is_one_wide():
    assert to_xywh(np.array([[3, 5, 3, 5], [0, 0, 9, 4]])).tolist() == [[3, 5, 1, 1], [0, 0, 10, 5]]


@given(st.integers(1, 3000), st.integers(1, 3000), st.data())
def test_the_protocol_truncates_what_it_scales(width, height, data):
    box = [data.draw(st.integers(0, side)) for side in (width, height, width, height)]
    scaled = protocol_ground_truth(np.array([box], float), (width, height), (224, 224))
    expected = [int(v * 224.0 / s) for v, s in zip(box, (width, height) * 2, strict=True)]
    assert scaled[0].tolist() == expected


def test_exact_scaling_keeps_the_covered_part():
    boxes = exact_ground_truth(np.array([[0, 0, 99, 49]], float), (200, 100), (224, 224))
    np.testing.assert_allclose(boxes, [[0, 0, 111, 111]])


@pytest.mark.parametrize(
    ("truth", "cropped", "expected"),
    [
        # 10, 20, 150, 79 in 200 x 80 on a grid of 100 x 100
        ("original", False, [10, 20, 150, 79]),
        ("original-cub", False, [10, 20, 149, 78]),
        ("truncated", False, [5, 25, 75, 98]),
        ("divided-first", False, [5, 25, 75, 98]),
        ("real", False, [5, 25, 75, 98.75]),
        ("edges", False, [5, 25, 74.5, 99]),
        # the crop begins at 7.142... of a square of 114.285...
        ("truncated", True, [0, 21, 78, 99]),
        ("divided-first", True, [0, 21, 78, 99]),
        ("real", True, [0, 21.428571, 78.571428, 100]),
        ("edges", True, [0, 21.428571, 78.142857, 99]),
    ],
)
def test_true_boxes_by_hand(truth, cropped, expected):
    boxes = np.array([[10.0, 20, 150, 79]])
    found = true_boxes_on(boxes, (200, 80), (100, 100), truth, cropped=cropped)
    np.testing.assert_allclose(found, [expected], atol=1e-5)


def test_dividing_first_stays_within_the_grid_and_truncating_does_not():
    boxes = np.array([[-3.0, 0, 205, 80]])
    arguments = (boxes, (200, 80), (100, 100))
    assert true_boxes_on(*arguments, "divided-first", cropped=False).tolist() == [[0, 0, 99, 99]]
    assert true_boxes_on(*arguments, "truncated", cropped=False).tolist() == [[-1, 0, 102, 100]]


def test_quantization_truncates_in_double_precision():
    values = np.array([[0, 0.5, 1, 1 / 255, np.nextafter(1 / 255, 0)]])
    assert protocol_levels(values).tolist() == [[0, 127, 255, 1, 0]]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([np.float16, np.float32, np.float64]), st.integers(0, 2**31), st.booleans())
def test_quantization_is_numpys_for_every_type(kind, seed, transposed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.random(60), np.arange(256) / 255, [0, 1]]).astype(kind)
    values = values.reshape(-1, 6).T if transposed else values.reshape(6, -1)
    expected = np.multiply(values, 255.0, dtype=np.float64).astype(np.uint8)
    found = protocol_levels(values)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 5), st.booleans())
def test_widths_and_heights_are_those_of_the_corners(seed, count, whole):
    corners = np.random.default_rng(seed).uniform(0, 300, (count, 4))
    corners = corners.astype(np.int32) if whole else corners
    found = to_xywh(corners)
    assert found.dtype == np.float64 and found.shape == (count, 4)
    np.testing.assert_array_equal(found[:, :2], corners[:, :2])
    np.testing.assert_array_equal(found[:, 2:], corners[:, 2:] + (1 - corners[:, :2]))


def test_threshold_levels_are_those_of_the_protocol():
    for step in (0.001, 0.01, 0.2):
        thresholds = threshold_grid(step)
        for top in (0, 1, 17, 254, 255):
            expected = [int(t * np.uint8(top)) for t in np.arange(0, 1, step)]
            assert protocol_threshold_levels(thresholds, top).tolist() == expected
