"""Several processes at one run."""

import json
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from wsol import launchers
from wsol.errors import InputError
from wsol.launchers import _attempt, _first_node, joined, of_slurm, of_torchrun
from wsol.processes import ALONE

# What two processes say to each other, and what each ends with.
SCRIPT = """
import json, os, sys
from pathlib import Path
from wsol.errors import InputError, ToldElsewhereError
from wsol.launchers import joined

def caught(action):
    try:
        return action()
    except ToldElsewhereError as error:
        return f"elsewhere: {error}"
    except InputError as error:
        return f"here: {error}"

def fail(rank):
    if int(os.environ["RANK"]) == rank:
        raise InputError(f"rank {rank} fails")
    return "well"

out = Path(sys.argv[1])
with joined("cpu") as (processes, device):
    rank = processes.rank
    found = {
        "gathered": processes.gathered(rank),
        "of_first": processes.of_first(lambda: f"by {rank}"),
        "first_fails": caught(lambda: processes.of_first(lambda: fail(0))),
        "second_fails": caught(lambda: processes.together(lambda: fail(1))),
        "agree": caught(lambda: processes.require_same({"size": 224})),
        "differ": caught(lambda: processes.require_same({"size": 224 + rank, "data": "x"})),
        "shared": caught(lambda: processes.require_shared(out / "shared")),
        "apart": caught(lambda: processes.require_shared(out / f"apart-{rank}")),
        "left": sorted(path.name for path in (out / "shared").iterdir()),
    }
    processes.wait()
(out / f"{rank}.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    place = tmp_path_factory.mktemp("told")
    (place / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone",
            "--nproc-per-node", "2", place / "script.py", place,
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads((place / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.slow
def test_what_the_first_makes_is_everyones(told):
    assert [found["gathered"] for found in told] == [[0, 1]] * 2
    assert [found["of_first"] for found in told] == ["by 0"] * 2


@pytest.mark.slow
def test_an_error_of_one_ends_all_and_is_told_once(told):
    assert told[0]["first_fails"] == "here: rank 0 fails"
    assert told[1]["first_fails"] == "elsewhere: rank 0 fails"
    assert told[0]["second_fails"] == "elsewhere: rank 1 fails"
    assert told[1]["second_fails"] == "here: rank 1 fails"


@pytest.mark.slow
def test_processes_that_disagree_are_refused(told):
    assert told[0]["agree"] is None and told[1]["agree"] is None
    assert "0 and 1 of this run do not agree: size is 224 and 225." in told[0]["differ"]
    assert told[1]["differ"].startswith("elsewhere")


@pytest.mark.slow
def test_a_folder_that_one_does_not_see_is_noticed(told):
    assert told[0]["shared"] is None and told[0]["left"] == []
    assert "apart-0: is not the same folder for all" in told[0]["apart"]
    assert "not seen by process 1 on" in told[0]["apart"]


STEP = {
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "9",
    "SLURM_NTASKS": "32",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "gpu[003-006]",
    "SLURM_STEP_TASKS_PER_NODE": "8(x4)",
    "SLURM_JOB_ID": "77",
}


def test_a_step_of_slurm_is_read_as_torchrun_would_tell_it():
    found = of_slurm(STEP)
    assert found["RANK"] == "9" and found["WORLD_SIZE"] == "32" and found["LOCAL_RANK"] == "1"
    assert found["MASTER_ADDR"] == "gpu003" and found["LOCAL_WORLD_SIZE"] == "8"
    assert 1024 < int(found["MASTER_PORT"]) < 32768
    assert of_slurm(STEP | {"SLURM_STEP_ID": "1"})["MASTER_PORT"] != found["MASTER_PORT"]
    assert of_slurm(STEP | {"MASTER_ADDR": "here"})["MASTER_ADDR"] == "here"


@pytest.mark.parametrize(
    "changed",
    [
        {"SLURM_STEP_ID": ""},  # a batch script
        {"SLURM_STEP_ID": str(0xFFFFFFFA)},  # an interactive shell
        {"SLURM_NTASKS": "1"},
        {"WORLD_SIZE": "1"},  # each for itself
    ],
)
def test_what_is_no_step_of_several_waits_for_nobody(changed, monkeypatch):
    assert of_slurm(STEP | changed) is None
    for name, value in (STEP | changed).items():
        monkeypatch.setenv(name, value)
    with joined("cpu") as (processes, device):
        assert processes == ALONE and device == "cpu"


def test_torchrun_is_read_as_it_is():
    assert of_torchrun({"WORLD_SIZE": "1"}) is None and of_torchrun({}) is None
    assert of_torchrun({"WORLD_SIZE": "4", "LOCAL_RANK": "3"})["LOCAL_RANK"] == "3"


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu[003-006,9],login", "gpu003"),
        ("node7", "node7"),
        ("a,b", "a"),
        ("gpu[01-04]-ib", "gpu01-ib"),
    ],
)
def test_the_first_node_of_a_list(nodes, first):
    assert _first_node(nodes) == first


def test_a_restart_is_not_mistaken_for_what_was_before():
    """In a store that keeps what killed processes have left, whoever comes first."""
    from torch.distributed import HashStore

    store, names = HashStore(), []
    with ThreadPoolExecutor(3) as threads:
        for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
            began = []
            for rank in order:
                began.append(threads.submit(_attempt, store, rank, 3))
                time.sleep(0.1)
            found = {process.result(timeout=20) for process in began}
            assert len(found) == 1
            names += found
    assert len(set(names)) == 3


def test_processes_that_do_not_come_are_told(monkeypatch):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    variables = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    for name, value in (variables | {"OMP_NUM_THREADS": "1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(launchers, "_ARRIVAL", timedelta(seconds=1))
    told = f"The 2 processes of this run have not met at localhost:{port}"
    with pytest.raises(InputError, match=told), joined("cpu"):
        pass
