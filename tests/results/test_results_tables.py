"""Tables to the last character, and records that survive the disk."""

import io
import json

import pytest
from rich.console import Console

from wsol.errors import InputError
from wsol.results.cells import Layout, frame
from wsol.results.record import (
    Environment,
    Metrics,
    ResultRecord,
    Timing,
    read_records,
    write_record,
)
from wsol.results.table import table_cells, terminal_table, to_csv, to_latex, to_markdown


def make(model, parameters, dataset="CUB", **metrics):
    return ResultRecord(
        model=model,
        parameters=parameters,
        dataset=dataset,
        split="test",
        num_images=5794,
        cam_method="cam",
        metrics=Metrics(**metrics),
        settings={"convention": "wsolevaluation"},
        environment=Environment(
            python="3.11", platform="Linux", device="cpu", threads=2, date="2026-01-01", versions={}
        ),
        timing=Timing(data=1, forward=2, localization=3, total=4),
    )


def records():
    return [
        make("resnet50", 25_557_032, top1_loc=50.126, max_box_acc_v2=63.0, box_acc={"0.5": 70.0}),
        make("vgg16_gap", 20_459_304, top1_loc=51.0, max_box_acc_v2=63.001, box_acc={"0.5": 60.0}),
        make("center", 0, max_box_acc_v2=56.8, box_acc={"0.5": 59.6}),
    ]


def test_markdown():
    lines = to_markdown(records()).splitlines()
    assert len({len(line) for line in lines}) == 1
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["Model", "Params (M)", "Top-1 Loc", "MaxBoxAccV2", "@0.5"]
    assert cells[2] == ["resnet50", "25.56", "<u>50.13</u>", "**63.00**", "**70.00**"]
    assert cells[3] == ["vgg16\\_gap", "20.46", "**51.00**", "**63.00**", "<u>60.00</u>"]
    assert cells[4] == ["center", "0", "–", "<u>56.80</u>", "59.60"]


def test_csv_has_every_digit():
    rows = to_csv(records()).splitlines()
    assert "50.126" in rows[1] and "25557032" in rows[1]
    assert rows[0].startswith("model,parameters,dataset,split,num_images")
    assert list(frame(records())["box_acc_0.5"]) == [70, 60, 59.6]


def test_latex_is_complete_and_escaped():
    hostile = make("a_b & 50% \\input{x}", 1, top1_loc=3.0)
    text = to_latex([*records(), hostile])
    assert r"a\_b \& 50\% \textbackslash{}input\{x\}" in text
    assert text.count("\\\\\n") == 5
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\textbf{51.00}"):
        assert part in text
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert {line.replace(r"\&", "").count("&") for line in body} == {4}


def test_markdown_escapes_names():
    text = to_markdown([make("<b>|*x*\n`", 1, top1_loc=1.0)])
    assert "\\<b\\>\\|\\*x\\*" in text and len(text.splitlines()) == 3


def test_the_terminal_shows_hostile_names_as_they_are():
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(terminal_table([make("[red]x[/red]", 1, top1_loc=1.0)]))
    assert "[red]x[/red]" in console.export_text()


def test_a_single_row_is_not_marked():
    _, ((model, parameters, value),) = table_cells([make("a", 1, top1_loc=1.0)])
    assert value.rank is None and parameters.rank is None and model.text == "a"


def test_data_sets_do_not_mix():
    mixed = [make("a", 1, top1_loc=1.0), make("a", 1, "ILSVRC", top1_loc=1.0)]
    with pytest.raises(InputError, match="CUB test, ILSVRC test"):
        to_markdown(mixed)
    with pytest.raises(InputError):
        terminal_table(mixed)
    grouped = to_markdown(mixed, Layout(group_by=("dataset",)))
    assert grouped.count("| Model") == 2 and "**ILSVRC test, 5,794 images**" in grouped
    with pytest.raises(InputError, match="no record"):
        to_markdown([])


def test_a_record_survives_the_disk(tmp_path):
    record = records()[0]
    write_record(record, tmp_path / "r.json")
    assert read_records(tmp_path / "r.json") == [record]
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["schema"] == "wsol.record/2" and "curves" not in data
    (tmp_path / "list.json").write_text(json.dumps([data, data]))
    assert read_records(tmp_path / "list.json") == [record, record]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "wsol.record/99"}, "has the schema 'wsol.record/99'"),
        ({"parameters": "many"}, "field parameters"),
        ({"metrics": {"top1_loc": "x"}}, r"field metrics\.top1_loc"),
        ({"surprise": 1}, "field surprise"),
    ],
)
def test_other_records_are_refused_by_file_and_field(tmp_path, change, message):
    data = json.loads(records()[0].to_json()) | change
    (tmp_path / "r.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=rf"r\.json: record 0.*{message}"):
        read_records(tmp_path / "r.json")


def test_files_that_are_no_record(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_records(tmp_path / "none.json")
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        read_records(tmp_path / "r.json")
    (tmp_path / "r.json").write_text("[3]")
    with pytest.raises(InputError, match="has the schema None"):
        read_records(tmp_path / "r.json")
