"""Experiments as they are run: what is skipped, what is written, and what survives a failure."""

import json
import os
import re
import textwrap

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from wsol.cli import app
from wsol.datasets.registry import open_dataset
from wsol.datasets.shapes import generate_shapes
from wsol.errors import InputError
from wsol.evaluation.loop import evaluate
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.protocol import Protocol
from wsol.experiment.file import read_experiment
from wsol.experiment.outputs import write_outputs
from wsol.experiment.tasks import plan, run_tasks
from wsol.maps.methods.localizer import Localizer
from wsol.records.outcomes import read_outcomes
from wsol.records.record import read_records
from wsol.records.store import Store
from wsol.results.sources import find_sources

NETWORKS = """
import torch
from torch import nn

def net(width):
    torch.manual_seed(width)
    return nn.Sequential(
        nn.Conv2d(3, width, 7, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, CLASSES),
    )

def small():
    return net(4)

def wide():
    return net(8)

def broken():
    raise TypeError("no such thing")
"""

EXPERIMENT = """
name: shapes
title: Shapes
data: {name: shapes, root: shapes}
models:
  - compared_networks:small
  - {model: "compared_networks:wide", name: Wide}
  - center
protocol: {threshold_step: 0.1}
options: {size: 64, workers: 0, curves: true, device: cpu}
"""


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate_shapes(folder / "shapes", train=1, val=6, test=6, size=64, seed=0)
    return folder / "shapes"


@pytest.fixture
def place(tmp_path, shapes):
    (tmp_path / "shapes").symlink_to(shapes)
    classes = len(open_dataset("shapes", shapes).classes)
    (tmp_path / "compared_networks.py").write_text(NETWORKS.replace("CLASSES", str(classes)))
    return tmp_path


@pytest.fixture
def run(place, run_experiment):
    def results(text=EXPERIMENT, **options):
        return run_experiment(place, text, **options)

    return results


def states(results):
    return [result.state for result in results]


def test_what_is_stored_is_not_run_again(run, shapes):
    first = run()
    assert states(first) == ["evaluated"] * 3
    assert [result.record.model for result in first] == [
        "compared_networks:small", "Wide", "center",
    ]  # fmt: skip
    again = run()
    assert states(again) == ["stored"] * 3
    assert [r.record for r in again] == [r.record for r in first]
    assert states(run(EXPERIMENT.replace("name: Wide", "name: Other"))) == ["stored"] * 3
    assert states(run(EXPERIMENT.replace("0.1", "0.2"))) == ["evaluated"] * 3
    smaller = run(EXPERIMENT.replace("size: 64", "size: 32"))
    assert states(smaller) == ["evaluated", "evaluated", "stored"]  # a baseline sees no input
    alone = evaluate(
        "center",
        open_dataset("shapes", shapes),
        EvaluationOptions(protocol=Protocol(threshold_step=0.1), curves=True),
    )
    assert alone.metrics == first[2].record.metrics


def test_other_weights_are_another_run(run, place):
    run()
    module = place / "compared_networks.py"
    module.write_text(module.read_text().replace("manual_seed(width)", "manual_seed(5)"))
    import sys

    del sys.modules["compared_networks"]
    os.utime(module, (1, 1))
    assert states(run()) == ["evaluated", "evaluated", "stored"]


def test_a_run_that_lacks_something_is_made_again_and_loses_nothing(run):
    run(EXPERIMENT.replace("curves: true", "per_image: true"))
    results = run()
    assert states(results) == ["evaluated"] * 3
    assert all(r.entry.outcomes is not None and r.record.curves is not None for r in results)
    assert states(run()) == states(run(EXPERIMENT.replace("curves", "per_image"))) == ["stored"] * 3


def test_a_dry_run_makes_nothing(run, place):
    assert states(run(dry_run=True)) == ["missing"] * 3
    assert not (place / "store").exists()


def test_a_dry_run_counts_what_the_job_as_a_whole_costs(run, place, monkeypatch):
    text = EXPERIMENT.replace(
        "step: 0.1}", "step: 0.1, convention: [choe2020, exact, psol], threshold: 0.3}"
    ).replace("device: cpu}", "device: cpu, method: [gradcam, hirescam]}")
    planned = run(text, dry_run=True)
    assert states(planned) == ["missing"] * (6 + 6 + 3)
    assert [result.reason for result in planned[:7]] == [
        "2 forward passes an image, 12 in all, for 6 runs",
        *["by the same passes"] * 5,
        "2 forward passes an image, 12 in all, for 6 runs",
    ]
    alone = [run(text, dry_run=True)[0].passes]
    images, see = [], Localizer.see
    monkeypatch.setattr(Localizer, "see", lambda own, x: images.append(len(x)) or see(own, x))
    assert states(run(text)) == ["evaluated"] * 15
    assert sum(images) == sum(result.passes for result in planned) == 2 * alone[0]
    # What is stored costs nothing, and the rest still shares its passes.
    more = text.replace("hirescam]", "hirescam, layercam, scorecam]")
    left = [result for result in run(more, dry_run=True) if result.state == "missing"]
    assert [result.passes for result in left[:4]] == [2 * 6 * (1 + 4), 0, 0, 0]


def test_a_dry_run_tells_the_sum(place, monkeypatch):
    monkeypatch.chdir(place)
    text = EXPERIMENT.replace(
        "step: 0.1}", "step: 0.1, convention: [choe2020, psol], threshold: 0.3}"
    )
    (place / "experiment.yaml").write_text(text)
    result = CliRunner().invoke(
        app, ["compare", "experiment.yaml", "--dry-run", "--store", str(place / "store")]
    )
    assert result.exit_code == 0, result.output
    assert "6 runs to make: 24 forward passes." in result.stderr
    assert result.stderr.count("would be evaluated by the same passes") == 2


def test_a_failure_does_not_lose_the_others(run):
    text = EXPERIMENT.replace("  - center", "  - compared_networks:broken\n  - nowhere\n  - center")
    results = run(text)
    assert states(results) == ["evaluated", "evaluated", "failed", "failed", "evaluated"]
    assert "failed (TypeError: no such thing, compared_networks.py:" in results[2].reason
    assert "nowhere" in results[3].reason
    with pytest.raises(InputError, match="no such thing"):
        run(text, fail_fast=True)


def test_a_run_that_another_process_is_at(run, place):
    run()
    (entry,) = [e for e in Store(place / "store").read()[0] if e.record.model == "center"]
    Store(place / "store").remove(entry)
    (place / "store" / ".running").mkdir(exist_ok=True)
    with FileLock(place / "store" / ".running" / f"{entry.run_key}.lock"):
        results = run()
    assert states(results) == ["stored", "stored", "failed"]
    assert "another process" in results[2].reason
    assert states(run()) == ["stored", "stored", "evaluated"]
    assert not list((place / "store" / ".running").iterdir())


def test_an_interrupted_run_goes_on(run, place):
    from contextlib import contextmanager

    @contextmanager
    def interrupting(name, total):
        def advance(images):
            raise KeyboardInterrupt

        yield advance

    with pytest.raises(KeyboardInterrupt):
        run(track=interrupting)
    assert list((place / "store" / ".running").rglob("*.npz"))
    advanced = []

    @contextmanager
    def counting(name, total):
        yield advanced.append

    assert states(run(track=counting)) == ["evaluated"] * 3
    assert advanced[0] == 1 and sum(advanced[:6]) == 6  # of the first model, one was kept
    assert not list((place / "store" / ".running").rglob("*.npz"))


def test_outputs(run, place):
    text = EXPERIMENT + textwrap.dedent(
        """
        outputs:
          tables: [markdown, csv, latex, html]
          plots: [png, svg]
          report: true
          examples: 3
        """
    )
    results = run(text)
    out = place / "out"
    write_outputs(results, read_experiment(place / "experiment.yaml"), out)
    assert {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()} == {
        "table.md", "table.csv", "table.tex", "table.html",
        "parameters.png", "parameters.svg", "thresholds.png", "thresholds.svg",
        "report/index.html", "records/order.json",
        *(f"records/shapes-{name}{suffix}"
          for name in ("compared_networks-small", "Wide", "center")
          for suffix in (".json", ".outcomes.parquet")),
    }  # fmt: skip
    (record,) = read_records(out / "records" / "shapes-Wide.json")
    assert record.model == "Wide"
    assert read_outcomes(out / "records" / "shapes-Wide.outcomes.parquet")[0].num_rows == 6
    assert "Wide" in (out / "table.md").read_text()
    # `wsol table` keeps the experiment's order.
    names = [source.record.model for source in find_sources([out])]
    assert names == [result.record.model for result in results]


@pytest.mark.slow
def test_intervals_are_those_of_stats_before_anything_is_made_of_records(run, place):
    text = EXPERIMENT + "outputs: {tables: [markdown], intervals: true, report: true}\n"
    results = run(text)
    read = read_experiment(place / "experiment.yaml")
    written = write_outputs(results, read, place / "out")
    files = sorted((place / "out" / "records").glob("shapes-*.json"))
    before = [read_records(file)[0] for file in files]
    assert all(record.intervals and "gt_known_loc" in record.intervals for record in before)
    assert {record.model for record in written.records} == {record.model for record in before}
    stats = CliRunner().invoke(app, ["stats", *map(str, files), "--update"])
    assert stats.exit_code == 0, stats.output
    assert [read_records(file)[0] for file in files] == before
    assert "±" in (place / "out" / "table.md").read_text()
    page = (place / "out" / "report" / "index.html").read_text()
    assert re.search(r'"ends":\{"[a-z]', page)
    again = run(text)  # what is stored has everything that intervals need
    assert states(again) == ["stored"] * 3
    assert write_outputs(again, read, place / "out") == written
    shown = CliRunner().invoke(
        app,
        ["compare", str(place / "experiment.yaml"), "--store", str(place / "store"),
         "--out", str(place / "out")],
    )  # fmt: skip
    assert shown.exit_code == 0 and "±" in shown.stdout


def test_several_data_sets_have_a_section_and_plots_each(run, place):
    text = EXPERIMENT.replace(
        "data: {name: shapes, root: shapes}",
        "data:\n"
        "  - {name: shapes, root: shapes}\n"
        "  - {name: shapes, root: shapes, split: val, protocol: {compat: none}}\n"
        "  - {name: shapes, root: shapes, split: val}",
    )
    results = run(text)
    assert [result.record.settings["convention"] for result in results] == (
        3 * ["choe2020"] + 3 * ["exact"] + 3 * ["choe2020"]
    )
    write_outputs(results, read_experiment(place / "experiment.yaml"), place / "out")
    assert (place / "out" / "table.md").read_text().count("**shapes") == 3
    assert len(list((place / "out" / "records").glob("shapes-*"))) == 9
    assert len(list((place / "out").glob("parameters-shapes-*.png"))) == 3


def test_conventions_have_a_record_each_of_one_pass(run, place, monkeypatch):
    seen, see = [], Localizer.see
    monkeypatch.setattr(Localizer, "see", lambda own, x: seen.append(len(x)) or see(own, x))
    plain = EXPERIMENT.replace("  - center\n", "")
    one = run(plain)
    assert states(one) == ["evaluated"] * 2 and len(seen) == 2
    several = plain.replace("{threshold_step: 0.1}",
        "{threshold_step: 0.1, convention: [choe2020, zhou2016, ts-cam, exact]}")  # fmt: skip
    results = run(several)
    # ts-cam states no threshold for these images; what is stored stays in the table.
    assert states(results) == ["stored", "evaluated", "failed", "evaluated"] * 2
    assert "states no threshold" in results[2].reason and "under ts-cam" in results[2].task.title
    assert len(seen) == 2 + 2 * (1 + 10)  # zhou2016 classifies ten crops beside the photograph
    assert states(run(several))[:2] == ["stored", "stored"]
    write_outputs(results, read_experiment(place / "experiment.yaml"), place / "out")
    table = (place / "out" / "table.md").read_text()
    assert [f"images, {name}**" in table for name in ("choe2020", "zhou2016", "exact")] == [
        True
    ] * 3
    names = [path.name for path in (place / "out" / "records").glob("shapes-Wide*")]
    assert sorted(names) == [
        "shapes-Wide-choe2020.json", "shapes-Wide-exact.json", "shapes-Wide-zhou2016.json"
    ]  # fmt: skip
    alone = run(several.replace("[choe2020, zhou2016, ts-cam, exact]", "zhou2016"))
    assert [result.record for result in alone] == [results[1].record, results[5].record]


def test_records_are_named_by_what_tells_them_apart_and_once_under_today_s_name(run, place):
    text = EXPERIMENT.replace("  - compared_networks:small\n", "").replace(
        "options: {", "options: {method: [cam, gradcam++, eigencam], per_image: true, "
    )
    results = run(text)
    out = place / "out"
    experiment = read_experiment(place / "experiment.yaml")
    write_outputs(results, experiment, out)
    records = out / "records"
    names = ["shapes-Wide", "shapes-Wide-gradcam++", "shapes-Wide-eigencam", "shapes-center"]
    assert json.loads((records / "order.json").read_text()) == [f"{name}.json" for name in names]
    # Numbers, as an earlier version named them, beside a record of another run and a user's own.
    for new, old in zip(names[1:3], ("shapes-Wide-2", "shapes-Wide-3"), strict=True):
        for suffix in (".json", ".outcomes.parquet"):
            (records / f"{new}{suffix}").rename(records / f"{old}{suffix}")
    other = results[0].record.model_copy(update={"model": "Other", "parameters": 7})
    (records / "shapes-Other.json").write_text(other.to_json())
    (records / "own.json").write_text(results[0].record.to_json())
    (out / "outside.json").write_text(results[0].record.to_json())
    (records / "broken.json").write_text("{")
    old = ["shapes-Wide", "shapes-Wide-2", "shapes-Wide-3", "shapes-Other", "shapes-center"]
    listed = [*(f"{name}.json" for name in old), "../outside.json", "gone.json", "broken.json"]
    (records / "order.json").write_text(json.dumps(listed))
    again = run(text)
    assert states(again) == ["stored"] * 4
    write_outputs(again, experiment, out)
    assert {path.name for path in records.iterdir()} == {
        "order.json", "own.json", "broken.json", "shapes-Other.json",
        *(f"{name}{suffix}" for name in names for suffix in (".json", ".outcomes.parquet")),
    }  # fmt: skip
    assert (out / "outside.json").exists()
    order = json.loads((records / "order.json").read_text())
    assert order == ["shapes-Other.json", "broken.json", *(f"{name}.json" for name in names)]


def test_the_command(place, monkeypatch):
    monkeypatch.chdir(place)
    text = EXPERIMENT.replace("  - center", "  - compared_networks:broken\n  - center")
    (place / "experiment.yaml").write_text(text)
    arguments = ["compare", "experiment.yaml", "--store", "runs", "--limit", "4"]
    done = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert done.exit_code == 2 and not (place / "results").exists()
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "1 of 4 failed" in done.output and "no such thing" in done.output
    out = place / "results" / "shapes-first-4"
    record = json.loads((out / "records" / "shapes-center.json").read_text())
    assert record["num_images"] == 4
    (place / "experiment.yaml").write_text(EXPERIMENT)
    assert CliRunner().invoke(app, [*arguments, "--out", "here"]).exit_code == 0
    assert (place / "here" / "table.tex").exists()
    (place / "experiment.yaml").write_text("name: a")
    assert isinstance(CliRunner().invoke(app, arguments).exception, InputError)


def test_the_centre_baseline_of_this_project(shared_data, tmp_path, monkeypatch):
    """The file gives the published 59.60 on CUB, and the numbers that lie in `results/`."""
    from pathlib import Path

    checkout = Path(__file__).parents[2]
    monkeypatch.setenv("WSOL_METADATA", str(shared_data / "wsol-metadata"))
    experiment = read_experiment(checkout / "experiments" / "center-baseline.yaml")
    cub = experiment.model_copy(
        update={"data": experiment.data[1:], "models": experiment.models[:1]}
    )
    (result,) = run_tasks(plan(cub), Store(tmp_path / "store"))
    assert f"{result.record.metrics.box_acc['0.5']:.2f}" == "59.60"
    kept = checkout / "results" / "center-baseline" / "records" / "CUB-center.json"
    # Records of before have no means over classes.
    told = read_records(kept)[0].metrics.model_dump(exclude_none=True)
    assert told == {name: getattr(result.record.metrics, name) for name in told}


def test_a_data_set_of_one_s_own_lies_beside_the_experiment(tmp_path, run_experiment):
    (tmp_path / "beside_the_file.py").write_text(
        "from dataclasses import replace\n"
        "from wsol.datasets.registry import open_dataset\n"
        "def half(root):\n"
        "    whole = open_dataset('shapes', root)\n"
        "    return replace(whole, samples=whole.samples[::2])\n"
    )
    generate_shapes(tmp_path / "data", train=0, val=0, test=6, size=48, seed=0)
    (result,) = run_experiment(
        tmp_path,
        "name: own\n"
        "data: {name: 'beside_the_file:half', root: data}\n"
        "models: [center]\n"
        "protocol: {threshold_step: 0.1}\n",
    )
    assert result.state == "evaluated" and result.record.num_images == 3
