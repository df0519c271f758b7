"""Experiment files: what they mean, and what is said about wrong ones."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from wsol.errors import InputError
from wsol.evaluation.protocol import Protocol
from wsol.experiment.file import read_experiment

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.yaml"))

WHOLE = """
name: two-nets
title: Two networks
data:
  - {name: cub, root: $BIRDS/CUB, split: test, protocol: {threshold_step: 0.01}}
  - {name: shapes, root: ../shapes}
models:
  - center
  - {model: resnet50, weights: nets/cub.pt, name: Ours}
  - {model: vgg16_gap, weights: none, arguments: {width: 0.25}}
protocol: {iou: [0.5], compat: none, contours: largest}
options: {size: 112, batch_size: 8, per_image: true}
outputs: {out: out, tables: [latex], plots: [], report: true, examples: 10}
"""


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "experiment.yaml"
        path.write_text(text)
        return path

    return written


def test_a_whole_file(write, tmp_path, monkeypatch):
    monkeypatch.setenv("BIRDS", "/data")
    experiment = read_experiment(write(WHOLE))
    cub, shapes = experiment.data
    assert cub.root == Path("/data/CUB") and shapes.root == tmp_path.parent / "shapes"
    assert [model.label for model in experiment.models] == [
        "center",
        "Ours",
        "vgg16_gap (width 0.25)",
    ]
    assert experiment.models[1].weights == str(tmp_path / "nets" / "cub.pt")
    assert experiment.models[2].weights == "none"
    shared = {"convention": ("exact",), "iou": (0.5,), "contours": "largest"}
    assert experiment.protocol_on(cub) == Protocol(threshold_step=0.01, **shared)
    assert experiment.protocol_on(shapes) == Protocol(**shared)
    assert experiment.outputs.out == tmp_path / "out"


def test_what_was_written_otherwise_at_first_is_taken_with_a_note(write):
    text = """name: a
models: [center]
protocol: {convention: [wsolevaluation, psol]}
data:
  - {name: shapes, root: shapes}
  - {name: shapes, root: shapes, split: val, protocol: {compat: none}}
  - {name: shapes, root: shapes, protocol: {convention: danet}}
options: {size: 32, coco: null}
"""
    notes = []
    experiment = read_experiment(write(text), notes.append)
    assert experiment.protocol.convention == ("choe2020", "psol")
    assert [experiment.protocol_on(part).convention for part in experiment.data[1:]] == [
        ("exact",), ("danet",)
    ]  # fmt: skip
    assert [note.partition("experiment.yaml:")[2] for note in notes] == [
        "3: convention: wsolevaluation: taken as convention: choe2020.",
        "6: compat: none: taken as convention: exact.",
        "8: coco: without a value: taken as true.",
    ]
    assert experiment.options.coco is True


def test_a_short_file_has_the_defaults_of_the_commands(write):
    experiment = read_experiment(
        write("name: a\ndata: {name: shapes, root: shapes}\nmodels: [center]")
    )
    assert experiment.protocol_on(experiment.data[0]) == Protocol()
    assert experiment.models[0].weights == "default" and experiment.outputs.out is None


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.name)
def test_the_files_of_this_project(path, monkeypatch):
    for variable in (
        "WSOL_METADATA",
        "TINY_IMAGENET",
        "ILSVRC",
        "CUB",
        "CUBV2",
        "OPENIMAGES",
        "ILSVRC_1000",
        "CUB_50",
        "ILSVRC_WEIGHTS",
    ):
        monkeypatch.setenv(variable, "/data")
    experiment = read_experiment(path)
    assert experiment.name == path.stem
    assert experiment.outputs.out == path.parents[1] / "results" / path.stem


def test_every_file_is_told_of_and_every_job_is_a_model(monkeypatch, tmp_path):
    folder = EXPERIMENTS[0].parent
    readme = (folder / "README.md").read_text()
    assert all(f"| [{path.name}]({path.name}) |" in readme for path in EXPERIMENTS)
    methods = [path for path in EXPERIMENTS if path.stem.endswith("-methods")]
    assert len(methods) == 3
    (tmp_path / "wsol").write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    (tmp_path / "wsol").chmod(0o755)
    labels = []
    for number in range(18):
        done = subprocess.run(
            ["bash", str(folder / "slurm-methods.sh"), "cub-methods"],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": str(number)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        words = done.stdout.splitlines()
        assert words[:3] == ["compare", "experiments/cub-methods.yaml", "--only"]
        labels.append(words[3])
    for path in methods:
        assert [m["name"] for m in yaml.safe_load(path.read_text())["models"][:-1]] == labels
        assert f"slurm-methods.sh {path.stem}\n" in re.sub(" +#.*", "", readme)


SMALL = "name: a\ndata: {name: shapes, root: shapes}\nmodels: [center]\n"


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("", ["1: has no fields"]),
        ("just text", ["1: has no fields"]),
        ("a: [", ["1: is not YAML"]),
        ("name: !!python/object/apply:os.system [id]", ["1: is not YAML"]),
        ("a: " + 5000 * "[", [" is nested too deeply"]),
        ("name: a", ["1: data: is missing", "1: models: is missing"]),
        (SMALL + "titel: b", ["4: titel: no such field; there are name, title, data"]),
        (SMALL + "name: b", ["4: name: stands here twice"]),
        (SMALL + "outputs: {tables: [csv,\n word]}", ["5: outputs.tables[1]: should be"]),
        (SMALL + "protocol:\n  iou: [0.5, 1.5]", ["5: protocol.iou[1]: should be less"]),
        (SMALL + "protocol:\n  threshold_step: 0", ["5: protocol.threshold_step: should be"]),
        (SMALL + "options:\n  size: big", ["5: options.size: should be a valid integer"]),
        (SMALL + "options:\n  batchsize: 3", ["5: options.batchsize: no such field; there are"]),
        (SMALL.replace("[center]", "[]"), ["3: models: needs at least one"]),
        (SMALL.replace("[center]", "5"), ["3: models: should be a list"]),
        (SMALL.replace("center", "center, center"), ["1: two models are called 'center'"]),
        (SMALL.replace("center", "{weights: w.pt}"), ["3: models[0].model: is missing"]),
        (SMALL.replace("name: a", "name: ../a"), ["1: name: should have letters"]),
        (SMALL.replace("name: shapes", "name: imagenet"), ["2: data.name: imagenet: not a known"]),
        (SMALL.replace("root: shapes", "root: $NOWHERE_SET/a"), ["2: data.root: the variable NOW"]),
        ("name: a\ndata:\n- *b\nmodels: [a]", ["3: is not YAML"]),
        ("name: a\ndata: &b [*b]\nmodels: [a]", ["2: data[0]: should be fields and values"]),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_lines(write, text, mistakes):
    path = write(text)
    with pytest.raises(InputError) as caught:
        read_experiment(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(mistakes), lines
    for line, mistake in zip(lines, mistakes, strict=True):
        assert line.startswith(f"{path}:{mistake}"), line


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_experiment(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not UTF-16 text"):
        read_experiment(tmp_path / "binary.yaml")
