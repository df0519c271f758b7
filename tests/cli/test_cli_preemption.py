"""Being told to end by a scheduler: progress is saved, the exit code says which signal it was, and
nothing outlives the command."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from wsol.datasets.registry import open_dataset
from wsol.datasets.shapes import generate_shapes

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")

NETWORK = """
import time
import torch
from torch import nn

class Slow(nn.Sequential):
    def forward(self, images):
        time.sleep(0.2)
        return super().forward(images)

def slow():
    torch.manual_seed(0)
    return Slow(nn.Conv2d(3, 8, 7, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                nn.Linear(8, 8))
"""
EXPERIMENT = """
name: told
data: {name: shapes, root: shapes}
models: ["networks:slow"]
protocol: {threshold_step: 0.1}
options: {device: cpu, workers: 1, batch_size: 1}
"""
SHAPES = ("--data", "shapes", "--root", "shapes")
COMMANDS = {
    "evaluate": (
        ("evaluate", "networks:slow", *SHAPES, "--batch-size", "1", "--workers", "2",
         "--device", "cpu", "--json", "record.json"),
        "record.json.progress/.networks-slow.progress.npz",
    ),
    "score": (
        ("score", "maps", *SHAPES, "--json", "scored.json"),
        "scored.json.progress/.score.progress.npz",
    ),
    "train": (
        ("train", "resnet18", "--width", "0.0625", "--size", "48", *SHAPES, "--epochs", "200",
         "--batch-size", "8", "--workers", "2", "--device", "cpu", "--out", "run"),
        "run/last.pt",
    ),
    "compare": (
        ("compare", "told.yaml", "--store", "store", "--out", "out"),
        "store/.running/*/.run.progress.npz",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("told")
    generate_shapes(folder / "shapes", train=16, val=1, test=40, size=48, seed=0)
    (folder / "networks.py").write_text(NETWORK)
    (folder / "told.yaml").write_text(EXPERIMENT)
    for sample in open_dataset("shapes", folder / "shapes").samples:
        path = folder / "maps" / f"{sample.image_id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.random.default_rng(0).random((1500, 1500), dtype=np.float32))
    return folder


def below(pid):
    """The processes that a process has started, and those that they have."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *below(child)]
    return found


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("command", "number", "save_every"),
    [
        ("evaluate", signal.SIGTERM, "0"),
        pytest.param("compare", signal.SIGHUP, "0", marks=pytest.mark.slow),
        pytest.param("score", signal.SIGHUP, "0", marks=pytest.mark.slow),
        pytest.param("train", signal.SIGTERM, "0", marks=pytest.mark.slow),
        pytest.param("evaluate", signal.SIGHUP, "1000", marks=pytest.mark.slow),
        pytest.param("score", signal.SIGTERM, "0", marks=pytest.mark.slow),
        pytest.param("train", signal.SIGHUP, "0", marks=pytest.mark.slow),
        pytest.param("compare", signal.SIGTERM, "0", marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_and_leaves_nothing_behind(place, command, number, save_every):
    arguments, progress = COMMANDS[command]
    process = subprocess.Popen(
        [sys.executable, "-m", "wsol", *arguments, "--save-every", save_every],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (list(place.glob(progress)) or (save_every != "0" and len(below(process.pid)) == 2)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    if save_every != "0":
        time.sleep(3)  # nothing is saved as yet, but for what the signal will
        assert not list(place.glob(progress))
    helpers = below(process.pid)
    assert len(helpers) >= {"score": 0, "compare": 1}.get(command, 2)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"ended by {number.name}" in err and "Traceback" not in err
    assert not [pid for pid in helpers if is_running(pid)]
    (saved,) = place.glob(progress)
    if saved.suffix == ".npz":
        with np.load(saved) as state:
            assert 0 < state["seen"].sum() < 40
    shutil.rmtree(saved.parent)  # for the next signal
