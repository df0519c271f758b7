"""What a data set refuses to be made of, and parts of one that are spread over its classes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.datasets.base import Dataset, MaskFiles, Packed, Sample, limited, spread
from wsol.errors import InputError

CLASSES = ("a", "b")


A_FILE = (Path("a.png"),)


def sample(image_id="1.jpg", label=0, boxes=((1, 2, 3, 4),), size=(10, 10), path=None, mask=None):
    array = np.array(boxes, dtype=float).reshape(-1, 4)
    return Sample(image_id, path, label, array, size, mask)


def made(*samples, classes=CLASSES, names=None):
    return Dataset("birds", "test", samples, classes, names or classes)


def test_a_good_one_is_made_of_masks_unknown_sizes_and_boxes_on_the_border():
    data = made(
        sample("1", boxes=()),
        sample("2", size=None, boxes=((-5, 0, 9000, 1),)),
        sample("3", boxes=((0, 0, 10.4, 10),)),
        sample("4", label=np.int64(1), size=(np.int64(9), 9), mask=MaskFiles(A_FILE, A_FILE[0])),
        sample("5", path=Path("5.jpg"), boxes=((1, 1, 9.5, 9),)),
        sample("6", path=Packed(Path("a.tar"), "6.jpg", 0, -1)),
    )
    assert len(data) == 6 and len(made()) == 0
    assert made(classes=["a", "b"]).classes == ("a", "b")
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
        ([sample(label=True)], "has the label True"),
        ([sample(label=[1])], r"has the label \[1\]"),
        ([sample(label=None)], "has the label None"),
        ([sample(size=(0, 5))], r"1\.jpg has the size \(0, 5\); expected \(width, height\)"),
        ([sample(size=[10, 10])], r"has the size \[10, 10\]"),
        ([sample(size=(10, 10, 3))], r"has the size \(10, 10, 3\)"),
        ([sample(size=(10.5, 10))], r"has the size \(10\.5, 10\)"),
        ([sample(size=(10, [10]))], r"has the size \(10, \[10\]\)"),
        ([sample(size=10)], "has the size 10"),
        ([sample(size=("10", "10"))], r"has the size \('10', '10'\)"),
        ([sample(path="a.jpg")], r"the path of 1\.jpg is 'a\.jpg'; expected a pathlib\.Path"),
        ([sample(mask="a.png")], r"the mask of 1\.jpg is 'a\.png'; expected MaskFiles of one"),
        ([sample(mask=MaskFiles(()))], r"the mask of 1\.jpg is MaskFiles\("),
        ([sample(mask=MaskFiles(("a.png",)))], r"the mask of 1\.jpg is MaskFiles\("),
        ([sample(mask=MaskFiles(A_FILE, "b.png"))], r"the mask of 1\.jpg is MaskFiles\("),
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
    for classes in ("ab", (1, 2), None, (name for name in "ab"), 3):
        with pytest.raises(InputError, match=r"birds, split test: classes is .* a tuple of texts"):
            made(classes=classes, names=CLASSES)
        with pytest.raises(InputError, match=r"class_names is .*; expected a tuple of texts"):
            made(names=classes or (None, None))


@pytest.mark.parametrize("samples", [None, 3, iter([sample()]), {sample().image_id}])
def test_samples_that_are_no_sequence_are_refused(samples):
    with pytest.raises(InputError, match=r"test: its samples are the type .* sequence"):
        Dataset("birds", "test", samples, CLASSES, CLASSES)


@pytest.mark.parametrize("text", [None, 3, ""])
def test_a_name_that_is_no_text_is_refused(text):
    with pytest.raises(InputError, match="the name of a data set is a text, not"):
        Dataset(text, "test", [], CLASSES, CLASSES)
    with pytest.raises(InputError, match="the split of a data set is a text, not"):
        Dataset("birds", text, [], CLASSES, CLASSES)


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
