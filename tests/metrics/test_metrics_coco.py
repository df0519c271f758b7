"""COCO AP by class against one joint run of pycocotools."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from wsol.metrics.classification import LocalizationCounts
from wsol.metrics.coco import CocoAveragePrecision


def joint(images):
    """Everything through one COCOeval, as its authors use it."""
    truths, found = [], []
    for image, item in enumerate(images):
        for box in item["true_boxes"]:
            w, h = box[2] - box[0] + 1, box[3] - box[1] + 1
            truths.append(
                {"id": len(truths) + 1, "image_id": image, "category_id": item["true_class"] + 1,
                 "bbox": [box[0], box[1], w, h], "area": w * h, "iscrowd": 0}
            )  # fmt: skip
        for label, score, box in zip(item["classes"], item["scores"], item["boxes"], strict=True):
            w, h = box[2] - box[0] + 1, box[3] - box[1] + 1
            found.append(
                {"image_id": image, "category_id": int(label) + 1, "score": float(score),
                 "bbox": [box[0], box[1], w, h]}
            )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        true = COCO()
        true.dataset = {
            "images": [{"id": i} for i in range(len(images))],
            "categories": [{"id": i + 1} for i in range(8)],
            "annotations": truths,
        }
        true.createIndex()
        evaluation = COCOeval(true, true.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100 * evaluation.stats[0], 100 * evaluation.stats[1], 100 * evaluation.stats[8]


def drawn(seed):
    """Forty images of eight classes, with boxes about a true one."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(40):
        low = rng.integers(0, 100, (2, 2)).astype(float)
        true = np.concatenate([low, low + rng.integers(10, 90, (2, 2))], axis=1)
        classes = rng.permutation(8)[:5]
        near = true[0] + rng.normal(0, 8, (5, 4)).round()
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2])
        images.append(
            {"true_class": int(rng.integers(6)), "true_boxes": true, "classes": classes,
             "scores": rng.random(5), "boxes": near}
        )  # fmt: skip
    return images


@pytest.mark.parametrize("seed", range(6))
def test_equals_one_joint_run(seed):
    images = drawn(seed)
    metric = CocoAveragePrecision()
    for number, item in enumerate(images):
        metric.update(number, **item)
    assert metric.compute() == pytest.approx(joint(images), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), images=st.integers(1, 25), classes=st.integers(5, 9))
def test_where_the_boxes_of_other_classes_lie_changes_nothing(seed, images, classes):
    rng = np.random.default_rng(seed)
    metrics = CocoAveragePrecision(), CocoAveragePrecision()
    for number in range(images):
        low = rng.integers(0, 100, (2, 2)).astype(float)
        true = np.concatenate([low, low + rng.integers(10, 90, (2, 2))], axis=1)
        label, found = int(rng.integers(classes)), rng.permutation(classes)[:5]
        scores = rng.choice([0.1, 0.5, rng.random()], 5)  # some alike
        boxes = np.tile(true[0], (5, 1)) + rng.integers(-4, 5, (5, 1))
        elsewhere = np.where(found[:, None] == label, boxes, 0.0)
        for metric, given_boxes in zip(metrics, (boxes, elsewhere), strict=True):
            metric.update(
                number,
                classes=found,
                scores=scores,
                boxes=given_boxes,
                true_class=label,
                true_boxes=true,
            )
    first, second = (metric.compute() for metric in metrics)
    assert first == second


def test_parts_merge_in_any_order():
    whole, parts = CocoAveragePrecision(), [CocoAveragePrecision() for _ in range(3)]
    for number, item in enumerate(drawn(0)):
        whole.update(number, **item)
        parts[number % 3].update(number, **item)
    merged = CocoAveragePrecision()
    for part in parts[::-1]:
        merged.merge(part)
    assert merged.num_images == whole.num_images == 40
    assert merged.compute() == whole.compute()
    kept = CocoAveragePrecision()
    kept.load_state(merged.state())
    assert kept.num_images == 40 and kept.compute() == whole.compute()


def test_perfect_detections():
    metric = CocoAveragePrecision()
    box = np.array([[3.0, 4, 50, 60]])
    metric.update(
        0, classes=np.array([2]), scores=np.array([0.9]), boxes=box, true_class=2, true_boxes=box
    )
    assert metric.compute() == pytest.approx((100, 100, 100))


def test_a_class_nobody_predicted_counts_as_zero():
    metric = CocoAveragePrecision()
    box = np.array([[3.0, 4, 50, 60]])
    for number, (answer, truth) in enumerate([(0, 0), (0, 1)]):
        metric.update(
            number, classes=np.array([answer]), scores=np.array([0.9 - number / 2]), boxes=box,
            true_class=truth, true_boxes=box,
        )  # fmt: skip
    assert metric.compute()[0] == pytest.approx(50)


def test_counts_by_hand():
    counts = LocalizationCounts()
    for localized, rank in ((True, 0), (True, 4), (False, 0), (True, 5), (None, 0), (True, None)):
        counts.update(localized, rank)
    result = counts.compute()
    assert result["top1_cls"] == pytest.approx(60) and result["top5_cls"] == pytest.approx(80)
    assert result["gt_known_loc"] == pytest.approx(80)
    assert result["top1_loc"] == pytest.approx(20) and result["top5_loc"] == pytest.approx(40)
    assert LocalizationCounts().compute() == {}
