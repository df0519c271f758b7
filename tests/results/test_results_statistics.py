"""Intervals and comparisons against other formulas, counting by hand, and simulated samples."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from wsol.errors import InputError
from wsol.records.outcomes import write_outcomes
from wsol.results.image_facts import contributions, metric_names, read_facts
from wsol.results.optimism import Bootstrap, corrected_accuracies
from wsol.results.statistics import (
    compare_runs,
    holm,
    intervals,
    mcnemar,
    shared_images,
    wilson,
)

from support.outcome_rows import KEYS, facts, generated, info

LEVELS = ("box_acc_largest_0.3", "box_acc_largest_0.5", "box_acc_0.3", "box_acc_0.5")


@given(st.integers(1, 500), st.data())
def test_wilson_is_scipys(images, data):
    right = data.draw(st.integers(0, images))
    low, high = wilson(right / images, images, float(norm.ppf(0.975)))
    other = binomtest(right, images).proportion_ci(0.95, "wilson")
    assert (low, high) == pytest.approx((other.low, other.high), abs=1e-12)
    assert low >= -1e-12 and high <= 1 + 1e-12


def test_shares_have_wilsons_interval_and_best_thresholds_a_corrected_one(tmp_path):
    rows, _ = generated(1, 80, 20)
    run = facts(rows, 20, tmp_path)
    bootstrap = Bootstrap(200, seed=5, level=0.9)
    found = intervals(run, bootstrap)
    assert list(found) == metric_names(run)
    right = sum(row.rank == 0 for row in rows)
    exact = binomtest(right, 80).proportion_ci(0.9, "wilson")
    top1 = found["top1_cls"]
    assert (top1.low, top1.high) == pytest.approx((100 * exact.low, 100 * exact.high))
    assert top1.corrected == top1.value == 100 * right / 80
    boxed = sum(row.fixed_iou is not None for row in rows)
    corrected = corrected_accuracies(run, bootstrap)
    for name, share in zip(LEVELS, corrected, strict=True):
        interval = wilson(share, boxed, float(norm.ppf(0.95)))
        assert (found[name].low, found[name].high) == pytest.approx(np.multiply(interval, 100))
        assert found[name].low < found[name].corrected == pytest.approx(100 * share)
        assert found[name].corrected < found[name].value < found[name].high
    v2 = found["max_box_acc_v2"]
    assert v2.corrected == pytest.approx(50 * (corrected[2] + corrected[3]))
    # Two levels of one image are less than two images, and more than one.
    right = contributions(run)["max_box_acc_v2"].right[[r.fixed_iou is not None for r in rows]]
    assert v2.high - v2.low < min(found[n].high - found[n].low for n in LEVELS[2:])
    error = 100 * norm.ppf(0.95) * right.std() / np.sqrt(boxed)
    assert (v2.high - v2.low) / 2 == pytest.approx(error, rel=0.05)


def test_all_right_or_wrong_leaves_something_open(tmp_path):
    rows, _ = generated(1, 50, 20, boxes=1.0)
    rows = [dataclasses.replace(row, rank=0, fixed_iou=0.1) for row in rows]
    found = intervals(facts(rows, 20, tmp_path), Bootstrap(100))
    top1, loc = found["top1_cls"], found["gt_known_loc"]
    assert 92 < top1.low < 94 and top1.high == pytest.approx(100)
    assert loc.low == pytest.approx(0) and 6 < loc.high < 8


@pytest.mark.slow
def test_intervals_contain_the_populations_accuracy_at_its_own_best_threshold(tmp_path):
    """Samples of 200 of a population, whose best accuracy the sample's own is far above."""
    population, matrices = generated(11, 4000, 60, boxes=1.0)
    truth = {
        name: 100 * matrices[key].mean(axis=0).max() for name, key in zip(LEVELS, KEYS, strict=True)
    }
    truth["max_box_acc_v2"] = (truth["box_acc_0.3"] + truth["box_acc_0.5"]) / 2
    rng = np.random.default_rng(0)
    inside, above, samples = dict.fromkeys(truth, 0), 0, 100
    for number in range(samples):
        drawn = [population[n] for n in rng.integers(0, len(population), 200)]
        run = facts(drawn, 60, tmp_path)
        for name, found in intervals(run, Bootstrap(60, seed=number)).items():
            if name in truth:
                inside[name] += found.low <= truth[name] <= found.high
                above += found.value > truth[name]
    assert above > 0.75 * samples * len(truth)
    # 95 % and no more than three standard errors from it.
    assert all(0.95 * samples - 7 <= count for count in inside.values()), inside


def test_a_run_does_not_differ_from_itself(tmp_path):
    one = facts(generated(1, 40, 20, boxes=1.0)[0], 20, tmp_path)
    found = compare_runs(one, one, Bootstrap(100))
    assert list(found) == metric_names(one)
    for difference in found.values():
        assert (difference.difference, difference.corrected, difference.p) == (0, 0, 1)
        # No image of 40 differs, which leaves a few of a hundred open.
        assert difference.low == -difference.high and 6 < difference.high < 7
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
    assert found.difference == found.corrected == pytest.approx(4)
    # Bonett and Price: (12 + 1) and (0 + 1) of 302.
    centre, error = 12 / 302, np.sqrt((14 / 302 - (12 / 302) ** 2) / 302)
    expected = [100 * (centre + sign * norm.ppf(0.975) * error) for sign in (-1, 1)]
    assert [found.low, found.high] == pytest.approx(expected)
    assert found.p == pytest.approx(2 * norm.sf(centre / error)) and found.p < 0.002
    assert intervals(first, bootstrap)["top1_cls"].low < found.second
    assert (found.mcnemar.only_first, found.mcnemar.only_second) == (12, 0)
    assert found.mcnemar.p == pytest.approx(2 * 0.5**12)
    reverse = compare_runs(second, first, bootstrap)["top1_cls"]
    assert (reverse.low, reverse.high) == pytest.approx((-found.high, -found.low))
    assert reverse.p == pytest.approx(found.p)


def test_differences_of_best_thresholds_are_of_corrected_accuracies(tmp_path):
    first, second = (facts(generated(s, 120, 30, boxes=1.0)[0], 30, tmp_path) for s in (1, 2))
    bootstrap = Bootstrap(100)
    found = compare_runs(first, second, bootstrap)
    both = [corrected_accuracies(run, bootstrap) for run in (first, second)]
    for name, one, two in zip(LEVELS, *both, strict=True):
        assert found[name].corrected == pytest.approx(100 * (one - two))
        assert found[name].low < found[name].corrected < found[name].high
        significant = not found[name].low <= 0 <= found[name].high
        assert (found[name].p < 0.05) == significant


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


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_by_its_definition(values):
    adjusted = holm(values)
    for value, found in zip(values, adjusted, strict=True):
        # The greatest of (tests not below it) times p, over it and all that are smaller.
        steps = [
            sum(other >= smaller for other in values) * smaller
            for smaller in values
            if smaller <= value
        ]
        assert found == pytest.approx(min(1, max(steps)))


def test_holm_of_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
