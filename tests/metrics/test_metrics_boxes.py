"""IoU and the MaxBoxAcc family."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsol.boxes.all_levels import both_box_runs
from wsol.boxes.levels import protocol_threshold_levels, threshold_grid
from wsol.errors import InputError
from wsol.metrics.box_accuracy import BoxAccuracy, best_iou_per_threshold, is_hit
from wsol.metrics.iou import iou_matrix, iou_of_corners


def protocol_iou(a, b):
    """The protocol's integer formula."""
    w = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    h = max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    area = lambda c: (c[2] - c[0] + 1) * (c[3] - c[1] + 1)  # noqa: E731
    return (w * h) / (area(a) + area(b) - w * h)


def boxes(count):
    corner = st.tuples(*[st.integers(0, 223)] * 4)
    ordered = corner.map(
        lambda c: [min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3])]
    )
    return st.lists(ordered, min_size=1, max_size=count)


@given(boxes(5), boxes(3))
def test_iou_is_the_protocols_to_the_last_bit(predicted, true):
    expected = [[protocol_iou(a, b) for b in true] for a in predicted]
    assert iou_matrix(np.array(predicted), np.array(true)).tolist() == expected


@pytest.mark.parametrize(
    ("plus_one", "expected"),
    [
        (True, [[1, 36 / (121 + 121 - 36)], [0, 0], [1 / 121, 0]]),
        (False, [[1, 25 / (100 + 100 - 25)], [0, 0], [0, 0]]),
    ],
)
def test_iou_of_corners_by_hand(plus_one, expected):
    predicted = np.array([[0, 0, 10, 10], [30, 30, 40, 40], [0, 0, 0, 0]])
    true = np.array([[0, 0, 10, 10], [5, 5, 15, 15]])
    found = iou_of_corners(predicted, true, plus_one=plus_one)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_iou_of_nothing():
    assert iou_matrix(np.zeros((0, 4)), np.zeros((2, 4))).shape == (0, 2)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**31), boxes(3), st.sampled_from([0.5, 0.1, 0.01]))
def test_best_iou_equals_thresholding_one_at_a_time(opencv_boxes, seed, true, step):
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, rng.choice([2, 4, 256]), rng.integers(1, 30, 2)).astype(np.uint8)
    thresholds = threshold_grid(step)
    indices = protocol_threshold_levels(thresholds, int(levels.max()))
    kinds = zip(("largest", "all"), both_box_runs(levels, "choe2020"), strict=True)
    for kind, runs in kinds:
        found = best_iou_per_threshold(runs, np.array(true, float), indices, "choe2020")
        for threshold, iou in zip(thresholds, found, strict=True):
            predicted = opencv_boxes(levels, int(threshold * levels.max()), kind)
            assert iou == max(protocol_iou(a, b) for a in predicted for b in true)


def test_accuracy_by_hand():
    metric = BoxAccuracy(np.array([0.0, 0.5]), (0.3, 0.5))
    metric.update(np.array([0.3, 0.2]))
    metric.update(np.array([0.5, 0.9]))
    metric.update(np.array([0.49999, 0.5]))
    best = metric.compute()
    assert best.accuracy == {"0.3": 100.0, "0.5": pytest.approx(200 / 3)}
    assert best.threshold == {"0.3": 0.0, "0.5": 0.5}
    assert best.mean == pytest.approx((100 + 200 / 3) / 2)
    assert metric.curves() == {"0.3": [3, 2], "0.5": [1, 2]}


def test_a_level_is_reached_or_passed_as_the_convention_says():
    ious = np.array([0.49, 0.5, 0.51])
    assert is_hit(ious, 0.5, above=False).tolist() == [False, True, True]
    assert is_hit(ious, 0.5, above=True).tolist() == [False, False, True]
    for above, counts in ((False, [0, 1, 1]), (True, [0, 0, 1])):
        metric = BoxAccuracy(np.array([0.0, 0.3, 0.6]), (0.5,), above=above)
        metric.update(ious)
        assert metric.curves() == {"0.5": counts} and metric.num_images == 1


def test_accuracies_of_parts_add_up():
    ious = np.random.default_rng(0).random((20, 4))
    metrics = [BoxAccuracy(np.linspace(0, 0.9, 4), (0.3, 0.7)) for _ in range(3)]
    for number, row in enumerate(ious):
        metrics[0].update(row)
        metrics[1 + number % 2].update(row)
    metrics[1].merge(metrics[2])
    again = BoxAccuracy(np.linspace(0, 0.9, 4), (0.3, 0.7))
    again.load_state(metrics[1].state())
    for part in (metrics[1], again):
        assert part.compute() == metrics[0].compute() and part.curves() == metrics[0].curves()
        assert part.num_images == 20


def test_different_metrics_do_not_merge():
    with pytest.raises(InputError):
        BoxAccuracy(np.array([0.0]), (0.5,)).merge(BoxAccuracy(np.array([0.1]), (0.5,)))
    with pytest.raises(InputError):
        BoxAccuracy(np.array([0.0]), (0.5,)).merge(BoxAccuracy(np.array([0.0]), (0.3,)))
