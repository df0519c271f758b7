"""The demo, whole but small: data, training, evaluation, table, plots, page."""

import io

import pytest
from rich.console import Console

from wsol import demo
from wsol.results.record import read_records


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
    kept = [read_records(path)[0] for path in sorted((tmp_path / "records").glob("*.json"))]
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
