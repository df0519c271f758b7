"""Files read as columns say what the same files say line by line."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsol.datasets import columns, protocol
from wsol.datasets.columns import fast_columns
from wsol.datasets.parsing import AnnotationError, Problems, four_numbers, whole_number
from wsol.datasets.protocol import read_protocol
from wsol.reading import decoded, number

NUMBERS = st.one_of(
    st.integers(-3, 99).map(str),
    st.floats(-5, 120).map(repr),
    st.sampled_from(
        ["", " ", "1 ", " 7", "+3", "-0", "1e2", "1E-1", ".5", "3.", "nan", "inf", "-inf", "1e999",
         "0x10", "1_0", "NA", "null", "1;2", "٣", "1.5.2", "--1", "1\t", "99999999999999999999"]
    ),
)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(["a/1.jpg", "b/2.jpg"]), st.text("ab \"\t'\\ü\x0b\u2028", max_size=5)
)
LINE_ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", "\n\n", "\n  \n", ""])


def slowly(data, count, kind):
    """The rows line by line, or None where one of them is not what it should be."""
    rows = []
    for place, line in enumerate(decoded(data, "f").split("\n"), 1):
        line = line.rstrip("\r")
        if not line.strip():
            continue
        name, *texts = line.split(",")
        if len(texts) != count:
            return None
        try:
            if kind == "number":
                values = [number(text) for text in texts]
            else:
                values = [int(text) for text in texts]
                for text in texts:
                    whole_number(text.replace("-", ""), "label", "f")
        except (ValueError, AnnotationError):
            return None
        rows.append((name, values, place))
    return rows


@settings(deadline=None)  # Arrow is imported in the first one
@given(
    st.lists(st.tuples(NAMES, st.lists(NUMBERS, min_size=1, max_size=3), LINE_ENDS), max_size=8),
    st.sampled_from(["number", "whole number"]),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_what_is_read_as_columns_is_what_the_lines_say(rows, kind, mark):
    text = "".join(f"{name},{','.join(numbers)}{end}" for name, numbers, end in rows)
    data = mark + text.encode()
    count = len(rows[0][1]) if rows else 1
    fast = fast_columns(data, count, kind, few=0)
    if fast is None:
        return
    slow = slowly(data, count, kind)
    assert slow is not None
    assert fast.names.to_pylist() == [name for name, _, _ in slow]
    assert fast.lines.tolist() == [place for _, _, place in slow]
    np.testing.assert_array_equal(fast.values.reshape(-1, count), [v for _, v, _ in slow] or
                                  np.empty((0, count)))  # fmt: skip


def test_plain_files_are_read_as_columns():
    fast = fast_columns(b"a,1,2.5\nb,3,4\n", 2, "number", few=0)
    assert [fast.name(0), fast.name(1)] == ["a", "b"] and fast.values.tolist() == [[1, 2.5], [3, 4]]
    assert fast_columns(b"a,1,2\r\nb,3,4", 2, "whole number", few=0).values.dtype == np.int64
    for data in (b"a,1\n\nb,2\n", b"a,1,2\n", b"a,x\n", b"a,0x1\n", b"\xff,1\n", b"a,1.0\n"):
        assert fast_columns(data, 1, "whole number", few=0) is None


BOXES = st.tuples(
    *[st.sampled_from(["0", "1", "5.25", "30", "39.9999", "40.3", "60.2", "61", "nan", "x"])] * 4
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdz"), BOXES), max_size=12),
    st.lists(st.sampled_from(["a,0", "b,1", "c,2", "d,0", "a,1", "q,1", "b,-1"]), max_size=4),
    st.lists(st.sampled_from(["a,60,40", "a,60,41", "b,60,40", "c,0,40", "z,1,1"]), max_size=3),
)
def test_a_folder_read_either_way_is_the_same(tmp_path, monkeypatch, boxes, labels, sizes):
    for name, lines in (
        ("image_ids", "abcd"),
        ("class_labels", ["a,0", "b,1", "c,2", "d,0", *labels]),
        ("image_sizes", ["d,60,40", *sizes]),
        ("localization", [f"{name},{','.join(box)}" for name, box in boxes]),
    ):
        (tmp_path / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))

    def read(few):
        with monkeypatch.context() as patched:
            patched.setattr(
                protocol, "fast_columns", lambda *given: columns.fast_columns(*given, few=few)
            )
            problems = Problems()
            data = read_protocol(tmp_path, problems=problems)
        found = sorted((p.kind, p.image_id, p.message) for p in problems.found)
        rows = [(s.image_id, s.label, s.boxes.tolist(), s.size) for s in data.samples]
        return rows, found, problems.clipped, data.classes

    assert read(0) == read(10**9)


def test_messages_of_large_files_have_the_right_line(tmp_path):
    ids = [f"{i // 10}/{i}.jpg" for i in range(3000)]
    rows = {
        "image_ids": ids,
        "class_labels": [f"{name},{i // 10}" for i, name in enumerate(ids)],
        "image_sizes": [f"{name},60,40" for name in ids],
        "localization": [f"{name},1,2,30,20" for name in ids],
    }
    rows["localization"][1233] = f"{ids[1233]},1,2,61,20"
    rows["localization"][2000] = f"{ids[2000]},3,2,1,20"
    rows["localization"][2500] = "nobody,1,2,3,4"
    for name, lines in rows.items():
        (tmp_path / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(AnnotationError, match=r"localization\.txt:1234: the box 1,2,61,20 lies"):
        read_protocol(tmp_path)
    problems = Problems()
    data = read_protocol(tmp_path, problems=problems)
    assert len(data) == 2997 and len(data.classes) == 300
    places = [p.message.split(":")[1] for p in problems.found]
    assert places == ["1234", "2001", "2501", " has no line for 250/2500.jpg."]


def test_four_numbers_need_four():
    assert four_numbers(["1", "2", "3", " 4"], "f:1") == (1, 2, 3, 4)
    for texts in (["1"] * 3, ["1"] * 5, ["1_0", "1", "1", "1"], ["", "1", "1", "1"]):
        with pytest.raises(AnnotationError, match=r"f:1: the box .* is not four numbers"):
            four_numbers(texts, "f:1")
