"""Intervals and comparisons against resampling rows of a matrix, and known distributions."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import binom

from wsol.errors import InputError
from wsol.records.outcomes import write_outcomes
from wsol.results.image_facts import metric_names, read_facts
from wsol.results.statistics import (
    Bootstrap,
    compare_runs,
    intervals,
    mcnemar,
    resample_weights,
    resampled_metrics,
    shared_images,
)

from support.outcome_rows import KEYS, facts, generated, info


def test_interval_equals_resampled_rows(tmp_path):
    rows, matrices = generated(1, 50, 20, boxes=1.0)
    found = intervals(facts(rows, 20, tmp_path), Bootstrap(200, seed=5))
    drawn = [np.repeat(np.arange(50), resample_weights(50, 5, r)) for r in range(200)]
    for key, name in zip(
        KEYS,
        ("box_acc_largest_0.3", "box_acc_largest_0.5", "box_acc_0.3", "box_acc_0.5"),
        strict=True,
    ):
        best = [100 * int(matrices[key][picked].sum(axis=0).max()) / 50 for picked in drawn]
        assert found[name].value == 100 * matrices[key].sum(axis=0).max() / 50
        assert (found[name].low, found[name].high) == pytest.approx(
            np.quantile(best, [0.025, 0.975])
        )
        assert found[name].low < found[name].value < found[name].high


def test_interval_of_a_proportion_is_that_of_the_binomial(tmp_path):
    rows, _ = generated(2, 400, 3)
    found = intervals(facts(rows, 3, tmp_path), Bootstrap(2000))["top1_cls"]
    low, high = binom.ppf([0.025, 0.975], 400, found.value / 100) / 4
    assert abs(found.low - low) <= 0.5 and abs(found.high - high) <= 0.5


def test_threads_do_not_change_a_number_and_the_seed_does(tmp_path):
    one = facts(generated(1, 60, 20)[0], 20, tmp_path)
    (first,) = resampled_metrics([one], Bootstrap(64, seed=3), threads=1)
    for threads in (2, 5):
        (again,) = resampled_metrics([one], Bootstrap(64, seed=3), threads=threads)
        np.testing.assert_array_equal(again, first)
    (other,) = resampled_metrics([one], Bootstrap(64, seed=4), threads=2)
    # No resample of one seed is one of another, shifted.
    assert not {row.tobytes() for row in first} & {row.tobytes() for row in other}


def test_weights_draw_every_image_as_often_on_average():
    weights = np.array([resample_weights(30, 0, number) for number in range(4000)])
    assert (weights.sum(axis=1) == 30).all()
    # The number of times that an image is drawn: mean 1, variance 1 - 1/30.
    assert np.abs(weights.mean(axis=0) - 1).max() < 5 / np.sqrt(4000)
    assert abs(weights.var() - (1 - 1 / 30)) < 0.02


def test_a_run_does_not_differ_from_itself(tmp_path):
    one = facts(generated(1, 40, 20)[0], 20, tmp_path)
    found = compare_runs(one, one, Bootstrap(100))
    assert list(found) == metric_names(one)
    for difference in found.values():
        assert (difference.difference, difference.low, difference.high) == (0, 0, 0)
        assert difference.p == 1
    assert found["gt_known_loc"].mcnemar.p == 1
    assert found["max_box_acc"].mcnemar is None


def test_pairing_sees_what_two_intervals_do_not(tmp_path):
    rows, _ = generated(4, 300, 10, boxes=1.0)
    # The second run is wrong on 12 images that the first has right, and right on none more.
    right = [number for number, row in enumerate(rows) if row.rank == 0][:12]
    worse = [
        dataclasses.replace(row, rank=1) if number in right else row
        for number, row in enumerate(rows)
    ]
    first, second = facts(rows, 10, tmp_path), facts(worse, 10, tmp_path)
    bootstrap = Bootstrap(1000)
    found = compare_runs(first, second, bootstrap)["top1_cls"]
    assert found.difference == pytest.approx(4)
    assert 0 < found.low < 4 < found.high
    assert found.p == pytest.approx(2 / 1001)
    assert intervals(first, bootstrap)["top1_cls"].low < found.second
    assert (found.mcnemar.only_first, found.mcnemar.only_second) == (12, 0)
    assert found.mcnemar.p == pytest.approx(2 * 0.5**12)
    reverse = compare_runs(second, first, bootstrap)["top1_cls"]
    assert (reverse.low, reverse.high, reverse.p) == (-found.high, -found.low, found.p)


def test_mcnemar_counts_by_hand(tmp_path):
    rows, _ = generated(4, 10, 10, boxes=1.0)
    ranks = [[0, 0, 0, 0, 0, 1, 1, 1, 1, 0], [0, 1, 1, 1, 1, 0, 1, 1, 1, 0]]
    one, two = (
        facts([dataclasses.replace(row, rank=r) for row, r in zip(rows, run, strict=True)], 10,
              tmp_path)
        for run in ranks
    )  # fmt: skip
    found = mcnemar(one, two, "top1_cls")
    assert (found.only_first, found.only_second) == (4, 1)
    # 2 * (1 + 5) / 32
    assert found.p == pytest.approx(0.375)


def test_metrics_of_one_run_alone_are_left_out(tmp_path):
    network = facts(generated(1, 40, 20, boxes=1.0)[0], 20, tmp_path)
    baseline = facts(generated(1, 40, 20, boxes=1.0, classifier=False)[0], 20, tmp_path)
    assert list(compare_runs(network, baseline, Bootstrap(50))) == metric_names(baseline)


def test_images_are_paired_by_name(tmp_path):
    rows, _ = generated(1, 20, 5)

    def table(part, name):
        write_outcomes(part, info(5), tmp_path / name)
        return read_facts(tmp_path / name)[0]

    first, shuffled = table(rows, "a"), table(rows[::-1], "b")
    one, two = shared_images(first, shuffled)
    assert one.equals(two)
    part = table(rows[5:12][::-1], "c")
    with pytest.raises(InputError, match="13 are only in the first and 0 only in the second"):
        shared_images(first, part)
    one, two = shared_images(first, part, common=True)
    assert one["image_id"].to_pylist() == [f"{n}.jpg" for n in range(5, 12)]
    assert one.equals(two)
    with pytest.raises(InputError, match="share no image"):
        shared_images(table(rows[:3], "d"), table(rows[3:], "e"), common=True)


@pytest.mark.parametrize(
    ("choice", "message"),
    [({"level": 95}, "level 95"), ({"resamples": 10}, "too few"), ({"seed": -1}, "seed -1")],
)
def test_impossible_choices_are_refused(choice, message):
    with pytest.raises(InputError, match=message):
        Bootstrap(**choice)
