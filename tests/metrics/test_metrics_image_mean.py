"""Metrics that are a number an image, against their definitions written out pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wsol.datasets.base import Dataset, Sample
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.protocol import Protocol
from wsol.metrics.catalog import IMAGE_METRICS, heading, image_metric
from wsol.metrics.energy_pointing_game import energy_pointing_game
from wsol.metrics.image_mean import AnnotatedMap, ImageMeans
from wsol.metrics.pointing_game import pointing_game
from wsol.metrics.rank_accuracy import rank_accuracy


def by_hand(image):
    """The three metrics from a list of pixels in raster order."""
    height, width = image.score_map.shape
    pixels = []
    for y in range(height):
        for x in range(width):
            if image.mask is None:
                inside = any(
                    x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in image.boxes.tolist()
                )
            elif image.mask[y, x] == 255:
                continue
            else:
                inside = image.mask[y, x] == 1
            pixels.append((float(image.score_map[y, x]), bool(inside)))
    area = sum(inside for _, inside in pixels)
    if area == 0:
        return None, None, None
    ranked = sorted(pixels, key=lambda pixel: -pixel[0])  # stable: raster order among equals
    whole = sum(value for value, _ in pixels)
    energy = sum(value for value, inside in pixels if inside) / whole if whole else 0.0
    return float(ranked[0][1]), energy, sum(inside for _, inside in ranked[:area]) / area


@st.composite
def annotated_maps(draw):
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    few = draw(st.booleans())  # values, so that there are ties
    values = st.sampled_from([0.0, 0.25, 1.0]) if few else st.floats(0, 1, width=32)
    score_map = draw(hnp.arrays(np.float32, shape, elements=values))
    if draw(st.booleans()):
        kinds = st.sampled_from([0, 1, 255])
        return AnnotatedMap(
            score_map, np.zeros((0, 4)), draw(hnp.arrays(np.uint8, shape, elements=kinds))
        )
    corner = st.floats(-1, 9).map(lambda value: round(value, 1))
    boxes = draw(st.lists(st.tuples(corner, corner, corner, corner), min_size=0, max_size=3))
    return AnnotatedMap(score_map, np.array(boxes, dtype=float).reshape(-1, 4), None)


@settings(max_examples=300, deadline=None)
@given(annotated_maps())
def test_the_definitions(image):
    pointing, energy, rank = by_hand(image)
    assert pointing_game(image) == pointing
    assert energy_pointing_game(image) == pytest.approx(energy, abs=1e-6)
    assert rank_accuracy(image) == (None if rank is None else pytest.approx(rank, abs=1e-12))


def data(count=4):
    samples = [
        Sample(f"{i}.jpg", None, 0, np.array([[0.0, 0, 111, 223]]), (224, 224))
        for i in range(count)
    ]
    return Dataset("halves", "test", samples, ("a",), ("a",))


def half(left):
    score_map = np.zeros((224, 224), np.float32)
    score_map[:, :112] = left
    score_map[:, 112:] = 1 - left
    return score_map


def test_they_reach_the_metrics_and_add_up_in_any_order():
    protocol = Protocol(threshold_step=0.5, metric=IMAGE_METRICS)
    whole = Evaluator(data(), protocol)
    shards = [Evaluator(data(), protocol) for _ in range(2)]
    for number, left in enumerate((1.0, 0.75, 0.25, 0.75)):
        whole.update(half(left), f"{number}.jpg")
        shards[number % 2].update(half(left), f"{number}.jpg")
    shards[1].merge(shards[0])
    metrics = whole.compute()
    assert metrics == shards[1].compute()
    assert (metrics.pointing_game, metrics.energy_pointing_game, metrics.rank_accuracy) == (
        75.0, 68.75, 75.0,
    )  # fmt: skip
    again = Evaluator(data(), protocol)
    again.load_state(whole.state())
    assert again.compute() == metrics
    with pytest.raises(InputError, match="different protocols"):
        whole.merge(Evaluator(data(), protocol.replaced(metric=())))


def test_nobody_gets_what_was_not_asked_for():
    evaluator = Evaluator(data(), Protocol(threshold_step=0.5))
    evaluator.update(half(1.0), "0.jpg")
    assert "pointing_game" not in evaluator.compute().model_dump()
    assert evaluator.plugin_metrics() == {}


PLUGIN = """
def corner(image):
    return image.score_map[0, 0]
def too_much(image):
    return 3
def broken(image):
    return image.nothing
def never(image):
    return None
def text(image):
    return "0.5"
def pair(image):
    return image.score_map[0, :2]
def nowhere(image):
    return float("nan")
def leaves(image):
    raise SystemExit(2)
def greedy(image):
    raise MemoryError
def spoils(image):
    for array in (image.score_map, image.boxes, image.mask):
        if array is not None:
            array[:] = 0
    return True
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "own_metrics_of_a_test.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "own_metrics_of_a_test:{}".format


def test_a_metric_of_ones_own(plugin):
    evaluator = Evaluator(data(2), Protocol(threshold_step=0.5, metric=(plugin("corner"),)))
    evaluator.update(half(1.0), "0.jpg")
    evaluator.update(half(0.75), "1.jpg")
    assert evaluator.plugin_metrics() == {plugin("corner"): 87.5}
    assert heading(plugin("corner")) == "corner"
    undefined = Evaluator(data(1), Protocol(threshold_step=0.5, metric=(plugin("never"),)))
    undefined.update(half(1.0), "0.jpg")
    assert undefined.plugin_metrics() == {}


@pytest.mark.parametrize("is_masked", [False, True])
def test_what_a_metric_of_ones_own_does_to_its_map_is_nobody_elses(plugin, is_masked):
    mask = np.ones((4, 4), np.uint8) if is_masked else None
    image = AnnotatedMap(np.ones((4, 4), np.float32), np.array([[0.0, 0, 2, 2]]), mask)
    assert image_metric(plugin("spoils")).of(image, "0.jpg") == 1.0
    assert image.score_map.all() and image.boxes.any() and (mask is None or mask.all())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("too_much", r"too_much: gave 3 for 0\.jpg; a metric returns a number from 0 to 1"),
        (
            "broken",
            r"broken: failed for 0\.jpg \(AttributeError: .*_test\.py:7\); a metric takes an Ann",
        ),
        ("text", r"text: gave the type str for 0\.jpg"),
        ("pair", r"pair: gave the type ndarray for 0\.jpg"),
        ("nowhere", r"nowhere: gave nan for 0\.jpg"),
        ("leaves", r"leaves: failed for 0\.jpg \(SystemExit: 2, own_metrics_of_a_test\.py:\d+\)"),
        ("greedy", r"greedy: memory is exhausted by 0\.jpg"),
        ("absent", r"has no callable 'absent'"),
    ],
)
def test_a_metric_that_is_none_is_named(plugin, name, message):
    with pytest.raises(InputError, match=message):
        Evaluator(data(1), Protocol(threshold_step=0.5, metric=(plugin(name),))).update(
            half(1.0), "0.jpg"
        )


def test_unknown_metrics_suggest():
    with pytest.raises(InputError, match="did you mean pointing_game"):
        image_metric("pointing-game")
    with pytest.raises(InputError, match="cannot be imported"):
        image_metric("no_such_module_anywhere:name")
    with pytest.raises(InputError, match="other metrics or images"):
        ImageMeans(("a",), 3).load_state({"values": np.zeros((1, 2))})
