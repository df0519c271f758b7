"""Callables of users' own: found in the current folder, and told by name when they fail."""

import sys

import pytest

from wsol.errors import InputError
from wsol.plugin import call, is_plugin, load_callable


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_what_is_a_callable_of_ones_own():
    assert is_plugin("birds:open") and is_plugin("my.birds:open_all")
    for name in ("cub", "timm:resnet50.a1", "C:\\birds", ":open", "birds:", "a-b:c", "a:b:c"):
        assert not is_plugin(name)


def test_it_is_found_in_the_current_folder(here):
    (here / "plug_found.py").write_text("def double(x, *, plus=0):\n    return 2 * x + plus\n")
    function = load_callable("plug_found:double")
    assert call("plug_found:double", function, 4, plus=1) == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nowhere_at_all", r"cannot be imported \(ModuleNotFoundError: .*plug_bad\.py:1\)"),
        ("1 / 0", r"cannot be imported \(ZeroDivisionError: division by zero, plug_bad\.py:1\)"),
        ("def double(:", r"cannot be imported \(SyntaxError"),
        ("raise SystemExit(3)", r"cannot be imported \(SystemExit: 3, plug_bad\.py:1\)"),
        ("double = 3", "'plug_bad' has no callable 'double'"),
    ],
)
def test_what_cannot_be_had_is_told_in_a_line(here, text, message):
    (here / "plug_bad.py").write_text(text)
    with pytest.raises(InputError, match=f"plug_bad:double: .*{message}") as caught:
        load_callable("plug_bad:double")
    assert "\n" not in str(caught.value)
    del caught


def test_a_module_that_is_not_there(here):
    with pytest.raises(InputError, match=r"plug_none:x: the module 'plug_none' cannot be imported"):
        load_callable("plug_none:x")


def test_what_it_raises_is_told_with_its_place(here):
    (here / "plug_raises.py").write_text(
        "from wsol.errors import InputError\n"
        "def wrong():\n    raise KeyError('eggs')\n"
        "def ours():\n    raise InputError('eggs.txt: is empty.')\n"
    )
    with pytest.raises(InputError, match=r"failed \(KeyError: 'eggs', plug_raises\.py:3\)"):
        call("plug_raises:wrong", load_callable("plug_raises:wrong"))
    with pytest.raises(InputError, match=r"^eggs\.txt: is empty\.$"):
        call("plug_raises:ours", load_callable("plug_raises:ours"))


def test_one_that_leaves_the_program_is_told(here):
    """As a script's `main` does, or a parser of arguments that are not its own."""
    (here / "plug_leaves.py").write_text("import sys\ndef leave():\n    sys.exit('eggs')\n")
    with pytest.raises(InputError, match=r"failed \(SystemExit: eggs, plug_leaves\.py:3\)"):
        call("plug_leaves:leave", load_callable("plug_leaves:leave"))
