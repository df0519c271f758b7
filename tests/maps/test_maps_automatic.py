"""Thresholds that maps choose for themselves, against scikit-image and what holds for any map."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage import filters

from wsol.maps.automatic import automatic_share, automatic_threshold
from wsol.maps.policies import POLICIES


def blobs(seed, side=56):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    made = sum(
        weight * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) * 30)
        for weight, cx, cy in zip(rng.random(3), rng.random(3), rng.random(3), strict=True)
    )
    return (made - made.min()) / (made.max() - made.min())


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_it_is_the_threshold_of_scikit_image(policy, kind):
    for seed in range(5):
        score_map = blobs(seed).astype(kind)
        expected = float(getattr(filters, f"threshold_{policy}")(score_map))
        assert automatic_threshold(score_map, policy) == expected
        assert automatic_share(score_map, policy) == expected  # its maximum is 1
        half = (score_map / 2).astype(kind)
        assert automatic_share(half, policy) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("policy", POLICIES)
@given(
    values=hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
        elements=st.sampled_from([0.0, 1.0]) | st.floats(0, 1),
    ),
    kind=st.sampled_from([np.float32, np.float64, np.uint8]),
)
def test_any_map_has_one(policy, values, kind):
    score_map = (255 * values).astype(kind) if kind is np.uint8 else values.astype(kind)
    threshold = automatic_threshold(score_map, policy)
    values = score_map / 255 if score_map.dtype == np.uint8 else score_map
    assert values.min() - 1e-6 <= threshold <= values.max() + 1e-6
    assert 0 <= automatic_share(score_map, policy) <= 1
    if values.min() == values.max():
        assert not (values.astype(np.float32) > np.float32(threshold)).any()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    "score_map",
    [
        np.zeros((4, 4)),
        np.full((4, 4), 0.3, np.float32),
        np.full((3, 3), 200, np.uint8),
        np.array([[0.0, 1e-300]]),
        np.array([[0.5, np.nextafter(0.5, 1)]]),
        np.array([[0.0, 1e30]]),
        np.array([[0, 1]], np.float16),
    ],
)
def test_maps_that_no_histogram_can_be_made_of(policy, score_map):
    threshold = automatic_threshold(score_map, policy)
    assert np.isfinite(threshold) and 0 <= automatic_share(score_map, policy) <= 1


def test_a_uint8_map_stands_for_its_255th_part():
    levels = np.rint(255 * blobs(3)).astype(np.uint8)
    for policy in POLICIES:
        assert automatic_threshold(levels, policy) == automatic_threshold(
            levels.astype(np.float32) / 255, policy
        )
