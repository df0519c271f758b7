"""`wsol import-weights` and what `wsol evaluate` makes of its file."""

import json
import sys

import pytest
import torch

from wsol.cli import main
from wsol.datasets.registry import open_dataset
from wsol.datasets.shapes import generate_shapes
from wsol.models.vgg_gap import vgg16_gap

from support.caffe import write_caffe


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A generated data set, and a Caffe model of as many classes."""
    folder = tmp_path_factory.mktemp("import")
    generate_shapes(folder / "shapes", train=0, val=0, test=4, size=64, seed=0)
    classes = open_dataset("shapes", folder / "shapes").classes
    network = vgg16_gap(len(classes), width=1 / 16, cam_groups=2)
    write_caffe(network, folder / "net.caffemodel")
    (folder / "classes.txt").write_text("\n".join(reversed(classes)) + "\n")
    return folder


def wsol(monkeypatch, capsys, *arguments):
    """Run the command in this process and return (exit code, stdout, stderr)."""
    monkeypatch.setattr(sys, "argv", ["wsol", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return ended.value.code or 0, out, err


def test_an_imported_file_is_evaluated_with_its_own_preprocessing(place, monkeypatch, capsys):
    imported = ("import-weights", place / "net.caffemodel", "--as", "vgg16_gap")
    code, out, err = wsol(
        monkeypatch, capsys, *imported, "--out", place / "net.pt", "--classes",
        place / "classes.txt",
    )  # fmt: skip
    assert code == 0, err
    assert "vgg16_gap (width 0.0625, cam groups 2)" in out and "14x14 maps at 224 pixels" in out
    code, out, err = wsol(
        monkeypatch, capsys, "evaluate", "vgg16_gap", "--weights", place / "net.pt", "--data",
        "shapes", "--root", place / "shapes", "--threshold-step", "0.1", "--workers", "0",
        "--json", place / "record.json",
    )  # fmt: skip
    assert code == 0, err
    settings = json.dumps(json.loads((place / "record.json").read_text()))
    assert '"channel_order": "bgr"' in settings and str(104 / 255) in settings


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["--as", "resnet50"], "a Caffe model can be read as vgg16_gap"),
        (["--map-size", "7"], "maps of 14 or 28"),
        (["--classes", "ilsvrc"], "1000 different class keys"),
        (["--classes", "nowhere.txt"], "nowhere.txt: does not exist"),
    ],
)
def test_bad_input_exits_with_2_and_writes_nothing(place, monkeypatch, capsys, change, told):
    options = {"--as": "vgg16_gap", "--out": place / "bad.pt", **{change[0]: change[1]}}
    code, _, err = wsol(
        monkeypatch, capsys, "import-weights", place / "net.caffemodel",
        *(part for option in options.items() for part in option),
    )  # fmt: skip
    assert code == 2 and told in err.replace("\n", " ") and "Traceback" not in err
    assert not (place / "bad.pt").exists()


def test_a_truncated_checkpoint_exits_with_2(place, monkeypatch, capsys):
    torch.save({"state_dict": {"conv1.weight": torch.zeros(64, 3, 7, 7)}}, place / "whole.pth.tar")
    (place / "cut.pth.tar").write_bytes((place / "whole.pth.tar").read_bytes()[:9000])
    code, _, err = wsol(
        monkeypatch, capsys, "import-weights", place / "cut.pth.tar", "--as", "resnet50",
        "--out", place / "bad.pt",
    )  # fmt: skip
    assert code == 2 and "cut.pth.tar: is no PyTorch checkpoint, or is damaged" in err
    assert not (place / "bad.pt").exists()
