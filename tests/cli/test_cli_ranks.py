"""Whole commands in several real processes, as torchrun and Slurm start them: one run, with one
result, whatever is killed meanwhile."""

import json
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from wsol.datasets.registry import open_dataset
from wsol.datasets.shapes import generate_shapes
from wsol.datasets.weak import open_training_set
from wsol.models.checkpoint import read_checkpoint
from wsol.records.store import Store

from support.command import wsol
from support.ranks import begin_step, ended, slurm_step, step_variables, torchrun

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")

NETWORKS = """
import time
from pathlib import Path
import torch
from torch import nn

class Sleepy(nn.Sequential):
    def forward(self, images):
        time.sleep(SECONDS)
        return super().forward(images)

SECONDS = 0

def tiny():
    torch.manual_seed(0)
    return Sleepy(
        nn.Conv2d(3, 8, 7, 4, 3), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 8),
    )
"""
EXPERIMENT = """
name: ranks
data: {name: shapes, root: shapes}
models:
  - {model: vgg16_gap, arguments: {width: 0.0625}, name: Trained, train: {}}
  - {model: "networks:tiny", weights: none, name: Tiny}
  - center
training:
  data: {name: shapes, root: shapes}
  out: checkpoints
  size: 48
  epochs: 2
  batch_size: 12
  lr: 0.01
protocol: {threshold_step: 0.1}
options: {device: cpu, workers: 0, batch_size: 4, curves: true, per_image: true}
"""
SHAPES = ("--data", "shapes", "--root", "shapes")
EVALUATE = ("evaluate", "networks:tiny", *SHAPES, "--batch-size", "2", "--workers", "0",
            "--device", "cpu", "--per-image", "--curves")  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    generate_shapes(folder / "shapes", train=24, val=1, test=23, size=48, seed=0)
    (folder / "networks.py").write_text(NETWORKS)
    (folder / "ranks.yaml").write_text(EXPERIMENT)
    return folder


@pytest.fixture(scope="module")
def compared(place):
    """A comparison by one process."""
    return compare(place, "alone", lambda *arguments: wsol(place, *arguments))


def compare(place, name, run):
    """Run the experiment, its checkpoints in a folder of its own; what was printed."""
    text = EXPERIMENT.replace("checkpoints", f"checkpoints-{name}")
    (place / f"{name}.yaml").write_text(text)
    return run("compare", f"{name}.yaml", "--store", f"store-{name}", "--out", f"out-{name}")


def runs(place, name, *, trained=True):
    """Every record of a comparison without what was measured by the clock, and its rows."""
    found = {}
    for entry in Store(place / f"store-{name}").read()[0]:
        record = json.loads(entry.record.to_json())
        del record["timing"], record["environment"]
        model = record["model"]
        if trained or not model.startswith("vgg16_gap"):
            found[model] = record, pq.read_table(entry.outcomes).to_pylist()
    assert len(found) == (3 if trained else 2)
    return found


def require_compared_together(place, name, processes):
    """Trainings shared their batches, and evaluations came out as those of one process."""
    training = json.loads((place / f"checkpoints-{name}" / "Trained" / "train.json").read_text())
    alone = json.loads((place / "checkpoints-alone" / "Trained" / "train.json").read_text())
    assert training["finished"] and training["settings"]["processes"] == processes
    for epoch, other in zip(training["epochs"], alone["epochs"], strict=True):
        assert epoch["loss"] == pytest.approx(other["loss"], rel=1e-3)
    np.testing.assert_equal(runs(place, name, trained=False), runs(place, "alone", trained=False))
    assert (place / f"out-{name}" / "table.md").exists()
    assert not list((place / f"store-{name}" / ".running").glob("*"))


@pytest.mark.slow
def test_the_tasks_of_a_step_compare_as_one(place, compared):
    told = compare(place, "step", lambda *arguments: slurm_step(place, 2, *arguments))
    assert "Tiny" in told[0][0] and told[1][0] == ""  # the first one prints
    assert "3/3 center on shapes test: evaluated" in told[0][1]
    require_compared_together(place, "step", 2)


@pytest.mark.slow
def test_and_find_what_is_stored(place, compared):
    compare(place, "stored", lambda *arguments: wsol(place, *arguments))
    again = slurm_step(
        place, 2, "compare", "stored.yaml", "--store", "store-stored", "--out", "again"
    )
    assert again[0][1].count("is stored") == 3


@pytest.mark.slow
@pytest.mark.parametrize("processes", [3, 4])
def test_so_do_processes_of_torchrun(place, compared, processes):
    name = f"torchrun-{processes}"
    compare(place, name, lambda *arguments: torchrun(place, processes, *arguments))
    require_compared_together(place, name, processes)


def test_a_batch_script_waits_for_nobody(place, monkeypatch):
    """It has its job's variables, and those of the step that it runs in itself."""
    script = step_variables(0, 4, "77")
    for step in ({}, {"SLURM_STEP_ID": str(0xFFFFFFFB)}):
        variables = {k: v for k, v in script.items() if not k.startswith("SLURM_STEP")} | step
        out, _ = wsol(place, "evaluate", "center", *SHAPES, "--json", "-", environment=variables)
        assert json.loads(out)["num_images"] == 23


@pytest.fixture(scope="module")
def maps(place):
    rng = np.random.default_rng(0)
    for sample in open_dataset("shapes", place / "shapes").samples:
        path = place / "maps" / f"{sample.image_id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, rng.random((7, 7), dtype=np.float32))
    return ("score", "maps", *SHAPES, "--per-image", "--curves")


def result(place, name):
    record = json.loads((place / f"{name}.json").read_text())
    del record["timing"], record["environment"]
    return record, pq.read_table(place / f"{name}.outcomes.parquet").to_pylist()


@pytest.mark.slow
def test_the_tasks_of_a_step_score_as_one(place, maps):
    wsol(place, *maps, "--json", "s1.json")
    told = slurm_step(place, 2, *maps, "--json", "s2.json")
    assert "shapes test" in told[0][0] and told[1][0] == ""
    np.testing.assert_equal(result(place, "s2"), result(place, "s1"))


@pytest.mark.slow
def test_a_bad_map_that_one_task_meets_ends_all_and_is_told_once(place, maps):
    last = open_dataset("shapes", place / "shapes").samples[-1]
    path = place / "maps" / f"{last.image_id}.npy"
    good = path.read_bytes()
    np.save(path, np.full((7, 7), np.nan))
    try:
        told = slurm_step(place, 2, *maps, "--json", "bad.json", code=2)
    finally:
        path.write_bytes(good)
    assert "NaN" not in told[0][1] and told[1][1].count("wsol: ") == 1 and "NaN" in told[1][1]
    assert not (place / "bad.json").exists()


TRAIN = ("train", "vgg16_gap", "--width", "0.0625", "--size", "48", *SHAPES, "--epochs", "1",
         "--batch-size", "8", "--workers", "0", "--device", "cpu", "--lr", "0.01")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "last", "told"),
    [
        (EVALUATE, ("--batch-size", "3"), "batch_size is 2 and 3"),
        (EVALUATE, ("--split", "val"), "--split is None and 'given'"),
        (TRAIN, ("--lr", "0.02"), "learning_rate is 0.01 and 0.02"),
        (("compare", "ranks.yaml", "--limit", "2"), ("--limit", "3"), "what to run is"),
    ],
)
def test_tasks_that_disagree_are_refused_before_the_work(place, arguments, last, told):
    out = ("--out", f"differs-{len(told)}")
    first, other = slurm_step(place, 2, *arguments, *out, code=2, last=last)
    assert "The processes 0 and 1 of this run do not agree: " in " ".join(first[1].split())
    assert told in " ".join(first[1].split())
    assert other[1] == "" and not list(place.glob(f"{out[1]}/*.json"))


@pytest.mark.slow
def test_who_waits_for_the_others_hears_a_signal(place):
    (first,) = begin_step(place, 1, *EVALUATE, environment=step_variables(0, 2, "9"))
    require_soon(lambda: "libtorch_cpu" in Path(f"/proc/{first.pid}/maps").read_text())
    time.sleep(1)
    assert first.poll() is None
    first.send_signal(signal.SIGTERM)
    ((code, _, err),) = ended([first], timeout=10)
    assert code == 143 and "ended by SIGTERM" in err


@pytest.mark.slow
def test_a_training_that_a_scheduler_ends_goes_on_with_as_many_tasks(place):
    longer = [*TRAIN, "--epochs", "30", "--seed", "3"]
    step = begin_step(place, 2, *longer, "--out", "ended")
    require_soon((place / "ended" / "last.pt").exists)
    for task in step:
        task.send_signal(signal.SIGTERM)
    found = ended(step)
    assert [code for code, _, _ in found] == [143, 143], found
    assert not (place / "ended" / "final.pt").exists()
    wsol(place, *longer, "--out", "ended", "--resume", code=2)  # alone it would be another training
    slurm_step(place, 2, *longer, "--out", "ended", "--resume")
    slurm_step(place, 2, *longer, "--out", "unended")
    one, other = (read_checkpoint(place / name / "final.pt")[0] for name in ("ended", "unended"))
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.slow
def test_a_photograph_that_one_task_cannot_train_on_ends_both(place, tmp_path):
    generate_shapes(tmp_path / "shapes", train=16, val=1, test=1, size=48, seed=0)
    victim = open_training_set("shapes", tmp_path / "shapes").samples[0].path
    victim.write_bytes(b"no image")
    found = ended(begin_step(tmp_path, 2, *TRAIN, "--out", "run"))
    assert [code for code, _, _ in found] == [2, 2], found
    told = [err for _, _, err in found if str(victim.name) in err]
    assert len(told) == 1 and all("Traceback" not in err for _, _, err in found)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 2])
def test_a_killed_task_is_resumed_by_another_number_of_them(place, killed):
    """Whichever it is, also the one that the others meet at."""
    name = f"killed-{killed}"
    wsol(place, *EVALUATE, "--json", "whole.json")
    (place / "networks.py").write_text(NETWORKS.replace("SECONDS = 0", "SECONDS = 0.3"))
    try:
        step = begin_step(place, 3, *EVALUATE, "--json", f"{name}.json", "--save-every", "0")
        folder = place / f"{name}.json.progress"
        require_soon(lambda: len(list(folder.glob(".*.npz"))) == 3)
        step[killed].send_signal(signal.SIGKILL)
        found = ended(step)
    finally:
        (place / "networks.py").write_text(NETWORKS)
    assert found[killed][0] == -signal.SIGKILL
    for rank, (code, _, err) in enumerate(found):
        assert "Traceback" not in err
        assert code == (-signal.SIGKILL if rank == killed else 2), err
    assert not (place / f"{name}.json").exists()
    torchrun(place, 4, *EVALUATE, "--json", f"{name}.json", "--resume")
    np.testing.assert_equal(result(place, name), result(place, "whole"))
    assert not folder.exists()


def require_soon(holds, seconds=120):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_torchrun_begins_again_after_a_killed_process(place):
    """Its restarts, of which `wsol` needs to know nothing but to go on."""
    (place / "once.py").write_text(
        "import os, signal\n"
        "from networks import tiny as plain\n"
        "def tiny():\n"
        "    network = plain()\n"
        "    calls = []\n"
        "    def die(module, inputs):\n"
        "        calls.append(1)\n"
        "        if len(calls) == 8 and os.environ['TORCHELASTIC_RESTART_COUNT'] == '0' \\\n"
        "                and os.environ['RANK'] == '1':\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "    network[0].register_forward_pre_hook(die)\n"
        "    return network\n"
    )
    command = ("evaluate", "once:tiny", *EVALUATE[2:])
    wsol(place, *command, "--json", "once-1.json", environment={
        "TORCHELASTIC_RESTART_COUNT": "1"})  # fmt: skip
    told = torchrun(place, 2, *command, "--json", "once-2.json", "--resume", restarts=1)
    assert "exitcode: -9" in told.stderr
    np.testing.assert_equal(result(place, "once-2"), result(place, "once-1"))
