"""Thresholds without boxes, and the oracle's, beside the one that accuracies are read at."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import filters
from skimage.measure import label as label_components
from skimage.measure import regionprops

from wsol.boxes.geometry import exact_ground_truth, protocol_ground_truth
from wsol.datasets.base import Dataset, Sample
from wsol.datasets.shapes import generate_shapes, read_shapes
from wsol.errors import InputError
from wsol.evaluation.conventions import PRESETS
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import Classification
from wsol.evaluation.loop import evaluate
from wsol.evaluation.one_box import BoxJudge
from wsol.evaluation.options import EvaluationOptions as Options
from wsol.evaluation.protocol import Protocol
from wsol.maps.policies import POLICIES
from wsol.records.record import Metrics

from support.conventions import bilinear, iou, minmax, restated


def exact_boxes(foreground, contours):
    """8-connected components' tight boxes, the largest by pixels first in raster order."""
    regions = regionprops(label_components(foreground, connectivity=2))
    found = [[r.bbox[1], r.bbox[0], r.bbox[3] - 1, r.bbox[2] - 1] for r in regions]
    if contours == "largest" and found:
        found = [found[int(np.argmax([r.num_pixels for r in regions]))]]
    return found


def boxes_of(score_map, policy, convention, contours, opencv_boxes):
    """The boxes of a map in [0, 1] at its own threshold, step by step."""
    share = 1.0
    if score_map.max() > score_map.min():
        share = float(getattr(filters, f"threshold_{policy}")(score_map)) / float(score_map.max())
    if convention == "choe2020":
        levels = np.trunc(255 * score_map.astype(np.float64)).astype(np.uint8)
        return opencv_boxes(levels, int(share * levels.max()), contours)
    if score_map.max() <= 0:
        return []
    values = score_map.astype(np.float64)
    return exact_boxes(values >= share * values.max(), contours)


def made(seed, number, convention):
    """A data set of `number` images, a map and an answer for each."""
    rng = np.random.default_rng(seed)
    samples, maps, answers = [], [], []
    y, x = np.mgrid[0:224, 0:224] / 224
    for place in range(number):
        cx, cy, width = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(4, 60)
        score_map = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) * width)
        score_map += 0.6 * np.exp(-((x - 1 + cx) ** 2 + (y - cy) ** 2) * 80)
        if place % 5 == 4:
            score_map = np.zeros_like(score_map)
        maps.append(minmax(score_map).astype(np.float32))
        near = rng.integers(0, 150, 2)
        far = near + rng.integers(20, 140, 2)
        boxes = np.concatenate([near, far])[None].astype(float)
        samples.append(Sample(f"{place}.png", None, place % 3, boxes, (300, 300)))
        answers.append(int(rng.integers(0, 8)))
    classes = ("a", "b", "c")
    return Dataset("made", "test", samples, classes, classes), maps, answers


@pytest.mark.parametrize("convention", ["choe2020", "exact"])
@settings(max_examples=8)
@given(seed=st.integers(0, 10**6))
def test_accuracies_at_each_maps_own_threshold_step_by_step(opencv_boxes, convention, seed):
    data, maps, answers = made(seed, 10, convention)
    protocol = Protocol(
        convention=convention, also_at=(*POLICIES, "best"), threshold_step=0.02, threshold="li"
    )
    evaluator = Evaluator(data, protocol)
    for sample, score_map, rank in zip(data, maps, answers, strict=True):
        said = Classification(rank, np.array([0]), np.array([1.0]), None)
        evaluator.update(score_map, sample.image_id, said)
    metrics = evaluator.compute()
    scale = protocol_ground_truth if convention == "choe2020" else exact_ground_truth
    truths = [scale(sample.boxes, sample.size, (224, 224))[0] for sample in data]

    def best_iou(boxes, truth):
        return max((iou(box, truth, 1) for box in boxes), default=0.0)

    for policy in POLICIES:
        largest, every = (
            np.array(
                [
                    best_iou(boxes_of(score_map, policy, convention, contours, opencv_boxes), truth)
                    for score_map, truth in zip(maps, truths, strict=True)
                ]
            )
            for contours in ("largest", "all")
        )
        ranks, right = np.array(answers), largest >= 0.5
        v2 = np.mean([(every >= level).mean() for level in protocol.iou])
        assert metrics.loc_at[policy] == pytest.approx(
            {
                "gt_known_loc": 100 * right.mean(),
                "top1_loc": 100 * (right & (ranks < 1)).mean(),
                "top5_loc": 100 * (right & (ranks < 5)).mean(),
                "max_box_acc_v2": 100 * v2,
            }
        )
    for name in ("gt_known_loc", "top1_loc", "top5_loc"):
        assert getattr(metrics, name) == metrics.loc_at["li"][name]
    assert list(metrics.loc_at) == [*POLICIES, "best"]
    assert metrics.loc_at["best"]["gt_known_loc"] == metrics.max_box_acc
    assert Metrics.model_validate(metrics.model_dump()) == metrics


def test_top_k_at_the_best_threshold_is_that_of_a_run_at_it():
    data, maps, answers = made(7, 25, "choe2020")

    def run(**options):
        evaluator = Evaluator(data, Protocol(threshold_step=0.05, **options))
        for sample, score_map, rank in zip(data, maps, answers, strict=True):
            said = Classification(rank, np.array([0]), np.array([1.0]), None)
            evaluator.update(score_map, sample.image_id, said)
        return evaluator.compute()

    found = run(also_at=("best",))
    best = found.best_threshold_largest["0.5"]
    at_best = run(threshold=best)
    names = ("gt_known_loc", "top1_loc", "top5_loc")
    assert found.loc_at["best"] == {name: getattr(at_best, name) for name in names}
    assert found.loc_at["best"]["gt_known_loc"] > found.gt_known_loc


def test_shards_add_up_and_go_on():
    data, maps, answers = made(3, 12, "exact")
    protocol = Protocol(also_at=("otsu", "best", "mean"), threshold_step=0.1)
    whole, *shards = (Evaluator(data, protocol) for _ in range(3))
    for number, (sample, score_map) in enumerate(zip(data, maps, strict=True)):
        said = Classification(answers[number], np.array([0]), np.array([1.0]), None)
        for evaluator in (whole, shards[number % 2]):
            evaluator.update(score_map, sample.image_id, said)
    again = Evaluator(data, protocol)
    again.load_state(shards[1].state())
    shards[0].merge(again)
    assert shards[0].compute() == whole.compute()


@pytest.mark.parametrize("convention", ["zhou2016", "ts-cam", "psol", "bas", "sat", "danet"])
@pytest.mark.parametrize("policy", POLICIES)
def test_conventions_that_ask_for_one_box_take_policies(convention, policy):
    rules, rng = PRESETS[convention], np.random.default_rng(5)
    size = (300, 200)
    sample = Sample("a.jpg", None, 0, np.array([[40.0, 30, 220, 170]]), size)
    score_map = rng.random((7, 7))
    outcome = BoxJudge(rules, (policy,), "ILSVRC").judge_map(score_map, sample)
    width, height = size if rules.grid == "original" else rules.grid
    values = bilinear(score_map, width, height)
    if rules.normalization == "after":
        values = minmax(values)
    elif rules.normalization != "none":
        low, high = score_map.min(), score_map.max()
        eps = 1e-5 if rules.normalization == "before-eps" else 0
        values = (values - low) / (high - low + eps)
    threshold = float(getattr(filters, f"threshold_{policy}")(values))
    if rules.foreground in ("levels", "above-share"):
        threshold /= values.max()
    boxes = [
        restated(convention, score_map, size, sample.boxes.tolist(), threshold + shift)[0]
        for shift in (0, -1e-6, 1e-6)  # where interpolations round a pixel to either side
    ]
    assert any(np.array_equal(outcome.fixed_box, box) for box in boxes)


def test_policies_stand_beside_a_conventions_own_threshold():
    sample = Sample("a.jpg", None, 0, np.array([[40.0, 30, 220, 170]]), (300, 200))
    data = Dataset("ILSVRC", "test", [sample], ("a", "b"), ("a", "b"))
    score_map = np.random.default_rng(5).random((7, 7))
    evaluator = Evaluator(data, Protocol(convention="sat", also_at=("otsu", "mean")))
    evaluator.update(score_map, "a.jpg")
    metrics = evaluator.compute()
    assert metrics.best_threshold_largest["0.5"] in (0.3, 0.35, 0.4, 0.45)
    for policy in ("otsu", "mean"):
        alone = Evaluator(data, Protocol(convention="sat", threshold=policy))
        alone.update(score_map, "a.jpg")
        expected = alone.compute().gt_known_loc
        assert metrics.loc_at[policy] == {"gt_known_loc": expected}


def test_what_is_recorded_and_refused():
    told = Protocol(threshold="otsu", also_at=("li",)).settings()
    assert told["automatic_threshold"] == "otsu" and "fixed_threshold" not in told
    assert "without boxes" in told["threshold_policy"]["gt_known_loc"]
    assert told["also_at"] == ["li"]
    assert Protocol(threshold="0.3").threshold == 0.3 == Protocol(threshold=0.3).threshold
    assert "also_at" not in Protocol().settings()
    for options, message in (
        ({"threshold": "otsuu"}, "should be a number or 'otsu', .* did you mean otsu"),
        ({"threshold": 1.5}, "threshold: should be from 0 to 1"),
        ({"threshold": True}, "threshold: should be from 0 to 1"),
        ({"also_at": ("otsu", "otsu")}, "twice"),
        ({"also_at": ("beest",)}, "did you mean best"),
        ({"also_at": ("best",), "contours": "all"}, "use contours both"),
        ({"also_at": ("best",), "convention": "psol"}, "psol has not; add search"),
    ):
        with pytest.raises(InputError, match=message):
            Protocol(**options)


@pytest.mark.parametrize("convention", ["choe2020", "exact"])
def test_the_frame_s_box_is_the_same_at_a_threshold_that_a_map_chooses(tmp_path, convention):
    generate_shapes(tmp_path, train=0, val=0, test=24, size=48, seed=0)
    shapes = read_shapes(tmp_path, "test")
    usual = Options(protocol=Protocol(convention=convention, threshold_step=0.1))
    also = usual.replaced(protocol=usual.protocol.replaced(threshold="otsu", also_at=("li",)))
    plain, found = evaluate("full", shapes, usual), evaluate("full", shapes, also)
    assert plain.metrics.gt_known_loc > 0
    assert found.metrics.gt_known_loc == plain.metrics.gt_known_loc
    assert found.metrics.loc_at["li"]["gt_known_loc"] == plain.metrics.gt_known_loc
    assert found.metrics.max_box_acc_v2 == plain.metrics.max_box_acc_v2
