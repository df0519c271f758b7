"""The head is found by what a network computes, and its maps average to its logits."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wsol.errors import InputError
from wsol.maps.exact import class_maps
from wsol.maps.head import find_head, run
from wsol.maps.normalize import normalize, score_maps, upsample
from wsol.maps.scripted import watchable
from wsol.models.resnet import resnet50
from wsol.models.vgg_gap import vgg16_gap

from support.networks import Trunk

FAMILIES = {
    "resnet18": 64, "resnext50_32x4d": 64, "wide_resnet50_2": 64, "densenet121": 64,
    "googlenet": 96, "inception_v3": 128, "squeezenet1_0": 96, "squeezenet1_1": 96,
    "mobilenet_v2": 64, "mnasnet0_5": 64, "shufflenet_v2_x0_5": 64, "regnet_x_400mf": 64,
    "regnet_y_400mf": 64, "efficientnet_b0": 64, "efficientnet_v2_s": 64, "swin_t": 64,
    "swin_v2_t": 64,
}  # fmt: skip


def build(name):
    torch.manual_seed(0)
    options = {"num_classes": 11}
    if name in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": False}
    network = torchvision.models.get_model(name, weights=None, **options).eval()
    # Fresh networks have zero biases, which would hide a lost bias.
    for module in network.modules():
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.normal_(module.bias)
    return network


def assert_maps_average_to_logits(network, side):
    torch.manual_seed(1)
    images = torch.randn(3, 3, side, side)
    head = find_head(network, images[:2], "network")
    with torch.no_grad():
        captured = run(network, head, images)
        expected = network(images)
    torch.testing.assert_close(captured.logits, expected)
    count = expected.shape[1]
    everything = torch.arange(count).expand(3, -1)
    maps = class_maps(captured.features, captured.weight, everything)
    assert maps.shape[:2] == (3, count) and maps.shape[2] * maps.shape[3] > 1
    means = maps.mean((2, 3))
    if captured.bias is not None:
        means = means + captured.bias
    torch.testing.assert_close(means, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_mean_of_a_cam_and_the_bias_are_the_logit(name):
    assert_maps_average_to_logits(build(name), FAMILIES[name])


@pytest.mark.parametrize(
    "network",
    [vgg16_gap(7, 0.125), vgg16_gap(7, 0.125, batch_norm=True), resnet50(7, 0.125)],
    ids=["vgg16_gap", "vgg16_gap_bn", "resnet50"],
)
def test_our_own_networks_too(network):
    assert_maps_average_to_logits(network.eval(), 64)


def test_timm_networks_too():
    timm = pytest.importorskip("timm")
    for name in ("resnet10t", "mixer_s32_224"):
        network = timm.create_model(name, pretrained=False, num_classes=7).eval()
        nn.init.normal_(network.get_classifier().weight)
        assert_maps_average_to_logits(network, 64 if name == "resnet10t" else 224)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("alexnet", "last features are not averaged"),
        ("mobilenet_v3_small", "no linear map of the mean"),
        ("convnext_tiny", "no linear map of the mean"),
        ("vit_b_32", "last features are not averaged"),
    ],
)
def test_other_heads_are_refused_with_what_was_found(name, found):
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None).eval()
    with pytest.raises(InputError, match=f"{name}: .*{found}.*Grad-CAM"):
        find_head(network, torch.empty(2, 3, 224, 224, device="meta"), name)


SPELLINGS = {
    "two means": lambda net, x: net.fc(x.mean(3).mean(2)),
    "view": lambda net, x: net.fc(x.view(*x.shape[:2], -1).mean(2)),
    "flatten": lambda net, x: net.fc(x.flatten(2).mean(-1)),
    "sum over count": lambda net, x: net.fc(x.sum((2, 3)) / (x.shape[2] * x.shape[3])),
    "sum": lambda net, x: net.fc(x.sum((2, 3))),
    "pool 1d": lambda net, x: net.fc(F.adaptive_avg_pool1d(x.flatten(2), 1)[..., 0]),
    "einsum": lambda net, x: torch.einsum("bkhw,ck->bc", x, net.fc.weight) / 49 + net.fc.bias,
    "indexed": lambda net, x: net.fc(F.adaptive_avg_pool2d(x, 1)[:, :, 0, 0]),
    "window": lambda net, x: net.fc(F.avg_pool2d(x, x.shape[2]).flatten(1)),
    "matrix": lambda net, x: x.mean((2, 3)) @ net.fc.weight.t() + net.fc.bias,
    "temperature": lambda net, x: net.fc(x.mean((2, 3))) / 0.07,
    "scaled in place": lambda net, x: net.fc(x.mean((2, 3))).mul_(3),
    "two heads": lambda net, x: torch.cat([net.fc(x.mean((2, 3))), net.other(x.mean((2, 3)))], 1),
    "tokens": lambda net, x: net.fc(x.flatten(2).transpose(1, 2).mean(1)),
    "turned tokens": lambda net, x: net.fc(x.flatten(2).mT.mean(1)),
    "channels last": lambda net, x: net.fc(x.permute(0, 2, 3, 1).mean((1, 2))),
    "1x1 filters": lambda net, x: F.conv2d(
        x.mean((2, 3), keepdim=True), net.fc.weight[:, :, None, None], net.fc.bias
    ).flatten(1),
    "class maps": lambda net, x: F.conv2d(x, net.fc.weight[:, :, None, None], net.fc.bias).mean(
        (2, 3)
    ),
    "in place": lambda net, x: net.fc((x - 0.1).relu_().mean((2, 3))),
    "detached": lambda net, x: net.fc(x.detach().mean((2, 3))),
}
USUAL = {"two means", "view", "flatten", "sum over count", "pool 1d", "indexed", "window", "tokens",
         "turned tokens", "channels last", "in place", "detached"}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_head_is_found_however_it_is_spelled(spelling):
    torch.manual_seed(0)
    network = Trunk(SPELLINGS[spelling]).eval()
    assert_maps_average_to_logits(network, 32)
    head = find_head(network, torch.randn(2, 3, 32, 32), "network")
    assert head.layer.grid == (7, 7)
    assert (head.weight == "fc.weight") == (spelling in USUAL)


def without_gradients(net, x):
    with torch.no_grad():
        x = x * 1
    return net.fc(x.mean((2, 3)))


@pytest.mark.parametrize("kind", ["traced", "scripted", "scripted inside", "exported", "no_grad"])
@pytest.mark.filterwarnings("ignore")
def test_a_head_is_found_in_compiled_networks(kind):
    torch.manual_seed(0)
    network = torchvision.models.resnet18(num_classes=11).eval()
    example = torch.randn(3, 3, 64, 64)
    made = {
        "traced": lambda: torch.jit.trace(network, example),
        "scripted": lambda: torch.jit.script(network),
        "scripted inside": lambda: nn.Sequential(torch.jit.script(network)),
        "exported": lambda: torch.export.export(
            network, (example,), dynamic_shapes=({0: torch.export.Dim("images")},)
        ).module(),
        "no_grad": lambda: Trunk(without_gradients).eval(),
    }[kind]()
    assert_maps_average_to_logits(watchable(made), 32 if kind == "no_grad" else 64)


NOT_LINEAR = {
    "norm": lambda net, x: net.fc(F.layer_norm(x.mean((2, 3)), (16,))),
    "unit length": lambda net, x: net.fc(F.normalize(x.mean((2, 3)))),
    "activation": lambda net, x: net.fc(F.relu(x.mean((2, 3)) - 0.05)),
    "smooth activation": lambda net, x: net.fc(F.hardswish(x.mean((2, 3)))),
    "softmax": lambda net, x: net.fc(x.mean((2, 3))).softmax(1),
    "maximum": lambda net, x: net.fc(x.amax((2, 3))),
    "both": lambda net, x: net.fc(x.mean((2, 3)) + x.amax((2, 3))),
    "one corner": lambda net, x: net.fc(x[:, :, 0, 0]),
    "positions": lambda net, x: net.fc(torch.einsum("bkhw,w->bk", x, torch.arange(7.0))),
}


@pytest.mark.parametrize("tail", NOT_LINEAR)
def test_what_is_no_linear_map_of_a_mean_is_refused(tail):
    torch.manual_seed(0)
    network = Trunk(NOT_LINEAR[tail]).eval()
    with pytest.raises(InputError, match=r"network: .*so class activation maps are not defined"):
        find_head(network, torch.randn(2, 3, 32, 32), "network")


def test_squared_features_are_the_features_then():
    """A square before the mean is one more activation: the mean of squares is what is linear."""
    network = Trunk(lambda net, x: net.fc((x * x).mean((2, 3)))).eval()
    assert_maps_average_to_logits(network, 32)


class Shrinking(nn.Module):
    """At 32 pixels its average pooling leaves a single position."""

    def __init__(self, activation):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 16, stride=16), nn.AvgPool2d(2))
        self.conv = nn.Conv2d(8, 16, 1)
        self.activation = activation
        self.fc = nn.Linear(16, 5)

    def forward(self, x):
        x = self.activation(self.conv(self.trunk(x)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def test_a_head_holds_at_the_size_that_is_evaluated():
    torch.manual_seed(0)
    network = Shrinking(nn.Identity()).eval()
    assert_maps_average_to_logits(network, 224)
    assert find_head(network, torch.randn(2, 3, 224, 224), "n").layer.grid == (7, 7)
    # The pooling of two by two is the global one there, and both convolutions follow it.
    assert_maps_average_to_logits(network, 32)
    assert find_head(network, torch.randn(2, 3, 32, 32), "n").layer.name == "trunk.0"
    bent = Shrinking(nn.ReLU()).eval()
    assert_maps_average_to_logits(bent, 224)
    with pytest.raises(InputError, match="no linear map"):
        find_head(bent, torch.randn(2, 3, 32, 32), "n")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_networks_built_in_other_precisions(dtype):
    torch.manual_seed(0)
    network = Trunk(SPELLINGS["two means"]).eval().to(dtype)
    images = torch.randn(2, 3, 32, 32).to(dtype)
    head = find_head(network, images, "network")
    assert head.weight == "fc.weight"
    captured = run(network, head, images)
    maps = class_maps(captured.features, captured.weight, torch.arange(7).expand(2, -1))
    tolerance = {torch.float64: 1e-6, torch.float16: 5e-3, torch.bfloat16: 5e-2}[dtype]
    torch.testing.assert_close(
        maps.mean((2, 3)) + captured.bias.float(), network(images).float(),
        rtol=tolerance, atol=tolerance,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("spelling", ["two means", "matrix", "temperature"])
def test_the_precision_of_a_network_decides_nothing(dtype, spelling):
    """Logits that rounding to bfloat16 changes by more than they differ between images."""
    torch.manual_seed(0)
    network = Trunk(SPELLINGS[spelling]).eval()
    with torch.no_grad():
        network.fc.weight.mul_(1e-3)
        network.fc.bias.mul_(30)
    images = torch.randn(2, 3, 32, 32).to(dtype)
    assert find_head(network.to(dtype), images, "network").linear
    bent = Trunk(NOT_LINEAR["activation"]).eval().to(dtype)
    with pytest.raises(InputError, match="no linear map of the mean"):
        find_head(bent, images, "network")
    assert {p.dtype for p in bent.parameters()} == {dtype}


@pytest.mark.parametrize(
    ("network", "size", "told"),
    [
        (Trunk(SPELLINGS["view"], channels=1), 32, "cannot take 3 channels of 32x32 pixels"),
        (Trunk(SPELLINGS["view"]), 4, "cannot take 3 channels of 4x4 pixels .*RuntimeError"),
        (
            Trunk(lambda net, x: {"logits": x}),
            32,
            "gives a dict with logits instead of one tensor",
        ),
        (Trunk(lambda net, x: x.sum()), 32, "gives a tensor of shape"),
        (Trunk(lambda net, x: 1 / 0), 32, r".*ZeroDivisionError: division by zero"),
    ],
    ids=["one channel", "too small", "no tensor", "no batch", "raises"],
)
def test_a_network_that_cannot_be_looked_at_is_told_in_a_line(network, size, told):
    with pytest.raises(InputError, match=f"network: {told}") as raised:
        find_head(network.eval(), torch.randn(2, 3, size, size), "network")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_features_are_captured_under_autocast(dtype):
    network = build("resnet18").to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 64, 64)
    head = find_head(network, images, "network")
    with torch.no_grad(), torch.autocast("cpu", dtype=dtype):
        captured = run(network, head, images)
    exact = run(network, head, images)
    maps = class_maps(captured.features, captured.weight, torch.tensor([[0, 3], [1, 2]]))
    assert maps.dtype == torch.float32
    expected = class_maps(exact.features, exact.weight, torch.tensor([[0, 3], [1, 2]]))
    torch.testing.assert_close(maps, expected, rtol=0.05, atol=0.1)


def test_a_cam_is_the_weighted_sum_of_features():
    features, weight = torch.randn(2, 4, 3, 5), torch.randn(6, 4)
    maps = class_maps(features, weight, torch.tensor([[5, 0], [1, 1]]))
    for image, classes in enumerate([[5, 0], [1, 1]]):
        for place, label in enumerate(classes):
            expected = sum(weight[label, k] * features[image, k] for k in range(4))
            torch.testing.assert_close(maps[image, place], expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_upsampling_is_opencvs_bicubic(seed, shape):
    maps = np.random.default_rng(seed).random(shape).astype(np.float32)
    found = upsample(torch.from_numpy(maps), (40, 56)).numpy()
    expected = cv2.resize(maps, (56, 40), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_normalization():
    maps = torch.tensor([[[1.0, 3.0], [2.0, 5.0]], [[4.0, 4.0], [4.0, 4.0]]])
    found = normalize(maps)
    assert found[0].tolist() == [[0, 0.5], [0.25, 1]]
    assert found[1].tolist() == [[0, 0], [0, 0]]
    assert score_maps(torch.randn(2, 3, 4, 4), (8, 9)).shape == (2, 3, 8, 9)


def test_an_input_that_is_too_small_is_told_so():
    network = torchvision.models.resnet18().eval()
    with pytest.raises(InputError, match="of 32x32 pixels it makes a map of a single position"):
        find_head(network, torch.zeros(2, 3, 32, 32), "resnet18")
    assert find_head(network, torch.zeros(2, 3, 64, 64), "resnet18").layer.grid == (2, 2)
