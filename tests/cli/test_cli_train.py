"""`wsol train`, then `wsol evaluate` with what it wrote."""

import json
import shutil

import pytest

from wsol.cli import app
from wsol.datasets.shapes import generate_shapes, read_shapes
from wsol.errors import InputError
from wsol.training.methods import METHODS


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "shapes"
    generate_shapes(root, train=16, val=4, test=4, size=48, seed=0)
    return root


def train(shapes, out, *more, model="resnet50"):
    arguments = [
        "train", model, "--data", "shapes", "--root", str(shapes), "--width", "0.0625",
        "--size", "48", "--epochs", "1", "--batch-size", "8", "--cache", "--device", "cpu",
        "--out", str(out), *map(str, more),
    ]  # fmt: skip
    app(arguments, standalone_mode=False)


def evaluate(shapes, folder, *more, model="resnet50", checkpoint="final.pt"):
    file = folder / "record.json"
    arguments = [
        "evaluate", model, "--weights", str(folder / checkpoint), "--data", "shapes", "--root",
        str(shapes), "--device", "cpu", "--no-coco", "--json", str(file), *map(str, more),
    ]  # fmt: skip
    app(arguments, standalone_mode=False)
    return json.loads(file.read_text())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_ends_in_a_checkpoint_that_can_be_evaluated(shapes, tmp_path, method):
    train(shapes, tmp_path, "--wsol-method", method, "--precision", "bf16")
    record = evaluate(shapes, tmp_path)
    assert record["settings"]["size"] == 48
    assert record["metrics"]["max_box_acc_v2"] is not None
    assert json.loads((tmp_path / "train.json").read_text())["method"] == method


def test_no_box_and_no_mask_is_read(shapes, tmp_path):
    blind = tmp_path / "shapes"
    shutil.copytree(shapes, blind, ignore=shutil.ignore_patterns("masks"))
    header, *rows = (blind / "annotations.csv").read_text().splitlines()
    rows = [",".join([*row.split(",")[:2], *["no number"] * 6]) for row in rows]
    (blind / "annotations.csv").write_text("\n".join([header, *rows]) + "\n")
    with pytest.raises(InputError):
        read_shapes(blind, "train")
    train(blind, tmp_path / "out", "--precision", "fp16")
    assert (tmp_path / "out" / "final.pt").exists()


def test_selection_and_chosen_thresholds(shapes, tmp_path, capsys):
    select = ["--select-data", "shapes", "--select-root", shapes, "--select-split", "val"]
    train(shapes, tmp_path, *select)
    said = capsys.readouterr()
    assert "best max_box_acc_v2" in said.out and "best so far" in said.err
    record = evaluate(shapes, tmp_path, "--threshold-from", tmp_path / "train.json")
    assert record["metrics"]["max_box_acc_v2_chosen"] is not None
    policy = record["settings"]["threshold_policy"]
    assert policy["max_box_acc_chosen"] == "chosen on shapes val (4 images)"
    # A record of an evaluation does as well.
    val = evaluate(shapes, tmp_path, "--split", "val")
    (tmp_path / "val.json").write_text(json.dumps(val))
    again = evaluate(shapes, tmp_path, "--threshold-from", tmp_path / "val.json")
    assert again["metrics"]["max_box_acc_v2_chosen"] == record["metrics"]["max_box_acc_v2_chosen"]


def test_every_epoch_is_kept_and_evaluated_as_a_row_of_its_own(shapes, tmp_path, capsys):
    train(shapes, tmp_path / "ck", "--epochs", "3", "--lr", "0.1", "--keep-epochs")
    capsys.readouterr()
    arguments = [
        "evaluate", "resnet50", "--weights", str(tmp_path / "ck" / "epoch-*.pt"), "--data",
        "shapes", "--root", str(shapes), "--device", "cpu", "--no-coco", "--out",
        str(tmp_path / "out"),
    ]  # fmt: skip
    app(arguments, standalone_mode=False)
    table = capsys.readouterr().out
    order = json.loads((tmp_path / "out" / "order.json").read_text())
    records = [json.loads((tmp_path / "out" / name).read_text()) for name in order]
    names = [f"resnet50 (width 0.0625, epoch-{number})" for number in (1, 2, 3)]
    assert [record["model"] for record in records] == names
    assert [table.index(name) for name in names] == sorted(table.index(name) for name in names)
    assert [record["settings"]["weights"] for record in records] == [
        f"epoch-{number}.pt" for number in (1, 2, 3)
    ]
    prints = [record["settings"]["weights_fingerprint"] for record in records]
    assert len(set(prints)) == 3
    # Without a selection set the last one is the best.
    best = evaluate(shapes, tmp_path / "ck")
    assert best["settings"]["weights_fingerprint"] == prints[-1]
    assert best["metrics"] == records[-1]["metrics"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--split", "nope"], "shapes has the splits train, val, test; not 'nope'"),
        (["--batch-size", "17"], "16 images, fewer than one batch of 17"),
        (["--wsol-method", "hass"], "did you mean has"),
        (["--wsol-method", "has", "--method-options", "rate=1"], "has no option rate"),
        (["--method-options", "rate"], "--method-options rate: expected KEY=VALUE"),
        (["--arguments", "depth=3"], "takes no depth"),
        (["--pretrained", "--weights", "x.pt"], "both name weights"),
        (["--weights", "x.pt"], "x.pt: does not exist"),
        (["--schedule", "step"], "a step schedule needs the epochs between two steps"),
        (["--lr", "-1"], "--lr: should be greater than 0"),
        (["--warmup-epochs", "3"], "does not fit into 1"),
        (["--select-data", "shapes"], "needs both --select-data and --select-root"),
        (["--workers", "1"], "cache goes with 0 workers"),
    ],
)
def test_bad_input_is_said_before_anything_is_written(shapes, tmp_path, more, message):
    with pytest.raises(InputError, match=message):
        train(shapes, tmp_path / "out", *more)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_another_model_or_number_of_classes_is_refused(shapes, tmp_path):
    train(shapes, tmp_path / "first")
    final = tmp_path / "first" / "final.pt"
    with pytest.raises(InputError, match=r"is a checkpoint of resnet50 .* not of vgg16_gap"):
        train(shapes, tmp_path / "out", "--weights", final, model="vgg16_gap")
    with pytest.raises(InputError, match="method adl"):
        train(shapes, tmp_path / "out", "--weights", final, "--wsol-method", "adl")
    with pytest.raises(InputError, match="is the state of a training run"):
        train(shapes, tmp_path / "out", "--weights", tmp_path / "first" / "last.pt")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="holds a training run already"):
        train(shapes, tmp_path / "first")
    with pytest.raises(InputError, match=r"other settings .*momentum was 0.9, now 0.5"):
        train(shapes, tmp_path / "first", "--resume", "--momentum", "0.5")
