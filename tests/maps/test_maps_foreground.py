"""The foreground of unfinished maps beside that of finished ones."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wsol.boxes.levels import exact_levels, protocol_levels, protocol_threshold_levels
from wsol.maps.foreground import _number, _ordered, foreground
from wsol.maps.normalize import normalize

SHARES = (0.0, 0.001, 0.1, 0.2, 1 / 3, 0.5, 0.9, 0.999)


def by_finishing(maps, share, quantized):
    """As `wsol.evaluation.judging.prepare` says it, map by map."""
    finished = normalize(maps).numpy()
    result = np.zeros(finished.shape, np.uint8)
    for index in np.ndindex(finished.shape[:-2]):
        if quantized:
            levels = protocol_levels(finished[index])
            (level,) = protocol_threshold_levels(np.array([share]), int(levels.max()))
            result[index] = levels > level
        else:
            result[index] = exact_levels(finished[index], np.array([share])) > 0
    return result


def check(maps):
    for share in SHARES:
        for quantized in (True, False):
            found = foreground(maps, share, quantized=quantized)
            assert found.dtype == torch.uint8
            np.testing.assert_array_equal(found.numpy(), by_finishing(maps, share, quantized))


numbers = st.floats(-1e4, 1e4, width=32, allow_subnormal=False)


@given(hnp.arrays(np.float32, (2, 4, 5), elements=numbers))
def test_any_maps(values):
    check(torch.from_numpy(values))


@given(
    hnp.arrays(np.int64, (3, 4), elements=st.integers(-40, 40)),
    st.floats(-1e3, 1e3, width=32),
    st.sampled_from([2.0**-20, 1e-6, 1 / 255, 1 / 51, 0.2, 1.0]),
)
def test_values_that_lie_on_the_threshold_and_beside_it(steps, low, step):
    """Multiples of a step, so that many finished values are a share exactly or nearly."""
    check((torch.from_numpy(steps).float() * step + low)[None])


@pytest.mark.parametrize("low", [0.0, -1.0, -0.25, 1e-30, 3e4, -3e4])
def test_every_neighbour_of_the_threshold(low):
    for share in (0.2, 1 / 3):
        middle = np.float32(low + share)
        near = [middle]
        for direction in (-np.inf, np.inf):
            value = middle
            for _ in range(40):
                value = np.nextafter(value, np.float32(direction))
                near.append(value)
        maps = torch.tensor([low, *near, low + 1.0], dtype=torch.float32)
        for quantized in (True, False):
            np.testing.assert_array_equal(
                foreground(maps[None, None], share, quantized=quantized).numpy(),
                by_finishing(maps[None, None], share, quantized),
            )


def test_a_constant_map_has_no_foreground():
    for value in (0.0, -3.5, 7.0):
        for quantized in (True, False):
            assert not foreground(torch.full((1, 4, 4), value), 0.2, quantized=quantized).any()


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=20))
def test_numbers_in_their_order(values):
    numbers = torch.tensor(values, dtype=torch.float32)
    ordered = _ordered(numbers)
    assert torch.equal(_number(ordered), numbers)  # -0.0 equals 0.0
    less = numbers[:, None] < numbers[None]
    assert torch.equal(ordered[:, None] < ordered[None], less)
