"""The demo, whole but small: data, training, evaluation, table, plots, page."""

import io

import pytest
import torch
from rich.console import Console

from wsol import demo
from wsol.datasets.shapes import generate_shapes, read_shapes
from wsol.errors import InputError
from wsol.models.checkpoint import read_checkpoint
from wsol.records.record import find_records


@pytest.fixture
def small(monkeypatch):
    """Few images: what the demo is for is measured by running it, not here."""
    monkeypatch.setattr(demo, "_IMAGES", {"train": 64, "val": 0, "test": 16})


def run(out):
    console = Console(file=io.StringIO(), width=160)
    recipes = (demo.Recipe("vgg16_gap", 0.0625, epochs=2, learning_rate=0.01),)
    records = demo.run_demo(out, seed=3, device="cpu", console=console, recipes=recipes)
    return records, console.file.getvalue()


def test_everything_it_names_is_there(small, tmp_path):
    records, printed = run(tmp_path)
    assert [record.model.partition(" ")[0] for record in records] == ["vgg16_gap", "center", "full"]
    assert all(record.num_images == 16 for record in records)
    for name in ("table.md", "table.csv", "parameters.png", "thresholds.png", "index.html"):
        assert (tmp_path / name).stat().st_size > 0
        assert name in printed
    kept = find_records([tmp_path / "records"])
    assert {record.model for record in kept} == {record.model for record in records}
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "wsol demo: localization without a box" in page


def test_again_it_trains_and_evaluates_nothing(small, tmp_path, monkeypatch):
    first, _ = run(tmp_path)
    monkeypatch.setattr(demo, "train_classifier", pytest.fail)
    again, _ = run(tmp_path)
    assert [record.environment.date for record in again] == [
        record.environment.date for record in first
    ]


@pytest.mark.slow
def test_networks_are_the_same_trained_at_once_or_in_turn(small, tmp_path, monkeypatch):
    generate_shapes(tmp_path / "shapes", train=64, val=1, test=1, size=64, seed=0)
    data = read_shapes(tmp_path / "shapes", "train")
    recipes = (
        demo.Recipe("vgg16_gap", 0.0625, epochs=2, learning_rate=0.01),
        demo.Recipe("resnet50", 0.0625, epochs=2, learning_rate=0.01),
    )
    kept = []
    for cores in (1, 2):
        monkeypatch.setattr(demo, "usable_cores", lambda cores=cores: cores)
        paths = demo._trained(recipes, data, tmp_path / str(cores), 5, "cpu")
        kept.append([read_checkpoint(path)[0] for path in paths])
    for alone, at_once in zip(*kept, strict=True):
        assert alone.keys() == at_once.keys()
        for name, values in alone.items():
            torch.testing.assert_close(at_once[name], values, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_a_network_that_fails_ends_the_others(small, tmp_path, monkeypatch):
    generate_shapes(tmp_path / "shapes", train=64, val=1, test=1, size=64, seed=0)
    data = read_shapes(tmp_path / "shapes", "train")
    data.samples[3].path.write_bytes(b"broken")
    recipes = tuple(demo.Recipe("resnet50", width, 2, 0.01) for width in (0.0625, 0.125))
    monkeypatch.setattr(demo, "usable_cores", lambda: 2)
    with pytest.raises(InputError, match=data.samples[3].path.name):
        demo._trained(recipes, data, tmp_path / "nets", 5, "cpu")
    assert not list((tmp_path / "nets").glob("*.pt"))
