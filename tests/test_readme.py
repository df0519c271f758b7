"""The README's commands and code are those that exist."""

import re
from pathlib import Path

import typer.main

from wsol.cli import app

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_every_command_and_option_shown_exists():
    group = typer.main.get_command(app)
    text = README.replace("\n   ", " ")
    shown = re.findall(r"(?:^|`|/|&& )wsol ((?:datasets )?[a-z-]+)([^`\n#]*)", text, re.MULTILINE)
    assert len(shown) > 8
    for name, rest in shown:
        command = group
        for word in name.split():
            assert word in command.commands, name
            command = command.commands[word]
        known = {option for parameter in command.params for option in parameter.opts}
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in known, f"wsol {name} {option}"


def test_linked_files_exist():
    root = Path(__file__).parents[1]
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (root / target).exists(), target
    for script in re.findall(r"python ((?:benchmarks|experiments)/\S+\.py)", README):
        assert (root / script).exists(), script
