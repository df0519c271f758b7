"""The head is found by what a network computes, and its maps average to its logits."""

import cv2
import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wsol.errors import InputError
from wsol.maps.exact import class_maps
from wsol.maps.head import find_head, run
from wsol.maps.normalize import normalize, score_maps, upsample
from wsol.models.resnet import resnet50
from wsol.models.vgg_gap import vgg16_gap

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
    for name in ("resnet10t", "convnextv2_atto.fcmae"):
        network = timm.create_model(name, pretrained=False, num_classes=7).eval()
        if name == "resnet10t":
            assert_maps_average_to_logits(network, 64)
        else:
            with pytest.raises(InputError, match="Grad-CAM"):
                find_head(network, torch.randn(2, 3, 64, 64), name)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("alexnet", "nothing in it is averaged"),
        ("mobilenet_v3_small", "more than one layer"),
        ("convnext_tiny", "not one linear layer"),
        ("vit_b_32", "nothing in it is averaged"),
    ],
)
def test_other_heads_are_refused_with_what_was_found(name, found):
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None).eval()
    with pytest.raises(InputError, match=f"{name}: .*{found}.*Grad-CAM"):
        find_head(network, torch.empty(2, 3, 224, 224, device="meta"), name)


def test_scaled_logits_are_noticed():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.fc = nn.Linear(4, 5)

        def forward(self, x):
            return self.fc(self.conv(x).mean((2, 3))).mul_(3)

    with pytest.raises(InputError, match="not the means of its class maps"):
        find_head(Scaled().eval(), torch.randn(2, 3, 16, 16), "scaled")


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
    assert find_head(network, torch.zeros(2, 3, 64, 64), "resnet18").linear is not None
