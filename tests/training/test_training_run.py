"""A run in a folder: resumed it ends in the same bits, and what exists is not overwritten."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from wsol.cli import app
from wsol.datasets.shapes import generate_shapes, read_shapes
from wsol.datasets.weak import open_training_set
from wsol.errors import InputError
from wsol.evaluation.loop import evaluate
from wsol.evaluation.options import EvaluationOptions as Options
from wsol.evaluation.protocol import Protocol
from wsol.models.checkpoint import read_checkpoint
from wsol.models.registry import load_classifier
from wsol.records.training import read_training_record
from wsol.training.methods import make_method
from wsol.training.options import TrainingOptions
from wsol.training.run import TrainingRun
from wsol.training.selection import Selection
from wsol.training.start import starting_network
from wsol.training.train import Training

OPTIONS = TrainingOptions(
    epochs=3, batch_size=8, lr=0.05, warmup_epochs=1, cache=True
)  # 9 steps of 3 an epoch


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "shapes"
    generate_shapes(root, train=24, val=8, test=8, size=48, seed=0)
    return root


@pytest.fixture(scope="module")
def data(root):
    return open_training_set("shapes", root)


def run_of(folder, data, options=OPTIONS, *, method="has", selection=None, **replaced):
    """A run of a small network whose method draws random numbers; it saves after every step."""
    made = make_method(method)
    start = starting_network("resnet18", data, made, arguments={"width": 0.0625}, size=48)
    options = options.replaced(**{"save_every": 0.0} | replaced)
    return TrainingRun(folder, start, data, options, method=made, selection=selection)


def tensors(path):
    return read_checkpoint(path)[0]


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("whole")
    run_of(folder, data).run()
    return folder


class Interrupt:
    """Presses Ctrl-C at one step of the progress bar, or counts the steps."""

    def __init__(self, at=None):
        self.at, self.steps, self.first = at, 0, None

    def __call__(self, name, total, done):
        self.first = done
        return self

    def __enter__(self):
        return self.step

    def __exit__(self, *error):
        return None

    def step(self, images, note):
        self.steps += 1
        if self.steps == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("method", "at"), [("has", 2), ("cutmix", 6)])
def test_a_run_that_was_interrupted_ends_in_the_same_bits(tmp_path, data, method, at):
    run_of(tmp_path / "whole", data, method=method).run()
    with pytest.raises(KeyboardInterrupt):
        run_of(tmp_path / "cut", data, method=method, save_every=1e9).run(track=Interrupt(at))
    assert not (tmp_path / "cut" / "final.pt").exists()
    rest = Interrupt()
    record = run_of(tmp_path / "cut", data, method=method).run(resume=True, track=rest)
    assert rest.first == 8 * at and rest.steps == 9 - at
    files = [(tmp_path / name / "final.pt").read_bytes() for name in ("whole", "cut")]
    assert files[0] == files[1]
    assert not (tmp_path / "whole" / "best.pt").exists()  # nothing was chosen
    before = read_training_record(tmp_path / "whole" / "train.json")
    assert [(e.loss, e.accuracy) for e in record.epochs] == [
        (e.loss, e.accuracy) for e in before.epochs
    ]
    assert record.finished and len(record.epochs) == 3


def test_a_checkpoint_of_every_epoch_is_kept_when_asked_for(tmp_path, data, whole):
    with pytest.raises(KeyboardInterrupt):
        run_of(tmp_path, data, keep_epochs=True).run(track=Interrupt(8))
    run_of(tmp_path, data, keep_epochs=True).run(resume=True)
    epochs = sorted(path.name for path in tmp_path.glob("epoch-*.pt"))
    assert epochs == ["epoch-1.pt", "epoch-2.pt", "epoch-3.pt"]
    assert not list(whole.glob("epoch-*.pt"))
    assert_equal(tensors(tmp_path / "epoch-3.pt"), tensors(whole / "final.pt"))
    kept = [read_checkpoint(tmp_path / name) for name in epochs]
    assert [checkpoint.info.training["epoch"] for checkpoint in kept] == [1, 2, 3]
    run_of(tmp_path / "again", data, keep_epochs=True).run()
    for name in epochs:  # interrupted or not
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert (tmp_path / "final.pt").read_bytes() == (whole / "final.pt").read_bytes()
    for name in ("last.pt", "final.pt", "train.json"):
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match=r"holds a training run already \(epoch-1.pt"):
        run_of(tmp_path, data).run()
    assert any(
        not torch.equal(kept[0].tensors[name], value) for name, value in kept[1].tensors.items()
    )


def test_a_failure_between_saves_goes_back_to_the_last_one(tmp_path, data, whole, monkeypatch):
    advance = Training._advance

    def fail(self, *batch):
        if self.step == 5:
            raise RuntimeError("a power cut")
        return advance(self, *batch)

    monkeypatch.setattr(Training, "_advance", fail)
    with pytest.raises(RuntimeError, match="a power cut"):
        run_of(tmp_path, data, save_every=1e9).run()
    monkeypatch.undo()
    rest = Interrupt()
    run_of(tmp_path, data).run(resume=True, track=rest)
    assert rest.steps == 6  # the first epoch was saved
    assert_equal(tensors(whole / "final.pt"), tensors(tmp_path / "final.pt"))


@pytest.mark.slow
def test_a_killed_process_goes_on(tmp_path, root):
    def arguments(name, *more):
        return [
            "train", "resnet18", "--data", "shapes", "--root", str(root), "--width", "0.0625",
            "--size", "48", "--epochs", "15", "--batch-size", "8", "--cache", "--device", "cpu",
            "--out", str(tmp_path / name), *more,
        ]  # fmt: skip

    command = [sys.executable, "-m", "wsol", *arguments("cut")]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    killed = subprocess.Popen(command, **silent)
    deadline = time.monotonic() + 120
    while not (tmp_path / "cut" / "last.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "cut" / "final.pt").exists()
    app(arguments("cut", "--resume"), standalone_mode=False)
    app(arguments("whole"), standalone_mode=False)
    assert_equal(tensors(tmp_path / "whole" / "final.pt"), tensors(tmp_path / "cut" / "final.pt"))


def test_a_folder_with_a_run_is_not_overwritten(whole, data):
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    with pytest.raises(InputError, match=r"holds a training run already.*--resume"):
        run_of(whole, data).run()
    slower = OPTIONS.replaced(lr=0.01)
    with pytest.raises(InputError, match=r"other settings \(learning_rate was 0.05, now 0.01\)"):
        run_of(whole, data, slower).run(resume=True)
    with pytest.raises(InputError, match='method was "has", now "cutmix"'):
        run_of(whole, data, method="cutmix").run(resume=True)
    assert {path.name: path.read_bytes() for path in whole.iterdir()} == before
    steps = Interrupt()
    run_of(whole, data, OPTIONS.replaced(workers=1, cache=False)).run(
        resume=True, track=steps
    )  # how images are loaded changes nothing
    assert steps.steps == 0


def test_a_damaged_state_is_said(tmp_path, data):
    (tmp_path / "last.pt").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(InputError, match=r"last\.pt: the state of the run is damaged"):
        run_of(tmp_path, data).run(resume=True)
    torch.save({"state_dict": {}}, tmp_path / "last.pt")
    with pytest.raises(InputError, match="is not the state of a training run"):
        run_of(tmp_path, data).run(resume=True)
    whole = {"wsol_training": 1, "settings": "{}", "epochs": "[]", "chosen": "null"}
    for change in ({"settings": None}, {"settings": "[1]"}, {"epochs": '[{"epoch": 0}]'}):
        torch.save(whole | change, tmp_path / "last.pt")
        with pytest.raises(InputError, match=r"last\.pt: is not the state of a training run"):
            run_of(tmp_path, data).run(resume=True)
    same = run_of(tmp_path, data)._record.settings
    torch.save(whole | {"settings": json.dumps(same)}, tmp_path / "last.pt")
    with pytest.raises(InputError, match=r"last\.pt: .*'training' is missing"):
        run_of(tmp_path, data).run(resume=True)


def test_a_loss_that_is_not_finite_keeps_the_last_good_state(tmp_path, data, monkeypatch):
    run = run_of(tmp_path, data, save_every=1e9)
    loss = run._training._method.loss

    def spoilt(network, images, labels, generator):
        output = loss(network, images, labels, generator)
        if run._training.step == 4:
            output = dataclasses.replace(output, loss=output.loss * float("nan"))
        return output

    run._training._method = dataclasses.replace(run._training._method, loss=spoilt)
    with pytest.raises(InputError, match=r"nan at step 5 of 9 .*last\.pt holds the last good"):
        run.run()
    state = torch.load(tmp_path / "last.pt", weights_only=True)["training"]
    assert state["step"] == 3
    assert all(torch.isfinite(t).all() for t in state["network"].values())
    assert not (tmp_path / "final.pt").exists()


def test_weights_that_are_not_finite_are_not_saved(tmp_path, data):
    run = run_of(tmp_path, data)
    run.run()
    before = (tmp_path / "last.pt").read_bytes()
    with torch.no_grad():
        run._start.classifier.network.conv1.weight[0] = float("inf")
    with pytest.raises(InputError, match=r"conv1.weight is not finite after step 9 of 9"):
        run._save()
    assert (tmp_path / "last.pt").read_bytes() == before


def test_last_is_not_taken_for_a_checkpoint(whole):
    with pytest.raises(InputError, match=r"state of a training run.*best\.pt .*final\.pt"):
        load_classifier("resnet18", str(whole / "last.pt"))


@pytest.fixture(scope="module")
def selected(tmp_path_factory, data, root):
    folder = tmp_path_factory.mktemp("selected")
    selection = Selection(
        read_shapes(root, "val"),
        Options(protocol=Protocol(threshold_step=0.05), coco=False),
    )
    run_of(folder, data, selection=selection).run()
    return folder, selection


def test_the_best_epoch_and_its_thresholds_are_chosen_on_the_selection_set(selected, root):
    folder, selection = selected
    record = read_training_record(folder / "train.json")
    values = [epoch.selection for epoch in record.epochs]
    chosen = record.chosen
    assert chosen.epoch == 1 + int(np.argmax(values)) and chosen.value == max(values)
    best = load_classifier("resnet18", str(folder / "best.pt"))
    again = evaluate(best, selection.dataset, selection.options)
    assert again.settings["size"] == 48  # it travels with the checkpoint
    assert again.metrics.max_box_acc_v2 == pytest.approx(chosen.value)
    assert again.metrics.best_threshold == chosen.thresholds
    assert again.metrics.best_threshold_largest == chosen.thresholds_largest
    info = read_checkpoint(folder / "best.pt")[1]
    assert info.training["chosen"] == json.loads(chosen.model_dump_json())
    assert info.training["method"] == "has" and info.arguments == {"width": 0.0625}


def test_chosen_thresholds_are_applied_to_another_split(selected, root):
    folder, selection = selected
    test = read_shapes(root, "test")
    best = load_classifier("resnet18", str(folder / "best.pt"))
    options = selection.options.replaced(threshold_from=folder / "train.json", curves=True)
    record = evaluate(best, test, options, weights="best.pt")
    chosen = read_training_record(folder / "train.json").chosen
    by_hand = [
        100 * record.curves.all[level][record.curves.thresholds.index(t)] / 8
        for level, t in chosen.thresholds.items()
    ]
    assert record.metrics.max_box_acc_v2_chosen == pytest.approx(sum(by_hand) / 3)
    place = record.curves.thresholds.index(chosen.thresholds_largest["0.5"])
    assert record.metrics.max_box_acc_chosen == 100 * record.curves.largest["0.5"][place] / 8
    assert record.metrics.max_box_acc_v2_chosen <= record.metrics.max_box_acc_v2
    policy = record.settings["threshold_policy"]
    assert policy["max_box_acc_chosen"] == "chosen on shapes val (8 images)"

    final = load_classifier("resnet18", "none", num_classes=8)
    with pytest.raises(InputError, match="no thresholds were chosen for these weights"):
        evaluate(final, test, options, weights="none")
    finer = options.replaced(protocol=Protocol(threshold_step=0.3))
    with pytest.raises(InputError, match="not among the evaluated ones"):
        evaluate(best, test, finer)
    assert evaluate("center", test, options).metrics.max_box_acc_v2_chosen is None


def test_selection_does_not_look_at_training_images(tmp_path, data, root):
    with pytest.raises(InputError, match="is in the selection set and in the training set"):
        run_of(tmp_path, data, selection=Selection(read_shapes(root, "train"), Options()))
    with pytest.raises(InputError, match="accuracy: nothing to select by; there are top1_cls"):
        Selection(read_shapes(root, "val"), Options(), metric="accuracy")


def test_a_wrong_box_of_the_selection_set_is_told_before_anything_is_trained(tmp_path, data, root):
    whole = read_shapes(root, "val")
    outside = np.array([[3.0, 4, 90, 40]])  # of a photograph of 48 pixels
    samples = [dataclasses.replace(s, size=None) for s in whole.samples]
    samples[5] = dataclasses.replace(samples[5], boxes=outside)
    bad = dataclasses.replace(whole, samples=samples)
    with pytest.raises(InputError, match=r"val/000005.png: .*lies outside its image of 48x48"):
        run_of(tmp_path, data, selection=Selection(bad, Options()))
    run_of(tmp_path, data, selection=Selection(bad.opened_with("auto", True), Options()))
