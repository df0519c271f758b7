"""`--per-image`, `--store` and `wsol results`, as a user gives them."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from wsol.cli import app
from wsol.cli.app import _name_store
from wsol.datasets.shapes import generate_shapes
from wsol.errors import InputError
from wsol.records.outcomes import read_outcomes
from wsol.records.record import read_records

from support.command import wsol as run
from support.patience import METRIC, SLOW, write_metric


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate_shapes(folder / "shapes", train=1, val=1, test=6, size=64, seed=0)
    return folder / "shapes"


@pytest.fixture
def place(tmp_path, shapes, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WSOL_RESULTS", raising=False)
    (tmp_path / "shapes").symlink_to(shapes)
    return tmp_path


def wsol(*arguments, code=0):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(done.exception, InputError):
        assert code == 2, done.exception
        return str(done.exception)
    assert done.exit_code == code, done.output
    return done.output


DATA = ("--data", "shapes", "--root", "shapes", "--threshold-step", "0.1")


def names(folder):
    return {path.name for path in folder.iterdir()} - {"shapes"}


def test_outcomes_lie_beside_their_records(place):
    wsol("evaluate", "center", "full", *DATA, "--per-image", "--out", "out")
    assert names(place / "out") == {
        "table.md", "table.csv", "order.json", "center.json", "center.outcomes.parquet",
        "full.json", "full.outcomes.parquet",
    }  # fmt: skip
    wsol("evaluate", "center", *DATA, "--per-image", "--json", "one.json")
    wsol("evaluate", "center", "full", *DATA, "--per-image", "--json", "two.json")
    assert names(place) == {
        "out", "one.json", "one.outcomes.parquet", "two.json", "two.center.outcomes.parquet",
        "two.full.outcomes.parquet",
    }  # fmt: skip
    one = read_outcomes(place / "one.outcomes.parquet")[0]
    assert one.num_rows == 6 and one.equals(read_outcomes(place / "two.center.outcomes.parquet")[0])


def test_outcomes_of_an_earlier_run_do_not_stay_beside_a_new_record(place):
    for target in (("--json", "a.json"), ("--out", "out")):
        wsol("evaluate", "center", *DATA, "--per-image", *target)
        wsol("evaluate", "center", *DATA, *target)
    assert not list(place.rglob("*.parquet"))


def test_outcomes_of_score_maps(place):
    wsol("evaluate", "center", *DATA, "--save-scoremaps", "maps", "--per-image", "--json", "a.json")
    wsol("score", "maps", *DATA, "--per-image", "--json", "b.json", "--store", "runs")
    assert {"b.json", "b.outcomes.parquet"} <= names(place)
    a, b = (read_outcomes(place / f"{name}.outcomes.parquet")[0] for name in "ab")
    assert a.equals(b)
    assert len(list((place / "runs").glob("*.outcomes.parquet"))) == 1


@pytest.mark.parametrize("place_option", [(), ("--json", "-")])
def test_outcomes_need_a_place(place, place_option):
    told = wsol("evaluate", "center", *DATA, "--per-image", *place_option, code=2)
    assert "--per-image" in told and "--out" in told


def test_a_store_from_the_first_run_to_the_last(place):
    told = wsol("results", "list", code=2)
    assert "wsol-results" in told and "--store" in told
    store = ("--store", "wsol-results")
    assert "added" in wsol("evaluate", "center", "full", *DATA, *store)
    assert "the same run" in wsol("evaluate", "center", *DATA, *store)
    wsol("evaluate", "center", *DATA, "--iou", "0.5", "--per-image", "--json", "a.json", *store)
    rows = json.loads(wsol("results", "list", "--json", "-"))
    assert sorted(row["model"] for row in rows) == ["center", "center", "full"]
    assert sum(row["outcomes"] is not None for row in rows) == 1
    assert [row["id"] for row in rows] == [
        row["id"] for row in sorted(rows, key=lambda row: (row["date"], row["id"]))
    ]

    listed = wsol("results", "list", "--model", "CENTER")
    assert listed.count("center") == 2 and "full" not in listed
    assert "center" not in wsol("results", "list", "--dataset", "cub")
    assert "center" not in wsol("results", "list", "--split", "train")
    assert "center" not in wsol("results", "list", "--metric", "coco_ap")
    assert "center" not in wsol("results", "list", "--since", "2999-01-01")
    best = json.loads(wsol("results", "list", "--metric", "max_box_acc_v2", "--json", "-"))
    values = [row["metrics"]["max_box_acc_v2"] for row in best]
    assert values == sorted(values, reverse=True)

    (full,) = [row for row in rows if row["model"] == "full"]
    short = full["id"].rpartition("--")[2]
    shown = wsol("results", "show", short)
    assert "full" in shown and "threshold_step" in shown
    assert wsol("results", "path", "full").strip() == full["path"]
    (record,) = read_records(place / full["path"])
    assert json.loads(wsol("results", "show", short, "--json", "-")) == json.loads(record.to_json())

    assert "fits 2 runs" in wsol("results", "show", "center", code=2)
    assert "--yes" in wsol("results", "remove", short, code=2)
    assert len(json.loads(wsol("results", "list", "--json", "-"))) == 3
    with_outcomes = next(row["id"] for row in rows if row["outcomes"])
    wsol("results", "remove", short, with_outcomes, "--yes")
    assert len(list((place / "wsol-results").iterdir())) == 1
    assert "no run" in wsol("results", "remove", short, "--yes", code=2)


def test_bad_filters(place):
    wsol("evaluate", "center", *DATA, "--store", "runs")
    assert "no such metric" in wsol("results", "list", "--store", "runs", "--metric", "acc", code=2)
    assert "expected a date" in wsol("results", "list", "--store", "runs", "--since", "x", code=2)
    (place / "runs" / "damaged.json").write_text("{")
    told = wsol("results", "list", "--store", "runs")
    assert "damaged.json" in told and "center" in told
    (place / "file").touch()
    assert "not a folder" in wsol("results", "list", "--store", "file", code=2)


def test_a_store_without_a_name(monkeypatch):
    monkeypatch.setenv("WSOL_RESULTS", "somewhere")
    assert _name_store(["a", "--store"]) == ["a", "--store=somewhere"]
    assert _name_store(["--store", "--json", "-"]) == ["--store=somewhere", "--json", "-"]
    assert _name_store(["--store", "there", "b"]) == ["--store", "there", "b"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills with a POSIX signal")
@pytest.mark.parametrize(
    "kill", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_killed_run_goes_on_to_the_identical_outcomes(tmp_path, kill, write_annotations):
    count = 200
    ids = [f"{number}.jpg" for number in range(count)]
    write_annotations(tmp_path / "annotations", ids, [0] * count, "300,200", "30,40,200,150")
    stack = np.random.default_rng(0).integers(0, 256, (count, 14, 14), dtype=np.uint8)
    np.save(tmp_path / "maps.npy", stack.repeat(16, 1).repeat(16, 2))
    (tmp_path / "maps.txt").write_text("".join(f"{i}\n" for i in ids))
    write_metric(tmp_path)
    command = [
        "score", "maps.npy", "--data", "protocol", "--root", "annotations", "--per-image",
        "--save-every", "0.2", "--threshold-step", "0.05", *METRIC,
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "wsol", *command, "--json", "a.json"],
        cwd=tmp_path,
        env=SLOW,
        stderr=subprocess.PIPE,
    )
    progress = tmp_path / "a.json.progress" / ".score.progress.npz"
    deadline = time.monotonic() + 120
    while not progress.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(kill)
    process.communicate(timeout=60)
    assert process.returncode not in (0, 1, 2), "finished before it could be killed"
    assert not list(tmp_path.glob("*.parquet")) and not list(progress.parent.glob("*.parquet"))
    run(tmp_path, *command, "--json", "a.json", "--resume")
    run(tmp_path, *command, "--json", "b.json")
    a, b = (read_outcomes(tmp_path / f"{name}.outcomes.parquet")[0] for name in "ab")
    assert a.num_rows == count and a.equals(b)
    assert not (tmp_path / "a.json.progress").exists()
