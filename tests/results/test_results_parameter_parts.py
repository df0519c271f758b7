"""Parameters by part: the table, the bars, and what of them lies in `results/`."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from wsol.cli import app
from wsol.errors import InputError
from wsol.models.facts import known_models
from wsol.results.parameter_parts import PARTS, parts_csv, parts_figure, parts_markdown

RESULTS = Path(__file__).parents[2] / "results" / "parameter-parts"
NETWORKS = {
    "a_net": {"convolutions": 1_250_000, "dense": 0, "head": 500_000, "other": 5_000},
    "b$": {"convolutions": 0, "dense": 20_000_000, "head": 0, "other": 0},
}


def test_the_table_has_millions_and_csv_whole_numbers():
    assert parts_markdown(NETWORKS).splitlines() == [
        "| Model  | Params (M) | Convolutions (M) | Dense layers (M) | Head (M) | Other (M) |",
        "| ------ | ---------: | ---------------: | ---------------: | -------: | --------: |",
        r"| a\_net |       1.76 |             1.25 |             0.00 |     0.50 |      0.01 |",
        r"| b\$    |      20.00 |             0.00 |            20.00 |     0.00 |      0.00 |",
    ]
    assert parts_csv(NETWORKS).splitlines() == [
        "model,parameters,convolutions,dense,head,other",
        "a_net,1755000,1250000,0,500000,5000",
        "b$,20000000,0,20000000,0,0",
    ]


def test_bars_lie_end_to_end_and_hold_all_parameters():
    axes = parts_figure(NETWORKS).axes[0]
    first = [bar for bar in axes.patches if round(bar.get_y() + bar.get_height() / 2) == 0]
    assert len(first) == len(PARTS)
    ends = [bar.get_x() + bar.get_width() for bar in first]
    assert [bar.get_x() for bar in first] == pytest.approx([0, *ends[:-1]])
    assert ends[-1] == pytest.approx(1.755)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a_net", r"b\$"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first on top


def wsol(*arguments):
    done = CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_lists_networks_side_by_side_and_writes_files(tmp_path):
    shown = wsol("vgg16", "vgg16_gap", "--parts")
    assert "119.55" in shown and "Dense layers (M)" in shown and "20.46" in shown
    assert "vgg16_gap" in wsol("vgg16", "vgg16_gap") and "Map" in wsol("vgg16", "vgg16_gap")
    assert "vgg19_bn" in wsol("vgg", "--parts")
    files = [tmp_path / f"parts.{suffix}" for suffix in ("md", "csv", "svg")]
    wsol("vgg16", "resnet50", *[word for file in files for word in ("--out", str(file))])
    assert "| resnet50 |" in files[0].read_text()
    assert pd.read_csv(files[1])["dense"].tolist() == [119_545_856, 0]
    assert "Dense layers" in files[2].read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vgg16", "--out", "parts.txt"], "must end in one of .md, .csv"),
        (["vgg16", "zebra"], "zebra"),
        (["vgg16", "resnet50", "--method", "cam"], "filters choose among names"),
        (["resnet50", "--out", "nowhere/parts.md"], "nowhere"),
    ],
)
def test_what_it_does_not_take(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nowhere").write_text("a file")
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)


def test_what_lies_in_results_is_what_is_known():
    table = pd.read_csv(RESULTS / "table.csv").set_index("model")
    known = known_models()
    rows = {name: row for name, row in table.iterrows() if ":" not in name}
    assert len(rows) > 10
    for name, row in rows.items():
        assert row["parameters"] == known[name].parameters
        assert {part: row[part] for part in PARTS} == {p: getattr(known[name], p) for p in PARTS}
    networks = {name: {part: row[part] for part in PARTS} for name, row in table.iterrows()}
    assert (RESULTS / "table.md").read_text() == parts_markdown(networks)
