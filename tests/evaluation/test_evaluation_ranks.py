"""However many processes judge, and however often they were interrupted, the record is one."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.datasets.registry import open_dataset
from wsol.datasets.shapes import generate_shapes
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.lifecycle import Place, add_states
from wsol.evaluation.loop import evaluate, evaluate_each
from wsol.evaluation.options import EvaluationOptions, ScoreOptions
from wsol.evaluation.precomputed import score
from wsol.evaluation.shares import Share
from wsol.processes import Processes

from support.command import wsol

NETWORK = """
import torch
from torch import nn

def tiny():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, 4, 3), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 8),
    )
"""
COMMAND = ("evaluate", "networks:tiny", "--data", "shapes", "--root", "shapes", "--batch-size",
           "4", "--workers", "0", "--per-image", "--curves", "--device", "cpu",
           "--skip-bad-images")  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """23 images, so that the last batch is not full, one of them unreadable."""
    folder = tmp_path_factory.mktemp("ranks")
    generate_shapes(folder / "shapes", train=8, val=2, test=23, size=48, seed=0)
    open_dataset("shapes", folder / "shapes").samples[6].path.write_bytes(b"no image")
    (folder / "networks.py").write_text(NETWORK)
    wsol(folder, *COMMAND, "--json", "1.json")
    return folder


def in_processes(place, count, *arguments):
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone",
            "--nproc-per-node", str(count), "-m", "wsol", *arguments,
        ],
        cwd=place,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def result(place, name):
    record = json.loads((place / f"{name}.json").read_text())
    del record["timing"], record["environment"]
    rows = pq.read_table(place / f"{name}.outcomes.parquet")
    return record, rows.to_pylist()


@pytest.mark.slow
def test_two_processes_end_with_the_record_of_one(place):
    done = in_processes(place, 2, *COMMAND, "--json", "2.json")
    assert done.stdout.count("shapes test") == 1  # one of them prints
    np.testing.assert_equal(result(place, "2"), result(place, "1"))
    assert result(place, "2")[0]["num_images"] == 22
    assert not (place / "2.json.progress").exists()


@pytest.mark.slow
def test_three_processes_go_on_with_what_one_has_done(place, monkeypatch):
    monkeypatch.syspath_prepend(place)
    stop = iter(range(9))

    def interrupt(images):
        if next(stop, None) is None:
            raise KeyboardInterrupt

    # The command line's own run, broken off in the middle of a batch.
    from wsol.evaluation import models

    def interrupted(*arguments, **options):
        return evaluate_each(*arguments, **options | {"advance": interrupt})

    monkeypatch.setattr(models, "evaluate_each", interrupted)
    wsol(place, *COMMAND, "--json", "3.json", code=130)
    monkeypatch.undo()
    assert list((place / "3.json.progress").glob(".*.progress.npz"))
    in_processes(place, 3, *COMMAND, "--json", "3.json", "--resume")
    np.testing.assert_equal(result(place, "3"), result(place, "1"))


@pytest.mark.slow
def test_two_processes_under_several_conventions(place):
    command = [*COMMAND, "--convention", "choe2020,ts-cam,psol", "--threshold", "0.3"]
    command.remove("--per-image")
    command.remove("--curves")
    wsol(place, *command, "--json", "c1.json")
    in_processes(place, 2, *command, "--json", "c2.json")
    records = [json.loads((place / f"{name}.json").read_text()) for name in ("c1", "c2")]
    for record in records[0] + records[1]:
        del record["timing"], record["environment"]
    assert records[0] == records[1]
    conventions = [record["settings"]["convention"] for record in records[0]]
    assert conventions == ["choe2020", "ts-cam", "psol"]


@pytest.mark.slow
def test_four_processes_score_maps(place):
    maps = ("score", "maps", "--data", "shapes", "--root", "shapes", "--per-image")
    rng = np.random.default_rng(0)
    for sample in open_dataset("shapes", place / "shapes").samples:
        path = place / "maps" / f"{sample.image_id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, rng.random((7, 7), dtype=np.float32))
    wsol(place, *maps, "--json", "s1.json")
    in_processes(place, 4, *maps, "--json", "s4.json")
    np.testing.assert_equal(result(place, "s4"), result(place, "s1"))


@given(
    done=st.lists(st.booleans(), min_size=1, max_size=40),
    size=st.integers(1, 9),
    count=st.integers(1, 6),
)
def test_every_image_that_is_left_is_in_one_share(done, size, count):
    done = np.array(done)
    shares = [Share(done, Processes(rank, count)) for rank in range(count)]
    batches = [batch for share in shares for batch in share.batches(size)]
    assert all(batch.start % size == 0 for batch in batches)
    found = [position for batch in batches for position in batch if not done[position]]
    assert found == np.flatnonzero(~done).tolist()
    alone = [position for share in shares for position in share.positions()]
    assert alone == np.flatnonzero(~done).tolist()


@pytest.fixture
def parts(place):
    """Evaluators over the first 6, 4 and the next 3 images."""
    data = open_dataset("shapes", place / "shapes")

    def over(positions):
        evaluator = Evaluator(data)
        for position in positions:
            evaluator.update(np.eye(8), data.samples[position].image_id)
        return evaluator

    return over


def test_progress_that_was_taken_up_before_counts_once(parts):
    """A run was killed after the first process had taken up the others' progress."""
    both = parts([])
    add_states(both, [parts(range(4)).state(), parts(range(6)).state(), parts([7, 8]).state()])
    assert both.evaluated() == [0, 1, 2, 3, 4, 5, 7, 8]
    assert both.compute() == parts([*range(6), 7, 8]).compute()
    with pytest.raises(InputError, match="in both"):
        add_states(parts(range(4)), [parts([3, 4]).state()])


def test_the_progress_of_every_process_is_found_and_of_no_other_run(tmp_path):
    place = Place(tmp_path, "a[b]")
    names = [place.progress_of(rank) for rank in (0, 2, 11)]
    others = [Place(tmp_path, "a[b].progress-1").progress, tmp_path / ".a[b].progress-x.npz"]
    for path in names + others:
        path.touch()
    assert place.saved() == names


def interrupted_after(images):
    """A progress callback that breaks off a run."""
    count = iter(range(images))

    def advance(more):
        if next(count, None) is None:
            raise KeyboardInterrupt

    return advance


@pytest.mark.parametrize("changed", ["map", "photograph", "photograph that says the size"])
def test_a_run_does_not_go_on_with_other_files(place, tmp_path, changed, monkeypatch):
    generate_shapes(tmp_path / "shapes", train=1, val=1, test=4, size=48, seed=0)
    data = open_dataset("shapes", tmp_path / "shapes")
    kept = Place(tmp_path / "kept", "run")
    if changed != "photograph":
        if changed != "map":
            unsized = [dataclasses.replace(sample, size=None) for sample in data.samples]
            data = dataclasses.replace(data, samples=unsized)
        for sample in data.samples:
            path = tmp_path / "maps" / f"{sample.image_id}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.eye(8))
        victim = path if changed == "map" else data.samples[3].path

        def run(folder, **options):
            return score(tmp_path / "maps", data, ScoreOptions(threads=1), **options)
    else:
        monkeypatch.syspath_prepend(place)
        from wsol.models.registry import load_classifier

        classifier = load_classifier("networks:tiny", "none", num_classes=None)
        victim = data.samples[3].path

        def run(folder, **options):
            return evaluate(
                classifier, data, EvaluationOptions(workers=0, size=48, batch_size=2), **options
            )

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, place=kept, advance=interrupted_after(2))
    victim.write_bytes(victim.read_bytes())  # as another program would, with another time
    again = dataclasses.replace(kept, resume=True)
    with pytest.raises(InputError, match="other settings, data or weights"):
        run(tmp_path, place=again)
