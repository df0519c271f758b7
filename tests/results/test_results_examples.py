"""Which examples are shown, where their photographs are found, and boxes upon them."""

import numpy as np
import pytest

from wsol.errors import InputError
from wsol.records.record import Metrics, write_record
from wsol.results.examples import (
    box_at,
    find_photograph,
    grid_to_photograph,
    index_at,
    overlay,
    spread,
)
from wsol.results.sources import read_sources

from support.records import INFO, TURN, make, outcome, write_run


def test_examples_are_spread_over_classes():
    names = ["a"] * 50 + ["b"] * 3 + ["c"]
    places = spread(names, 6, seed=1)
    assert len(set(places)) == 6
    drawn = [names[place] for place in places]
    assert sorted(drawn[:3]) == ["a", "b", "c"] and sorted(drawn[3:5]) == ["a", "b"]
    assert spread(names, 6, seed=1) == places != spread(names, 6, seed=2)
    assert sorted(spread(names, 100, seed=0)) == list(range(54))


def test_photographs_are_found_where_they_have_moved(tmp_path):
    moved = tmp_path / "new" / "val" / "n01"
    moved.mkdir(parents=True)
    (moved / "a.jpg").write_bytes(b"x")
    old = "/gone/imagenet/val/n01/a.jpg"
    assert find_photograph("a.jpg", old, None) is None
    assert find_photograph("a.jpg", old, tmp_path / "new") == moved / "a.jpg"
    assert find_photograph("a.jpg", old, tmp_path / "new" / "val") == moved / "a.jpg"
    assert find_photograph("n01/a.jpg", None, tmp_path / "new" / "val") == moved / "a.jpg"
    assert find_photograph("a.jpg", str(moved / "a.jpg"), None) == moved / "a.jpg"
    # Named folders are the only ones looked in.
    assert find_photograph("b.jpg", str(moved / "a.jpg"), tmp_path / "none") is None
    with pytest.raises(InputError, match="leaves its folder"):
        find_photograph("../a.jpg", None, moved)
    assert find_photograph("b.jpg", "/x/../n01/a.jpg", tmp_path / "new" / "val") == moved / "a.jpg"


def test_boxes_on_the_photograph():
    boxes = grid_to_photograph(np.array([[0, 0, 223, 223], [0, 0, 111, 55]]), (224, 224), (80, 40))
    np.testing.assert_allclose(boxes, [[0, 0, 79, 39], [0, 0, 39, 9]])


def test_the_box_at_a_threshold():
    one = outcome(0)
    assert index_at(INFO.thresholds, 0.29) == 29 and index_at(INFO.thresholds, 0.999) == 99
    box, iou = box_at(one, TURN - 1)
    assert box.tolist() == [0, 0, 223, 223] and iou == 0.25
    box, iou = box_at(one, TURN)
    assert box.tolist() == [0, 0, 111, 111] and iou == 1


def test_an_overlay_keeps_the_size_and_shows_the_map():
    image = np.full((20, 30, 3), 90, np.uint8)
    ramp = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    mixed = overlay(image, ramp)
    assert mixed.shape == (20, 30, 3) and mixed.dtype == np.uint8
    assert mixed[-1, -1, 0] > 200 and mixed[0, 0].tolist() == [90, 90, 90]
    coarse = (255 * ramp).astype(np.uint8)
    assert np.abs(overlay(image, coarse).astype(int) - mixed).max() <= 3


def test_sources_have_names_of_their_own(tmp_path):
    write_run(tmp_path, "a", [outcome(0)])
    alone = make("a", 1).model_copy(update={"num_images": 1, "settings": {
        "convention": "exact", "num_images": 12, "weights": "cub.pt"}})  # fmt: skip
    write_record(alone, tmp_path / "b.json")
    again = alone.model_copy(update={"metrics": Metrics(top1_loc=1.0)})
    write_record(again, tmp_path / "c.json")
    sources = read_sources([tmp_path])
    assert [source.label for source in sources] == ["a", "a, cub.pt #1", "a, cub.pt #2"]
    assert [source.outcomes is None for source in sources] == [False, True, True]
    with pytest.raises(InputError, match=r"a, cub\.pt #1: there are no per-image outcomes"):
        sources[1].require_outcomes()
    write_record(again, tmp_path / "again.json")  # a run found twice stands once
    assert len(read_sources([tmp_path])) == 3
    write_record(make("a", 1, "ILSVRC"), tmp_path / "d.json")
    with pytest.raises(InputError, match=r"do not compare.*CUB test.*ILSVRC test"):
        read_sources([tmp_path])
