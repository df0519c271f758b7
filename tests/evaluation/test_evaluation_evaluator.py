"""Maps in, metrics out: by hand, and shards against the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsol.datasets.base import Dataset, Sample
from wsol.errors import InputError
from wsol.evaluation.conventions import PRESETS
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import Classification, judge_map, to_grid, validate_map
from wsol.evaluation.loop import evaluate
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.protocol import Protocol


def sample(number, boxes, size=(224, 224), label=0):
    return Sample(f"{number}.jpg", None, label, np.array(boxes, float).reshape(-1, 4), size)


def dataset(samples):
    classes = ("a", "b", "c", "d", "e", "f")
    return Dataset("hand", "test", samples, classes, classes)


def square(x0, y0, x1, y1, value=1.0):
    score_map = np.zeros((224, 224), np.float32)
    score_map[y0 : y1 + 1, x0 : x1 + 1] = value
    return score_map


def test_a_planted_square_gives_its_exact_box_in_the_exact_convention():
    protocol = Protocol(convention="exact", threshold_step=0.01)
    data = dataset([sample(0, [[30, 40, 99, 119]])])
    outcome = judge_map(square(30, 40, 99, 119), data.samples[0], protocol)
    assert outcome.fixed_box.tolist() == [30, 40, 99, 119]
    assert outcome.fixed_iou == 1.0


def test_the_protocol_puts_the_far_corner_one_pixel_beyond():
    data = dataset([sample(0, [[30, 40, 99, 119]])])
    outcome = judge_map(square(30, 40, 99, 119), data.samples[0], Protocol())
    assert outcome.fixed_box.tolist() == [30, 40, 100, 120]
    assert outcome.fixed_iou == pytest.approx(70 * 80 / (71 * 81))


def test_metrics_by_hand():
    """Three images: a perfect map, a map right only above 0.5, and one in the wrong corner."""
    # Twice the size of the grid, so that ground truth has to be scaled.
    data = dataset(
        [
            sample(0, [[100, 100, 299, 299]], (448, 448), label=1),
            sample(1, [[50, 50, 149, 149]], label=2),
            sample(2, [[150, 150, 220, 220]], label=3),
        ]
    )
    evaluator = Evaluator(data, Protocol(threshold_step=0.1))
    maps = [
        square(50, 50, 149, 149),
        np.maximum(square(0, 0, 223, 223, 0.5), square(50, 50, 149, 149)),
        square(0, 0, 60, 60),
    ]
    ranks = [0, 3, 0]
    for item, score_map, rank in zip(data.samples, maps, ranks, strict=True):
        answer = Classification(rank, np.array([0]), np.array([1.0]), None)
        evaluator.update(score_map, item.image_id, answer)
    metrics = evaluator.compute()
    third = 100 / 3
    assert metrics.top1_cls == pytest.approx(2 * third)
    assert metrics.top5_cls == pytest.approx(100)
    # At 0.2 the second map's largest component is the whole image.
    assert metrics.gt_known_loc == pytest.approx(third)
    assert metrics.top1_loc == pytest.approx(third)
    assert metrics.top5_loc == pytest.approx(third)
    assert metrics.max_box_acc == pytest.approx(2 * third)
    assert metrics.max_box_acc_v2 == pytest.approx(2 * third)
    assert metrics.box_acc == pytest.approx({"0.3": 2 * third, "0.5": 2 * third, "0.7": 2 * third})
    assert metrics.best_threshold["0.5"] == pytest.approx(0.5)
    assert metrics.pxap is None and metrics.coco_ap is None
    curves = evaluator.curves()
    assert curves.largest["0.5"] == [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]


def test_a_constant_map_predicts_nothing_useful_and_does_not_fail():
    data = dataset([sample(0, [[50, 50, 149, 149]])])
    evaluator = Evaluator(data)
    evaluator.update(np.zeros((224, 224), np.float32), "0.jpg")
    assert evaluator.compute().max_box_acc_v2 == 0


@pytest.mark.parametrize(
    ("score_map", "message"),
    [
        (np.zeros((3, 4, 5)), r"the shape \(3, 4, 5\)"),
        (np.zeros((0, 4)), r"the shape \(0, 4\)"),
        (np.zeros((4, 4), np.int64), "the type int64"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.full((4, 4), np.inf), "NaN or infinite"),
        (np.full((4, 4), 1.5), "values from 1.5 to 1.5"),
        (np.array([[-0.1, 1.0]]), "values from -0.1 to 1"),
    ],
)
def test_a_bad_map_is_named(score_map, message):
    evaluator = Evaluator(dataset([sample(0, [[0, 0, 9, 9]])]))
    with pytest.raises(InputError, match=rf"0\.jpg: .*{message}"):
        evaluator.update(score_map, "0.jpg")
    assert evaluator.num_images == 0


def test_unknown_and_repeated_images():
    evaluator = Evaluator(dataset([sample(0, [[0, 0, 9, 9]])]))
    with pytest.raises(InputError, match=r"9\.jpg: not an image of hand"):
        evaluator.update(square(0, 0, 9, 9), "9.jpg")
    evaluator.update(square(0, 0, 9, 9), "0.jpg")
    with pytest.raises(InputError, match=r"0\.jpg: evaluated twice"):
        evaluator.update(square(0, 0, 9, 9), "0.jpg")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_maps_of_the_grid_are_taken_as_they_are(dtype):
    score_map = np.random.default_rng(0).random((224, 224)).astype(dtype)
    assert to_grid(validate_map(score_map), (224, 224)) is score_map


def test_a_uint8_map_equals_the_float_map_it_stands_for():
    rng = np.random.default_rng(1)
    levels = rng.integers(0, 256, (224, 224)).astype(np.uint8)
    data = dataset([sample(0, [[20, 30, 150, 140]])])
    results = []
    # (k + 0.5) / 255 is truncated to k for every k: the map whose quantization `levels` is.
    for score_map in (levels, np.minimum((levels + 0.5) / 255, 1.0)):
        evaluator = Evaluator(data, Protocol(threshold_step=0.05))
        evaluator.update(score_map, "0.jpg")
        results.append(evaluator.curves())
    assert results[0] == results[1]


def test_maps_of_another_size_are_resized_and_normalized_again():
    small = np.random.default_rng(2).random((14, 14)).astype(np.float32)
    on_grid = to_grid(small, (224, 224))
    assert on_grid.shape == (224, 224)
    assert on_grid.min() == 0 and on_grid.max() == 1


def random_run(seed, count):
    """A data set with maps and answers, everything random but reproducible."""
    rng = np.random.default_rng(seed)
    samples, maps, answers = [], [], []
    for number in range(count):
        low = rng.integers(0, 150, 2)
        high = low + rng.integers(5, 70, 2)
        samples.append(sample(number, [[*low, *high]], label=int(rng.integers(6))))
        maps.append(to_grid(rng.random((4, 4)).astype(np.float32), (224, 224)))
        boxes = np.sort(rng.integers(0, 224, (5, 2, 2)), axis=1).reshape(5, 4)[:, [0, 1, 2, 3]]
        answers.append(
            Classification(
                int(rng.integers(6)), rng.permutation(6)[:5], rng.random(5), boxes.astype(float)
            )
        )
    return dataset(samples), maps, answers


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), data=st.data())
def test_shards_merged_in_any_order_equal_one_run(seed, data):
    count = 9
    annotated, maps, answers = random_run(seed, count)
    protocol = Protocol(threshold_step=0.05)
    whole = Evaluator(annotated, protocol)

    def feed(evaluator, position):
        item = annotated.samples[position]
        evaluator.update(maps[position], item.image_id, answers[position])

    for position in range(count):
        feed(whole, position)
    owner = data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    shards = [Evaluator(annotated, protocol) for _ in range(3)]
    for position in data.draw(st.permutations(range(count))):
        feed(shards[owner[position]], position)
    first, *others = data.draw(st.permutations(shards))
    for other in others:
        first.merge(other)
    assert first.compute() == whole.compute()
    assert first.curves() == whole.curves()


def test_saved_state_goes_on_to_the_identical_result():
    annotated, maps, answers = random_run(7, 8)
    protocol = Protocol(threshold_step=0.05)

    def feed(evaluator, positions):
        for position in positions:
            item = annotated.samples[position]
            evaluator.update(maps[position], item.image_id, answers[position])

    whole, first, second = (Evaluator(annotated, protocol) for _ in range(3))
    feed(whole, range(8))
    feed(first, [0, 1, 5])
    second.load_state(first.state())
    assert second.pending() == [2, 3, 4, 6, 7]
    feed(second, second.pending())
    assert second.compute() == whole.compute()
    assert second.curves() == whole.curves()


def test_what_cannot_be_merged():
    data = dataset([sample(0, [[0, 0, 9, 9]])])
    one, two = Evaluator(data), Evaluator(data)
    for evaluator in (one, two):
        evaluator.update(square(0, 0, 9, 9), "0.jpg")
    with pytest.raises(InputError, match=r"0\.jpg: in both"):
        one.merge(two)
    with pytest.raises(InputError, match="protocols"):
        one.merge(Evaluator(data, Protocol(threshold_step=0.5)))
    with pytest.raises(InputError, match="data sets"):
        one.merge(Evaluator(dataset([sample(1, [[0, 0, 9, 9]])])))


def test_protocol_settings_are_checked():
    with pytest.raises(InputError, match="threshold_step: should be greater than or equal to 0"):
        Protocol(threshold_step=0)
    with pytest.raises(InputError, match="iou: should be less than or equal to 1, not 1"):
        Protocol(iou=(0.5, 1.5))
    with pytest.raises(InputError, match="differ"):
        Protocol(iou=(0.5, 0.5))


@pytest.mark.parametrize("convention", list(PRESETS))
def test_a_constant_map_of_any_size_is_a_map_of_zeros(convention):
    protocol = Protocol(convention=convention, threshold=0.3)
    data = dataset([sample(0, [[0, 0, 100, 223]])])
    found = []
    for score_map in (
        np.zeros((14, 14)),
        np.full((14, 14), 0.7, np.float32),
        np.full((224, 224), 0.7, np.float32),
        np.full((224, 224), 200, np.uint8),
        np.ones((7, 9)),
    ):
        if convention == "zhou2016" and score_map.any():
            continue  # which is defined on the map itself: a flat one lies above its share
        evaluator = Evaluator(data, protocol)
        evaluator.update(score_map, "0.jpg")
        assert evaluator.notes() == []
        found.append((evaluator.compute(), evaluator.curves()))
    assert all(other == found[0] for other in found)


def test_maps_that_are_taken_dim_are_counted():
    planted = square(30, 40, 99, 119)
    maps = [planted * np.float32(0.01), planted, planted[::2, ::2] * np.float32(0.01)]
    maps += [(planted * 100).astype(np.uint8), planted.astype(np.float16)]
    data = dataset([sample(i, [[30, 40, 99, 119]]) for i in range(len(maps))])
    whole, *shards = (Evaluator(data, Protocol(threshold_step=0.5)) for _ in range(3))
    for number, score_map in enumerate(maps):
        whole.update(score_map, f"{number}.jpg")
        shards[number % 2].update(score_map, f"{number}.jpg")
    shards[0].merge(shards[1])
    (note,) = whole.notes()
    assert note.startswith("2 maps have the evaluation's size and a maximum below 1")
    assert shards[0].notes() == [note]
    again = whole.emptied()
    again.load_state(whole.state())
    assert again.notes() == [note]


def test_full_has_no_map_to_save(tmp_path):
    data = dataset([sample(0, [[0, 0, 9, 9]])])
    with pytest.raises(InputError, match="full is the frame's box and has no map"):
        evaluate("full", data, EvaluationOptions(save_scoremaps=tmp_path))
