"""The results folder: what is the same run, which of two records stays, and two writers at once."""

import json
import multiprocessing
import re

import numpy as np
import pytest

from wsol.errors import InputError
from wsol.records.outcomes import OutcomeInfo, read_outcomes, write_outcomes
from wsol.records.record import (
    Curves,
    Environment,
    Metrics,
    ResultRecord,
    Timing,
    read_records,
)
from wsol.records.store import Store, default_store, run_key_of


def record(model="resnet50", date="2025-03-01T10:00:00+00:00", value=50.0, **changes):
    settings = {"threshold_step": 0.01, "weights": "a.pt", "weights_fingerprint": "f00d"}
    settings |= changes.pop("settings", {})
    made = ResultRecord(
        model=model,
        parameters=1000,
        dataset="CUB",
        split="test",
        num_images=10,
        cam_method="cam",
        metrics=Metrics(max_box_acc_v2=value),
        settings=settings,
        environment=Environment(
            python="3", platform="Linux", device="cpu", threads=1, date=date, versions={}
        ),
        timing=Timing(data=0, forward=0, localization=0, total=1),
    )
    return made.model_copy(update=changes)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def outcomes(tmp_path):
    path = tmp_path / "some.outcomes.parquet"
    write_outcomes(
        [], OutcomeInfo(np.arange(0, 1, 0.5), (0.5,), ("all",), (224, 224), "exact"), path
    )
    return path


def test_a_run_comes_back(store, outcomes):
    assert store.read() == ([], [])
    added = store.add(record(), outcomes)
    assert added.state == "new"
    ((entry,), problems) = store.read()
    assert problems == [] and entry == added.entry
    assert entry.record == record()
    assert re.fullmatch(r"resnet50--CUB-test--20250301-100000--[0-9a-f]{10}", entry.id)
    assert read_records(entry.path) == [record()]
    assert read_outcomes(entry.outcomes)[0].num_rows == 0
    assert store.find(run_key_of(record())) == entry
    assert store.find("another") is None


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"value": 51.0}, True),
        ({"settings": {"weights": "moved/b.pt"}}, True),
        ({"settings": {"weights_fingerprint": "beef"}}, False),
        ({"settings": {"threshold_step": 0.001}}, False),
        ({"settings": {"dataset_fingerprint": "1"}}, False),
        ({"model": "resnet18"}, False),
        ({"dataset": "ILSVRC"}, False),
        ({"split": "val"}, False),
    ],
)
def test_what_is_the_same_run(store, changes, same):
    store.add(record())
    added = store.add(record(date="2025-03-02T10:00:00+00:00", **changes))
    assert added.state == ("replaced" if same else "new")
    assert len(store.read()[0]) == (1 if same else 2)


def test_score_maps_of_equal_names_are_told_apart_by_their_numbers(store):
    for value in (50.0, 51.0, 51.0):
        store.add(record(value=value, cam_method="precomputed"))
    assert len(store.read()[0]) == 2


def test_the_newer_stays_but_outcomes_weigh_more(store, outcomes):
    first = store.add(record(), outcomes)
    assert store.add(record(), outcomes).state == "kept"
    newer = record(date="2025-04-01T10:00:00+00:00", value=51.0)
    assert store.add(newer).entry == first.entry  # it would have lost the outcomes
    assert store.add(newer, outcomes).state == "replaced"
    older = record(date="2024-01-01T10:00:00+00:00", value=1.0)
    assert store.add(older, outcomes).state == "kept"
    ((entry,), _) = store.read()
    assert entry.record.metrics.max_box_acc_v2 == 51
    assert {path.name for path in store.folder.iterdir()} == {
        f"{entry.id}.json",
        f"{entry.id}.outcomes.parquet",
    }
    curves = Curves(thresholds=[0.0], all={"0.5": [3]})
    older = older.model_copy(update={"curves": curves})
    assert Store(store.folder / "other").add(older).state == "new"


def test_names_that_are_no_file_names(store):
    for model in ("../../escape", "timm:a/b", "naïve Ω", "x" * 500, "..."):
        entry = store.add(record(model=model)).entry
        assert entry.path.parent == store.folder and entry.path.is_file()
    assert {e.record.model for e in store.read()[0]} > {"../../escape", "naïve Ω"}


def test_finding_a_run_by_a_part_of_its_name(store):
    one = store.add(record()).entry
    store.add(record(model="resnet18"))
    assert store.resolve(one.id) == store.resolve(one.short_id) == store.resolve("resnet50") == one
    with pytest.raises(InputError, match="fits 2 runs"):
        store.resolve("resnet")
    for name in ("", "vgg", "../store"):
        with pytest.raises(InputError, match=r"runs|no run"):
            store.resolve(name)
    store.remove(one)
    store.remove(one)
    assert [entry.record.model for entry in store.read()[0]] == ["resnet18"]


def test_files_that_are_no_runs_are_named_and_passed_over(store):
    store.add(record())
    (store.folder / "broken.json").write_text("{")
    (store.folder / "list.json").write_text("[]")
    (store.folder / "future.json").write_text('{"schema": "wsol.record/99"}')
    undated = json.loads(record().to_json())
    undated["environment"]["date"] = "yesterday"
    (store.folder / "undated.json").write_text(json.dumps(undated))
    (store.folder / ".half-written.json").write_text("{")
    entries, problems = store.read()
    assert len(entries) == 1
    for name in ("broken", "list", "future", "undated"):
        assert any(f"{name}.json" in problem for problem in problems), name
    assert len(problems) == 4
    assert store.add(record(model="b")).state == "new"


def test_records_of_schema_1_are_read(store):
    old = json.loads(record().to_json()) | {"schema": "wsol.record/1"}
    store.folder.mkdir()
    (store.folder / "old.json").write_text(json.dumps(old))
    assert store.add(record(date="2025-04-01T10:00:00+00:00")).state == "replaced"


def test_a_store_that_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a folder"):
        Store(tmp_path / "file")
    monkeypatch.setenv("WSOL_RESULTS", str(tmp_path / "elsewhere"))
    assert default_store() == tmp_path / "elsewhere"


def add_many(folder, offset):
    """Twenty runs of its own, and twenty that the other process adds too, with other dates."""
    store = Store(folder)
    for number in range(20):
        store.add(record(model=f"own-{offset}-{number}"))
        date = f"2025-03-01T10:00:{(number + offset) % 60:02}+00:00"
        store.add(record(model=f"shared-{number}", date=date, value=float(offset)))


def test_two_processes_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=add_many, args=(tmp_path, offset)) for offset in (1, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
        assert process.exitcode == 0
    entries, problems = Store(tmp_path).read()
    assert problems == []
    assert len(entries) == 60
    shared = [entry for entry in entries if entry.record.model.startswith("shared")]
    assert {entry.record.metrics.max_box_acc_v2 for entry in shared} == {2.0}  # the newer ones
    assert len(list(tmp_path.iterdir())) == 60  # nothing half-written or twice
