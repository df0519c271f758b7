"""Networks at the protocol's strides, and the parts that ADL, ACoL and SPG train with."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from wsol.errors import InputError
from wsol.maps.exact import class_maps
from wsol.maps.head import find_head, run
from wsol.models.inception import inception_v3
from wsol.models.parts import AcolStep, AdlStep, SpgStep, attend_or_drop, erase
from wsol.models.registry import build_classifier, load_classifier
from wsol.models.resnet import resnet18, resnet50
from wsol.models.vgg_gap import vgg16_gap

METHODS = (None, "adl", "acol", "spg")
BUILDERS = {
    "resnet18": resnet18,
    "resnet50": resnet50,
    "vgg16_gap": vgg16_gap,
    "inception_v3": inception_v3,
}
NETWORKS = tuple(BUILDERS)
WIDTH = 1 / 16


def build(name, method, stride=8, classes=7):
    """A narrow network whose biases and normalizations are none of the neutral ones."""
    torch.manual_seed(0)
    network = BUILDERS[name](classes, width=WIDTH, output_stride=stride, method=method)
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)) and module.bias is not None:
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return network


def shapes(network, without=()):
    tensors = network.state_dict().items()
    return {key: value.shape for key, value in tensors if not key.startswith(without)}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# --- names and maps -------------------------------------------------------------------------------


def test_tensors_of_width_1_are_torchvisions_by_name_and_shape():
    models = torchvision.models
    with torch.device("meta"):
        theirs = shapes(models.resnet50())
        for stride in (8, 16, 32):
            for method in (None, "adl"):
                assert shapes(resnet50(output_stride=stride, method=method)) == theirs
        assert shapes(resnet50(method="spg"), without=("spg.",)) == theirs
        trunk = {key: shape for key, shape in theirs.items() if not key.startswith("fc.")}
        assert shapes(resnet50(method="acol"), without=("acol.",)) == trunk
        assert shapes(resnet18()) == shapes(models.resnet18())

        trunk = {k: s for k, s in shapes(models.vgg16()).items() if k.startswith("features.")}
        for stride in (8, 16):
            for method in METHODS:
                own = vgg16_gap(output_stride=stride, method=method)
                assert shapes(own, without=("cam_conv.", "fc.", "spg.", "acol.")) == trunk

        network = models.inception_v3(aux_logits=False, init_weights=False)
        assert shapes(inception_v3()) == shapes(network)
        trunk = shapes(network, without=("Mixed_7", "fc."))
        for stride in (8, 16):
            for method in METHODS:
                own = inception_v3(output_stride=stride, method=method)
                assert shapes(own, without=("cam_conv.", "fc.", "spg.", "acol.")) == trunk


def test_the_heads_have_the_protocols_sizes():
    with torch.device("meta"):
        head = shapes(inception_v3(1000, output_stride=8, method="spg"))
        acol = shapes(resnet50(1000, method="acol"))
        spg = shapes(vgg16_gap(1000, method="spg"))
    assert head["cam_conv.1.weight"] == (1024, 768, 3, 3)
    assert head["cam_conv.4.weight"] == (1024, 1024, 3, 3)
    assert head["fc.weight"] == (1000, 1024)
    assert head["spg.early.0.weight"] == (512, 288, 3, 3)
    assert head["spg.late.0.weight"] == (512, 768, 3, 3)
    assert head["spg.shared.2.weight"] == (1, 512, 1, 1)
    assert head["spg.guided.0.weight"] == (512, 1024, 3, 3)
    for branch in ("acol.a", "acol.b"):
        assert acol[f"{branch}.convs.0.weight"] == (1024, 2048, 3, 3)
        assert acol[f"{branch}.convs.2.weight"] == (1024, 1024, 3, 3)
        assert acol[f"{branch}.fc.weight"] == (1000, 1024)
    assert spg["cam_conv.0.weight"] == spg["cam_conv.2.weight"] == (512, 512, 3, 3)
    assert spg["fc.weight"] == (1000, 512)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", METHODS)
def test_maps_are_exact_and_28_or_14_wide_at_224_pixels(name, method):
    for stride, side in ((8, 28), (16, 14)):
        network = build(name, method, stride).eval()
        images = torch.randn(2, 3, 224, 224, generator=seeded())
        captured = run(network, find_head(network, images, name), images)
        maps = class_maps(captured.features, captured.weight, torch.arange(7).expand(2, -1))
        assert maps.shape == (2, 7, side, side)
        torch.testing.assert_close(
            maps.mean((2, 3)) + captured.bias, network(images), rtol=1e-4, atol=1e-4
        )
        assert maps.std((2, 3)).min() > 1e-3  # maps, not constants


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_resnet18_has_strides_too(stride):
    network = resnet18(7, width=WIDTH, output_stride=stride).eval()
    images = torch.randn(2, 3, 96, 96, generator=seeded())
    captured = run(network, find_head(network, images, "resnet18"), images)
    assert captured.features.shape[2:] == (96 // stride, 96 // stride)


def test_at_other_strides_the_weights_stay_where_they_are():
    """The strided network is the dense one's every second position, before the last stage."""
    dense, strided = build("resnet50", None, 16).eval(), build("resnet50", None, 32).eval()
    images = torch.randn(1, 3, 64, 64, generator=seeded())
    features = {}
    for label, network in (("dense", dense), ("strided", strided)):
        network.layer4[0].register_forward_hook(
            lambda module, args, output, label=label: features.update({label: output})
        )
        network(images)
    torch.testing.assert_close(
        features["dense"][:, :, ::2, ::2], features["strided"], rtol=1e-3, atol=1e-3
    )


def test_values_without_a_network_are_told():
    for call, message in (
        (lambda: resnet50(output_stride=4), "resnet50: output_stride is 8, 16 or 32, not 4"),
        (lambda: vgg16_gap(output_stride=32), "vgg16_gap: output_stride is 8 or 16, not 32"),
        (lambda: inception_v3(output_stride=9), "inception_v3: output_stride is 8, 16 or 32"),
        (lambda: inception_v3(width=0.3), "inception_v3: the width 0.3 is no multiple of 1/16"),
        (lambda: resnet18(width=0.0), "The width 0.0 is not a positive number"),
        (lambda: inception_v3(method="adl"), "adl is defined for .* output_stride 8"),
        (lambda: resnet50(method="has"), "no parts for the method 'has'.*adl, acol, spg"),
        (
            lambda: build_classifier("resnet18", num_classes=2, arguments={"stride": 8}),
            "resnet18: takes no stride; it takes num_classes, width, output_stride, method",
        ),
        (
            lambda: build_classifier("densenet121", num_classes=2, arguments={"method": "adl"}),
            "densenet121: takes no method",
        ),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_a_network_trains_only_with_the_method_it_was_built_for():
    images, labels = torch.randn(2, 3, 64, 64), torch.tensor([0, 1])
    for name in NETWORKS:
        with pytest.raises(InputError, match=r"without parts and .* build it with method='acol'"):
            build(name, None)(images, AcolStep(labels, 0.7))
        with pytest.raises(InputError, match="built for acol and cannot train with spg"):
            build(name, "acol")(images, SpgStep(labels))


def test_a_name_tells_stride_and_method_and_parameters_leave_training_parts_out():
    for method, name in ((None, ""), ("spg", ", method spg")):
        arguments = {"width": 0.125, "output_stride": 8, "method": method}
        made = build_classifier("resnet50", num_classes=5, arguments=arguments)
        assert made.name == f"resnet50 (width 0.125, output stride 8{name})"
        if method is None:
            plain = made.parameters
        assert made.parameters == plain
    acol = build_classifier("resnet50", num_classes=5, arguments={"width": 0.125, "method": "acol"})
    trunk = plain - sum(p.numel() for p in nn.Linear(256, 5).parameters())
    # Both branches make the maps.
    assert acol.parameters == trunk + sum(p.numel() for p in acol.network.acol.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_a_plain_checkpoint_tells_its_number_of_classes(method, tmp_path):
    torch.save(build("resnet50", method, 32, classes=6).state_dict(), tmp_path / "a.pt")
    arguments = {"width": WIDTH, "method": method}
    loaded = load_classifier("resnet50", str(tmp_path / "a.pt"), arguments=arguments)
    assert loaded.num_classes == 6


def test_pretrained_weights_at_another_stride(monkeypatch):
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18()
    monkeypatch.setattr("torchvision.models.get_model", lambda name, weights: theirs)
    made = load_classifier("resnet18", arguments={"output_stride": 8})
    assert made.name == "resnet18 (output stride 8)"
    assert torch.equal(made.network.layer4[1].conv2.weight, theirs.layer4[1].conv2.weight)
    assert made.forward(torch.zeros(1, 3, 64, 64))[1].shape[2:] == (8, 8)
    with pytest.raises(InputError, match=r"resnet18-.*\.pth: does not fit this network"):
        load_classifier("resnet18", arguments={"width": 0.5})


# --- ADL ------------------------------------------------------------------------------------------


def test_the_drop_mask_is_zero_from_the_share_of_the_highest_attention():
    features = torch.rand(5, 6, 4, 3, generator=seeded())
    dropped = attend_or_drop(features, AdlStep(1.0, 0.8, seeded()))
    weighted = attend_or_drop(features, AdlStep(0.0, 0.8, seeded()))
    for image, values in enumerate(features):
        attention = values.mean(0)
        for y in range(4):
            for x in range(3):
                kept = attention[y, x] < 0.8 * attention.max()
                expected = values[:, y, x] if kept else torch.zeros(6)
                assert torch.equal(dropped[image, :, y, x], expected)
                importance = 1 / (1 + torch.exp(-attention[y, x]))
                torch.testing.assert_close(weighted[image, :, y, x], values[:, y, x] * importance)
        assert (dropped[image] == 0).any() and (dropped[image] != 0).any()
    assert attend_or_drop(features, None) is features
    assert attend_or_drop(features, SpgStep(torch.zeros(5))) is features


def test_dropping_is_drawn_at_its_rate():
    features, generator = torch.rand(1, 2, 3, 3) + 1, seeded()
    drops = [
        bool((attend_or_drop(features, AdlStep(0.75, 0.9, generator)) == 0).any())
        for _ in range(400)
    ]
    assert sum(drops) / 400 == pytest.approx(0.75, abs=0.06)


ADL_PLACES = {
    "resnet18": ("layer3.0 layer3.1", "layer4.0 layer4.1", "layer4.1 avgpool"),
    "resnet50": ("layer3.0 layer3.1", "layer4.0 layer4.1", "layer4.2 avgpool"),
    "vgg16_gap": ("features.16 features.17", "features.22 features.23", "features.29 cam_conv"),
    "inception_v3": ("Mixed_5d reduction", "Mixed_6e cam_conv", "cam_conv avgpool"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_adl_acts_at_the_protocols_places_in_a_step_alone(name):
    """What leaves one module comes into the next as the layer makes it."""
    network = build(name, "adl", 16)
    seen = {}

    def keep(key):
        def hook(module, args, output):
            seen[key] = (args[0].clone(), output.clone())

        return hook

    for key in {key for place in ADL_PLACES[name] for key in place.split()}:
        network.get_submodule(key).register_forward_hook(keep(key))
    images = torch.randn(2, 3, 96, 96, generator=seeded())
    network(images, AdlStep(1.0, 0.8, seeded()))
    for place in ADL_PLACES[name]:
        before, after = place.split()
        expected = attend_or_drop(seen[before][1], AdlStep(1.0, 0.8, seeded()))
        assert not torch.equal(expected, seen[before][1])
        torch.testing.assert_close(seen[after][0].flatten(1), expected.flatten(1))
    network.eval()
    network(images)
    for place in ADL_PLACES[name]:
        before, after = place.split()
        if name == "vgg16_gap" or before != "cam_conv":
            assert torch.equal(seen[after][0], seen[before][1])


def test_without_a_step_an_adl_network_is_the_plain_one():
    images = torch.randn(2, 3, 64, 64, generator=seeded())
    for name in NETWORKS:
        plain, adl = build(name, None).eval(), build(name, "adl").eval()
        assert list(plain.state_dict()) == list(adl.state_dict())
        torch.testing.assert_close(adl(images), plain(images))


# --- ACoL -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_branch_b_never_sees_what_branch_a_is_sure_of(name):
    network = build(name, "acol")
    given = {}
    for branch in ("a", "b"):
        network.get_submodule(f"acol.{branch}.convs").register_forward_hook(
            lambda module, args, output, branch=branch: given.update({branch: args[0]})
        )
    images, labels = torch.randn(3, 3, 64, 64, generator=seeded()), torch.tensor([4, 0, 6])
    output = network(images, AcolStep(labels, 0.6))
    # The paper's form of branch A: a 1x1 convolution to maps, whose means are the logits.
    a = network.acol.a
    maps = F.conv2d(a.convs(given["a"]), a.fc.weight[:, :, None, None], a.fc.bias)
    torch.testing.assert_close(output.logits, maps.mean((2, 3)), rtol=1e-4, atol=1e-4)
    for image, label in enumerate(labels):
        own = maps[image, label]
        share = (own - own.min()) / (own.max() - own.min())
        erased = share >= 0.6
        assert erased.any() and not erased.all()
        assert not given["b"][image][:, erased].any()
        assert torch.equal(given["b"][image][:, ~erased], given["a"][image][:, ~erased])
    torch.testing.assert_close(output.erased_logits, network.acol.b(given["b"]))
    network.eval()
    given.clear()
    network(images)
    assert set(given) == {"a"}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_map_is_the_maximum_of_both_branches(name):
    arguments = {"output_stride": 16, "method": "acol", "acol_threshold": 0.57, "width": WIDTH}
    made = build_classifier(name, num_classes=7, arguments=arguments)
    assert made.name.endswith("method acol, acol threshold 0.57)")
    images, classes = torch.rand(2, 3, 64, 64, generator=seeded()), torch.tensor([[4, 0], [1, 4]])
    given = {}
    made.network.acol.register_forward_pre_hook(lambda _, args: given.update(trunk=args[0]))
    with torch.no_grad():
        logits, features = made.forward(images)
        found = made.class_maps(features, classes)
        torch.testing.assert_close(logits, made.network(images))
        acol, trunk = made.network.acol, given["trunk"]
        for image, row in enumerate(classes):
            for number, label in enumerate(row):
                maps = []
                seen = trunk[image : image + 1]
                for branch in (acol.a, acol.b):
                    convs = branch.convs(seen)
                    raw = F.conv2d(convs, branch.fc.weight[label][None, :, None, None])[0, 0]
                    scaled = (raw - raw.min()) / (raw.max() - raw.min())
                    maps.append(scaled)
                    seen = seen * (scaled < 0.57)
                expected = torch.maximum(*maps)
                torch.testing.assert_close(found[image, number], expected, rtol=1e-4, atol=1e-4)
    # Alone, branch A's would be another one.
    assert not torch.allclose(found[0, 0], found[0, 0].clamp(max=0.9))
    assert (found[-1, -1] - maps[0]).abs().max() > 0.05
    # What an evaluation asks for them; another method sees branch A alone.
    with torch.inference_mode():
        localizer = made.localizer(size=64)
        view = localizer.see(images)
        torch.testing.assert_close(view.logits, logits)
        torch.testing.assert_close(localizer.maps(view, classes), found)
        assert localizer.map_size == found.shape[:1:-1]
        other = made.localizer("gradcam", size=64)
        assert not torch.allclose(other.maps(other.see(images), classes), found)


def test_a_constant_map_of_a_branch_has_no_say():
    made = build_classifier("resnet50", num_classes=3, arguments={"width": 0.125, "method": "acol"})
    torch.nn.init.zeros_(made.network.acol.b.fc.weight)
    with torch.no_grad():
        _, features = made.forward(torch.rand(1, 3, 64, 64, generator=seeded()))
        found = made.class_maps(features, torch.tensor([[2]]))
        acol = made.network.acol
        own = class_maps(acol.a.convs(features), acol.a.fc.weight, torch.tensor([[2]]))
    torch.testing.assert_close(found, (own - own.min()) / (own.max() - own.min()))


def test_maps_of_both_branches_in_half_precision():
    made = build_classifier("resnet50", num_classes=3, arguments={"width": 0.125, "method": "acol"})
    images, classes = torch.rand(1, 3, 64, 64, generator=seeded()), torch.tensor([[1]])
    with torch.no_grad():
        exact = made.class_maps(made.forward(images)[1], classes)
        with torch.autocast("cpu", torch.bfloat16):
            _, features = made.forward(images)
        assert features.dtype == torch.bfloat16
        found = made.class_maps(features, classes)
    assert found.dtype == torch.float32 and (found - exact).abs().mean() < 0.05


def test_a_threshold_needs_both_branches():
    for builder in (vgg16_gap, resnet50, inception_v3):
        with pytest.raises(InputError, match="acol_threshold belongs to method acol"):
            builder(acol_threshold=0.5)
        with pytest.raises(InputError, match="between 0 and 1, not 2"):
            builder(method="acol", output_stride=16, acol_threshold=2)


@pytest.mark.parametrize(
    ("name", "method", "layer", "deviation"),
    [
        ("vgg16_gap", None, "fc", 0.01),
        ("vgg16_gap", "adl", "fc", 0.01),
        ("resnet50", None, "fc", 0.01),
        ("resnet50", "adl", "fc", 0.01),
        # 1x1 convolutions in the released code: Xavier's, but He's for this one.
        ("resnet50", "acol", "acol.b.fc", (2 / 500) ** 0.5),
        ("vgg16_gap", "acol", "acol.a.fc", None),
        ("vgg16_gap", "spg", "fc", None),
        ("resnet50", "spg", "fc", None),
        ("inception_v3", None, "fc", None),
    ],
)
def test_classifiers_start_as_in_the_released_code(name, method, layer, deviation):
    arguments = {"width": WIDTH, "output_stride": 16, "method": method}
    made = build_classifier(name, num_classes=500, arguments=arguments)
    fc = made.network.get_submodule(layer)
    classes, units = fc.weight.shape
    expected = deviation or (2 / (classes + units)) ** 0.5
    assert fc.weight.std().item() == pytest.approx(expected, rel=0.03)
    assert not fc.bias.any()


def test_erasing_passes_no_gradient_through_the_map():
    features = torch.rand(1, 2, 3, 3, generator=seeded(), requires_grad=True)
    maps = features.sum(1, keepdim=True)
    erase(features, maps, 0.5).sum().backward()
    share = (maps - maps.min()) / (maps.max() - maps.min())
    assert torch.equal(features.grad, (share < 0.5).float().expand(1, 2, 3, 3))


# --- SPG ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_spg_shows_masks_of_three_depths_and_the_labels_map(name):
    network = build(name, "spg").eval()  # no dropout, so that passes can be compared
    images, labels = torch.randn(3, 3, 64, 64, generator=seeded()), torch.tensor([4, 0, 6])
    output = network(images, SpgStep(labels))
    torch.testing.assert_close(output.logits, network(images), rtol=1e-4, atol=1e-4)
    captured = run(network, find_head(network, images[:2], name), images)
    maps = class_maps(captured.features, captured.weight, labels[:, None])
    torch.testing.assert_close(output.maps, maps, rtol=1e-4, atol=1e-4)
    assert not output.maps.requires_grad
    for mask in (output.early, output.late, output.guided):
        assert mask.shape == (3, 1, 8, 8) and mask.requires_grad
    spg = network.spg
    torch.testing.assert_close(output.guided, spg.guided(captured.features), rtol=1e-4, atol=1e-4)
    output.early.sum().backward(retain_graph=True)
    assert all(p.grad is not None for p in spg.shared.parameters())
    assert all(p.grad is None for p in spg.late.parameters())


SPG_PLACES = {
    "resnet18": ("layer3.0", "layer3.1"),
    "resnet50": ("layer3.0", "layer3.5"),
    "vgg16_gap": ("features.23", "features.29"),
    "inception_v3": ("Mixed_5d", "Mixed_6d"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_spg_looks_at_the_protocols_places(name):
    network = build(name, "spg").eval()
    seen = {}
    for key in (*SPG_PLACES[name], "spg.early", "spg.late"):
        network.get_submodule(key).register_forward_hook(
            lambda module, args, output, key=key: seen.update({key: (args[0], output)})
        )
    network(torch.randn(1, 3, 64, 64, generator=seeded()), SpgStep(torch.tensor([2])))
    for place, part in zip(SPG_PLACES[name], ("spg.early", "spg.late"), strict=True):
        assert torch.equal(seen[place][1], seen[part][0]), place


def test_spg_parts_work_in_a_step_alone():
    for name in NETWORKS:
        network = build(name, "spg").eval()
        network.spg.register_forward_hook(lambda *_: pytest.fail("SPG's parts ran"))
        network(torch.randn(1, 3, 64, 64))
