"""Conversions between box conventions, by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wsol.boxes.geometry import exact_ground_truth, protocol_ground_truth, to_xywh
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


def test_quantization_truncates_in_double_precision():
    values = np.array([[0, 0.5, 1, 1 / 255, np.nextafter(1 / 255, 0)]])
    assert protocol_levels(values).tolist() == [[0, 127, 255, 1, 0]]


def test_threshold_levels_are_those_of_the_protocol():
    for step in (0.001, 0.01, 0.2):
        thresholds = threshold_grid(step)
        for top in (0, 1, 17, 254, 255):
            expected = [int(t * np.uint8(top)) for t in np.arange(0, 1, step)]
            assert protocol_threshold_levels(thresholds, top).tolist() == expected
