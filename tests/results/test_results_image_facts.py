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
    contributions,
    correct_at,
    facts_of,
    metric_names,
    read_facts,
    right_counts,
)

from support.outcome_rows import KEYS, SIZES, facts, facts_table, generated, info


def by_accumulators(rows, matrices, thresholds):
    """The metrics of images as an evaluation computes them."""
    counts = LocalizationCounts()
    boxes = {key: BoxAccuracy(np.arange(thresholds), (float(key.split("@")[1]),)) for key in KEYS}
    for number, row in enumerate(rows):
        iou = row.fixed_iou
        counts.update(None if iou is None else iou >= 0.5, row.rank)
        if iou is not None:
            for key, metric in boxes.items():
                metric.update(matrices[key][number].astype(float))
    values = counts.compute()
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
)
def test_contributions_add_up_to_the_metrics(seed, images, thresholds, classifier, boxes):
    rows, matrices = generated(seed, images, thresholds, classifier=classifier, boxes=boxes)
    with tempfile.TemporaryDirectory() as folder:
        found = facts(rows, thresholds, Path(folder))
    parts = contributions(found)
    assert list(parts) == metric_names(found)
    expected = by_accumulators(rows, matrices, thresholds)
    assert {name: part.percent for name, part in parts.items()} == pytest.approx(expected)
    for part in parts.values():
        assert ((part.right >= 0) & (part.right <= 1)).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 30), st.data())
def test_any_weighting_equals_repeated_images(seed, images, thresholds, data):
    rows, matrices = generated(seed, images, thresholds)
    weights = np.array(data.draw(st.lists(st.integers(0, 4), min_size=images, max_size=images)))
    with tempfile.TemporaryDirectory() as folder:
        found = facts(rows, thresholds, Path(folder))
    drawn = np.repeat(np.arange(images), weights)
    for key, counts in zip(found.keys, right_counts(found, weights), strict=True):
        np.testing.assert_array_equal(counts, matrices[key][drawn].sum(axis=0))


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
    parts = contributions(facts_of(*table, chosen))

    def accuracy(key, place):
        return 100 * int(matrices[key][:, place].sum()) / 40

    assert parts["max_box_acc_chosen"].percent == accuracy("largest@0.5", 10)
    both = (accuracy("all@0.3", 0) + accuracy("all@0.5", 24)) / 2
    assert parts["max_box_acc_v2_chosen"].percent == pytest.approx(both)
    only = facts_of(*table, {"largest": chosen["largest"], "all": None})
    assert "max_box_acc_v2_chosen" not in metric_names(only)
    assert "max_box_acc_chosen" in contributions(only)
