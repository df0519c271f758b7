"""Data sets, metrics, networks and map methods of users' own that fail: a line that names them."""

import json
import re
import sys

import pytest

import wsol as package

from support.command import wsol

OWN = """
import sys
import numpy as np
import torch
from torch import nn
import wsol

def leaves(*given): sys.exit(3)
def lists(*given): return [given]
def yields(*given): yield given

def empty(root):
    return wsol.Dataset("own", "test", None, ("a",), ("a",))

def text(image): return "0.5"
def nan(image): return float("nan")
def spoils(image):
    image.score_map[:] = 0
    image.boxes[:] = 0
    return 1.0

class Net(nn.Module):
    def __init__(self, last):
        super().__init__()
        self.convolution, self.last = nn.Conv2d(3, 8, 7, 4, 3), last
    def forward(self, images):
        return self.last(self.convolution(images).relu().mean((2, 3)))

def good(): return Net(lambda logits: logits)
def whole(): return Net(lambda logits: logits.long())
def meta(): return good().to("meta")
def exits(): return Net(lambda logits: sys.exit(4))
def later():
    calls = iter(range(10**6))
    return Net(lambda logits: logits if next(calls) < 9 else sys.exit(5))

def no_maps(network, images, classes): return images[0]
def complex_maps(network, images, classes): return images[:, : classes.shape[1]] * 1j
def object_maps(network, images, classes): return np.full((*classes.shape, 3, 3), None)
def empty_maps(network, images, classes): return torch.ones(*classes.shape, 0, 0)
def nan_maps(network, images, classes): return images[:, : classes.shape[1]] * float("nan")
"""
SHAPES = ("--data", "shapes", "--root", "shapes", "--limit", 3, "--threshold-step", 0.25)
QUICK = ("--size", 48, "--workers", 0, "--device", "cpu")


@pytest.fixture(scope="module")
def here(place):
    (place / "failing.py").write_text(OWN)
    return place


def data(name):
    return ("center", "--data", f"failing:{name}", "--root", ".", "--threshold-step", 0.25)


def metric(name):
    return ("center", *SHAPES, "--metric", f"failing:{name}")


def network(name):
    return (f"failing:{name}", *SHAPES, *QUICK)


def maps(name):
    return ("failing:good", *SHAPES, *QUICK, "--method", f"failing:{name}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (data("leaves"), "failing:leaves: failed (SystemExit: 3, failing.py:8)."),
        (data("yields"), "failing:yields: returned generator instead of a wsol.datasets.base"),
        (data("empty"), "own, split test: its samples are the type NoneType; expected a sequence"),
        (metric("leaves"), "failing:leaves: failed for test/"),
        (metric("lists"), "failing:lists: gave the type list for test/"),
        (metric("yields"), "failing:yields: gave the type generator"),
        (metric("text"), "failing:text: gave the type str"),
        (metric("nan"), "failing:nan: gave nan for test/"),
        (network("leaves"), "failing:leaves: failed (SystemExit: 3, failing.py:8)."),
        (network("lists"), "failing:lists: returned list instead of an nn.Module."),
        (network("meta"), "failing:meta: returned a network on the meta device"),
        (network("whole"), "failing:whole: gives logits of type torch.int64; expected floating"),
        (network("exits"), "failing:exits: cannot take 3 channels of 48x48 pixels (SystemExit: 4)"),
        (network("later"), "failing:later: "),
        (maps("leaves"), "failing:leaves: failed (SystemExit: 3, failing.py:8)."),
        (maps("lists"), "failing:lists: returned list for 3 images and 1 classes; expected maps"),
        (maps("no_maps"), "failing:no_maps: returned a Tensor of shape (3, 48, 48)"),
        (maps("complex_maps"), "and type torch.complex64 for 3 images and 1 classes"),
        (maps("object_maps"), "failing:object_maps: returned a ndarray of shape (3, 1, 3, 3)"),
        (maps("empty_maps"), "failing:empty_maps: returned a Tensor of shape (3, 1, 0, 0)"),
        (maps("nan_maps"), "the failing:nan_maps map of failing:good has NaN or infinite values"),
    ],
)
def test_one_line_names_it_and_says_what_was_expected(here, arguments, told):
    _, err = wsol(here, "evaluate", *arguments, code=2)
    line = err.splitlines()[-1]
    assert line.startswith("wsol: ") and told in line


def test_other_commands_say_the_same(here):
    shown = ("show", "shapes/images/test/000000.png", "--model", "failing:good")
    _, err = wsol(here, *shown, "--method", "failing:nan_maps", code=2)
    assert "the failing:nan_maps map of failing:good has NaN" in err and "check the method" in err
    trained = ("train", "failing:good", "--weights", "none", "--data", "shapes", "--root", "shapes")
    _, err = wsol(here, *trained, "--out", "trained", code=2)
    assert "failing:good: is of your own, which is evaluated as it is" in err
    trained = ("train", "resnet18", "--weights", "none", "--data", "failing:empty", "--root", ".")
    _, err = wsol(here, *trained, "--out", "trained", code=2)
    assert "own, split test: its samples are the type NoneType" in err


def test_a_metric_changes_nothing_but_its_own_number(here):
    out, _ = wsol(here, "evaluate", *metric("spoils"), "--json", "-")
    plain, _ = wsol(here, "evaluate", "center", *SHAPES, "--json", "-")
    assert json.loads(out)["metrics"] == json.loads(plain)["metrics"]
    assert json.loads(out)["plugin_metrics"] == {"failing:spoils": 100.0}


EXPERIMENT = """
name: failing
data: {{name: {data}, root: {root}}}
models: [{model}]
protocol: {{threshold_step: 0.25, metric: "{metric}"}}
options: {{workers: 0, device: cpu, size: 48, method: "{method}"}}
outputs: {{out: out}}
"""


@pytest.mark.parametrize("kind", ["data", "model", "method", "metric"])
def test_an_experiment_file_and_python_say_the_same(here, kind, monkeypatch):
    given = {
        "data": "shapes", "root": "shapes", "model": "failing:good", "method": "cam", "metric": "",
    } | {kind: "failing:leaves"}  # fmt: skip
    (here / "failing.yaml").write_text(EXPERIMENT.format(**given))
    line = r"failing:leaves: failed .*\(SystemExit: 3, failing\.py:8\)"
    _, err = wsol(here, "compare", "failing.yaml", "--limit", 3, code=2)
    assert re.search(line, err) and "Traceback" not in err
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(package.InputError, match=line):
        package.evaluate(
            given["model"], given["data"], given["root"], method=given["method"],
            metric=given["metric"], size=48, workers=0, device="cpu", threshold_step=0.25,
        )  # fmt: skip
    sys.modules.pop("failing", None)
