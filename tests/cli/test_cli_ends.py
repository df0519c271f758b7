"""How commands end where the system refuses: names too long, targets that cannot be, full disks and
devices. One line, nothing lost, and before the work where that is possible."""

import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from wsol.datasets.registry import open_dataset

from support.command import wsol

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")

SHAPES = ("--data", "shapes", "--root", "shapes")
CENTER = ("evaluate", "center", *SHAPES)
LONG = "n" * 300
FULL = Path("/dev/full")


@pytest.fixture(scope="module")
def maps(place):
    for number, sample in enumerate(open_dataset("shapes", place / "shapes").samples):
        path = place / "maps" / f"{sample.image_id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.random.default_rng(number).random((9, 9)).astype("f4"))
    wsol(place, *CENTER, "--per-image", "--json", "record.json")
    (place / "file").write_text("x")
    (place / "folder").mkdir()
    os.mkfifo(place / "fifo")
    return place


def refused(place, *arguments):
    """The one line of a command that does no work, without a bar before it."""
    _, err = wsol(place, *arguments, code=2)
    (line,) = err.strip().split("\n")
    assert line.startswith("wsol: ") and len(line) < 1500
    return line


@pytest.mark.parametrize(
    "arguments",
    [
        (*CENTER, "--json", f"{LONG}.json"),
        (*CENTER, "--out", LONG),
        (*CENTER, "--store", LONG),
        (*CENTER, "--exclude", LONG),
        ("evaluate", "center", "--data", "imagefolder", "--root", LONG),
        ("evaluate", "center", "--data", "coco", "--root", LONG),
        ("evaluate", "center", "--data", "cub", "--root", LONG),
        ("evaluate", "networks:tiny", *SHAPES, "--weights", LONG),
        ("datasets", "check", "protocol", "--root", "folder", "--images", f"{LONG}.tar"),
        ("datasets", "check", "shapes", "--root", "shapes", "--json", LONG),
        ("score", "maps", *SHAPES, "--store", LONG),
        ("train", "resnet18", *SHAPES, "--out", LONG),
        ("compare", LONG),
        ("table", LONG),
        ("table", "record.json", "--out", f"{LONG}.csv"),
        ("report", "record.json", "--out", LONG),
        ("stats", LONG),
    ],
)
def test_a_name_too_long_is_told(maps, arguments):
    assert LONG in refused(maps, *arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*CENTER, "--json", "folder"), "folder: cannot be written (is a folder)"),
        ((*CENTER, "--json", "fifo"), "fifo: cannot be written (is no regular file)"),
        ((*CENTER, "--json", "/dev/null"), "/dev/null: cannot be written (is no regular file)"),
        ((*CENTER, "--json", "file/a.json"), "file/a.json: cannot be written"),
        ((*CENTER, "--out", "file"), "file: is not a folder"),
        ((*CENTER, "--store", "file", "--json", "-"), "file: is not a folder"),
        (("score", "maps", *SHAPES, "--store", "file"), "file: is not a folder"),
        (("score", "maps", *SHAPES, "--json", "folder"), "folder: cannot be written"),
        (
            ("evaluate", "networks:tiny", *SHAPES, "--save-scoremaps", "file"),
            "file: is not a folder",
        ),
        (("train", "resnet18", *SHAPES, "--out", "file"), "file: is not a folder"),
        (("datasets", "check", "shapes", "--root", "shapes", "--json", "folder"), "is a folder"),
        (("stats", "record.json", "--json", "folder"), "is a folder"),
        (("report", "record.json", "--out", "file"), "file: is not a folder"),
        (("plot", "record.json", "--kind", "iou", "--out", "file/a.png"), "file/a.png: cannot"),
        (("table", "record.json", "--format", "csv", "--out", "/dev/null"), "no regular file"),
    ],
)
def test_a_target_that_cannot_be_is_refused_before_the_work(maps, arguments, told):
    assert told in refused(maps, *arguments)


def test_so_is_one_beside_the_record(maps, tmp_path):
    (tmp_path / "a.outcomes.parquet").mkdir()
    for command in (CENTER, ("score", "maps", *SHAPES)):
        line = refused(maps, *command, "--per-image", "--json", tmp_path / "a.json")
        assert "a.outcomes.parquet: cannot be written (is a folder)" in line
    assert [path.name for path in tmp_path.iterdir()] == ["a.outcomes.parquet"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "center", "--data", "coco", "--root", "fifo"),
        ("evaluate", "center", "--data", "shapes", "--root", "/dev/zero"),
        (*CENTER, "--exclude", "/dev/zero"),
        ("evaluate", "networks:tiny", *SHAPES, "--weights", "fifo"),
        ("compare", "fifo"),
        ("table", "/dev/zero"),
        ("stats", "fifo"),
    ],
)
def test_what_is_no_regular_file_is_not_waited_for(maps, arguments):
    assert "is not a fil" in (line := refused(maps, *arguments)) or "is not a folder" in line


# --- full devices -------------------------------------------------------------------------------


def ended(place, command):
    """Exit code and stderr of a shell's command line; `wsol` is this one."""
    text = command.replace("wsol", f"{sys.executable} -m wsol", 1)
    end = subprocess.run(["bash", "-c", text], cwd=place, capture_output=True, text=True)
    return end.returncode, end.stderr


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    "command", ["wsol --help > /dev/full", "wsol table record.json --format csv > /dev/full"]
)
def test_a_full_device_takes_no_output(maps, command):
    assert ended(maps, command) == (2, "wsol: the output: No space left on device.\n")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_a_full_or_closed_stream_changes_nothing_else(maps):
    assert ended(maps, "wsol table nowhere.json 2> /dev/full") == (2, "")
    assert ended(maps, "wsol table record.json --format csv >&-") == (0, "")
    code, err = ended(maps, "wsol evaluate center --data shapes --root shapes --json kept.json "
                            "> /dev/full")  # fmt: skip
    assert code == 2 and err.endswith("wsol: the output: No space left on device.\n")
    assert json.loads((maps / "kept.json").read_text())["num_images"] == 12
    assert not (maps / "kept.json.progress").exists()


@contextmanager
def files_of_at_most(size):
    """As on a disk that is nearly full: writing more than so many bytes into a file fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ((*CENTER, "--out"), 300),
        ((*CENTER, "--per-image", "--out"), 2000),
        (("evaluate", "networks:tiny", *SHAPES, "--workers", "0", "--save-scoremaps"), 3000),
        (("datasets", "pack", "shapes", "--out"), 3000),
        (("report", "record.json", "--out"), 3000),
        (("train", "vgg16_gap", "--width", "0.02", "--size", "64", *SHAPES, "--workers", "0",
          "--epochs", "1", "--batch-size", "4", "--out"), 3000),
    ],
)  # fmt: skip
def test_a_full_disk_is_told_in_a_line(maps, tmp_path, arguments, size):
    with files_of_at_most(size):
        _, err = wsol(maps, *arguments, tmp_path / "out", code=2)
    told = [line for line in err.split("\n") if line.startswith("wsol: ")]
    assert len(told) == 1 and str(tmp_path / "out") in told[0] and "cannot be written" in told[0]
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.stat().st_size <= size for path in left)


def test_a_disk_that_fills_at_the_end_loses_nothing(maps, tmp_path, monkeypatch):
    whole, _ = wsol(maps, "score", "maps", *SHAPES, "--curves", "--json", "-")
    import wsol.evaluation.lifecycle as lifecycle

    def fails(record, path):
        with files_of_at_most(300):
            write_record(record, path)

    write_record = lifecycle.write_record
    command = ("score", "maps", *SHAPES, "--curves", "--json", tmp_path / "a.json")
    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "write_record", fails)
        _, err = wsol(maps, *command, "--save-every", "0", code=2)
    assert "score.json: cannot be written (File too large)" in err
    assert "repeat the command with --resume to go on" in " ".join(err.split())
    assert not (tmp_path / "a.json").exists()
    wsol(maps, *command, "--resume")
    assert not (tmp_path / "a.json.progress").exists()
    one, two = json.loads(whole), json.loads((tmp_path / "a.json").read_text())
    assert (one["metrics"], one["curves"]) == (two["metrics"], two["curves"])
