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
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
GUIDES = [
    ROOT / "docs" / f"{name}.md"
    for name in ("reproduce-a-metric", "compare-architectures", "make-a-table", "extending")
]
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
    assert sum(text.count("wsol ") for text in executed) > 3
    before = set(sys.modules)
    try:
        for text in executed:
            run(text)
    finally:  # other tests have modules of the same names
        for name in set(sys.modules) - before:
            if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_and_option_exists(page):
    lines = [line for _, text in blocks(page) for line in text.replace("\\\n", " ").splitlines()]
    shown = [line.split(" #")[0] for line in lines]
    shown = [
        re.split(r"(?:^|/|torchrun .* -m |&& |[A-Z_]+=\S+ )(?=wsol )", line)[-1] for line in shown
    ]
    for words in (shlex.split(line)[1:] for line in shown if line.startswith("wsol ")):
        command = typer.main.get_command(app)
        while hasattr(command, "commands"):
            assert words[0] in command.commands, words
            command, words = command.commands[words[0]], words[1:]
        known = {option for parameter in command.params for option in parameter.opts}
        known |= {option for parameter in command.params for option in parameter.secondary_opts}
        for word in words:
            option = word.partition("=")[0]
            assert not word.startswith("--") or option in known | {"--help"}, f"{word} in {words}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", text):
        assert (page.parent / target).exists(), target


def test_every_page_is_in_the_contents():
    contents = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").splitlines()
    for page in (ROOT / "docs").iterdir():
        if page.suffix in (".md", ".ipynb") and page.stem != "index":
            assert page.stem in contents, page.name


def commands(command, name=""):
    """Every command with its name, subcommands included."""
    for word, found in getattr(command, "commands", {}).items():
        yield from commands(found, f"{name} {word}".strip())
    if not hasattr(command, "commands"):
        yield name, command


def examples():
    """The examples that the commands' help shows, each by its command."""
    root = typer.main.get_command(app)
    for name, command in commands(root):
        for text in re.findall(r"`(wsol [^`]+)`", command.epilog or ""):
            yield name, " ".join(text.split())


def test_every_example_of_every_help_is_one():
    """Each is parsed by its command: names, options and values are those that exist."""
    shown = list(examples())
    assert len(shown) > 25
    wrong = []
    for name, text in shown:
        if re.search(r"\b(MODEL|NAME)\b", text):  # a form to fill in
            continue
        words = shlex.split(text)[1:]
        command = typer.main.get_command(app)
        while hasattr(command, "commands"):
            command, words = command.commands[words[0]], words[1:]
        try:
            command.make_context(name, words)
        except Exception as error:
            wrong.append(f"{text}: {type(error).__name__} {error}")
    assert not wrong
