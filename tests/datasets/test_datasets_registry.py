"""The table of layouts and what follows from it; data sets of users' own."""

import inspect
import sys

import pytest
from typer.testing import CliRunner

from wsol.cli.app import app
from wsol.datasets.options import DataOptions, TrainingDataOptions
from wsol.datasets.registry import (
    DATASETS,
    LAYOUTS,
    TRAINING_SETS,
    load,
    open_dataset,
    require_data_name,
)
from wsol.datasets.weak import open_training_set
from wsol.errors import InputError
from wsol.records.record import read_records


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_a_line_of_the_table_fits_its_readers(layout):
    reader = inspect.signature(load(layout.reader)).parameters
    assert layout.takes | {"root", "problems"} == set(reader)
    if layout.split is not None:
        assert "split" in layout.takes
    if layout.trainer is not None:
        trainer = inspect.signature(load(layout.trainer)).parameters
        assert set(trainer) == {"root"} | layout.takes - {"masks"}
    assert layout.source and layout.root


def test_names_follow_the_table():
    assert set(TRAINING_SETS) == {name for name in DATASETS if LAYOUTS[name].trainer}
    assert "coco" not in TRAINING_SETS and "imagefolder" in TRAINING_SETS


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("imagenet", "ilsvrc"),
        ("ImageNet-1k", "ilsvrc"),
        ("CUB", "cub"),
        ("tinyimagenet", "tiny-imagenet"),
        ("imagfolder", "imagefolder"),
        ("ms-coco", "coco"),
    ],
)
def test_near_misses_are_helped(asked, meant):
    with pytest.raises(InputError, match=rf"{asked}: .*did you mean {meant}\?"):
        require_data_name(asked)
    with pytest.raises(InputError, match=rf"data: {asked}: .*did you mean {meant}\?"):
        DataOptions(data=asked, root="x")
    with pytest.raises(InputError, match="nothing can be trained on it"):
        TrainingDataOptions(data="coco", root="x")


def test_options_that_a_layout_has_not(tmp_path):
    with pytest.raises(InputError, match="shapes: takes no --masks"):
        open_dataset("shapes", tmp_path, masks=tmp_path)
    with pytest.raises(InputError, match="cub: name the folder CUB_200_2011 with --root"):
        open_dataset("cub")


OWN = """
import numpy as np
from pathlib import Path
from wsol.datasets.base import Dataset, Sample

def birds(root=None, images=None, split="all", **other):
    samples = [
        Sample(f"{i}.jpg", Path(f"{i}.jpg"), i % 2, np.array([[1.0, 1, 5, 5]]), (8, 8))
        for i in range(4)
    ]
    notes = (str(root), str(images), *other)
    return Dataset("birds", split, samples, ("wren", "auk"), ("wren", "auk"), notes)

def only_root(root):
    return birds(root)

def nothing():
    return 3

def twice():
    box = np.zeros((0, 4))
    return Dataset("d", "t", [Sample("a", None, 0, box)] * 2, ("x",), ("x",))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_birds.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("own_birds", None)


def test_a_data_set_of_ones_own(own):
    data = open_dataset("own_birds:birds", own, images=own / "i", split="val")
    assert (data.name, data.split, len(data)) == ("birds", "val", 4)
    assert data.notes == (str(own), str(own / "i"))
    assert open_dataset("own_birds:birds").notes == ("None", "None")
    weak = open_training_set("own_birds:birds", own, limit=2)
    assert all(len(s.boxes) == 0 and s.size is None for s in weak.samples)
    assert {s.label for s in weak.samples} == {0, 1}
    assert DataOptions(data="own_birds:birds").whole().name == "birds"


def test_images_are_left_out_of_it_by_whoever_knows_how(own):
    (own / "list.txt").write_text("1.jpg\n3\n77\n")
    # It says that it takes anything, so it is told; `only_root` is not, and wsol leaves them out.
    assert "exclude" in open_dataset("own_birds:birds", exclude=own / "list.txt").notes
    data = open_dataset("own_birds:only_root", own, exclude=own / "list.txt")
    assert [s.image_id for s in data.samples] == ["0.jpg", "2.jpg"]
    assert data.notes[-2:] == (
        "2 images left out as listed in list.txt.",
        "1 lines of list.txt name no image here.",
    )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("own_birds:only_root", {"split": "val"}, "own_birds:only_root: takes no --split"),
        ("own_birds:only_root", {}, r"failed \(TypeError: .*missing 1 required"),
        ("own_birds:nothing", {}, "returned int instead of a"),
        ("own_birds:twice", {}, "d, split t: the image a is listed twice"),
        ("own_birds:gulls", {}, "has no callable 'gulls'"),
    ],
)
def test_what_is_wrong_with_it_is_told(own, name, options, message):
    with pytest.raises(InputError, match=message):
        open_dataset(name, **options)


def test_an_evaluation_from_outside(own):
    result = CliRunner().invoke(
        app, ["evaluate", "center", "--data", "own_birds:birds", "--json", "r.json"]
    )
    assert result.exit_code == 0, result.output
    assert read_records(own / "r.json")[0].num_images == 4


def test_sources_of_every_layout():
    result = CliRunner().invoke(app, ["datasets", "sources"])
    assert all(f"{name}: " in result.output for name in DATASETS)
