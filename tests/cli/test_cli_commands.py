"""The table of commands, which stands for modules that are not imported until they are needed."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from wsol.cli import app
from wsol.cli.commands import _FIRST_SENTENCES


@pytest.fixture(scope="module")
def group():
    return typer.main.get_command(app)


@pytest.mark.parametrize("name", list(_FIRST_SENTENCES))
def test_the_table_says_what_the_command_says(group, name):
    command = group.commands[name]
    first = command.help.split("\n\n")[0].replace("\n", " ")
    assert _FIRST_SENTENCES[name] == first


def test_every_registered_command_is_in_the_table(group):
    for name in group.commands:
        group.commands[name]
    registered = [command.name or command.callback.__name__ for command in app.registered_commands]
    registered += [part.name for part in app.registered_groups]
    assert sorted(registered) == sorted(_FIRST_SENTENCES)


def test_the_whole_table_is_shown_and_near_names_are_suggested():
    shown = CliRunner().invoke(app, ["--help"]).output
    for name in _FIRST_SENTENCES:
        assert f"│ {name} " in shown
    done = CliRunner().invoke(app, ["evaluat"])
    assert done.exit_code == 2 and "'evaluate'" in done.output


@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        (["--help"], ["wsol.cli.evaluate", "wsol.cli.output", "pydantic", "rich.progress"]),
        (["evaluate", "--help"], ["wsol.cli.score", "rich.progress"]),
        (["models", "--help"], ["wsol.cli.evaluate"]),
    ],
)
def test_help_imports_no_more_than_it_shows(arguments, without):
    code = (
        "import sys\nsys.argv = ['wsol', *sys.argv[1:]]\nfrom wsol.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint('\\n', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    modules = done.stdout.splitlines()[-1].split()
    assert "wsol.cli.app" in modules
    heavy = ["torch", "numpy", "pandas", "pyarrow", "numba", "pycocotools", "PIL"]
    assert not {*heavy, *without} & set(modules)
