"""Records of every schema, from files and folders."""

import json
import re
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from wsol.errors import InputError
from wsol.records.record import (
    Cost,
    find_records,
    read_records,
    record_files,
    write_order,
    write_record,
)
from wsol.records.training import Epoch

from support.records import make

OLD = Path(__file__).parent / "record-1.json"
"""A record as the first schema wrote it."""


def test_a_record_of_the_first_schema_is_brought_up_to_date(tmp_path):
    assert json.loads(OLD.read_text())["schema"] == "wsol.record/1"
    (record,) = read_records(OLD)
    assert record.schema_ == "wsol.record/2"
    assert record.metrics.max_box_acc_v2 == 56.834656541249565
    assert record.cost is None and record.intervals is None
    write_record(record, tmp_path / "new.json")
    written = json.loads((tmp_path / "new.json").read_text())
    old = json.loads(OLD.read_text())
    assert old["settings"]["convention"] == "wsolevaluation"  # as it was called at first
    settings = old["settings"] | {"convention": "choe2020"}
    notes = [*old["notes"], "Its convention is written as wsolevaluation, as choe2020 was called."]
    assert written == old | {"schema": "wsol.record/2", "settings": settings, "notes": notes}


def test_the_first_schema_had_no_cost(tmp_path):
    wrong = json.loads(OLD.read_text()) | {"surprise": 1}
    (tmp_path / "r.json").write_text(json.dumps(wrong))
    with pytest.raises(InputError, match=r"r\.json: record 0, field surprise"):
        read_records(tmp_path / "r.json")


def test_cost_and_intervals_survive_the_disk(tmp_path):
    record = make("resnet50", 25_557_032, top1_loc=50.0)
    record.cost = Cost(flops=8_178_368_512, map_size=(7, 8), latency_ms=3.25, latency_device="cpu")
    record.intervals = {"top1_loc": (49.0, 51.5)}
    write_record(record, tmp_path / "r.json")
    assert read_records(tmp_path / "r.json") == [record]


def test_records_are_found_in_folders(tmp_path):
    a, b, c = make("a", 1), make("b", 2), make("c", 3)
    write_record(b, tmp_path / "x" / "deep" / "b.json")
    write_record(a, tmp_path / "x" / "a.json")
    write_record(c, tmp_path / "c.json")
    (tmp_path / "x" / "classes.json").write_text('{"0": "cat"}')
    (tmp_path / "x" / "empty.json").write_text("[]")
    shutil.copy(tmp_path / "c.json", tmp_path / "x" / ".half-written.json")
    assert find_records([tmp_path / "c.json", tmp_path / "x"]) == [c, a, b]
    # Named twice, read once.
    assert find_records([tmp_path / "x" / "a.json", tmp_path / "x"]) == [a, b]


def test_what_is_wrong_with_a_folder_is_said(tmp_path):
    with pytest.raises(InputError, match="has no record in it"):
        find_records([tmp_path])
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match=r"a\.json: is not JSON"):
        find_records([tmp_path])
    (tmp_path / "a.json").write_text('{"schema": "wsol.record/3"}')
    with pytest.raises(InputError, match=r"a\.json.*'wsol\.record/3', this version reads"):
        find_records([tmp_path])
    with pytest.raises(InputError, match=r"none\.json: does not exist"):
        find_records([tmp_path / "none.json"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"num_images": 5', '"num_images": -5', "num_images: Input should be greater"),
        ('"num_images": 5', '"num_images": 4.5', "num_images: Input should be a valid integer"),
        ('"max_box_acc_v2": 50.0', '"max_box_acc_v2": NaN', "NaN is no number of JSON"),
        ('"max_box_acc_v2": 50.0', '"max_box_acc_v2": 1e999', "is too large"),
        ('"max_box_acc_v2": 50.0', '"max_box_acc_v2": "NaN"', "max_box_acc_v2"),
        ('"max_box_acc_v2": 50.0', '"max_box_acc_v2": 100.5', "max_box_acc_v2: Input should be"),
        ('"total": 1.0', '"total": -1.0', "timing.total: Input should be greater"),
    ],
)
def test_numbers_that_none_can_be_are_refused(tmp_path, old, new, message):
    write_record(make("a", 5, max_box_acc_v2=50.0), tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text()
    text = re.sub(r'"num_images": \d+', '"num_images": 5', text)
    text = re.sub(r'"total": [\d.]+', '"total": 1.0', text)
    assert text.count(old) == 1
    (tmp_path / "a.json").write_text(text.replace(old, new))
    with pytest.raises(InputError, match=rf"a\.json.*{message}"):
        read_records(tmp_path / "a.json")


@pytest.mark.parametrize("change", [{"loss": float("nan")}, {"accuracy": -1}, {"seconds": -0.1}])
def test_an_epoch_has_numbers_that_can_be(change):
    with pytest.raises(ValidationError):
        Epoch(**({"epoch": 1, "loss": 0.5, "accuracy": 20, "seconds": 1} | change))


def test_the_order_of_a_folder_among_files_that_a_shell_named_is_no_record(tmp_path):
    write_record(make("a", 1), tmp_path / "a.json")
    write_order([tmp_path / "a.json"])
    named = sorted(tmp_path.glob("*.json"))
    assert [path.name for path in named] == ["a.json", "order.json"]
    assert [path.name for path in record_files(named)] == ["a.json"]
    with pytest.raises(InputError, match=r"order\.json: record 0 has the schema None"):
        find_records([tmp_path / "order.json"])
