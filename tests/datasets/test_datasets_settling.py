"""Annotations against the photographs they are of."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.check import check_dataset
from wsol.datasets.settling import (
    Finding,
    NoBoxLeftError,
    SwappedSizeError,
    finding_notes,
    settle,
)
from wsol.errors import InputError


@pytest.fixture
def make(tmp_path):
    """A sample of a 60x40 photograph with an orientation tag."""

    def make(size=None, boxes=((5, 5, 30, 20),), tag=1, stored=(60, 40)):
        path = tmp_path / "a.jpg"
        exif = Image.Exif()
        exif[0x0112] = tag
        pixels = np.zeros((stored[1], stored[0], 3), np.uint8)
        pixels[:, : stored[0] // 2] = 255
        Image.fromarray(pixels).save(path, exif=exif, quality=95)
        rows = np.array(boxes, dtype=np.float64).reshape(-1, 4)
        return Sample("a.jpg", path, 0, rows, size)

    return make


def test_a_photograph_is_not_opened_where_nothing_needs_it(make):
    gone = replace(make((60, 40)), path=None)
    assert settle(gone).sample is gone
    boxless = replace(make(None, boxes=()), path=None)
    assert settle(boxless).sample is boxless and settle(boxless).size is None
    with pytest.raises(InputError, match="its size is neither annotated nor readable"):
        settle(replace(make(None), path=None))


def test_an_unknown_size_is_the_photographs(make):
    settled = settle(make(None))
    assert settled.size == settled.sample.size == (60, 40) and settled.findings == Finding.NONE
    assert settled.image is None
    assert settle(make(None), look="pixels").image.size == (60, 40)


@pytest.mark.parametrize("size", [(120, 80), (224, 224), (60, 41), (41, 60)])
def test_another_size_is_told(make, size):
    settled = settle(make(size), look="header")
    assert settled.findings == Finding.OTHER_SIZE
    assert settled.size == size  # boxes are in what is annotated


def test_a_swapped_size_is_refused_unless_the_tag_explains_it(make):
    with pytest.raises(SwappedSizeError, match=r"a\.jpg: is 60x40, but annotated as 40x60"):
        settle(make((40, 60)), look="pixels")
    for tag in (5, 6, 7, 8):
        settled = settle(make((40, 60), tag=tag), look="pixels")
        assert settled.findings == Finding.TURNED and settled.image.size == (40, 60)
        # Half of it is white, now above or below.
        rows = np.asarray(settled.image).mean(axis=(1, 2))
        assert abs(rows[5] - rows[-5]) > 200
    for tag in (2, 3, 4):
        with pytest.raises(SwappedSizeError):
            settle(make((40, 60), tag=tag), look="pixels")
    with pytest.raises(SwappedSizeError):
        settle(make((40, 60), tag=6), exif="ignore", look="pixels")
    with pytest.raises(SwappedSizeError, match="is 40x60, but annotated as 60x40"):
        settle(make((60, 40), tag=6), exif="apply", look="pixels")


def test_a_shrunk_copy_is_turned_where_its_shape_says_so(make):
    settled = settle(make((400, 600), tag=6), look="header")
    assert settled.findings == Finding.TURNED | Finding.OTHER_SIZE
    settled = settle(make((600, 400), tag=6), look="header")
    assert settled.findings == Finding.OTHER_SIZE
    settled = settle(make((224, 224), tag=6), look="header")
    assert settled.findings == Finding.OTHER_SIZE | Finding.UNSETTLED


def test_tags_that_no_size_confirms_are_told_and_applied_on_demand(make):
    for size, tag in ((None, 6), ((60, 40), 3), (None, 2)):
        settled = settle(make(size, tag=tag), look="pixels")
        assert settled.findings == Finding.UNSETTLED and settled.image.size == (60, 40)
    assert settle(make((60, 40), tag=6), look="pixels").findings == Finding.NONE
    assert settle(make(None, tag=6), exif="ignore", look="pixels").findings == Finding.NONE
    settled = settle(make(None, tag=6), exif="apply")
    assert settled.findings == Finding.TURNED and settled.size == (40, 60)
    settled = settle(make((60, 40), tag=3), exif="apply", look="pixels")
    assert settled.findings == Finding.TURNED and settled.size == (60, 40)


def test_boxes_are_held_against_the_size_once_it_is_known(make):
    settled = settle(make(None, boxes=((-0.4, 5, 60.25, 40),)))
    assert settled.sample.boxes.tolist() == [[0, 5, 60, 40]]
    assert settled.findings == Finding.CLIPPED
    outside = make(None, boxes=((5, 5, 265, 20), (1, 1, 2, 2)))
    with pytest.raises(InputError, match=r"a\.jpg: the box 5,5,265,20 lies outside its image"):
        settle(outside)
    settled = settle(outside, skip_bad_annotations=True)
    assert settled.sample.boxes.tolist() == [[1, 1, 2, 2]]
    assert settled.findings == Finding.LEFT_OUT
    with pytest.raises(NoBoxLeftError, match="the box 5,5,265,20"):
        settle(make(None, boxes=((5, 5, 265, 20),)), skip_bad_annotations=True)


def test_a_damaged_tag_counts_for_none(make):
    sample = make(None, tag=6)
    data = sample.path.read_bytes()
    place = data.index(b"Exif\0\0")
    sample.path.write_bytes(data[: place + 6] + bytes(12) + data[place + 18 :])
    assert settle(sample, exif="apply", look="pixels").size == (60, 40)


def test_notes_count_photographs():
    found = np.array([0, 1, 1, 2 | 1, 8, 16, 4], dtype=np.uint8)
    notes = finding_notes(found)
    assert [note.split()[0] for note in notes] == ["3", "1", "1", "1", "1"]
    assert finding_notes(np.zeros(3, np.uint8)) == []


def test_a_check_lists_all_kinds_at_once(make):
    swapped = make((40, 60))
    outside = replace(swapped, image_id="b", size=None, boxes=np.array([[1.0, 1, 70, 5]]))
    gone = replace(swapped, image_id="c", path=swapped.path.with_name("none.jpg"), size=None)
    data = Dataset("d", "s", [swapped, outside, gone], ("x",), ("x",))
    for decode in (True, False):
        kinds = [problem.kind for problem in check_dataset(data, decode=decode).problems]
        assert kinds == ["width and height swapped", "box outside its image", "missing image"]
