"""Conventions with replaced parts, and the views that are classified."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.shapes import generate_shapes
from wsol.errors import InputError
from wsol.evaluation.conventions import PARTS, PRESETS
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import judge_map
from wsol.evaluation.loop import evaluate
from wsol.evaluation.one_box import BoxJudge
from wsol.evaluation.options import EvaluationOptions, ScoreOptions
from wsol.evaluation.precomputed import score
from wsol.evaluation.protocol import Protocol
from wsol.models.classifier import Classifier, Preprocessing

from support.command import wsol


@st.composite
def cases(draw):
    """A map, the size of its photograph, a true box, a threshold."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    side = draw(st.sampled_from([5, 14, 224]))
    y, x = np.mgrid[0:side, 0:side] / side
    score_map = {
        "noise": lambda: rng.random((side, side)),
        "blob": lambda: np.exp(-((x - rng.random()) ** 2 + (y - rng.random()) ** 2) * 20),
        "steps": lambda: np.round(3 * rng.random((side, side))) / 3,
        "zeros": lambda: np.zeros((side, side)),
        "flat": lambda: np.full((side, side), 0.5),
    }[draw(st.sampled_from(["noise", "blob", "steps", "zeros", "flat"]))]()
    size = (int(rng.integers(60, 400)), int(rng.integers(60, 400)))
    near = rng.integers(0, 30, 2)
    box = [*near, *(near + rng.integers(10, 29, 2))]
    kind = draw(st.sampled_from([np.float32, np.float64]))
    return score_map.astype(kind), size, box, draw(st.sampled_from([0.0, 0.1, 0.2, 0.45, 0.9]))


def sample_of(size, box):
    return Sample("a.jpg", None, 0, np.array([box], float), size)


@pytest.mark.parametrize("name", ["choe2020", "exact"])
@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_one_box_and_the_engine_are_the_same(name, case):
    score_map, size, box, threshold = case
    sample = sample_of(size, box)
    engine = judge_map(
        score_map, sample, Protocol(convention=name, threshold=threshold, threshold_step=0.5)
    )
    by_rule = BoxJudge(PRESETS[name], (threshold,), "ILSVRC").judge_map(score_map, sample)
    assert by_rule.fixed_box.tolist() == engine.fixed_box.tolist()
    assert by_rule.fixed_iou == pytest.approx(engine.fixed_iou, abs=1e-12)
    assert by_rule.is_dim == engine.is_dim


@pytest.mark.parametrize("wanted", list(PRESETS))
@pytest.mark.parametrize("base", ["choe2020", "psol", "danet"])
@settings(max_examples=8, deadline=None)
@given(case=cases())
def test_any_preset_is_another_one_with_its_parts_replaced(base, wanted, case):
    score_map, size, box, threshold = case
    data = Dataset("CUB", "test", [sample_of(size, box)], ("a", "b"), ("a", "b"))
    parts = PRESETS[wanted].parts()
    made = Protocol(convention=base, threshold=threshold, threshold_step=0.5, **parts)
    own = Protocol(convention=wanted, threshold=threshold, threshold_step=0.5)
    results = []
    for protocol in (made, own):
        evaluator = Evaluator(data, protocol)
        evaluator.update(score_map, "a.jpg")
        results.append(evaluator.compute())
    assert results[0] == results[1]
    changed = [part for part in PARTS if PRESETS[base].parts()[part] != parts[part]]
    assert (made.rules.name == base) == (not changed)
    assert all(part.replace("_", "-") in made.rules.name for part in changed)


@settings(max_examples=25, deadline=None)
@given(case=cases(), side=st.sampled_from([112, 448]))
def test_another_grid_and_upsampling_by_opencv(case, side):
    score_map, size, box, threshold = case
    protocol = Protocol(
        threshold=threshold, grid=f"{side}x{side}", upsampling="bilinear", threshold_step=0.5
    )
    outcome = judge_map(score_map, sample_of(size, box), protocol)
    if np.ptp(score_map) == 0:
        assert outcome.fixed_box.tolist() == [0, 0, 0, 0]
        return
    scaled = cv2.resize(score_map.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    finished = (scaled - scaled.min()) / np.ptp(scaled)
    boxes = []
    for shift in (0, -1e-5, 1e-5):  # two interpolations may round a pixel to either side
        levels = np.trunc(255 * np.clip(finished + shift, 0, 1)).astype(np.uint8)
        found = cv2.findContours(
            (levels > int(threshold * levels.max())).astype(np.uint8),
            cv2.RETR_TREE,
            cv2.CHAIN_APPROX_SIMPLE,
        )[0]
        x, y, w, h = cv2.boundingRect(max(found, key=cv2.contourArea))
        boxes.append([x, y, min(x + w, side - 1), min(y + h, side - 1)])
    assert outcome.fixed_box.tolist() in boxes
    truth = np.trunc(np.array(box) * side / np.tile(size, 2))
    assert outcome.true_boxes[0].tolist() == truth.tolist()


def test_what_a_record_says_of_replaced_parts():
    data = Dataset("ILSVRC", "val", [sample_of((90, 60), [9, 9, 50, 50])], ("a",), ("a",))

    def settings_of(**protocol):
        asked = Protocol(threshold_step=0.5, **protocol)
        return evaluate("center", data, EvaluationOptions(protocol=asked)).settings

    plain = settings_of()
    assert settings_of(grid="224x224", upsampling="bicubic") == plain
    assert "convention_parts" not in plain and "views" not in plain
    bilinear = settings_of(upsampling="bilinear")
    assert bilinear["convention"] == "choe2020 (upsampling bilinear)"
    assert bilinear["convention_parts"]["upsampling"] == "bilinear"
    assert settings_of(grid=(448, 448))["grid"] == [448, 448]
    threshold = settings_of(convention="ts-cam", threshold=0.35)
    assert threshold["convention"] == "ts-cam" and threshold["thresholds"] == [0.35]
    changed = settings_of(convention="ts-cam", hit="above", component="union")
    assert changed["convention"] == "ts-cam (component union, hit above)"
    assert changed["thresholds"] == [0.12]
    with pytest.raises(
        InputError, match=r"psol \(overlap plus-one\) states no threshold for center on ILSVRC"
    ):
        settings_of(convention="psol", overlap="plus-one")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"grid": "224"}, "the grid '224' is neither WIDTHxHEIGHT"),
        ({"upsampling": "nearest"}, "the upsampling 'nearest' is none of bicubic, bilinear"),
        ({"truth": "original"}, "the truth original needs the grid original"),
        ({"convention": "danet", "frame": "crop"}, "the grid original is of the whole photograph"),
    ],
)
def test_parts_that_do_not_fit(parts, message):
    with pytest.raises(InputError, match=message):
        Protocol(**parts)


def test_replaced_parts_on_the_command_line(tmp_path):
    generate_shapes(tmp_path / "shapes", train=1, val=1, test=3, size=48, seed=0)
    command = ["evaluate", "center", "--data", "shapes", "--root", "shapes", "--threshold", "0.3"]
    parts = ["--convention", "psol", "--overlap", "plus-one", "--hit-top-k", "reaching"]
    out, _ = wsol(tmp_path, *command, *parts, "--out", "out", "--json", "-")
    assert '"convention": "psol (overlap plus-one, hit-top-k reaching)"' in out
    _, told = wsol(tmp_path, *command, "--component", "biggest", code=2)
    assert "the component 'biggest' is none of contour, pixels, box, union" in told


class Corners(nn.Module):
    """Class c is how bright the input's corner c is: crops differ in what they say."""

    def __init__(self):
        super().__init__()
        self.features = nn.AvgPool2d(32)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(3, 3)
        with torch.no_grad():
            self.fc.weight.copy_(9 * torch.eye(3))
            self.fc.bias.zero_()

    def forward(self, images):
        return self.fc(self.pool(self.features(images)).flatten(1))


@pytest.fixture
def classifier():
    plain = Preprocessing(size=224, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return Classifier("corners", Corners().eval(), None, plain)


@pytest.fixture
def photographs(tmp_path):
    rng = np.random.default_rng(0)
    samples = []
    for number in range(6):
        pixels = cv2.resize(rng.integers(0, 256, (4, 5, 3), np.uint8), (300, 200))
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        samples.append(Sample(path.name, path, number % 3, np.array([[9.0, 9, 200, 150]])))
    classes = ("a", "b", "c")
    return {name: Dataset(name, "test", samples, classes, classes) for name in ("CUB", "ILSVRC")}


def squares(path, view):
    """The crops of a view, by the sentence: resize to 256, cut squares of 224, mirror."""
    image = Image.open(path)
    if view == "squash":
        return [image.resize((224, 224), Image.Resampling.BILINEAR)]
    whole = image.resize((256, 256), Image.Resampling.BILINEAR)
    places = [(16, 16)] if view == "center" else [(0, 0), (32, 0), (0, 32), (32, 32), (16, 16)]
    crops = [whole.crop((x, y, x + 224, y + 224)) for x, y in places]
    if view == "center":
        return crops
    return crops + [crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for crop in crops]


@pytest.mark.parametrize("view", ["squash", "center", "ten-crop"])
@pytest.mark.parametrize("convention", ["choe2020", "psol", "danet"])
def test_what_is_classified(classifier, photographs, convention, view):
    asked = Protocol(convention=convention, threshold=0.2, views=view, threshold_step=0.5)
    options = EvaluationOptions(protocol=asked, device="cpu", workers=0, batch_size=4)
    record = evaluate(classifier, photographs["ILSVRC"], options)
    right = 0
    for sample in photographs["ILSVRC"].samples:
        pixels = np.stack([np.asarray(crop) for crop in squares(sample.path, view)])
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            mean = classifier.network(images).softmax(1).mean(0)
        right += int(mean.argmax()) == sample.label
    assert record.metrics.top1_cls == pytest.approx(100 * right / 6)
    own = {"choe2020": ["squash"], "psol": ["center", "ten-crop"], "danet": ["ten-crop"]}
    name = convention if view in own[convention] else f"{convention} (views {view})"
    assert record.settings["convention"] == name and record.settings["views"] == view


def test_the_view_does_not_move_maps(classifier, photographs):
    found = {}
    for view in (None, "squash", "center", "ten-crop"):
        asked = Protocol(views=view, threshold_step=0.1)
        options = EvaluationOptions(protocol=asked, device="cpu", workers=0, coco=False)
        found[view] = evaluate(classifier, photographs["ILSVRC"], options)
    for record in found.values():
        assert record.metrics.max_box_acc_v2 == found[None].metrics.max_box_acc_v2
        assert record.metrics.gt_known_loc == found[None].metrics.gt_known_loc
    assert found["squash"].metrics == found[None].metrics


def test_sat_takes_ten_crops_on_cub_and_one_on_ilsvrc(classifier, photographs):
    for name, own, other in (("CUB", "ten-crop", "center"), ("ILSVRC", "center", "ten-crop")):
        for view, told in ((None, "sat"), (own, "sat"), (other, f"sat (views {other})")):
            asked = Protocol(convention="sat", views=view)
            options = EvaluationOptions(protocol=asked, device="cpu", workers=0)
            settings = evaluate(classifier, photographs[name], options).settings
            assert (settings["convention"], settings["views"]) == (told, view or own)
        # A baseline stands in the table of the networks.
        asked = Protocol(convention="sat", views=other)
        settings = evaluate("center", photographs[name], EvaluationOptions(protocol=asked)).settings
        assert settings["convention"] == f"sat (views {other})"


def test_the_threshold_is_of_the_architecture_and_not_of_the_name(classifier, photographs):
    class ResNet(Corners):
        """As a user's own builder names it."""

    plain = classifier.preprocessing
    own = Classifier("mine", ResNet().eval(), None, plain)
    own.name = "an inception of mine"
    options = EvaluationOptions(
        protocol=Protocol(convention="bas", views="center"), device="cpu", workers=0
    )
    assert evaluate(own, photographs["ILSVRC"], options).settings["thresholds"] == [0.45]
    with pytest.raises(InputError, match="states no threshold for corners Corners on ILSVRC"):
        evaluate(classifier, photographs["ILSVRC"], options)


@pytest.mark.parametrize("convention", list(PRESETS))
def test_raw_maps(convention):
    """Any finite map is one where the convention normalizes all maps, or none."""
    rng = np.random.default_rng(0)
    raw = rng.normal(3, 9, (7, 7))
    data = Dataset("ILSVRC", "val", [sample_of((90, 60), [9, 9, 50, 50])], ("a",), ("a",))
    evaluator = Evaluator(data, Protocol(convention=convention, threshold=0.2, threshold_step=0.5))
    if convention in ("choe2020", "exact"):
        with pytest.raises(InputError, match="expected 0 to 1"):
            evaluator.update(raw, "a.jpg")
        return
    evaluator.update(raw, "a.jpg")
    scaled = Evaluator(data, evaluator.protocol)
    # Of zhou2016 a share of the maximum, which scaling keeps; elsewhere shifting as well.
    scaled.update(raw / 2 if convention == "zhou2016" else (raw - 1) / 2, "a.jpg")
    assert evaluator.compute() == scaled.compute()
    with pytest.raises(InputError, match="NaN"):
        Evaluator(data, evaluator.protocol).update(np.full((7, 7), np.nan), "a.jpg")


def test_class_means_of_every_convention():
    """By hand: class a one of two right, class b one of one."""
    box = [[56.0, 56, 167, 167]]
    samples = [
        Sample(f"{i}.jpg", None, label, np.array(box), (224, 224))
        for i, label in enumerate([0, 0, 1])
    ]
    data = Dataset("ILSVRC", "val", samples, ("a", "b", "c"), ("a", "b", "c"))
    right, wrong = np.zeros((224, 224), np.float32), np.zeros((224, 224), np.float32)
    right[56:168, 56:168] = 1
    wrong[:20, :20] = 1
    for name in ("choe2020", "exact", "danet", "zhou2016"):
        evaluator = Evaluator(data, Protocol(convention=name, threshold=0.5, threshold_step=0.5))
        for sample, score_map in zip(samples, (right, wrong, right), strict=True):
            evaluator.update(score_map, sample.image_id)
        metrics = evaluator.compute()
        assert metrics.gt_known_loc == pytest.approx(200 / 3)
        assert metrics.gt_known_loc_class_mean == 75
        assert metrics.top1_loc_class_mean is None


def test_maps_alone_have_no_view(photographs, tmp_path):
    asked = ScoreOptions(protocol=Protocol(views="center"))
    with pytest.raises(InputError, match="--views: is what a network classifies"):
        score(tmp_path, photographs["CUB"], asked)
