"""Per-image outcomes survive their file."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.errors import InputError
from wsol.records.outcomes import (
    THUMBNAIL,
    OutcomeInfo,
    OutcomeRow,
    correct_from,
    read_outcomes,
    switches_of,
    to_outcomes,
    write_outcomes,
)

INFO = OutcomeInfo(np.arange(0, 1, 0.01), (0.3, 0.5), ("largest", "all"), (224, 224), "exact")


def outcome(number: int, classifier: bool = True) -> OutcomeRow:
    rng = np.random.default_rng(number)
    return OutcomeRow(
        image_id=f"class/{number}.jpg",
        path=f"/data/{number}.jpg" if classifier else None,
        label=number,
        class_name="<b>tench</b>",
        size=(500, 375) if classifier else None,
        true_boxes=rng.integers(0, 200, (number % 3, 4)).astype(float),
        rank=2 if classifier else None,
        predicted=("a", "b") if classifier else (),
        scores=np.array([0.6, 0.25]) if classifier else np.zeros(0),
        fixed_box=np.array([1.0, 2.0, 30.0, 40.0]),
        fixed_iou=0.25 if number % 3 else None,
        switches={
            f"{kind}@{level:g}": np.sort(rng.choice(100, 3, replace=False)).astype(np.uint16)
            for kind in INFO.kinds
            for level in INFO.iou_levels
        },
        box_starts=np.array([0, 5], dtype=np.uint16),
        boxes=np.array([[0, 0, 223, 223], [4, 5, 6, 7]], dtype=np.int16),
        ious=np.array([0.5, np.nan], dtype=np.float32),
        score_map=rng.integers(0, 256, (THUMBNAIL, THUMBNAIL), dtype=np.uint8),
    )


def test_every_field_comes_back(tmp_path):
    written = [outcome(number, classifier=number % 2 == 0) for number in range(1003)]
    write_outcomes(written, INFO, tmp_path / "a.parquet")
    table, info = read_outcomes(tmp_path / "a.parquet")
    np.testing.assert_array_equal(info.thresholds, INFO.thresholds)
    assert dataclasses.replace(info, thresholds=INFO.thresholds) == INFO
    read = to_outcomes(table, info)
    assert len(read) == 1003
    for one, two in zip(written, read, strict=True):
        for field in dataclasses.fields(OutcomeRow):
            np.testing.assert_equal(getattr(two, field.name), getattr(one, field.name))


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_switches_hold_the_whole_curve(correct):
    correct = np.array(correct)
    np.testing.assert_array_equal(correct_from(switches_of(correct), len(correct)), correct)


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(InputError, match=r"other\.parquet: has the schema"):
        read_outcomes(path)
    path.write_bytes(b"PAR1 cut short")
    with pytest.raises(InputError, match=r"other\.parquet: is not a Parquet file"):
        read_outcomes(path)
    with pytest.raises(InputError, match="does not exist"):
        read_outcomes(tmp_path / "none.parquet")


def test_boxes_in_pixels_of_unknown_photographs_are_refused(tmp_path):
    rows, info = [outcome(0), outcome(1)], dataclasses.replace(INFO, grid=None)
    write_outcomes(rows, info, tmp_path / "a.parquet")
    assert read_outcomes(tmp_path / "a.parquet")[1].grid_of((500, 375)) == (500, 375)
    rows[1] = dataclasses.replace(rows[1], size=None)
    write_outcomes(rows, info, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: .*boxes are in its own pixels has no size"):
        read_outcomes(tmp_path / "a.parquet")
    assert len(read_outcomes(tmp_path / "a.parquet", ["image_id"])[0]) == 2
    with pytest.raises(ValueError, match="is unknown"):
        info.grid_of(None)
