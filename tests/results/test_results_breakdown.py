"""Accuracies of classes and object sizes against counting by hand."""

import dataclasses

import numpy as np
import pytest

from wsol.errors import InputError
from wsol.results.breakdown import break_down

from support.outcome_rows import facts, generated

NAMES = ("tench", "goldfish", "<b>shark</b>")


@pytest.fixture
def run(tmp_path):
    rows, matrices = generated(7, 60, 20)
    rows = [dataclasses.replace(row, class_name=NAMES[row.label]) for row in rows]
    return rows, matrices, facts(rows, 20, tmp_path)


def by_hand(rows, matrices, members):
    """Metrics of some images, at the thresholds that are best over all images."""
    boxed = [n for n in members if rows[n].fixed_iou is not None]
    found = {"top1_cls": np.mean([rows[n].rank == 0 for n in members])}
    if boxed:
        found["gt_known_loc"] = np.mean([rows[n].fixed_iou >= 0.5 for n in boxed])
        found["top1_loc"] = np.mean([rows[n].fixed_iou >= 0.5 and rows[n].rank == 0 for n in boxed])
        for key, prefix in (("largest", "box_acc_largest"), ("all", "box_acc")):
            for level in ("0.3", "0.5"):
                matrix = matrices[f"{key}@{level}"]
                found[f"{prefix}_{level}"] = matrix[boxed, matrix.sum(axis=0).argmax()].mean()
    return {name: pytest.approx(100 * value) for name, value in found.items()}


def test_classes(run):
    rows, matrices, found = run
    groups = break_down(found, "class")
    assert [group.name for group in groups] == list(NAMES)
    assert sum(group.images for group in groups) == 60
    for label, group in enumerate(groups):
        members = [n for n, row in enumerate(rows) if row.label == label]
        assert group.images == len(members)
        assert group.metrics == by_hand(rows, matrices, members)


def test_sizes(run):
    rows, matrices, found = run
    # Boxes of the generated outcomes are at most a twentieth of the image.
    found = dataclasses.replace(found, area=found.area * 20)
    groups = break_down(found, "size")
    assert len(groups) >= 3
    ranges = {
        "small (< 10 %)": (0, 0.1),
        "medium (10 % to 30 %)": (0.1, 0.3),
        "large (30 % to 60 %)": (0.3, 0.6),
        "very large (>= 60 %)": (0.6, 99),
    }
    for group in groups:
        low, high = ranges[group.name]
        members = [n for n, area in enumerate(found.area) if low <= area < high]
        assert group.images == len(members) > 0
        assert group.metrics == by_hand(rows, matrices, members)
    assert sum(g.images for g in groups) == sum(row.fixed_iou is not None for row in rows)


def test_sizes_without_boxes_are_refused(tmp_path):
    rows, _ = generated(0, 20, 5, boxes=0.5)
    boxless = facts([row for row in rows if row.fixed_iou is None], 5, tmp_path)
    with pytest.raises(InputError, match="Object sizes are unknown"):
        break_down(boxless, "size")
    assert all(set(group.metrics) == {"top1_cls"} for group in break_down(boxless, "class"))
