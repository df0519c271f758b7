"""Every convention against the same written out again, and the open values of the literature."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.registry import open_dataset
from wsol.errors import InputError
from wsol.evaluation.conventions import PRESETS
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import Classification
from wsol.evaluation.loop import evaluate
from wsol.evaluation.one_box import BoxJudge
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.protocol import Protocol

from support.conventions import restated

ONE_BOX = ("zhou2016", "ts-cam", "psol", "bas", "sat", "danet")


def annotated(boxes, size=(300, 200), name="ILSVRC"):
    sample = Sample("a.jpg", None, 0, np.asarray(boxes, float).reshape(-1, 4), size)
    return sample, Dataset(name, "test", [sample], ("a", "b"), ("a", "b"))


@st.composite
def cases(draw):
    seed = draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    side = draw(st.sampled_from([7, 14, 28]))
    kind = draw(st.sampled_from(["noise", "blob", "flat", "two"]))
    y, x = np.mgrid[0:side, 0:side] / side
    score_map = {
        "noise": lambda: rng.random((side, side)),
        "blob": lambda: np.exp(-((x - rng.random()) ** 2 + (y - rng.random()) ** 2) * 20),
        "flat": lambda: np.full((side, side), 0.5),
        "two": lambda: np.where((x < 0.3) | (x > 0.7), 1.0, 0.0),
    }[kind]()
    size = (int(rng.integers(120, 500)), int(rng.integers(120, 500)))
    near = rng.integers(0, 60, (2, 2))
    far = near + rng.integers(20, 60, (2, 2))
    boxes = np.concatenate([near, far], axis=1).astype(float)
    boxes[0] = [0, 0, size[0] - 1, size[1] - 1] if draw(st.booleans()) else boxes[0]
    return score_map, size, boxes, draw(st.sampled_from([0.1, 0.3, 0.5, 0.8]))


@pytest.mark.parametrize("convention", ONE_BOX)
@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_the_restatement(convention, case):
    score_map, size, boxes, threshold = case
    if convention == "zhou2016" and np.ptp(score_map) == 0:
        return  # a flat map lies above its share of itself everywhere: a matter of rounding
    sample, _ = annotated(boxes, size)
    judging = BoxJudge(PRESETS[convention], (threshold,), "ILSVRC")
    outcome = judging.judge_map(score_map, sample)
    box, right, top_k = restated(convention, score_map, size, boxes.tolist(), threshold)
    # Where two interpolations round a pixel to either side of the threshold, boxes may differ.
    if np.abs(outcome.fixed_box - box).max() > 0:
        shifted = [
            restated(convention, score_map, size, boxes.tolist(), threshold + d)[0]
            for d in (-1e-6, 1e-6)
        ]
        assert any(np.array_equal(outcome.fixed_box, other) for other in shifted)
    else:
        assert outcome.decisions == ((right, top_k),)


@pytest.mark.parametrize("convention", [*ONE_BOX, "choe2020", "exact"])
def test_iou_of_exactly_one_half(convention):
    """`full` against a box of half the frame, where conventions differ in what they ask for."""
    rules = PRESETS[convention]
    judging = BoxJudge(rules, (0.5,), "ILSVRC")
    grid = judging.grid_of((224, 224))
    whole = judging.boxes(None, (224, 224))
    assert whole.shape == (1, 4) and whole[0, 2] in (grid[0], grid[0] - 1)
    sample, _ = annotated([[0, 0, 111, 223]], (224, 224))
    decided = judging.judge(whole, sample, (224, 224)).decisions[0]
    if convention in ("zhou2016", "danet", "choe2020"):
        # The whole is 224x224 pixels, the truth 112x224: one half, reached and not exceeded.
        assert decided == (rules.hit == "reaching", rules.hit_top_k == "reaching")


def test_only_cub_has_shorter_boxes_in_danet():
    for name, far in (("CUB", 98.0), ("ILSVRC", 99.0)):
        sample, _ = annotated([[0, 0, 99, 99]], name=name)
        judging = BoxJudge(PRESETS["danet"], (0.5,), name)
        outcome = judging.judge(judging.boxes(None, (300, 200)), sample, (300, 200))
        assert outcome.true_boxes[0, 2] == far


def test_sat_takes_the_best_of_four_and_merges_to_the_same():
    samples = [
        Sample(f"{i}.jpg", None, i % 2, np.array([[60.0, 60, 160, 160]]), (256, 256))
        for i in range(6)
    ]
    data = Dataset("ILSVRC", "test", samples, ("a", "b"), ("a", "b"))
    protocol = Protocol(convention="sat")
    whole, *shards = (Evaluator(data, protocol) for _ in range(3))
    y, x = np.mgrid[-1:1:28j, -1:1:28j]
    for number, sample in enumerate(samples):
        score_map = np.exp(-(x**2 + y**2) * (2 + number))
        said = Classification(number % 3, np.array([0]), np.array([1.0]), None)
        whole.update(score_map, sample.image_id, said)
        shards[number % 2].update(score_map, sample.image_id, said)
    shards[0].merge(shards[1])
    metrics = whole.compute()
    assert metrics == shards[0].compute()
    alone = {}
    for threshold in (0.3, 0.35, 0.4, 0.45):
        one = Evaluator(data, Protocol(convention="sat", threshold=threshold))
        for number, sample in enumerate(samples):
            said = Classification(number % 3, np.array([0]), np.array([1.0]), None)
            one.update(np.exp(-(x**2 + y**2) * (2 + number)), sample.image_id, said)
        alone[threshold] = one.compute()
    best = max(alone, key=lambda t: round(alone[t].gt_known_loc + alone[t].top1_loc, 9))
    assert metrics.gt_known_loc == alone[best].gt_known_loc
    assert metrics.best_threshold_largest == {"0.5": best}
    assert metrics.max_box_acc is None and metrics.gt_known_loc_class_mean is not None
    assert metrics.top1_loc <= metrics.top5_loc <= metrics.gt_known_loc


@pytest.mark.parametrize(
    ("convention", "dataset", "accuracy"),
    [
        ("choe2020", "CUB", 18.951), ("psol", "CUB", 34.501), ("bas", "CUB", 34.777),
        pytest.param("choe2020", "ILSVRC", 41.108, marks=pytest.mark.slow),
        pytest.param("psol", "ILSVRC", 50.424, marks=pytest.mark.slow),
        pytest.param("bas", "ILSVRC", 50.598, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_the_whole_image_on_all_annotations(shared_data, convention, dataset, accuracy):
    data = open_dataset("protocol", shared_data / "wsol-metadata" / dataset / "test")
    protocol = Protocol(convention=convention, threshold_step=0.5)
    record = evaluate("full", data, EvaluationOptions(protocol=protocol))
    assert record.metrics.gt_known_loc == pytest.approx(accuracy, abs=5e-4)
    assert record.settings["convention"] == convention


def test_old_names_are_understood():
    assert Protocol(convention="wsolevaluation") == Protocol() == Protocol(compat="wsolevaluation")
    assert Protocol(compat="none").convention == ("exact",)
    assert Protocol().settings()["convention"] == "choe2020"
    with pytest.raises(InputError, match="did you mean psol"):
        Protocol(convention="psoll")


def test_what_a_convention_cannot_have_is_said():
    _, data = annotated([[0, 0, 9, 9]], name="birds")
    with pytest.raises(InputError, match=r"psol states no threshold for center on birds"):
        evaluate("center", data, EvaluationOptions(protocol=Protocol(convention="psol")))
    one = Protocol(convention="psol", threshold=0.5)
    for option, message in (
        ({"curves": True}, "--curves: is of a search .* psol does not make; add --search"),
        ({"resize_mode": "letterbox"}, "--resize-mode letterbox"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate("full", data, EvaluationOptions(protocol=one, **option))


def test_thresholds_by_network_and_data_set():
    bas = Protocol(convention="bas")
    assert bas.asked_thresholds("ILSVRC", "resnet50") == (0.45,)
    assert bas.asked_thresholds("CUB", "inception_v3") == (0.1,)
    assert bas.asked_thresholds("CUB", "vgg16_gap") == (0.15,)
    assert Protocol(convention="ts-cam").asked_thresholds("ILSVRC", "any") == (0.12,)
    assert Protocol(convention="sat").asked_thresholds("any", "any") == (0.3, 0.35, 0.4, 0.45)


def test_what_a_protocol_does_not_have_is_said():
    with pytest.raises(InputError, match="psol: asks for one box and has no engine"):
        _ = Protocol(convention="psol").engine
    with pytest.raises(InputError, match="danet: has no grid that is the same"):
        _ = Protocol(convention="danet").map_grid
    both = Protocol(convention=("choe2020", "exact"), threshold={"choe2020": 0.3, "exact": 0.2})
    with pytest.raises(InputError, match="one for each of several conventions"):
        _ = both.fixed_threshold
    assert [one.fixed_threshold for one in both.each()] == [0.3, 0.2]
