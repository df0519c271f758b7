"""Best thresholds of resamples, and the optimism taken away, against rows of a matrix."""

from dataclasses import replace

import numpy as np
import pytest

from wsol.errors import InputError
from wsol.results.image_facts import BOXED, LOCALIZED, TOP1_LOC, TOP5_LOC
from wsol.results.optimism import (
    Bootstrap,
    corrected_accuracies,
    corrected_candidates,
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


def test_the_best_of_a_few_thresholds_by_hand(tmp_path):
    rng = np.random.default_rng(4)
    right, top1 = rng.random((4, 40)) < 0.6, rng.random(40) < 0.7
    both = right & top1
    codes = (right << LOCALIZED | both << TOP1_LOC | right << TOP5_LOC).astype(np.uint8)
    usual = int((right.sum(axis=1) + both.sum(axis=1)).argmax())
    found = facts(generated(1, 40, 5, boxes=1.0)[0], 5, tmp_path)
    assert corrected_candidates(found, Bootstrap(40)) == {}
    found = replace(found, codes=codes[usual] | np.uint8(1 << BOXED), candidates=codes)
    corrected = corrected_candidates(found, Bootstrap(80, seed=5))
    for name, matrix in (("gt_known_loc", right), ("top1_loc", both), ("top5_loc", right)):
        lucky, honest = [], []
        for number in range(80):
            drawn = np.repeat(np.arange(40), resample_weights(40, 5, number))
            best = int((right[:, drawn].sum(axis=1) + both[:, drawn].sum(axis=1)).argmax())
            own = matrix[usual].mean() - matrix[usual][drawn].mean()
            lucky.append(own + matrix[best][drawn].mean())
            honest.append(matrix[best].mean())
        optimism = np.mean(lucky) - np.mean(honest)
        assert corrected[name] == pytest.approx(np.mean(lucky) - 4 / 3 * optimism)
        assert corrected[name] < matrix[usual].mean()


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
