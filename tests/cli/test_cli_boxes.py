"""`wsol boxes`: what stands in its files, and that `wsol score` reads them to the same numbers."""

import csv
import io
import json

import numpy as np
import pytest

from wsol.datasets.registry import open_dataset

from support.command import wsol

SHAPES = ("--data", "shapes", "--root", "shapes")
MODEL = ("--model", "networks:tiny")


@pytest.fixture(scope="module")
def maps(place):
    """The maps of a network on the data set, and its answers."""
    wsol(place, "evaluate", "networks:tiny", *SHAPES, "--save-scoremaps", "maps", "--per-image",
         "--json", "tiny.json")  # fmt: skip
    return place / "maps"


def images(place):
    samples = open_dataset("shapes", place / "shapes").samples
    first = samples[0]
    return first.path.parents[len(first.image_id.split("/")) - 1], samples


def test_photographs_in_every_format(place, tmp_path):
    root, _ = images(place)
    out, err = wsol(place, "boxes", root, *MODEL, "--threshold", "otsu")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == ["image_id", "x0", "y0", "x1", "y1", "score", "class"]
    assert f"{len(rows):,} boxes of {len(rows):,} images" in err
    out, _ = wsol(place, "boxes", root, *MODEL, "--threshold", "otsu", "--format", "coco")
    found = json.loads(out)
    for row, item in zip(rows, found, strict=True):
        x0, y0, x1, y1 = (float(row[name]) for name in ("x0", "y0", "x1", "y1"))
        assert item["bbox"] == pytest.approx([x0, y0, x1 - x0 + 1, y1 - y0 + 1], abs=2e-3)
        assert item["image_id"] == row["image_id"] and 0 < item["score"] <= 1
    wsol(place, "boxes", root, *MODEL, "--format", "voc", "--out", tmp_path / "voc")
    assert len(list((tmp_path / "voc").rglob("*.xml"))) == len(rows)


def test_one_class_and_all_components(place):
    _, samples = images(place)
    one = samples[0].path
    out, _ = wsol(place, "boxes", one, *MODEL, "--class", "1", "--contours", "all")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {row["class"] for row in rows} == {"1"} and {row["image_id"] for row in rows} == {
        one.name
    }
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("written", "threshold"), [("csv", "0.35"), ("coco", "li"), ("fractions", "li")]
)
def test_boxes_of_maps_score_as_the_maps_do(place, maps, written, threshold):
    root, _ = images(place)
    name = f"{threshold}.{'json' if written == 'coco' else 'csv'}"
    how = ("--images", root, "--format", written)
    read = ()
    if written == "fractions":
        how = read = ("--box-pixels", "fractions")
    wsol(place, "boxes", maps, *how, "--threshold", threshold, "--out", name)
    same = (*SHAPES, "--convention", "exact", "--predictions", "tiny.outcomes.parquet", "--json")
    of_maps = json.loads(
        wsol(place, "score", maps, *same, "-", "--threshold", threshold)[0]
    )["metrics"]  # fmt: skip
    record = json.loads(wsol(place, "score", name, *same, "-", *read)[0])
    for metric in ("gt_known_loc", "top1_loc", "top5_loc", "top1_cls", "top5_cls"):
        assert record["metrics"][metric] == of_maps[metric], metric
    assert record["metrics"]["box_acc"]["0.5"] == of_maps["gt_known_loc"]
    assert record["settings"]["threshold_policy"]["gt_known_loc"] == "none: boxes were given"
    evaluated = json.loads((place / "tiny.json").read_text())["metrics"]
    assert evaluated["top5_cls"] == record["metrics"]["top5_cls"] is not None


def test_what_is_wrong_is_said(place, maps, tmp_path):
    root, samples = images(place)
    for arguments, message in (
        ((root,), "name it with --model"),
        ((maps, *MODEL), "--model has nothing to do"),
        ((maps, "--threshold", "otsuu"), "did you mean otsu"),
        ((maps, "--threshold", "2"), "from 0 to 1"),
        ((maps, "--format", "voc"), "--out"),
        ((maps, "--format", "coco", "--box-pixels", "fractions"), "use --format csv"),
        ((root, *MODEL, "--images", root), "goes with score maps"),
        ((tmp_path, *MODEL), "has no photographs"),
        ((samples[0].path, samples[0].path, *MODEL), "is called like"),
        (("nowhere.npy",), "nowhere.npy"),
        (("nowhere.jpg", *MODEL), "nowhere.jpg"),
    ):
        _, err = wsol(place, "boxes", *arguments, code=2)
        assert message in err, err
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    _, err = wsol(place, "boxes", bad, samples[0].path, *MODEL, code=2)
    assert "bad.jpg" in err
    out, err = wsol(place, "boxes", bad, samples[0].path, *MODEL, "--skip-bad")
    assert len(out.splitlines()) == 2 and "Left out" in err


def test_flat_maps_have_no_box(tmp_path):
    (tmp_path / "maps").mkdir()
    np.save(tmp_path / "maps" / "a.npy", np.zeros((5, 5)))
    np.save(tmp_path / "maps" / "b.npy", np.eye(5))
    out, err = wsol(tmp_path, "boxes", "maps")
    assert out.splitlines()[1:] == ["b,0,0,4,4,0.2"] and "1 without a box" in err
