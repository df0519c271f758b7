"""Every command of the guides: run offline where the guide says so, else known to the parser."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from wsol.cli import app

ROOT = Path(__file__).parents[1]
GUIDES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)( real-data)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(guide):
    """The guide's bash blocks as (needs real data, text)."""
    found = BLOCK.findall(guide.read_text(encoding="utf-8"))
    return [(bool(marked), text) for language, marked, text in found if language == "bash"]


def run(text):
    """Run a block: `wsol` lines within this process, which is fast, and what is between in bash."""
    shell: list[str] = []

    def run_shell():
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "".join(shell)],
            check=True,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            timeout=120,
        )
        shell.clear()

    for line in text.splitlines(keepends=True):
        if not line.startswith("wsol "):
            shell.append(line)
            continue
        run_shell()
        # Nothing that only a shell would understand.
        assert not set("|&;<>$*`\\") & set(line), line
        done = CliRunner().invoke(app, shlex.split(line)[1:], catch_exceptions=False)
        assert done.exit_code == 0, f"{line}{done.output}"
    run_shell()


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_guide_runs(guide, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    executed = [text for real_data, text in blocks(guide) if not real_data]
    assert sum(text.count("wsol ") for text in executed) > 4
    for text in executed:
        run(text)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_every_command_and_option_exists(guide):
    lines = [line for _, text in blocks(guide) for line in text.splitlines()]
    shown = [shlex.split(line)[1:] for line in lines if line.startswith("wsol ")]
    assert shown
    for words in shown:
        command = typer.main.get_command(app)
        while hasattr(command, "commands"):
            assert words[0] in command.commands, words
            command, words = command.commands[words[0]], words[1:]
        known = {option for parameter in command.params for option in parameter.opts}
        known |= {option for parameter in command.params for option in parameter.secondary_opts}
        for word in words:
            assert not word.startswith("--") or word in known | {"--help"}, f"{word} in {words}"


def test_the_guides_are_linked_and_their_links_lead_somewhere():
    assert len(GUIDES) >= 3
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for guide in GUIDES:
        assert f"(docs/{guide.name})" in readme
        text = guide.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (guide.parent / target).exists(), target
