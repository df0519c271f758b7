"""Several models of one command: their weights, names and files."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from wsol.cli import app
from wsol.cli.app import _name_weights
from wsol.datasets.shapes import generate_shapes, read_shapes
from wsol.errors import InputError
from wsol.evaluation.models import evaluate_models, file_names, pair_weights, weights_name
from wsol.evaluation.options import EvaluationOptions
from wsol.models.registry import build_classifier
from wsol.records.record import read_records


def names(requests):
    return [(request.spec, request.weights, request.beside) for request in requests]


def test_one_for_all_one_each_or_defaults():
    assert names(pair_weights(["a", "center", "b"], [])) == [
        ("a", "default", None), ("center", "default", None), ("b", "default", None)
    ]  # fmt: skip
    assert names(pair_weights(["a", "center", "b"], ["x.pt", "y.pt"])) == [
        ("a", "x.pt", None), ("center", "default", None), ("b", "y.pt", None)
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"3 --weights for 2 networks \(a, b\)"):
        pair_weights(["a", "b"], ["x.pt", "y.pt", "z.pt"])


def test_one_network_with_several_weights_is_a_request_each():
    requests = pair_weights(["center", "a"], ["x.pt", "default", "y.pt"])
    assert names(requests) == [
        ("center", "default", None), ("a", "x.pt", "x"), ("a", "default", "default"),
        ("a", "y.pt", "y"),
    ]  # fmt: skip
    assert file_names(requests) == ["center", "a-x", "a", "a-y"]


def test_weights_are_told_apart_by_as_much_of_their_path_as_it_takes():
    requests = pair_weights(["a", "a", "b"], ["r/1/best.pt", "r/2/best.pt", "r/1/best.pt"])
    assert [request.beside for request in requests] == ["1/best", "2/best", None]
    assert file_names(requests) == ["a-1-best", "a-2-best", "b-best"]
    same = pair_weights(["a", "a"], ["x.pt", "x.pt"])
    assert [request.beside for request in same] == [None, None]


def test_a_star_stands_for_files_with_numbers_in_their_order(tmp_path):
    for run in ("s1", "s2"):
        (tmp_path / run).mkdir()
        for epoch in (1, 2, 10):
            (tmp_path / run / f"epoch-{epoch}.pt").touch()
    requests = pair_weights(["a"], [f"{tmp_path}/s1/epoch-*.pt"])
    assert [request.beside for request in requests] == ["epoch-1", "epoch-2", "epoch-10"]
    requests = pair_weights(["a"], [f"{tmp_path}/s*/epoch-10.pt"])
    assert [request.beside for request in requests] == ["s1/epoch-10", "s2/epoch-10"]
    with pytest.raises(InputError, match="no file fits"):
        pair_weights(["a"], [f"{tmp_path}/*.ckpt"])


def test_names_are_one_a_network():
    requests = pair_weights(["a", "center", "b"], [], names=["first", "second run"])
    assert [request.name for request in requests] == ["first", None, "second run"]
    assert file_names(requests) == ["first", "center", "second-run"]
    with pytest.raises(InputError, match="1 --name for 2 networks"):
        pair_weights(["a", "b"], [], names=["first"])


def test_averaged_weights_are_named():
    (request,) = pair_weights(["a"], ["x.pt"], ema=True)
    assert weights_name(request) == "x.pt (EMA)"


def test_what_a_shell_makes_of_a_star_is_understood(tmp_path):
    files = [str(tmp_path / name) for name in ("a.pt", "b.pt", "c.pt")]
    for file in files[:2]:
        Path(file).touch()
    given = ["evaluate", "net", "--weights", *files, "--data", "cub"]
    assert _name_weights(given) == [
        "evaluate", "net", "--weights", files[0], "--weights", *files[1:], "--data", "cub"
    ]  # fmt: skip
    plain = ["evaluate", "--weights", "default", "net", "--weights", files[0], "net"]
    assert _name_weights(plain) == plain


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    generate_shapes(folder, train=12, val=6, test=6, size=64, seed=0)
    return folder


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory, shapes):
    folder = tmp_path_factory.mktemp("weights")
    classes = len(read_shapes(shapes, "test").classes)
    for seed, name in enumerate(["a", "b"]):
        torch.manual_seed(seed)
        network = build_classifier("squeezenet1_1", num_classes=classes).network
        raw = network.state_dict()
        averaged = {key: value + 0.01 for key, value in raw.items()}
        torch.save({"model": raw, "model_ema": averaged}, folder / f"{name}.pt")
    return folder


def test_the_command_keeps_two_checkpoints_of_one_network_apart(tmp_path, shapes, checkpoints):
    common = ["--data", "shapes", "--root", str(shapes), "--no-coco", "--device", "cpu"]
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app,
        ["evaluate", "squeezenet1_1", "--weights", f"{checkpoints}/*.pt", *common, "--out", out],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    assert "squeezenet1_1 (a)" in done.output and "squeezenet1_1 (b)" in done.output
    assert "averaged ones (EMA) lie beside them" in done.output
    first, second = (read_records(out / f"squeezenet1_1-{name}.json")[0] for name in ("a", "b"))
    assert (first.model, second.model) == ("squeezenet1_1 (a)", "squeezenet1_1 (b)")
    assert any("--ema" in note for note in first.notes)
    averaged = tmp_path / "averaged.json"
    done = CliRunner().invoke(
        app,
        ["evaluate", "squeezenet1_1", "--weights", checkpoints / "a.pt", "--ema", "--name", "mean",
         *common, "--json", averaged],
        catch_exceptions=False,
    )  # fmt: skip
    (record,) = read_records(averaged)
    assert record.model == "mean" and record.settings["weights"] == "a.pt (EMA)"
    assert record.settings["weights_fingerprint"] != first.settings["weights_fingerprint"]


def test_notes_on_weights_are_told_before_the_work(shapes, checkpoints):
    told = []
    requests = pair_weights(["squeezenet1_1"], [str(checkpoints / "a.pt")])
    options = EvaluationOptions(coco=False, device="cpu", batch_size=3)
    evaluate_models(requests, read_shapes(shapes, "test"), options, tell=told.append)
    assert len(told) == 1 and told[0].startswith("squeezenet1_1: Raw weights were taken")
