"""Checkpoint files: damage, containers of training scripts, and torchvision's own files."""

import argparse
import hashlib
import io
import pathlib
import random
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from wsol.errors import InputError
from wsol.models import torchvision_weights
from wsol.models.checkpoint import read_checkpoint, save_checkpoint
from wsol.models.classifier import Preprocessing
from wsol.models.registry import build_classifier, load_classifier
from wsol.training.start import tensors_to_start_from


def small(classes=5):
    torch.manual_seed(2)
    return torchvision.models.squeezenet1_1(num_classes=classes)


def assert_loads(path, network, spec="squeezenet1_1", **options):
    loaded = load_classifier(spec, str(path), **options)
    expected = network.state_dict()
    own = loaded.network.state_dict()
    assert own.keys() == expected.keys()
    assert all(torch.equal(own[name], expected[name]) for name in own)
    return loaded


@pytest.mark.parametrize("order", ["sorted", "reversed"])
@pytest.mark.parametrize(
    "spec",
    [
        "squeezenet1_1", "resnet18", "mobilenet_v2",
        pytest.param("vgg16_gap", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_any_order_of_tensors_and_any_number_of_classes(tmp_path, spec, order):
    network = build_classifier(spec, num_classes=6).network
    names = sorted(network.state_dict(), reverse=order == "reversed")
    torch.save({name: network.state_dict()[name] for name in names}, tmp_path / "a.pt")
    loaded = assert_loads(tmp_path / "a.pt", network, spec)
    assert loaded.num_classes == 6 and loaded.classes is None


def test_an_averaged_model_alone_is_told(tmp_path):
    network = small()
    averaged = torch.optim.swa_utils.AveragedModel(network)
    torch.save(averaged.state_dict(), tmp_path / "swa.pth")
    for ema in (False, True):
        found = load_classifier("squeezenet1_1", str(tmp_path / "swa.pth"), ema=ema)
        assert "averaged weights (EMA) alone" in found.notes[0]


def test_a_torchscript_archive_is_told(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "net.pt"))
    with pytest.raises(InputError, match=r"net\.pt: is a TorchScript archive; save its weights"):
        read_checkpoint(tmp_path / "net.pt")


def test_safetensors(tmp_path):
    network = small()
    save_file(dict(network.state_dict()), tmp_path / "model.safetensors")
    assert assert_loads(tmp_path / "model.safetensors", network).num_classes == 5
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "renamed.bin").write_bytes(whole)
    assert_loads(tmp_path / "renamed.bin", network)
    for damaged in (whole[:200], b"", whole[:-10], b"\xff" * 64):
        (tmp_path / "model.safetensors").write_bytes(damaged)
        with pytest.raises(InputError, match=r"model\.safetensors: is no safetensors file, or is"):
            read_checkpoint(tmp_path / "model.safetensors")


def test_what_training_scripts_put_beside_the_weights(tmp_path):
    network = small()
    averaged = torch.optim.swa_utils.AveragedModel(network)
    with torch.no_grad():
        for parameter in averaged.parameters():
            parameter.add_(1)
    torch.save(
        {
            "model": nn.DataParallel(network).state_dict(),
            "model_ema": averaged.state_dict(),
            "args": argparse.Namespace(lr=0.1, out=pathlib.Path("runs")),
            "best_acc1": np.float64(71.5),
            "history": np.array([1.0, 2.0], dtype=np.float32),
            "optimizer": torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9).state_dict(),
        },
        tmp_path / "checkpoint.pth",
    )
    loaded = assert_loads(tmp_path / "checkpoint.pth", network)
    assert any("--ema" in note for note in loaded.notes)
    assert_loads(tmp_path / "checkpoint.pth", averaged.module, ema=True)
    with pytest.raises(InputError, match="--ema chooses"):
        load_classifier("squeezenet1_1", "none", ema=True)


def test_one_network_within_a_callables(tmp_path, monkeypatch):
    (tmp_path / "my_squeeze.py").write_text(
        "import torchvision\ndef net():\n    return torchvision.models.squeezenet1_1(num_classes=5)"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    network = small()
    torch.save({f"model.{k}": v for k, v in network.state_dict().items()}, tmp_path / "a.pt")
    assert_loads(tmp_path / "a.pt", network, "my_squeeze:net")


def test_a_flipped_bit_is_noticed(tmp_path):
    network = build_classifier(
        "vgg16_gap", num_classes=3, arguments={"width": 0.02}, preprocessing=Preprocessing(size=32)
    )
    path = tmp_path / "net.pt"
    save_checkpoint(network, path, spec="vgg16_gap", arguments={"width": 0.02})
    whole, expected = path.read_bytes(), read_checkpoint(path).tensors
    random_numbers = random.Random(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[random_numbers.randrange(len(whole))] ^= 1 << random_numbers.randrange(8)
        path.write_bytes(damaged)
        try:
            tensors = read_checkpoint(path).tensors
        except InputError as error:
            assert str(error).startswith(f"{path}: ")
            refused += 1
        else:  # in what pads or repeats, where nothing is read
            assert all(torch.equal(tensors[name], value) for name, value in expected.items())
    assert refused > 75


def test_files_without_checksums_are_read(tmp_path):
    network = small()
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(network.state_dict(), tmp_path / "zeros.pt")
    finally:
        torch.serialization.set_crc32_options(before)
    assert_loads(tmp_path / "zeros.pt", network)
    torch.save(network.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(tmp_path / "old.pt")
    assert_loads(tmp_path / "old.pt", network)


def test_damage_is_not_called_code_and_code_is_named(tmp_path):
    path = tmp_path / "a.pt"
    for damaged in (b"no checkpoint", b"", b"PK\x03\x04 no", b"\x80\x02garbage"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.pt: is no PyTorch checkpoint, or is damaged"):
            read_checkpoint(path)
    torch.save(small(), path)
    with pytest.raises(InputError, match=r"objects or code besides tensors \(torchvision\.models"):
        read_checkpoint(path)


def test_equal_checkpoints_have_equal_bytes(tmp_path):
    network = build_classifier("squeezenet1_1", num_classes=3)
    for name in ("one.pt", "another/place.pt"):
        save_checkpoint(network, tmp_path / name, spec="squeezenet1_1", training={"epoch": 3})
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "another/place.pt").read_bytes()


@pytest.mark.parametrize(
    ("spec", "file", "options"),
    [
        ("mnasnet0_5", "mnasnet0.5_top1_67.823-3ffadce67e.pth", {}),
        pytest.param(
            "googlenet", "googlenet-1378be20.pth", {"init_weights": False}, marks=pytest.mark.slow
        ),
        pytest.param(
            "inception_v3",
            "inception_v3_google-0cc3c7bd.pth",
            {"init_weights": False},
            marks=pytest.mark.slow,
        ),
        pytest.param("efficientnet_b1", "efficientnet_b1-c27df63c.pth", {}, marks=pytest.mark.slow),
        pytest.param("densenet121", "densenet121-a639ec97.pth", {}, marks=pytest.mark.slow),
    ],
)
def test_a_file_of_torchvisions_is_evaluated_like_the_default_weights(
    tmp_path, monkeypatch, spec, file, options
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(0)
    published = torchvision.models.get_model(spec, weights=None, **options).state_dict()
    cache = tmp_path / "hub" / "checkpoints" / file
    cache.parent.mkdir(parents=True)
    torch.save(published, cache)
    default, given = load_classifier(spec), load_classifier(spec, str(cache))
    assert given.preprocessing == default.preprocessing
    assert (given.name, given.classes, given.notes) == (default.name, default.classes, ())
    pixels = torch.randint(0, 256, (1, 3, 299, 299), dtype=torch.uint8)
    with torch.inference_mode():
        expected, _ = default.forward(default.normalize(pixels))
        logits, _ = given.forward(given.normalize(pixels))
    assert torch.equal(logits, expected)


def test_a_renamed_file_of_torchvisions_is_known_by_its_content(tmp_path, monkeypatch):
    path = tmp_path / "mine.pth"
    network = torchvision.models.squeezenet1_1()
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=False)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entry = SimpleNamespace(
        url=f"https://there/squeezenet1_1-{digest[:8]}.pth",
        transforms=lambda: SimpleNamespace(
            crop_size=[96], mean=[0.1] * 3, std=[0.2] * 3, interpolation="bicubic"
        ),
    )
    monkeypatch.setattr(torchvision_weights, "entries", lambda name: [entry])
    loaded = load_classifier("squeezenet1_1", str(path))
    assert loaded.preprocessing == Preprocessing(
        size=96, mean=(0.1, 0.1, 0.1), std=(0.2, 0.2, 0.2), interpolation="bicubic"
    )
    damaged = path.with_name(f"squeezenet1_1-{digest[:8]}.pth")
    damaged.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match="but has another content"):
        load_classifier("squeezenet1_1", str(damaged))


def test_what_is_assumed_about_someone_elses_file_is_told(tmp_path):
    network = torchvision.models.googlenet(num_classes=4, aux_logits=False, init_weights=False)
    torch.save(network.state_dict(), tmp_path / "a.pt")
    loaded = load_classifier("googlenet", str(tmp_path / "a.pt"))
    assert loaded.network.transform_input
    assert (
        "GoogLeNet_Weights.IMAGENET1K_V1: 224 pixels, bilinear, transform_input"
        in (loaded.notes[0])
    )
    network = torchvision.models.efficientnet_b0(num_classes=4)
    torch.save(network.state_dict(), tmp_path / "a.pt")
    loaded = load_classifier("efficientnet_b0", str(tmp_path / "a.pt"))
    assert loaded.preprocessing.interpolation == "bicubic" and "bicubic" in loaded.notes[0]
    torch.save(torchvision.models.resnet18(num_classes=4).state_dict(), tmp_path / "a.pt")
    assert load_classifier("resnet18", str(tmp_path / "a.pt")).notes == ()


def test_training_starts_from_a_file_with_prefixes(tmp_path):
    network = small()
    tensors = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"net": tensors}, tmp_path / "a.pt")
    found, preprocessing, info = tensors_to_start_from("squeezenet1_1", tmp_path / "a.pt", {})
    assert found.keys() == network.state_dict().keys()
    assert preprocessing == Preprocessing() and info is None


def test_a_checkpoint_with_someone_elses_values_still_runs_no_code(tmp_path):
    marker = tmp_path / "harmed"

    class Harm:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    for harmful in ({"args": argparse.Namespace(out=Harm())}, {"acc": np.array([Harm()], object)}):
        buffer = io.BytesIO()
        torch.save({"model": small().state_dict(), **harmful}, buffer)
        (tmp_path / "a.pt").write_bytes(buffer.getvalue())
        with pytest.raises(InputError, match="holds pickled objects or code"):
            read_checkpoint(tmp_path / "a.pt")
    assert not marker.exists()


def test_numbers_of_an_older_numpy(tmp_path):
    network = small()
    content = {"model": network.state_dict(), "best": np.float32(0.5), "all": np.ones(2)}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "a.pt").read_bytes()
    assert b"numpy._core.multiarray" in whole
    older = whole.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "a.pt").write_bytes(older)
    assert_loads(tmp_path / "a.pt", network)
