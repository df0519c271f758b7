"""The README's commands and code are those that exist."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer.main

from wsol.cli import app
from wsol.experiment.file import read_experiment

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if CODE.search(page.read_text(encoding="utf-8"))
]


def test_every_command_and_option_shown_exists():
    group = typer.main.get_command(app)
    text = README.replace("\n   ", " ")
    shown = re.findall(
        r"(?:^|`|/|&& )wsol ((?:datasets |results )?[a-z-]+)([^`\n#]*)", text, re.MULTILINE
    )
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
    root = ROOT
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (root / target).exists(), target
    scripts = re.findall(r"python (benchmarks/\S+\.py)", README)
    for script in scripts + re.findall(r"wsol compare (\S+\.yaml)", README):
        assert (root / script).exists(), script


def test_the_experiment_file_is_one(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA", "/data")
    (text,) = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs" / "results.md").read_text(), re.DOTALL
    )
    (tmp_path / "shown.yaml").write_text(text)
    assert len(read_experiment(tmp_path / "shown.yaml").models) == 3


def test_it_is_short_and_begins_with_a_command_and_its_result():
    lines = re.sub(r"<!--.*?-->\n?", "", README, flags=re.DOTALL).splitlines()
    assert len(lines) <= 150
    first = "\n".join(lines[:30])
    assert "```bash\n" in first and "| ResNet-50" in first


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_code_runs(page, tmp_path, monkeypatch, write_annotations):
    ids = ["a.jpg", "b.jpg", "c.jpg"]
    folder = tmp_path / "wsol-metadata" / "CUB" / "test"
    write_annotations(folder, ids, [0, 1, 1], "200,100", "20,10,120,90")
    shutil.copytree(ROOT / "results" / "center-baseline", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    names = {"my_maps": lambda: [(image_id, np.eye(28, dtype=np.float32)) for image_id in ids]}
    for code in CODE.findall(page.read_text(encoding="utf-8")):
        exec(compile(code, str(page), "exec"), names)
    assert {"record", "evaluator"} & set(names)
    if "record" in names:
        assert names["record"].num_images == len(ids)
    if "evaluator" in names:
        assert names["evaluator"].num_images == len(ids)


def test_pages_of_python_code_are_found():
    assert {"README", "api", "score-maps"} <= {page.stem for page in PAGES}
