"""Boxes of maps, and the files that they are written to, read back by other readers."""

import csv
import json

import numpy as np
import pytest
from defusedxml.ElementTree import parse
from hypothesis import given
from hypothesis import strategies as st
from skimage import filters
from skimage.measure import label as label_components
from skimage.measure import regionprops

from wsol.errors import InputError
from wsol.evaluation.box_writing import WRITERS, FoundBoxes
from wsol.evaluation.found_boxes import boxes_of_map, boxes_of_maps, found_in, photographs_below

from support.data_files import picture


def components(score_map, share):
    """The components' boxes and sizes by scikit-image, in raster order."""
    if score_map.max() == score_map.min():
        return []
    foreground = score_map.astype(np.float64) >= share * float(score_map.max())
    return [
        ([r.bbox[1], r.bbox[0], r.bbox[3] - 1, r.bbox[2] - 1], int(r.num_pixels))
        for r in regionprops(label_components(foreground, connectivity=2))
    ]


@given(
    seed=st.integers(0, 10**6),
    side=st.integers(1, 12),
    threshold=st.sampled_from([0.0, 0.2, 0.5, 1.0, "otsu", "mean"]),
)
def test_the_boxes_of_a_map_are_those_of_its_components(seed, side, threshold):
    rng = np.random.default_rng(seed)
    score_map = (rng.integers(0, 5, (side, side + 1)) / 4).astype(np.float32)
    share = threshold
    if isinstance(threshold, str):
        chosen = float(score_map.max())
        if score_map.min() < score_map.max():
            chosen = float(getattr(filters, f"threshold_{threshold}")(score_map))
        share = chosen / (float(score_map.max()) or 1.0)
    expected = components(score_map, share)
    every = boxes_of_map(score_map, threshold, "all").tolist()
    assert sorted(every) == sorted(box for box, _ in expected)
    largest = boxes_of_map(score_map, threshold).tolist()
    assert largest == ([max(expected, key=lambda item: item[1])[0]] if expected else [])


def test_boxes_come_onto_the_photograph_by_their_edges():
    score_map = np.zeros((4, 8))
    score_map[1:3, 2:6] = 0.5
    score_map[2, 3] = 1.0
    found = found_in("a.jpg", score_map, (80, 20), 0.4, score=0.5)
    assert found.boxes.tolist() == [[20, 5, 59, 14]]
    assert found.scores.tolist() == [pytest.approx(0.5 * (7 * 0.5 + 1) / 8)]
    small = found_in("a.jpg", score_map, (4, 2), 0.9)
    assert (small.boxes[:, 2:] >= small.boxes[:, :2]).all()  # one pixel at least
    nothing = found_in("a.jpg", np.zeros((4, 8)), (80, 20), 0.4)
    assert nothing.boxes.shape == (0, 4) and nothing.scores.shape == (0,)


def test_the_best_of_several_comes_first():
    score_map = np.zeros((6, 20))
    score_map[1:5, 1:9] = 0.5
    score_map[1:3, 12:15] = 1.0
    found = found_in("a.jpg", score_map, (20, 6), 0.3, "all")
    assert found.boxes.tolist() == [[12, 1, 14, 2], [1, 1, 8, 4]]
    assert found.scores.tolist() == [1.0, 0.5]


FOUND = [
    FoundBoxes("a, b/ü.jpg", np.array([[3.0, 5, 3, 5], [0, 0, 79, 39]]), np.array([0.75, 0.5]),
               (80, 40), 7, "n01", "cat & dog"),
    FoundBoxes("c.png", np.zeros((0, 4)), np.zeros(0), (10, 10), 3, "n02", "dog"),
    FoundBoxes("d.png", np.array([[1.0005, 2.25, 7.123456, 9]]), np.array([1 / 3]), (10, 10), 3,
               "n02", "dog"),
]  # fmt: skip


def test_coco(tmp_path):
    WRITERS["coco"](FOUND, tmp_path / "boxes.json")
    found = json.loads((tmp_path / "boxes.json").read_text())
    assert found[0] == {
        "image_id": "a, b/ü.jpg", "category_id": 7, "bbox": [3, 5, 1, 1], "score": 0.75,
    }  # fmt: skip
    assert found[1]["bbox"] == [0, 0, 80, 40] and len(found) == 3
    assert found[2]["bbox"] == pytest.approx([1.0005, 2.25, 7.122956, 7.75], abs=6e-4)
    WRITERS["coco"]([], tmp_path / "none.json")
    assert json.loads((tmp_path / "none.json").read_text()) == []


def test_csv(tmp_path):
    WRITERS["csv"](FOUND, tmp_path / "boxes.csv")
    with (tmp_path / "boxes.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0] == {
        "image_id": "a, b/ü.jpg", "x0": "3", "y0": "5", "x1": "3", "y1": "5", "score": "0.75",
        "class": "n01",
    }  # fmt: skip
    assert [row["image_id"] for row in rows] == ["a, b/ü.jpg"] * 2 + ["d.png"]
    WRITERS["csv"]([FoundBoxes("a", np.array([[1.0, 2, 3, 4]]), np.ones(1), (9, 9))],
                   tmp_path / "bare.csv")  # fmt: skip
    assert (tmp_path / "bare.csv").read_text() == "image_id,x0,y0,x1,y1,score\na,1,2,3,4,1\n"


def test_voc(tmp_path):
    WRITERS["voc"](FOUND, tmp_path / "voc")
    tree = parse(tmp_path / "voc" / "a, b" / "ü.xml")
    boxes = [
        [int(box.find(name).text) for name in ("xmin", "ymin", "xmax", "ymax")]
        for box in tree.iter("bndbox")
    ]
    assert boxes == [[4, 6, 4, 6], [1, 1, 80, 40]]
    assert tree.find("object/name").text == "cat & dog"
    assert tree.find("size/width").text == "80"
    assert not list(parse(tmp_path / "voc" / "c.xml").iter("object"))
    with pytest.raises(InputError, match="leaves its folder"):
        WRITERS["voc"]([FoundBoxes("../a", np.zeros((0, 4)), np.zeros(0), (1, 1))], tmp_path / "v")


def test_a_folder_of_maps(tmp_path):
    (tmp_path / "maps" / "x").mkdir(parents=True)
    score_map = np.zeros((224, 224), np.float32)
    score_map[56:112, 0:112] = 1
    np.save(tmp_path / "maps" / "x" / "a.jpg.npy", score_map)
    np.save(tmp_path / "maps" / "b.npy", (255 * score_map).astype(np.uint8))
    picture(tmp_path / "images" / "x" / "a.jpg", (80, 40))
    picture(tmp_path / "images" / "b.png", (224, 448))
    placed = list(boxes_of_maps(tmp_path / "maps", tmp_path / "images", "otsu"))
    assert [(found.image_id, found.boxes.tolist()) for found in placed] == [
        ("b.png", [[0, 112, 111, 223]]),
        ("x/a.jpg", [[0, 10, 39, 19]]),
    ]
    bare = list(boxes_of_maps(tmp_path / "maps", None, 0.5))
    assert bare[1].image_id == "x/a.jpg" and bare[1].boxes.tolist() == [[0, 56, 111, 111]]
    (tmp_path / "images" / "b.png").unlink()
    with pytest.raises(InputError, match=r"b\.npy: .* has no photograph 'b'"):
        list(boxes_of_maps(tmp_path / "maps", tmp_path / "images", 0.5))
    np.save(tmp_path / "maps" / "b.npy", np.full((4, 4), np.nan))
    with pytest.raises(InputError, match=r"b\.npy: contains NaN"):
        list(boxes_of_maps(tmp_path / "maps", None, 0.5))


def test_photographs_are_called_with_and_without_suffix(tmp_path):
    for name in ("a.jpg", "b/c.png", "a.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    names = photographs_below(tmp_path)
    assert names["a.jpg"] == "a.jpg" and names["b/c"] == "b/c.png" and "notes" not in names
    assert "a" not in names  # two have that name
