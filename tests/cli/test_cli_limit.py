"""`--limit` is one thing everywhere: an even spread over the classes, and how many it covers."""

import json

import numpy as np
import pytest

import wsol as package
from wsol.datasets.registry import open_dataset
from wsol.records.outcomes import read_outcomes

from support.command import wsol

SHAPES = ("--data", "shapes", "--root", "shapes")
LIMITED = (*SHAPES, "--limit", 3)
STEP = ("--threshold-step", 0.25)
EXPERIMENT = """
name: limited
data: {name: shapes, root: shapes}
models: [center]
protocol: {threshold_step: 0.25}
options: {per_image: true}
outputs: {out: compared}
"""


def evaluate(place):
    wsol(place, "evaluate", "center", *LIMITED, *STEP, "--per-image", "--out", "evaluated")
    return place / "evaluated" / "center.json"


def score(place):
    (place / "maps" / "test").mkdir(parents=True)
    for sample in open_dataset("shapes", place / "shapes"):
        np.save(place / "maps" / f"{sample.image_id}.npy", np.eye(16, dtype=np.float32))
    wsol(place, "score", "maps", *LIMITED, *STEP, "--per-image", "--out", "scored")
    return place / "scored" / "maps.json"


def compare(place):
    (place / "limited.yaml").write_text(EXPERIMENT)
    wsol(place, "compare", "limited.yaml", "--limit", 3, "--out", "compared")
    return place / "compared" / "records" / "shapes-center.json"


def train(place):
    wsol(
        place, "train", "resnet18", "--width", 0.0625, "--size", 32, *LIMITED, "--epochs", 1,
        "--batch-size", 3, "--workers", 0, "--device", "cpu", "--out", "trained",
    )  # fmt: skip
    return place / "trained" / "train.json"


def python(place):
    package.evaluate(
        "center", "shapes", place / "shapes", limit=3, threshold_step=0.25, per_image=True,
        out=place / "python",
    )  # fmt: skip
    return place / "python" / "center.json"


@pytest.fixture(scope="module")
def records(place):
    return {run.__name__: run(place) for run in (evaluate, score, compare, train, python)}


@pytest.mark.parametrize("command", ["evaluate", "score", "compare", "train", "python"])
def test_it_is_spread_over_the_classes_and_says_over_how_many(place, records, command):
    record = json.loads(records[command].read_text())
    whole = open_dataset("shapes", place / "shapes", split=record["split"])
    classes = len({sample.label for sample in whole})
    assert record["num_images"] == 3
    told = f"Only 3 of {len(whole)} images, spread evenly over 3 of {classes} classes."
    assert told in record["notes"]


def test_every_command_takes_the_same_images(records):
    taken = set()
    for command in ("evaluate", "score", "compare", "python"):
        file = records[command]
        table, _ = read_outcomes(file.with_name(f"{file.stem}.outcomes.parquet"))
        taken.add(tuple(table["image_id"].to_pylist()))
        assert len(set(table["label"].to_pylist())) == 3
    assert len(taken) == 1
