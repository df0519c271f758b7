"""What a terminal and a log file see: progress, widths, quiet and verbose, errors before a bar."""

import io
import re

import pytest
from rich.console import Console

from wsol import progress
from wsol.errors import InputError

from support.command import wsol

SHAPES = ("--data", "shapes", "--root", "shapes")


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def log(monkeypatch):
    """Progress as it comes into a log file, and the clock of it."""
    stream, clock = io.StringIO(), Clock()
    monkeypatch.setattr(progress, "MESSAGES", Console(file=stream, width=80))
    monkeypatch.setattr("wsol.progress.time.monotonic", clock)
    return stream, clock


def test_long_work_leaves_a_plain_line_every_30_seconds_in_a_log(log):
    stream, clock = log
    with progress.track("resnet50 [on] CUB", 6000) as advance:
        for _ in range(60):
            clock.now += 2
            advance(100)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "resnet50 [on] CUB: 1,500/6,000 (25 %), 50.0/s, 1:30 left",
        "resnet50 [on] CUB: 3,000/6,000 (50 %), 50.0/s, 1:00 left",
        "resnet50 [on] CUB: 4,500/6,000 (75 %), 50.0/s, 0:30 left",
        "resnet50 [on] CUB: 6,000/6,000 (100 %), 50.0/s in 2:00",
    ]
    assert not re.search(r"[\r\x1b━]", stream.getvalue())


def test_short_work_leaves_none(log):
    stream, clock = log
    with progress.track("resnet50", 100) as advance:
        clock.now += 5
        advance(100)
    assert stream.getvalue() == ""


def test_of_slow_work_it_tells_how_long_each_takes(log):
    stream, clock = log
    with progress.track("resnet50", 100) as advance:
        clock.now += 150
        advance(4)
        assert stream.getvalue() == "resnet50: 4/100 (4 %), 37.5 s each, 1:00:00 left\n"


def test_a_training_that_goes_on_tells_its_own_speed(log):
    stream, clock = log
    with progress.track_training("resnet18", 7200, 3600) as advance:
        clock.now += 36
        advance(360, "loss 1.5")
        assert stream.getvalue() == ("resnet18: 3,960/7,200 (55 %), 10.0/s, 5:24 left  loss 1.5\n")


def test_no_bar_before_the_first_image(monkeypatch):
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True)
    monkeypatch.setattr(progress, "MESSAGES", console)
    with pytest.raises(InputError), progress.track("resnet50", 100):
        raise InputError("wrong")
    assert stream.getvalue() == ""
    with progress.track("resnet50", 100) as advance:
        advance(100)
    assert "100/100" in stream.getvalue()


def test_an_error_of_options_comes_without_a_bar(place):
    _, told = wsol(place, "evaluate", "center", "--data", "shapes", "--root", "none", code=2)
    assert told.startswith("wsol: ") and "━" not in told


def test_tables_are_as_wide_as_the_variable_says(place):
    wsol(place, "evaluate", "networks:tiny", "center", *SHAPES, "--out", "wide")
    for columns in (60, 100, 200):
        out, _ = wsol(place, "table", "wide", environment={"COLUMNS": str(columns)})
        assert max(map(len, out.splitlines())) <= columns
    narrow, _ = wsol(place, "table", "wide", environment={"COLUMNS": "60"})
    wide, _ = wsol(place, "table", "wide", environment={"COLUMNS": "200"})
    assert len(narrow.splitlines()) > len(wide.splitlines())


def test_quiet_leaves_results_and_errors(place):
    command = ("evaluate", "center", *SHAPES, "--store", "quiet-store")
    out, told = wsol(place, *command)
    assert "added as" in told
    out, told = wsol(place, *command, "--quiet")
    assert told == "" and "MaxBoxAcc" in out
    _, told = wsol(place, "--quiet", "table", "nowhere", code=2)
    assert told.startswith("wsol: nowhere: ")
    _, told = wsol(place, *command, "--quiet", "--verbose", code=2)
    assert "contradict" in told


def test_wrong_values_suggest(place):
    _, told = wsol(place, "evaluate", "center", "--data", "imagenet", "--root", ".", code=2)
    assert "ilsvrc" in told and "Value error" not in told
    _, told = wsol(place, "plot", ".", "--kind", "iou", "--out", "a.gif", code=2)
    assert "must end in .png, .svg or .pdf" in told


def test_help_says_what_json_holds(place):
    for command in ("models", "methods", "published"):
        out, _ = wsol(place, command, "--help")
        assert "what is shown as JSON" in " ".join(out.split()) and "record(s)" not in out
    out, _ = wsol(place, "evaluate", "--help")
    assert "record(s) as JSON" in " ".join(out.split())


def test_scores_have_a_folder_like_evaluations(place):
    wsol(
        place, "evaluate", "networks:tiny", *SHAPES, "--save-scoremaps", "kept", "--json", "a.json"
    )
    wsol(place, "score", "kept", "--name", "My method", *SHAPES, "--per-image", "--out", "scored")
    assert {path.name for path in (place / "scored").iterdir()} == {
        "My-method.json", "My-method.outcomes.parquet", "order.json", "table.csv", "table.md",
    }  # fmt: skip
    out, _ = wsol(place, "verify", "scored")
    assert "scored/My-method.json: holds." in out
    wsol(place, "leaderboard", "scored", "--out", "board")
    text = (place / "board" / "index.html").read_text()
    assert "recomputed from submitted maps or boxes" in text and "My method" in text
