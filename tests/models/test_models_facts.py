"""The packaged facts beside the networks themselves."""

import json
import subprocess
import sys

import pytest
import torch
import torchvision
from typer.testing import CliRunner

from wsol.cli import app
from wsol.maps.methods.catalog import METHODS, find_method
from wsol.models.builders import model_names, skeleton
from wsol.models.classifier import Preprocessing
from wsol.models.facts import known_models
from wsol.models.look import look_at
from wsol.models.registry import load_classifier

SAMPLE = ("resnet18", "squeezenet1_1", "vgg16_gap", "alexnet", "vit_b_32", "mobilenet_v3_small")
LARGEST = 60e6  # of the networks that are run


def run(*arguments):
    return CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)


def test_every_name_is_known():
    assert list(known_models()) == model_names()


@pytest.mark.parametrize("name", SAMPLE)
def test_the_facts_are_those_of_the_network(name):
    assert look_at(name) == known_models()[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [n for n, m in known_models().items() if n not in SAMPLE and m.parameters < LARGEST],
)
def test_the_facts_of_all_but_the_largest_are_those_of_the_network(name):
    assert look_at(name) == known_models()[name]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in SAMPLE else [pytest.mark.slow])
        for name in known_models()
    ],
)
def test_parameters_by_part_add_up_to_those_of_a_classifier(name):
    model, network = known_models()[name], skeleton(name, None, {})
    auxiliary = ("aux1.", "aux2.", "AuxLogits.")
    counts = {
        key: parameter.numel()
        for key, parameter in network.named_parameters()
        if not key.startswith(auxiliary)
    }
    assert model.parameters == sum(counts.values())
    convolutions = sum(
        sum(p.numel() for p in module.parameters(recurse=False))
        for key, module in network.named_modules()
        if isinstance(module, torch.nn.modules.conv._ConvNd) and not key.startswith(auxiliary)
    )
    in_head = model.head if name.startswith("squeezenet") else 0
    assert model.convolutions + in_head == convolutions


def test_published_numbers():
    """Of torchvision's own tables, and of VGG-16's dense layers (Simonyan and Zisserman, 2015)."""
    for name, model in known_models().items():
        if name != "vgg16_gap" and name not in ("googlenet", "inception_v3"):
            entry = torchvision.models.get_model_weights(name)["DEFAULT"]
            if entry.meta["min_size"][0] == model.size or not name.startswith("vit_"):
                assert model.parameters == entry.meta["num_params"], name
    vgg = known_models()["vgg16"]
    assert (vgg.parameters, vgg.dense + vgg.head) == (138_357_544, 123_642_856)
    assert known_models()["googlenet"].parameters == 6_624_904  # 13.0M with both auxiliaries
    assert known_models()["resnet50"].head == 2048 * 1000 + 1000


def test_maps_and_methods():
    known = known_models()
    assert known["resnet50"].cam and known["inception_v3"].cam and not known["vgg16"].cam
    assert known["resnet50"].layer.map == (7, 7) and known["vgg16_gap"].layer.map == (14, 14)
    assert known["inception_v3"].layer.map == (8, 8)  # at its own 299 pixels
    assert known["efficientnet_b7"].size == 600 and known["efficientnet_b7"].layer.map == (19, 19)
    assert "rollout" in known["vit_b_16"].methods and "rollout" not in known["resnet50"].methods
    blocks = [f"encoder.layers.encoder_layer_{number}" for number in range(11)]
    assert [layer.name for layer in known["vit_b_16"].layers] == [
        *blocks, "encoder.layers.encoder_layer_11", "encoder.layers.encoder_layer_11.ln_1"
    ]  # fmt: skip
    for model in known.values():
        assert "gradcam" in model.methods and model.layer in model.layers
        for name, method in METHODS.items():
            if name != "legrad":
                assert (name in model.methods) == model.applies(method.needs), (model.name, name)
        assert model.applies(find_method("torchcam:SSCAM").needs)


def test_map_sizes_are_those_of_a_pass():
    classifier = load_classifier("mobilenet_v3_small", "none", num_classes=10)
    model = known_models()["mobilenet_v3_small"]
    outputs = {}
    for layer in model.layers:
        classifier.network.get_submodule(layer.name).register_forward_hook(
            lambda module, args, output, name=layer.name: outputs.update({name: output.shape})
        )
    with torch.inference_mode():
        classifier.network(torch.zeros(1, 3, model.size, model.size))
    for layer in model.layers:
        assert outputs[layer.name] == (1, layer.channels, *reversed(layer.map))


def test_a_network_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "my_small.py").write_text(
        "from torch import nn\n"
        "from wsol.models.classifier import Preprocessing\n"
        "def net():\n"
        "    n = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(),"
        " nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 7))\n"
        "    n.wsol_preprocessing = Preprocessing(size=31)\n"
        "    return n\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    model = look_at("my_small:net")
    assert (model.convolutions, model.head, model.other, model.dense) == (112, 35, 8, 0)
    assert model.cam and model.layer.map == (15, 15) and model.size == 31
    done = run("my_small:net", "--json", "-")
    assert json.loads(done.output)[0]["parameters"] == 155


def test_a_network_of_timm():
    pytest.importorskip("timm")
    model = look_at("timm:resnet10t")
    assert model.cam and model.layer.map[0] == -(-model.size // 32)
    assert model.head == 512 * 1000 + 1000 and model.pretrained


def test_the_list_and_its_filters():
    assert "resnet50" in run().output and "Why no CAM" in run().output

    def names(*arguments):
        return [row["name"] for row in json.loads(run(*arguments, "--json", "-").output)]

    assert names() == model_names()
    assert set(names("resnet")) == {n for n in model_names() if "resnet" in n}
    assert "vgg16" in names("--method", "gradcam") and "vgg16" not in names("--method", "cam")
    assert all(n.startswith("vit_") for n in names("--method", "rollout"))
    small = names("--max-parameters", "3")
    assert small and all(known_models()[n].parameters <= 3e6 for n in small)
    assert "vgg16" in names("--min-parameters", "100") and "resnet50" not in names(
        "--min-parameters", "100"
    )
    done = CliRunner().invoke(app, ["models", "nothing-like-it"])
    assert "whose name contains 'nothing-like-it'" in str(done.exception)
    done = CliRunner().invoke(app, ["models", "vgg", "--method", "rollout"])
    assert "that fits the filters" in str(done.exception)


def test_one_network_in_full():
    shown = run("vgg16").output
    for part in ("138,357,544", "14,714,688", "119,545,856", "4,097,000", "features", "7x7"):
        assert part in shown
    assert "No CAM" in shown and "gradcam" in shown


def test_the_list_needs_no_torch():
    code = "import sys\nsys.argv = ['wsol', 'models']\nfrom wsol.cli import main\nmain()\n"
    check = "import atexit\natexit.register(lambda: print('torch' in sys.modules))\n"
    done = subprocess.run(
        [sys.executable, "-c", "import sys\n" + check + code], capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "False", done.stderr


def test_preprocessing_of_the_probe_is_not_what_is_told():
    model = known_models()["efficientnet_b1"]
    assert model.size == 240 != Preprocessing().size
