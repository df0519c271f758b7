"""What `wsol stats` shows, and which records and outcomes it refuses."""

import csv
import io
import json
import shutil

import pytest
from rich.console import Console

from wsol.errors import InputError
from wsol.records.outcomes import write_outcomes
from wsol.records.record import Environment, Metrics, ResultRecord, Timing, read_records
from wsol.records.record import write_record as write
from wsol.results import statistics_table as tables
from wsol.results.breakdown import break_down
from wsol.results.image_facts import contributions, facts_of, read_facts
from wsol.results.optimism import Bootstrap
from wsol.results.recorded_run import (
    LATER,
    differing_choices,
    paired_facts,
    read_run,
    recorded_values,
    with_intervals,
)
from wsol.results.several_runs import compare_all, names_of, read_runs
from wsol.results.statistics import Estimate, compare_runs, holm, intervals

from support.outcome_rows import generated, info

HOSTILE = "=cmd|'<b>\x1b[31m[red]"


def write_run(folder, name, seed=1, dataset="CUB", thresholds=20, **settings):
    """A record and the outcomes that make its metrics."""
    rows, _ = generated(seed, 30, thresholds)
    write_outcomes(rows, info(thresholds), folder / f"{name}.outcomes.parquet")
    facts = facts_of(*read_facts(folder / f"{name}.outcomes.parquet"))
    metrics: dict = {"coco_ap": 12.5}
    for metric, value in ((name, part.percent) for name, part in contributions(facts).items()):
        kind, _, level = metric.rpartition("_")
        if kind.startswith("box_acc"):
            metrics.setdefault(kind, {})[level] = value
        else:
            metrics[metric] = value
    record = ResultRecord(
        model=name,
        parameters=1,
        dataset=dataset,
        split="test",
        num_images=30,
        cam_method="cam",
        metrics=Metrics.model_validate(metrics),
        settings=settings,
        environment=Environment(
            python="", platform="", device="cpu", threads=1, date="", versions={}
        ),
        timing=Timing(data=0, forward=0, localization=0, total=0),
        notes=["from a test"],
    )
    write(record, folder / f"{name}.json")
    return folder / f"{name}.json"


def test_a_record_keeps_its_newest_intervals(tmp_path):
    run = read_run(write_run(tmp_path, "a"))
    estimates = intervals(run.facts, Bootstrap(100))
    once = with_intervals(run.record, estimates, Bootstrap(100))
    twice = with_intervals(once, estimates, Bootstrap(200, seed=7))
    assert twice.notes[0] == "from a test" and len(twice.notes) == 2
    assert "200 resamples, seed 7" in twice.notes[1]
    write(twice, run.path)
    (again,) = read_records(run.path)
    assert again.intervals == {name: (e.low, e.high) for name, e in estimates.items()}
    assert set(recorded_values(again, again.intervals)) == set(again.intervals)
    with pytest.raises(InputError, match=r"95% intervals, not 0\.9"):
        with_intervals(run.record, estimates, Bootstrap(100, level=0.9))


def test_outcomes_have_to_be_there_and_the_records_own(tmp_path):
    path = write_run(tmp_path, "a")
    other = write_run(tmp_path, "b", seed=2)
    shutil.copy(tmp_path / "b.outcomes.parquet", tmp_path / "a.outcomes.parquet")
    with pytest.raises(InputError, match=r"a\.outcomes\.parquet: is of another run than a\.json"):
        read_run(path)
    (tmp_path / "a.outcomes.parquet").unlink()
    with pytest.raises(InputError, match="evaluate again with --per-image"):
        read_run(path)
    both = [json.loads(file.read_text()) for file in (path, other)]
    path.write_text(json.dumps(both))
    with pytest.raises(InputError, match="holds 2 records"):
        read_run(path)


def test_records_of_before_may_lack_what_was_not_measured_then(tmp_path, monkeypatch):
    path = write_run(tmp_path, "a")
    content = json.loads(path.read_text())
    del content["metrics"]["max_box_acc"]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"make max_box_acc .* the record says nan"):
        read_run(path)
    monkeypatch.setattr("wsol.results.recorded_run.LATER", (*LATER, "max_box_acc"))
    assert read_run(path).record.metrics.max_box_acc is None
    content["metrics"]["max_box_acc"] = 12.5  # a wrong number is refused all the same
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"the record says 12\.5"):
        read_run(path)


def test_runs_that_do_not_compare_are_refused(tmp_path):
    first = read_run(write_run(tmp_path, "a", size=224, threshold_step=0.1))
    second = read_run(write_run(tmp_path, "b", seed=2, dataset="ILSVRC"))
    with pytest.raises(InputError, match="data set CUB and ILSVRC"):
        paired_facts(first, second, common=False)
    third = read_run(write_run(tmp_path, "c", seed=3, size=320, threshold_step=0.1, weights="x"))
    assert differing_choices(first.record, third.record) == ["size 224 and 320"]
    assert differing_choices(first.record, second.record) == []


def test_intervals_as_text_and_as_numbers(tmp_path):
    run = read_run(write_run(tmp_path, "a"))
    estimates = {
        "top1_cls": Estimate(50, 50, 40.125, 60),
        "max_box_acc": Estimate(70, 68.75, 60, 75),
    }
    rows = tables.interval_rows(run.record, estimates)
    assert rows[2] == {
        "metric": "coco_ap", "value": 12.5, "corrected": None, "low": None, "high": None
    }  # fmt: skip
    text = tables.to_markdown(rows, tables.interval_view(run.record, 0.9))
    assert "| Metric | % | Corrected | 90 % interval |" in text
    assert "| Top-1 Cls | 50.00 | – | 40.12 to 60.00 |" in text
    assert "| MaxBoxAcc | 70.00 | 68.75 | 60.00 to 75.00 |" in text
    assert "| COCO AP | 12.50 | – | no interval |" in text
    line = list(csv.reader(io.StringIO(tables.to_csv(rows))))[1]
    assert line[0] == "top1_cls" and [float(text) for text in line[1:]] == [50, 50, 40.125, 60]
    assert len(tables.interval_rows(run.record, estimates, ["max_box_acc"])) == 1


def test_differences_as_text(tmp_path):
    run, other = (read_run(write_run(tmp_path, name, seed)) for name, seed in (("a", 1), ("b", 1)))
    rows = tables.difference_rows(compare_runs(run.facts, other.facts, Bootstrap(50)))
    text = tables.to_markdown(rows, tables.difference_view(run.record, 0.95))
    assert "| 1.000 | 0 | 0 | 1.000 |" in text
    assert "| 1.000 | – | – | – |" in text
    rows[0]["p"] = 0.0004
    assert r"\< 0.001" in tables.to_markdown(rows, tables.difference_view(run.record, 0.95))


def test_several_runs_against_one(tmp_path):
    for name, seed in (("a", 1), ("b", 2), ("c", 3), ("reference", 4)):
        write_run(tmp_path, name, seed)
    (tmp_path / "c.outcomes.parquet").unlink()
    reference = read_run(tmp_path / "reference.json")
    runs, left_out = read_runs([tmp_path, tmp_path / "a.json"], without=reference.path)
    assert names_of(runs) == ["a", "b"] and left_out == [tmp_path / "c.json"]
    with pytest.raises(InputError, match=r"c\.outcomes\.parquet: does not exist"):
        read_runs([tmp_path / "c.json"])
    bootstrap = Bootstrap(50)
    compared = compare_all(runs, reference, bootstrap, common=False)
    each = [compare_runs(run.facts, reference.facts, bootstrap) for run in runs]
    for metric in each[0]:
        found = {row.name: row for row in compared if row.metric == metric}
        assert {name: row.difference for name, row in found.items()} == {
            "a": each[0][metric], "b": each[1][metric]
        }  # fmt: skip
        adjusted = holm([each[0][metric].p, each[1][metric].p])
        assert [found["a"].holm_p, found["b"].holm_p] == adjusted
        ordered = [row.difference.difference for row in compared if row.metric == metric]
        assert ordered == sorted(ordered, reverse=True)
    rows = tables.compared_rows(compare_all(runs, reference, bootstrap, False, ["max_box_acc"]))
    text = tables.to_markdown(rows, tables.compared_view(runs[0].record, 0.95, "reference"))
    assert len(rows) == 2 and "| reference (reference) |" in text and "| p (Holm) |" in text


def test_runs_of_one_name_are_told_apart_by_their_files(tmp_path):
    path = write_run(tmp_path, "a")
    for suffix in (".json", ".outcomes.parquet"):
        shutil.copy(tmp_path / f"a{suffix}", tmp_path / f"again{suffix}")
    runs, _ = read_runs([tmp_path])
    assert names_of(runs) == ["a", "again"] and runs[0].path == path
    write_run(tmp_path, "other", dataset="ILSVRC")
    reference = read_run(tmp_path / "other.json")
    with pytest.raises(InputError, match=r"a\.json: The two runs do not compare: data set"):
        compare_all(runs, reference, Bootstrap(50), common=False)


def test_hostile_names_are_harmless(tmp_path):
    run = read_run(write_run(tmp_path, "a"))
    group = break_down(run.facts, "class")[0]
    rows = tables.group_rows([type(group)(HOSTILE, 3, group.metrics)])
    view = tables.group_view(run.record, rows, "class")
    text = tables.to_markdown(rows, view)
    assert "\x1b" not in text and r"\<b\>" in text and r"\|" in text
    assert list(csv.reader(io.StringIO(tables.to_csv(rows))))[1][0].startswith("'=")
    console = Console(width=200, file=io.StringIO())
    console.print(tables.to_terminal(rows, view))
    shown = console.file.getvalue()
    assert "[red]" in shown and "\x1b" not in shown
