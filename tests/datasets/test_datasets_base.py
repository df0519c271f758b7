"""What a data set refuses to be made of, and parts of one that are spread over its classes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.datasets.base import Dataset, Sample, limited, spread
from wsol.errors import InputError

CLASSES = ("a", "b")


def sample(image_id="1.jpg", label=0, boxes=((1, 2, 3, 4),), size=(10, 10)):
    return Sample(image_id, None, label, np.array(boxes, dtype=float).reshape(-1, 4), size)


def made(*samples, classes=CLASSES, names=None):
    return Dataset("birds", "test", samples, classes, names or classes)


def test_a_good_one_is_made_of_masks_unknown_sizes_and_boxes_on_the_border():
    data = made(
        sample("1", boxes=()),
        sample("2", size=None, boxes=((-5, 0, 9000, 1),)),
        sample("3", boxes=((0, 0, 10.4, 10),)),
        sample("4", label=np.int64(1)),
    )
    assert len(data) == 4 and len(made()) == 0
    noted = data.noting("a", "b")
    assert noted.notes == ("a", "b") and data.notes == () and noted.samples is data.samples


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([sample("x"), sample("x")], "birds, split test: the image x is listed twice"),
        ([sample(label=2)], r"1\.jpg has the label 2; expected a position among the 2 classes"),
        ([sample(label=-1)], "has the label -1"),
        ([sample(label="0")], "has the label '0'"),
        ([sample(label=0.0)], r"has the label 0\.0"),
        ([sample(image_id=7)], "the image id 7 is no text"),
        ([sample(image_id="")], "the image id '' is no text"),
        ([sample(boxes=((3, 0, 1, 1),))], r"a box of 1\.jpg, 3\.0,0\.0,1\.0,1\.0, is not x0 <= x1"),
        ([sample(boxes=((0, 0, np.nan, 1),))], "is not x0 <= x1, y0 <= y1 and finite"),
        ([sample(boxes=((0, 0, 11, 1),))], "lies outside its image of 10x10 pixels"),
        ([sample(boxes=((0, -0.75, 1, 1),))], "lies outside its image"),
        ([sample(size=(0, 5))], r"1\.jpg has the size \(0, 5\)"),
        ([sample(), "2.jpg"], "its samples hold the type str instead of Sample"),
        ([Sample("1", None, 0, [[1, 2, 3, 4]])], "the boxes of 1 have the type list"),
        ([Sample("1", None, 0, np.zeros(4))], r"the boxes of 1 have the shape \(4,\)"),
        ([Sample("1", None, 0, np.zeros((1, 5)))], r"have the shape \(1, 5\)"),
        ([Sample("1", None, 0, np.array([["a"] * 4]))], "boxes have the type <U"),
    ],
)
def test_bad_samples_are_refused_by_name(samples, message):
    with pytest.raises(InputError, match=message):
        made(sample("good"), *samples)


def test_bad_classes_are_refused():
    with pytest.raises(InputError, match="the class 'a' stands twice"):
        made(classes=("a", "a"))
    with pytest.raises(InputError, match="1 class names for 2 classes"):
        made(names=("one",))


def test_a_part_of_a_part_says_how_many_classes_it_has():
    data = made(*(sample(f"{i}", label=i % 2) for i in range(6)))
    assert limited(data, None) is data and limited(data, 6) is data
    part = limited(data, 3)
    assert [s.label for s in part.samples].count(0) in (1, 2)
    assert part.notes == ("Only 3 of 6 images, spread evenly over 2 of 2 classes.",)
    assert limited(data, 1).notes == ("Only 1 of 6 images, spread evenly over 1 of 2 classes.",)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=80), st.data())
def test_a_part_is_as_even_as_its_classes_allow(labels, data):
    count = data.draw(st.integers(1, len(labels)))
    chosen = spread(np.array(labels), count)
    assert len(chosen) == count and (np.diff(chosen) > 0).all()
    whole, part = Counter(labels), Counter(np.array(labels)[chosen].tolist())
    most = max(part.values())
    # A class that has less than another by more than one has no image left.
    assert all(part[label] >= most - 1 or part[label] == whole[label] for label in whole)


def test_with_fewer_images_than_classes_those_are_spread_too():
    labels = np.repeat(np.arange(1000), 50)
    assert np.unique(labels[spread(labels, 10)]).tolist() == list(range(0, 1000, 100))
    assert len(np.unique(labels[spread(labels, 1000)])) == 1000
    positions = spread(labels, 2000)
    assert (positions % 50).tolist() == [0, 25] * 1000
