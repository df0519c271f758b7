"""Two processes under torchrun train one network: the one that a single process would."""

import json
import subprocess
import sys
from collections import Counter

import pytest
import torch

from wsol.cli import app
from wsol.datasets.shapes import generate_shapes
from wsol.errors import InputError
from wsol.models.checkpoint import read_checkpoint
from wsol.processes import Processes
from wsol.training.images import ShuffledBatches

# The command line, with what it looks at and ends with written down by every process.
SCRIPT = """
import json, os, sys
import torch
from wsol.cli import app
from wsol.training import run
from wsol.training.images import TrainingImages

rank, out = os.environ["RANK"], sys.argv[1]
seen, runs = [], []
get, make = TrainingImages.__getitem__, run.TrainingRun.__init__

def watched(self, key):
    seen.append(key)
    return get(self, key)

def kept(self, *args, **kwargs):
    runs.append(self)
    make(self, *args, **kwargs)

TrainingImages.__getitem__, run.TrainingRun.__init__ = watched, kept
app(sys.argv[2:], standalone_mode=False)
network = runs[0]._start.classifier.network
torch.save(network.state_dict(), f"{out}/rank-{rank}.pt")
with open(f"{out}/rank-{rank}.json", "w") as file:
    json.dump(seen, file)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("two")
    generate_shapes(place / "shapes", train=16, val=0, test=2, size=48, seed=0)
    (place / "script.py").write_text(SCRIPT)
    arguments = [
        "train", "vgg16_gap", "--data", "shapes", "--root", str(place / "shapes"),
        "--width", "0.0625", "--size", "48", "--epochs", "2", "--batch-size", "8", "--cache",
        "--device", "cpu",
    ]  # fmt: skip
    app([*arguments, "--out", str(place / "one")], standalone_mode=False)
    torchrun = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
    ]  # fmt: skip
    done = subprocess.run(
        [*torchrun, place / "script.py", place, *arguments, "--out", place / "out"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("final.pt") == 1  # one of them prints
    return place


@pytest.mark.slow
def test_both_end_with_the_weights_that_are_written(trained):
    ranks = [torch.load(trained / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1)]
    written = read_checkpoint(trained / "out" / "final.pt")[0]
    for name, tensor in ranks[0].items():
        assert torch.equal(tensor, ranks[1][name]), name
        assert torch.equal(tensor, written[name]), name


@pytest.mark.slow
def test_they_end_where_one_process_does(trained):
    """The network has no batch normalization, so the mean of two gradients is the gradient."""
    one = read_checkpoint(trained / "one" / "final.pt")[0]
    two = read_checkpoint(trained / "out" / "final.pt")[0]
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], rtol=1e-3, atol=1e-6), name
    record = json.loads((trained / "out" / "train.json").read_text())
    single = json.loads((trained / "one" / "train.json").read_text())
    for epoch, alone in zip(record["epochs"], single["epochs"], strict=True):
        assert epoch["loss"] == pytest.approx(alone["loss"], rel=1e-4)
        assert epoch["accuracy"] == alone["accuracy"]
    assert record["settings"]["processes"] == 2


@pytest.mark.slow
def test_together_they_see_every_image_once_an_epoch(trained):
    seen = [json.loads((trained / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    assert len(seen[0]) == len(seen[1]) == 16
    visits = Counter(tuple(key) for keys in seen for key in keys)
    assert visits == Counter((index, epoch) for index in range(16) for epoch in range(2))


def test_batches_are_shared_out_and_go_on_anywhere():
    whole = list(ShuffledBatches(11, batch_size=4, epochs=3, seed=0))
    shares = [
        list(
            ShuffledBatches(11, batch_size=4, epochs=3, seed=0, first=3, processes=Processes(r, 2))
        )
        for r in (0, 1)
    ]
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == [
        sorted(batch) for batch in whole[3:]
    ]


def test_an_uneven_share_is_refused(tmp_path):
    from wsol.datasets.weak import open_training_set
    from wsol.training.methods import make_method
    from wsol.training.options import TrainingOptions
    from wsol.training.start import starting_network
    from wsol.training.train import Training

    generate_shapes(tmp_path / "shapes", train=9, val=0, test=1, size=48, seed=0)
    data = open_training_set("shapes", tmp_path / "shapes")
    network = starting_network(
        "vgg16_gap", data, make_method("cam"), arguments={"width": 0.0625}, size=48
    ).classifier
    with pytest.raises(InputError, match="9 images does not divide among 2 processes"):
        Training(
            network,
            data,
            TrainingOptions(epochs=1, batch_size=9, lr=0.1),
            processes=Processes(0, 2),
        )
