"""Atomic writing and paths that stay inside their root."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.errors import InputError
from wsol.files import (
    atomic_path,
    inside,
    json_text,
    require_file,
    require_folder,
    require_writable,
    require_writable_folder,
    write_text,
)
from wsol.records.store import Store


def test_write_makes_parents_and_replaces(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "record.json"
    write_text(path, "good")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "good"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_an_input_error_that_names_the_file(tmp_path):
    path = tmp_path / "record.json"
    full = pytest.raises(InputError, match=r"record\.json: cannot be written \(No space left")
    with full, atomic_path(path):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / "out" / "table.md", "x")


@pytest.mark.parametrize("hostile", ["../x", "/etc/passwd", "a/../../x", "", "a\\..\\x", "a\0b"])
def test_paths_from_data_files_stay_inside(tmp_path, hostile):
    with pytest.raises(InputError, match=r"ids\.txt:3"):
        inside(tmp_path, hostile, "ids.txt:3")


def test_a_plain_relative_path_is_joined(tmp_path):
    assert inside(tmp_path, "val/n01/a b.JPEG", "ids.txt:1") == tmp_path / "val/n01/a b.JPEG"


def test_required_paths(tmp_path):
    assert require_folder(tmp_path, "images") == tmp_path
    with pytest.raises(InputError, match="does not exist; expected images"):
        require_folder(tmp_path / "none", "images")
    with pytest.raises(InputError, match="is not a file; expected a list"):
        require_file(tmp_path, "a list")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder", "is a folder"),
        ("x" * 300, "cannot be written"),
        ("file/in/a/file.json", "cannot be written"),
    ],
)
def test_a_file_that_could_not_be_written_is_refused_before(tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=message):
        require_writable(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("name", ["file", "file/in", "x" * 300])
def test_a_folder_that_could_not_be_is_refused_before(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"folder|written"):
        require_writable_folder(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_trying_leaves_nothing_behind(tmp_path):
    require_writable(tmp_path / "new" / "deep" / ("x" * 240 + ".json"))
    require_writable_folder(tmp_path / "other")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", [require_writable_folder, Store])
def test_several_may_try_a_folder_at_once(tmp_path, what):
    """Each of them makes it and removes it again."""
    folder = tmp_path / "new" / "deep"

    def look(number):
        for _ in range(300):
            (what if number % 2 else require_writable_folder)(folder)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(look, range(4)))


def test_what_is_written_while_others_try_its_folder_arrives(tmp_path):
    folder = tmp_path / "new"

    def look(number):
        for count in range(200):
            if number:
                require_writable_folder(folder)
            else:
                write_text(folder / "a.json", str(count))
                (folder / "a.json").unlink()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(look, range(3)))


def test_a_link_that_leads_nowhere_is_no_folder(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match="link: is not a folder"):
        require_writable_folder(tmp_path / "link")


def test_a_name_may_be_as_long_as_names_are(tmp_path):
    path = tmp_path / ("x" * 250 + ".json")
    write_text(path, "{}")
    assert path.read_text() == "{}"


_TEXTS = st.text('[] ,1\n"{}a')
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXTS, inner),
)


@given(_VALUES)
def test_json_text_is_the_data_whatever_the_texts_in_it(data: object) -> None:
    assert json.loads(json_text(data)) == data


def test_json_text_has_numbers_of_a_list_on_one_line_and_all_else_on_its_own() -> None:
    data = {"curve": [0.0, 0.5, None], "names": ["a", "b"], "none": [], "pairs": [[1, 2], [3, 4]]}
    lines = [line.strip() for line in json_text(data).splitlines()]
    assert lines == [
        "{", '"curve": [0.0, 0.5, null],', '"names": [', '"a",', '"b"', "],", '"none": [],',
        '"pairs": [', "[1, 2],", "[3, 4]", "]", "}",
    ]  # fmt: skip
