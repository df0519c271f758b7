"""What a map's boxes are at its thresholds, and what an image contributes to the metrics."""

import numpy as np
import pytest
from scipy import ndimage

from wsol.datasets.base import Sample
from wsol.errors import InputError
from wsol.evaluation.judging import is_dim, judge_map, prepare, size_of, validate_map
from wsol.evaluation.protocol import Protocol
from wsol.maps.automatic import automatic_share

POLICIES = ("mean", "otsu")


def blobs():
    """A dim large square, a bright small one and one between them, on a faint slope."""
    score_map = np.tile(np.linspace(0, 0.2, 224, dtype=np.float32), (224, 1))
    score_map[20:100, 30:120] = 0.5
    score_map[150:180, 150:200] = 1.0
    score_map[190:200, 10:40] = 0.8
    return score_map


def boxes_of(foreground):
    """The box and number of pixels of each 8-connected component, by scipy."""
    labels, count = ndimage.label(foreground, np.ones((3, 3)))
    places = ndimage.find_objects(labels)
    sizes = ndimage.sum_labels(foreground, labels, range(1, count + 1))
    return {
        (x.start, y.start, x.stop - 1, y.stop - 1): n
        for (y, x), n in zip(places, sizes, strict=True)
    }


@pytest.mark.parametrize("policy", POLICIES)
def test_boxes_at_a_policy_are_those_of_its_threshold(policy):
    score_map = blobs()
    prepared = prepare(score_map, Protocol(convention="exact", also_at=(policy,)))
    expected = boxes_of(score_map >= automatic_share(score_map, policy) * score_map.max())
    largest, every = prepared.policy_boxes[0]
    assert [tuple(box) for box in largest.tolist()] == [max(expected, key=expected.get)]
    assert {tuple(box) for box in every.tolist()} == set(expected)


@pytest.mark.parametrize("convention", ["exact", "choe2020"])
def test_the_fixed_box_is_that_of_its_threshold(convention):
    score_map = blobs()
    for threshold in (0.1, 0.4, 0.6, 0.9):
        protocol = Protocol(convention=convention, threshold=threshold)
        expected = boxes_of(score_map > threshold)
        best = np.array(max(expected, key=expected.get))
        if convention == "choe2020":
            best += (0, 0, 1, 1)  # one pixel beyond, but for the grid's last
        (found,) = prepare(score_map, protocol).fixed_boxes
        assert found.tolist() == np.minimum(best, 223).tolist()


def test_a_policy_decides_at_half_the_union():
    """Decisions and best IoU of a policy are those of its own boxes."""
    score_map = blobs()
    sample = Sample("a.jpg", None, 0, np.array([[30.0, 20, 119, 99]]), (224, 224))
    protocol = Protocol(convention="exact", threshold=0.9, also_at=POLICIES)
    outcome = judge_map(score_map, sample, protocol)
    assert outcome.fixed_iou == 0 and outcome.decisions[0] == (False, False)
    for decided, best, policy in zip(
        outcome.decisions[1:], outcome.policy_iou, POLICIES, strict=True
    ):
        found = boxes_of(score_map >= automatic_share(score_map, policy))
        is_there = (30, 20, 119, 99) in found
        assert decided == (is_there, is_there) and (best == 1) == is_there
    assert judge_map(score_map, sample, Protocol()).decisions == ()


@pytest.mark.parametrize(
    ("score_map", "message"),
    [
        (np.zeros(4), r"has the shape \(4,\); expected \(height, width\)"),
        (np.zeros((0, 4)), r"has the shape \(0, 4\)"),
        (np.zeros((4, 4), bool), "has the type bool"),
        (np.full((4, 4), np.nan), "contains NaN or infinite values"),
        (np.array([[0, np.inf]]), "contains NaN or infinite values"),
        (np.array([[-np.inf, 0]]), "contains NaN or infinite values"),
        (np.array([[-0.1, 1]]), "has values from -0.1 to 1; expected 0 to 1"),
        (np.array([[0, 1.1]]), "has values from 0 to 1.1"),
    ],
)
def test_what_is_no_map_is_said(score_map, message):
    with pytest.raises(ValueError, match=message):
        validate_map(score_map)


def test_what_is_one_is_taken_as_it_is():
    for score_map in (np.eye(3), np.eye(3, dtype=np.float16), np.full((2, 2), 255, np.uint8)):
        assert validate_map(score_map) is score_map
    wide = np.array([[-3.0, 5.0]])
    assert validate_map(wide, bounded=False) is wide


def test_a_map_of_the_grid_that_does_not_reach_one_is_dim():
    dim = np.eye(4) / 2
    assert is_dim(dim, (4, 4)) and not is_dim(dim, (5, 4)) and not is_dim(np.eye(4), (4, 4))
    assert is_dim(np.eye(4, dtype=np.uint8) * 254, (4, 4))
    assert not is_dim(np.eye(4, dtype=np.uint8) * 255, (4, 4))
    assert not is_dim(np.full((4, 4), 0.5), (4, 4))  # constant: a map of zeros


def test_the_annotated_size_comes_first():
    annotated = Sample("a.jpg", None, 0, np.zeros((0, 4)), (20, 10))
    assert size_of(annotated, (5, 5)) == (20, 10)
    unknown = Sample("a.jpg", None, 0, np.zeros((0, 4)))
    assert size_of(unknown, (5, 5)) == (5, 5)
    with pytest.raises(InputError, match=r"a\.jpg: its size is neither annotated nor readable"):
        size_of(unknown)


def test_an_image_without_boxes_has_an_empty_array_of_them():
    sample = Sample("a.jpg", None, 0, np.zeros((0, 4)), (224, 224))
    outcome = judge_map(blobs(), sample, Protocol())
    assert outcome.true_boxes.shape == (0, 4) and outcome.fixed_box.shape == (4,)
    assert outcome.fixed_iou is None and outcome.best_iou == {} and outcome.pixels is None
