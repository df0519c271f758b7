"""The generated data set: reproducible, exact, and not trivial."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from wsol.datasets.shapes import CLASSES, generate_shapes, read_shapes
from wsol.errors import InputError
from wsol.evaluation.loop import evaluate


def digest(root):
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): hashlib.md5(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "shapes"
    generate_shapes(root, train=16, val=8, test=160, size=64, seed=3)
    return root


def test_the_same_arguments_give_the_same_bytes(shapes, tmp_path):
    generate_shapes(tmp_path / "again", train=16, val=8, test=160, size=64, seed=3)
    assert digest(tmp_path / "again") == digest(shapes)
    generate_shapes(tmp_path / "other", train=16, val=8, test=160, size=64, seed=4)
    assert digest(tmp_path / "other") != digest(shapes)


def test_several_processes_give_the_same_bytes(shapes, tmp_path):
    seen = []
    generate_shapes(
        tmp_path / "again", train=16, val=8, test=160, size=64, seed=3, processes=2,
        advance=seen.append,
    )  # fmt: skip
    assert digest(tmp_path / "again") == digest(shapes)
    assert seen == [1] * 184


def test_an_interruption_leaves_nothing_behind(tmp_path):
    def interrupted(images):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_shapes(
            tmp_path / "shapes", train=200, test=1, size=64, seed=3, processes=2,
            advance=interrupted,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_an_existing_copy_is_left_alone_and_another_refused(shapes):
    before = {p: p.stat().st_mtime_ns for p in shapes.rglob("*")}
    generate_shapes(shapes, train=16, val=8, test=160, size=64, seed=3)
    assert {p: p.stat().st_mtime_ns for p in shapes.rglob("*")} == before
    with pytest.raises(InputError, match=shapes.name):
        generate_shapes(shapes, train=16, val=8, test=160, size=64, seed=5)


def test_boxes_are_the_tight_boxes_of_the_masks(shapes):
    data = read_shapes(shapes)
    assert data.classes == CLASSES and len(data) == 160
    for sample in data.samples:
        with Image.open(sample.mask.objects[0]) as mask:
            ys, xs = np.nonzero(np.asarray(mask))
        assert sample.boxes.tolist() == [[xs.min(), ys.min(), xs.max(), ys.max()]]
        with Image.open(sample.path) as image:
            assert image.size == sample.size == (64, 64)


def test_all_classes_scales_places_and_aspects_occur(shapes):
    boxes = np.concatenate([s.boxes for s in read_shapes(shapes).samples])
    width, height = (boxes[:, 2:] - boxes[:, :2] + 1).T
    side = np.sqrt(width * height) / 64
    assert side.min() < 0.25 and side.max() > 0.65
    assert (width / height).min() < 0.6 and (width / height).max() > 1.6
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / 64
    assert (centres.std(axis=0) > 0.1).all()
    assert {s.label for s in read_shapes(shapes).samples} == set(range(len(CLASSES)))


def test_blind_maps_do_not_solve_it(shapes):
    data = read_shapes(shapes)
    assert evaluate("center", data).metrics.max_box_acc_v2 < 40
    assert evaluate("full", data).metrics.max_box_acc_v2 < 30


def test_damage_is_named(shapes, tmp_path):
    generate_shapes(tmp_path / "s", train=0, val=0, test=8, size=64, seed=0)
    with pytest.raises(InputError, match="the split 'train' has no images"):
        read_shapes(tmp_path / "s", "train")
    table = tmp_path / "s" / "annotations.csv"
    table.write_text(table.read_text() + "test/9.png,disc,64,64\n")
    with pytest.raises(InputError, match=r"annotations\.csv:10"):
        read_shapes(tmp_path / "s")
    (tmp_path / "s" / "shapes.json").write_text("{}")
    with pytest.raises(InputError, match=r"shapes\.json"):
        read_shapes(tmp_path / "s")
    with pytest.raises(InputError, match="does not exist"):
        read_shapes(tmp_path / "none")
