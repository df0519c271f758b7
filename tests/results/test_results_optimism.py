"""Best thresholds of resamples, and the optimism taken away, against rows of a matrix."""

import numpy as np
import pytest

from wsol.errors import InputError
from wsol.results.optimism import (
    Bootstrap,
    corrected_accuracies,
    resample_weights,
    resampled_best,
)

from support.outcome_rows import KEYS, facts, generated


def test_resamples_equal_repeated_rows(tmp_path):
    rows, matrices = generated(1, 50, 20)
    found = facts(rows, 20, tmp_path)
    lift, best = resampled_best(found, Bootstrap(60, seed=5))
    boxed = np.array([row.fixed_iou is not None for row in rows])
    for number in range(60):
        drawn = np.repeat(np.arange(50), resample_weights(50, 5, number))
        drawn = drawn[boxed[drawn]]
        for place, key in enumerate(KEYS):
            counts = matrices[key][drawn].sum(axis=0)
            usual = matrices[key][boxed].sum(axis=0).argmax()
            assert lift[number, place] == (counts.max() - counts[usual]) / len(drawn)
            assert best[number, place] == counts.argmax()


def test_correction_by_hand(tmp_path):
    rows, matrices = generated(1, 50, 20, boxes=1.0)
    found = facts(rows, 20, tmp_path)
    corrected = corrected_accuracies(found, Bootstrap(200, seed=5))
    drawn = [np.repeat(np.arange(50), resample_weights(50, 5, r)) for r in range(200)]
    for key, value in zip(KEYS, corrected, strict=True):
        usual = matrices[key].mean(axis=0).argmax()
        own = matrices[key][:, usual].mean()
        lucky, honest = [], []
        for picked in drawn:
            shares = matrices[key][picked].mean(axis=0)
            lucky.append(shares.max() - shares[usual] + own)
            honest.append(matrices[key][:, shares.argmax()].mean())
        optimism = np.mean(lucky) - np.mean(honest)
        assert optimism > 0
        assert value == pytest.approx(np.mean(lucky) - 4 / 3 * optimism)
        assert value < own


def test_without_a_choice_there_is_no_optimism(tmp_path):
    rows, matrices = generated(3, 200, 1, boxes=1.0)
    corrected = corrected_accuracies(facts(rows, 1, tmp_path), Bootstrap(40))
    for key, value in zip(KEYS, corrected, strict=True):
        assert value == pytest.approx(matrices[key].mean())


def test_threads_do_not_change_a_number_and_the_seed_does(tmp_path):
    one = facts(generated(1, 60, 20)[0], 20, tmp_path)
    first = resampled_best(one, Bootstrap(64, seed=3), threads=1)
    for threads in (2, 5):
        again = resampled_best(one, Bootstrap(64, seed=3), threads=threads)
        np.testing.assert_array_equal(again[0], first[0])
        np.testing.assert_array_equal(again[1], first[1])
    other, _ = resampled_best(one, Bootstrap(64, seed=4), threads=2)
    assert (other != first[0]).any()


def test_weights_draw_every_image_as_often_on_average():
    weights = np.array([resample_weights(30, 0, number) for number in range(4000)])
    assert (weights.sum(axis=1) == 30).all()
    # No resample of one seed is one of another, shifted.
    others = {resample_weights(30, 1, number).tobytes() for number in range(1000)}
    assert not {row.tobytes() for row in weights[:1000]} & others
    # The number of times that an image is drawn: mean 1, variance 1 - 1/30.
    assert np.abs(weights.mean(axis=0) - 1).max() < 5 / np.sqrt(4000)
    assert abs(weights.var() - (1 - 1 / 30)) < 0.02


@pytest.mark.parametrize(
    ("choice", "message"),
    [({"level": 95}, "level 95"), ({"resamples": 10}, "too few"), ({"seed": -1}, "seed -1")],
)
def test_impossible_choices_are_refused(choice, message):
    with pytest.raises(InputError, match=message):
        Bootstrap(**choice)
