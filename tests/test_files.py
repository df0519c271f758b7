"""Atomic writing and paths that stay inside their root."""

import pytest

from wsol.errors import InputError
from wsol.files import atomic_path, inside, require_file, require_folder, write_text


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
