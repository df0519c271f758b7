"""The two maps that look at no pixel."""

import numpy as np
import pytest

from wsol.maps.baselines import center_map, full_map


@pytest.mark.parametrize("grid", [(224, 224), (7, 5), (1, 1), (2, 9)])
def test_center_map_is_a_gaussian_of_half_the_side(grid):
    width, height = grid
    expected = np.empty((height, width))
    for y in range(height):
        for x in range(width):
            dx, dy = (x - (width - 1) / 2) / (width / 2), (y - (height - 1) / 2) / (height / 2)
            expected[y, x] = np.exp(-(dx * dx + dy * dy) / 2)
    low, high = expected.min(), expected.max()
    expected = (expected - low) / (high - low) if high > low else np.zeros_like(expected)
    actual = center_map(grid)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_center_map_is_symmetric_and_spans_zero_to_one():
    score_map = center_map((224, 224))
    assert score_map.min() == 0 and score_map.max() == 1
    np.testing.assert_array_equal(score_map, score_map[::-1])
    np.testing.assert_array_equal(score_map, score_map.T)


def test_full_map():
    assert full_map((3, 2)).tolist() == [[1, 1, 1], [1, 1, 1]]
