"""The public face: what `import wsol` hands out, and what it costs."""

import pydoc
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import wsol
from wsol.datasets.shapes import generate_shapes
from wsol.models.registry import load_classifier


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("public") / "shapes"
    generate_shapes(folder, train=2, val=2, test=6, size=48, seed=0)
    return folder


def test_every_name_is_there_with_a_docstring():
    assert sorted(wsol.__all__) == wsol.__all__
    assert set(wsol.__all__) == {*wsol._HOMES, "__version__"}
    for name in wsol.__all__:
        found = getattr(wsol, name)
        assert found.__doc__, name
        assert name in dir(wsol)
    with pytest.raises(AttributeError, match="no attribute 'evalaute'"):
        wsol.evalaute  # noqa: B018
    typed = (Path(wsol.__file__)).read_text().split("if TYPE_CHECKING:")[1].split("_HOMES")[0]
    for name in wsol._HOMES:
        assert name in typed, f"{name} is unknown to type checkers"


def test_help_shows_names_types_and_docstrings():
    told = pydoc.render_doc(wsol, renderer=pydoc.plaintext)
    for name in wsol._HOMES:
        found = getattr(wsol, name)
        assert f"{'class ' if isinstance(found, type) else '    '}{name}(" in told
        assert found.__doc__.splitlines()[0] in told
    for part in (
        "**options: Any",
        "-> 'pd.DataFrame'",
        "num_classes: int | None = None",
        "label: int",
    ):
        assert part in told


def test_importing_brings_nothing_heavy():
    code = (
        "import sys; before = set(sys.modules); import wsol; "
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    for heavy in ("torch", "numpy", "pandas", "pydantic", "matplotlib", "numba", "PIL"):
        assert f"'{heavy}'" not in loaded


def test_one_model_gives_a_record_and_a_list_a_list(shapes):
    record = wsol.evaluate("center", data="shapes", root=shapes, threshold_step=0.1, limit=4)
    assert record.num_images == 4 and record.settings["threshold_step"] == 0.1
    assert 0 <= record.metrics.max_box_acc_v2 <= 100
    both = wsol.evaluate(["center", "full"], "shapes", shapes, threshold_step=0.1)
    assert [one.model for one in both] == ["center", "full"]
    assert "<table>" in record._repr_html_() and "max_box_acc_v2" in record._repr_html_()


def test_a_network_of_ones_own_and_an_open_data_set(shapes, tmp_path):
    data = wsol.open_dataset("shapes", shapes)
    torch.manual_seed(0)
    classes = len(data.classes)
    network = load_classifier("resnet18", "none", num_classes=classes, arguments={"width": 0.0625})
    record = wsol.evaluate(
        network, data, size=48, threshold_step=0.1, coco=False, device="cpu", workers=0,
        out=tmp_path, per_image=True,
    )  # fmt: skip
    assert record.num_images == len(data)
    kept = wsol.read_records(tmp_path)
    assert kept == [record] and list(tmp_path.glob("*.outcomes.parquet"))
    frame = wsol.table([record, *kept])
    assert isinstance(frame, pd.DataFrame) and len(frame) == 2
    assert "max_box_acc_v2" in frame and "max_box_acc_chosen" not in frame


def test_nobodys_random_numbers_are_touched(shapes, monkeypatch):
    """What a notebook draws next is what it would have drawn without us, on whatever device."""
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    expected = torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    monkeypatch.setattr(torch, "manual_seed", lambda seed: pytest.fail("all devices are seeded"))
    network = wsol.load_model("resnet18", "none", num_classes=8, width=0.0625)
    wsol.evaluate(
        network, "shapes", shapes, method="smoothgradcam++", size=48, threshold_step=0.1,
        device="cpu", workers=0, limit=2,
    )  # fmt: skip
    found = torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()
    assert found == expected


@pytest.mark.parametrize(
    "kind", [np.asarray, torch.tensor, lambda m: torch.tensor(m, dtype=torch.bfloat16), list]
)
def test_update_takes_what_holds_a_map(shapes, kind):
    data = wsol.open_dataset("shapes", shapes)
    score_map = np.zeros((224, 224), np.float32)
    score_map[50:100, 50:100] = 1
    evaluator = wsol.Evaluator(data, wsol.Protocol(threshold_step=0.1))
    given = score_map.tolist() if kind is list else kind(score_map)
    evaluator.update(given, data.samples[0].image_id)
    plain = wsol.Evaluator(data, wsol.Protocol(threshold_step=0.1))
    plain.update(score_map, data.samples[0].image_id)
    assert evaluator.compute() == plain.compute()
    with pytest.raises(wsol.InputError, match="is not an array of numbers"):
        evaluator.update([[1.0], [1.0, 2.0]], data.samples[1].image_id)


def test_scores_of_maps(shapes, tmp_path):
    data = wsol.open_dataset("shapes", shapes)
    whole = np.ones((224, 224), np.float32)
    whole[100, 100] = 0  # the same everywhere, it would say nothing
    for sample in data:
        path = tmp_path / f"{sample.image_id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, whole)
    record = wsol.score(tmp_path, "shapes", shapes, threshold_step=0.1, name="ones")
    full = wsol.evaluate("full", "shapes", shapes, threshold_step=0.1)
    assert record.metrics.box_acc == full.metrics.box_acc and record.model == "ones"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "center", "data": "shapes"}, "name its folder"),
        ({"model": "center", "data": "shape", "root": "."}, "did you mean shapes"),
        ({"model": [], "data": "shapes", "root": "ROOT"}, "no model"),
        ({"model": torch.nn.Linear(3, 3), "data": "OPEN"}, "not the type Linear; .*Classifier"),
        ({"model": ["center", None], "data": "OPEN"}, "should be a name .*, not the type NoneTy"),
        (
            {"model": "resnet18", "data": "OPEN", "weights": None},
            "weights: should be .*'none' means random ones",
        ),
        ({"model": "resnet18", "data": "OPEN", "weights": ["none", 3]}, "a list of them, not 3"),
        ({"model": "center", "data": ["shapes"]}, "should be a layout's name .* not the type list"),
        ({"model": "center", "data": "OPEN", "limit": 0}, "limit: .* whole number above 0, not 0"),
        ({"model": "center", "data": "OPEN", "limit": 1.5}, "limit: .* above 0, not 1.5"),
        ({"model": "center", "data": "OPEN", "limit": "3"}, "limit: .* above 0, not '3'"),
        ({"model": "center", "data": "OPEN", "metric": "pointing"}, "pointing: not a metric"),
        ({"model": "center", "data": "shapes", "root": "ROOT", "batchsize": 3}, "batchsize: no"),
        ({"model": "center", "data": "shapes", "root": "ROOT", "iou": (2,)}, "iou: should be"),
    ],
)
def test_what_is_wrong_is_said(shapes, given, message):
    special = {"ROOT": shapes, "OPEN": wsol.open_dataset("shapes", shapes)}
    given = {n: special.get(v, v) if isinstance(v, str) else v for n, v in given.items()}
    with pytest.raises(wsol.InputError, match=message):
        wsol.evaluate(**given)
