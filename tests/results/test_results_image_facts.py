"""Metrics of weighted images against the accumulators of an evaluation, fed image by image."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsol.errors import InputError
from wsol.metrics.box_accuracy import BoxAccuracy
from wsol.metrics.classification import LocalizationCounts
from wsol.records.outcomes import write_outcomes
from wsol.results.image_facts import (
    BOXED,
    best_thresholds,
    correct_at,
    facts_of,
    metric_names,
    metric_values,
    read_facts,
)
from wsol.results.statistics import resample_weights

from support.outcome_rows import KEYS, SIZES, facts, facts_table, generated, info


def by_accumulators(rows, matrices, weights, thresholds):
    """The metrics of images that each come `weights` times, as an evaluation computes them."""
    counts = LocalizationCounts()
    boxes = {key: BoxAccuracy(np.arange(thresholds), (float(key.split("@")[1]),)) for key in KEYS}
    for number in np.repeat(np.arange(len(rows)), weights):
        iou = rows[number].fixed_iou
        counts.update(None if iou is None else iou >= 0.5, rows[number].rank)
        if iou is not None:
            for key, metric in boxes.items():
                metric.update(matrices[key][number].astype(float))
    values = counts.compute()
    if boxes["all@0.3"].num_images:
        best = {key: metric.compute().mean for key, metric in boxes.items()}
        values |= {f"box_acc_largest_{level}": best[f"largest@{level}"] for level in (0.3, 0.5)}
        values |= {f"box_acc_{level}": best[f"all@{level}"] for level in (0.3, 0.5)}
        values["max_box_acc"] = best["largest@0.5"]
        values["max_box_acc_v2"] = (best["all@0.3"] + best["all@0.5"]) / 2
    return values


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.integers(1, 30),
    st.booleans(),
    st.sampled_from([0.0, 0.8, 1.0]),
    st.data(),
)
def test_any_weighting_equals_repeated_images(seed, images, thresholds, classifier, boxes, data):
    rows, matrices = generated(seed, images, thresholds, classifier=classifier, boxes=boxes)
    weights = np.array(data.draw(st.lists(st.integers(0, 4), min_size=images, max_size=images)))
    with tempfile.TemporaryDirectory() as folder:
        found = facts(rows, thresholds, Path(folder))
    values = dict(zip(metric_names(found), metric_values(found, weights).tolist(), strict=True))
    expected = by_accumulators(rows, matrices, weights, thresholds)
    undefined = {name for name, value in values.items() if np.isnan(value)}
    # What no drawn image counts for is NaN here, and absent there.
    assert undefined.isdisjoint(expected)
    assert {name: v for name, v in values.items() if name not in undefined} == expected


def test_best_threshold_and_correctness_there(tmp_path):
    rows, matrices = generated(3, 40, 25)
    found = facts(rows, 25, tmp_path)
    for number, (key, threshold) in enumerate(zip(found.keys, best_thresholds(found), strict=True)):
        assert threshold == matrices[key].sum(axis=0).argmax()
        for at in range(25):
            np.testing.assert_array_equal(correct_at(found, number, at), matrices[key][:, at])


def test_area_is_the_largest_box_in_inclusive_pixels(tmp_path):
    rows, _ = generated(0, 30, 5, boxes=0.5)
    found = facts(rows, 5, tmp_path)
    for row, area in zip(rows, found.area, strict=True):
        pixels = [(x1 - x0 + 1) * (y1 - y0 + 1) for x0, y0, x1, y1 in row.true_boxes]
        assert (area == max(pixels) / (SIZES[0] * SIZES[1])) if pixels else np.isnan(area)


def test_without_boxes_only_classification_is_left(tmp_path):
    rows, _ = generated(0, 20, 5, boxes=0.5)
    found = facts([row for row in rows if row.fixed_iou is None], 5, tmp_path)
    assert len(found) > 1 and not found.has(BOXED).any()
    assert metric_names(found) == ["top1_cls", "top5_cls"]


def test_a_file_without_images_is_refused(tmp_path):
    write_outcomes([], info(5), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: holds no image"):
        read_facts(tmp_path / "a.parquet")


def test_chosen_thresholds_stay_as_they_are(tmp_path):
    rows, matrices = generated(5, 40, 25, boxes=1.0)
    table = facts_table(rows, 25, tmp_path)
    chosen = {"largest": {"0.3": 0.2, "0.5": 0.4}, "all": {"0.3": 0.0, "0.5": 0.96}}
    found = facts_of(*table, chosen)
    weights = resample_weights(40, 0, 1)
    drawn = np.repeat(np.arange(40), weights)
    values = dict(zip(metric_names(found), metric_values(found, weights), strict=True))

    def accuracy(key, place):
        return 100 * int(matrices[key][drawn, place].sum()) / 40

    assert values["max_box_acc_chosen"] == accuracy("largest@0.5", 10)
    both = (accuracy("all@0.3", 0) + accuracy("all@0.5", 24)) / 2
    assert values["max_box_acc_v2_chosen"] == both
    only = facts_of(*table, {"largest": chosen["largest"], "all": None})
    assert "max_box_acc_v2_chosen" not in metric_names(only)
    assert "max_box_acc_chosen" in metric_names(only)
