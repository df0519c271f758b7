"""`wsol stats` on what `wsol evaluate --per-image` wrote."""

import json

import pytest
from typer.testing import CliRunner

from wsol.cli import app
from wsol.datasets.shapes import generate_shapes
from wsol.errors import InputError

from support.command import wsol


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with the records and outcomes of two baselines."""
    folder = tmp_path_factory.mktemp("stats")
    generate_shapes(folder / "shapes", train=0, val=0, test=24, size=64, seed=0)
    done = CliRunner().invoke(
        app,
        ["evaluate", "center", "full", "--data", "shapes", "--root", str(folder / "shapes"),
         "--per-image", "--out", str(folder)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return folder


def stats(*arguments):
    done = CliRunner().invoke(app, ["stats", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_intervals_go_into_the_record(run):
    shown = stats(run / "center.json", "--resamples", 200, "--update")
    record = json.loads((run / "center.json").read_text())
    low, high = record["intervals"]["max_box_acc_v2"]
    assert low < record["metrics"]["max_box_acc_v2"] < high
    assert f"{low:.2f} to {high:.2f}" in shown
    assert "center, shapes test, 24 images" in shown and "95 % interval" in shown


def test_comparison_and_json(run):
    arguments = (run / "center.json", "--against", run / "full.json", "--resamples", 100)
    told = json.loads(stats(*arguments, "--json", "-"))
    assert (told["model"], told["against"], told["images"]) == ("center", "full", 24)
    rows = {row["metric"]: row for row in told["rows"]}
    # Both baselines take the whole image at the fixed threshold.
    assert rows["gt_known_loc"]["difference"] == 0 and rows["gt_known_loc"]["mcnemar_p"] == 1
    assert rows["max_box_acc"]["difference"] > 0
    assert str(rows["max_box_acc"]["low"]) in stats(*arguments, "--format", "csv")


def test_a_folder_against_a_reference(run):
    shown = stats(run, "--against", run / "full.json", "--resamples", 100, "--format", "markdown")
    lines = shown.splitlines()
    assert "| full (reference) |" in lines[0] and "| p (Holm) |" in lines[0]
    assert sum("| center |" in line for line in lines) == len(lines) - 2 > 5
    options = ("--metric", "max_box_acc_v2,gt_known_loc", "--resamples", 100, "--json", "-")
    told = json.loads(stats(run, "--against", run / "full.json", *options))
    assert (told["against"], told["dataset"]) == ("full", "shapes")
    assert [row["metric"] for row in told["rows"]] == ["gt_known_loc", "max_box_acc_v2"]
    assert all(row["holm_p"] == row["p"] for row in told["rows"])


def test_intervals_of_a_folder(run):
    told = json.loads(stats(run, "--resamples", 100, "--metric", "max_box_acc", "--json", "-"))
    assert [row["model"] for row in told["rows"]] == ["center", "full"]
    for row in told["rows"]:
        assert row["low"] < row["corrected"] <= row["value"] < row["high"]


def test_groups(run):
    assert "small (< 10 %)" in stats(run / "full.json", "--by", "size")
    lines = stats(run / "full.json", "--by", "class", "--format", "markdown").splitlines()
    assert len(lines) == 2 + 8 and lines[2].startswith("| disc | 3 |")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--by", "size", "--against", "b.json"], "choose one"),
        (["--by", "size", "--update"], "leave --against and --by out"),
        (["--common"], "belongs to --against"),
        (["--metric", "max_box_acc", "--update"], "leave --update and --by out"),
        (["--metric", "max_box_ac"], "did you mean max_box_acc"),
        (["--resamples", "5"], "too few"),
        (["--level", "0.9", "--update", "--resamples", "50"], "95% intervals"),
    ],
)
def test_options_that_exclude_each_other(run, options, message):
    before = (run / "full.json").read_bytes()
    with pytest.raises(InputError, match=message):
        stats(run / "full.json", *options)
    assert (run / "full.json").read_bytes() == before


def test_a_record_without_outcomes_ends_with_a_message(run, tmp_path):
    (tmp_path / "a.json").write_bytes((run / "full.json").read_bytes())
    _, told = wsol(tmp_path, "stats", "a.json", code=2)
    assert "evaluate again with --per-image" in told
