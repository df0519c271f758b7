"""The layer of maps is found by watching a pass, in every family of networks."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from wsol.errors import InputError
from wsol.maps.capture import run_through
from wsol.maps.drawing import give_numbers
from wsol.maps.head import examine
from wsol.models.builders import _EmptyWeights
from wsol.models.classifier import Classifier, Preprocessing

from support.networks import Trunk, normalized, vit


def layer_of(network, size=32, wanted=None):
    layer = examine(network.eval(), torch.rand(2, 3, size, size), "network", wanted).layer
    if isinstance(layer, InputError):
        raise layer
    return layer


def dense(net, x):
    return net.fc(F.linear(x.flatten(1), torch.ones(16, 16 * 7 * 7)))


def test_the_last_spatial_activation_is_the_one_that_is_flattened():
    layer = layer_of(Trunk(dense))
    assert (layer.name, layer.grid, layer.channels) == ("relu after second", (7, 7), 16)
    assert layer_of(torchvision.models.vgg11(num_classes=3), 64).name == "features"
    assert layer_of(torchvision.models.resnet18(num_classes=3), 64).name == "layer4"


def test_an_activation_that_is_changed_in_place_counts_as_it_is_at_the_end():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.fc = nn.Linear(4 * 6 * 6, 5)

        def forward(self, x):
            x = self.conv(x)
            x.relu_()
            return self.fc(x.flatten(1))

    network = InPlace().eval()
    layer = layer_of(network, 8)
    assert layer.name == "relu_ after conv" and layer.module is None
    images = torch.randn(2, 3, 8, 8)
    seen = run_through(network, layer, images, gradient=True)
    assert torch.equal(seen.tensor.detach(), network.conv(images).relu())
    (gradient,) = torch.autograd.grad(seen.output[:, 2].sum(), seen.tensor)
    expected = network.fc.weight[2].view(1, 4, 6, 6).expand(2, -1, -1, -1)
    torch.testing.assert_close(gradient, expected)


def test_a_layer_before_branches_that_part_for_good():
    class Branches(nn.Module):
        """Two scales that only their pooled features join again."""

        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3, 2, 1)
            self.fine, self.coarse = nn.Conv2d(4, 5, 3), nn.Conv2d(4, 6, 3, 2)
            self.fc = nn.Linear(11, 7)

        def forward(self, x):
            x = self.stem(x)
            fine, coarse = self.fine(x).relu(), self.coarse(x).relu()
            return self.fc(torch.cat([fine.mean((2, 3)), coarse.mean((2, 3))], 1))

    network = Branches()
    assert layer_of(network).name == "stem"
    # On request one branch's own; gradients flow through it alone.
    fine = layer_of(network, wanted="fine")
    assert (fine.name, fine.channels, fine.grid) == ("fine", 5, (14, 14))


def test_networks_without_a_common_activation_are_told_so():
    class Apart(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 5)
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(self.a(x).mean((2, 3)) * self.b(x).mean((2, 3)))

    with pytest.raises(InputError, match=r"network: .* no spatial activation .* all of its logits"):
        layer_of(Apart())
    assert layer_of(Apart(), wanted="b").grid == (28, 28)


def test_a_loop_over_the_images_of_a_batch_is_told():
    class Loop(Trunk):
        def forward(self, x):
            return torch.cat([super(Loop, self).forward(image) for image in x.split(1)])

    with pytest.raises(InputError, match="network: looks at one image after the other"):
        layer_of(Loop(lambda net, x: net.fc(x.mean((2, 3)))))


def test_of_a_vision_transformer_it_is_what_the_last_attention_is_given():
    network = vit(layers=4)
    layer = layer_of(network, 64)
    assert (layer.name, layer.grid) == ("encoder.layers.encoder_layer_3.ln_1", (4, 4))
    images = torch.randn(2, 3, 64, 64)
    given = []
    block = network.encoder.layers.encoder_layer_3
    block.self_attention.register_forward_pre_hook(lambda module, args: given.append(args[0]))
    seen = run_through(network, layer, images)
    assert seen.tensor.shape == (2, 17, 64) and torch.equal(seen.tensor, given[0])
    tokens = layer.layout.features(seen.tensor)
    assert torch.equal(tokens, seen.tensor[:, 1:].mT.unflatten(2, (4, 4)))
    # After the last attention nothing but the class token counts.
    with pytest.raises(InputError, match=r"no logit depends on .*encoder_layer_3"):
        layer_of(network, 64, "encoder.layers.encoder_layer_3")


def products_at(network, layer, images):
    """The sum over channels of features times gradients, and of their absolute values."""
    seen = run_through(network, layer, images, gradient=True)
    (gradient,) = torch.autograd.grad(seen.output[:, 1].sum(), seen.tensor)
    products = layer.layout.features(seen.tensor.detach()) * layer.layout.features(gradient)
    return products.sum(1).abs().max(), products.abs().sum(1).max()


def test_before_a_normalization_features_times_gradients_say_nothing():
    network = vit(layers=4).double()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)

    def at(wanted):
        return examine(network, images, "network", wanted).layer

    before = products_at(network, at("encoder.layers.encoder_layer_2"), images)
    after = products_at(network, at(None), images)
    assert before[0] < 1e-5 * before[1]
    assert after[0] > 0.1 * after[1]


class RootMeanSquare(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6))


class ClassReads(nn.Module):
    """Tokens of 6x6 positions and a class token, which attends to them at last, once or twice."""

    def __init__(self, normalize, times=1):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.mixed, self.normalize = nn.Identity(), normalize
        self.key, self.value = nn.Linear(16, 16), nn.Linear(16, 16)
        self.times = times
        self.fc = nn.Linear(16, 5)

    def forward(self, x):
        tokens = torch.cat([self.token.expand(len(x), -1, -1), self.patches(x).flatten(2).mT], 1)
        tokens = self.mixed(tokens + (tokens @ tokens.mT / 16).softmax(-1) @ tokens)
        token = tokens[:, :1]
        for _ in range(self.times):
            given = self.normalize(torch.cat([token, tokens[:, 1:]], 1))
            scores = given[:, :1] @ self.key(given).mT / 4
            token = token + scores.softmax(-1) @ self.value(given)
        return self.fc(token[:, 0])


def test_a_layer_moves_to_a_normalization_of_any_spelling_and_to_nothing_else():
    torch.manual_seed(0)
    assert layer_of(ClassReads(nn.LayerNorm(16)), 24).name == "normalize"
    assert layer_of(ClassReads(RootMeanSquare(16)), 24).name == "normalize"
    by_function = ClassReads(None)
    by_function.normalize = lambda x: F.normalize(x, dim=-1)
    assert layer_of(by_function, 24).name == "normalize after mixed"
    # Features times gradients say something before these.
    plain = layer_of(ClassReads(nn.Identity()), 24).name
    assert plain == "add after patches"
    for other in (nn.GELU(), nn.Linear(16, 16)):
        assert layer_of(ClassReads(other), 24).name == plain
    # A normalization for each of two attentions: no one of them has all that the logits know.
    assert layer_of(ClassReads(nn.LayerNorm(16), times=2), 24).name == plain


def test_in_half_precision_it_is_the_same_layer():
    for dtype in (torch.float64, torch.bfloat16):
        network = vit(layers=3).to(dtype)
        layer = examine(network, torch.rand(2, 3, 64, 64, dtype=dtype), "network").layer
        assert layer.name == "encoder.layers.encoder_layer_2.ln_1"


def test_the_part_before_the_layer_runs_without_autograd():
    seen = []
    network = Trunk(dense).eval()
    network.first.register_forward_hook(lambda *given: seen.append(given[2].requires_grad))
    network.fc.register_forward_hook(lambda *given: seen.append(given[2].requires_grad))
    layer = layer_of(network)
    seen.clear()
    run_through(network, layer, torch.randn(2, 3, 32, 32), gradient=True)
    assert seen == [False, True]
    assert torch.is_grad_enabled()
    seen.clear()
    run_through(network, layer, torch.randn(2, 3, 32, 32))
    assert seen == [False, False]


def test_a_layer_by_name():
    network = torchvision.models.resnet18(num_classes=3)
    assert layer_of(network, 64, "layer2.0").grid == (8, 8)
    for wanted, told in (
        ("layer5", "has no layer 'layer5'; did you mean layer4 or"),
        ("fc", r"the output of its layer 'fc', of shape \(3,\), is no grid.*layer4"),
        ("avgpool", "is no grid of features"),
        ("zebra", "has no layer 'zebra'; did you mean"),
    ):
        with pytest.raises(InputError, match=f"network: .*{told}"):
            layer_of(network, 64, wanted)


def test_a_module_that_is_called_twice_is_seen_at_its_last_call():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.relu = nn.ReLU()
            self.fc = nn.Linear(3 * 64, 4)

        def forward(self, x):
            return self.fc(self.relu(self.conv(self.relu(self.conv(x)))).flatten(1))

    network = Twice().eval()
    layer = layer_of(network, 8)
    assert (layer.name, layer.call) == ("relu", 1)
    images = torch.randn(2, 3, 8, 8)
    expected = network.conv(network.conv(images).relu()).relu()
    assert torch.equal(run_through(network, layer, images).tensor, expected)


def test_a_module_at_work_on_an_image_and_on_its_mirror_image_is_refused():
    class Mirrored(Trunk):
        def forward(self, x):
            return super().forward(x) + super().forward(x.flip(3))

    class TwoScales(Trunk):
        def forward(self, x):
            return torch.maximum(super().forward(x), super().forward(F.avg_pool2d(x, 2)))

    def pooled(net, x):
        return net.fc(x.mean((2, 3)))

    for network in (Mirrored(pooled), TwoScales(pooled)):
        for wanted in ("first", "second"):
            with pytest.raises(InputError, match=f"its layer '{wanted}' is at work several times"):
                layer_of(network, 32, wanted)
    # One after the other, round about a branch, or with a call that comes to nothing, is no harm.
    for wanted in ("layer1.0.relu", "layer4.1.relu", "layer4.0", "relu"):
        assert layer_of(torchvision.models.resnet18(num_classes=3), 64, wanted).name == wanted

    class Unused(Trunk):
        def forward(self, x):
            super().forward(x.flip(3))
            return super().forward(x)

    assert layer_of(Unused(pooled), 32, "second").name == "second"


def test_heads_that_are_born_zero_are_looked_at_with_numbers_and_left_zero():
    network = torchvision.models.VisionTransformer(
        image_size=64, patch_size=16, num_layers=2, num_heads=4, hidden_dim=32, mlp_dim=64
    )
    assert layer_of(network, 64).name == "encoder.layers.encoder_layer_1.ln_1"
    assert not network.heads.head.weight.any() and not network.heads.head.bias.any()


def test_hooks_and_numbers_are_left_as_they_were():
    network = Trunk(dense).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    layer_of(network)
    assert all(not module._forward_hooks for module in network.modules())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


# --- every network by its name --------------------------------------------------------------------

VITS = {"vit_b_16": 16, "vit_b_32": 32, "vit_l_16": 16, "vit_l_32": 32, "vit_h_14": 14}
SIZES = {"alexnet": 96, "squeezenet1_0": 96, "squeezenet1_1": 96, "inception_v3": 128,
         "googlenet": 64, "maxvit_t": 224}  # fmt: skip
GRIDS = {"alexnet": 2, "squeezenet1_0": 5, "squeezenet1_1": 5, "inception_v3": 2, "maxvit_t": 7}


def torchvision_network(name):
    """The network, its input size and the side of its maps."""
    options = {"num_classes": 12}
    if name in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": False}
    size, grid = SIZES.get(name, 64), GRIDS.get(name, 2)
    if name in VITS:
        grid = 4
        size = grid * VITS[name]
        options["image_size"] = size
    with _EmptyWeights():
        network = torchvision.models.get_model(name, weights=None, **options)
    return give_numbers(network), size, grid


def assert_gradcam_applies(network, size, grid, name):
    classifier = Classifier(name, network, None, Preprocessing(size=size))
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    localizer = classifier.localizer("hirescam")
    view = localizer.see(images)
    classes = torch.tensor([[1, 2], [3, 0]])
    gradients = view.gradients(classes)
    assert (gradients.abs().amax((2, 3, 4)) > 0).all(), "a gradient is zero"
    assert localizer.map_size == (grid, grid)
    assert localizer.layer.name == LAYERS.get(name, localizer.layer.name)
    maps = localizer.maps(view, classes)
    assert maps.shape == (2, 2, grid, grid) and torch.isfinite(maps).all()
    # SqueezeNet's maps are rectified: one class's may be zero.
    assert normalized(maps).std((-2, -1)).amax(1).min() > 0
    rectified = classifier.localizer("gradcam")
    assert rectified.maps(rectified.see(images), classes).shape == (2, 2, grid, grid)


@pytest.mark.slow
@pytest.mark.parametrize("name", torchvision.models.list_models(module=torchvision.models), ids=str)
def test_every_classifier_of_torchvision(name):
    assert_gradcam_applies(*torchvision_network(name), name)


TIMM = {
    "resnet10t": (64, 2), "convnextv2_atto": (64, 2), "efficientnet_lite0": (64, 2),
    "mobilenetv3_small_050": (64, 2), "regnetx_002": (64, 2), "hrnet_w18_small": (64, 2),
    "ghostnet_100": (64, 2), "vgg11": (64, 2), "dla34": (64, 2), "mobilevit_xxs": (64, 2),
    "poolformer_s12": (64, 2), "fastvit_t8": (64, 2), "vit_tiny_patch16_224": (224, 14),
    "deit_tiny_distilled_patch16_224": (224, 14), "mixer_s32_224": (224, 7),
    "resmlp_12_224": (224, 14), "swin_tiny_patch4_window7_224": (224, 7), "levit_128s": (224, 4),
    "cait_xxs24_224": (224, 14), "xcit_nano_12_p16_224": (224, 14), "pvt_v2_b0": (64, 2),
    "convit_tiny": (224, 14), "tnt_s_patch16_224": (224, 14), "hiera_tiny_224": (224, 7),
    "eva02_tiny_patch14_224": (224, 16), "davit_tiny": (224, 7), "efficientformer_l1": (224, 7),
    "coatnet_nano_rw_224": (224, 7), "focalnet_tiny_srf": (224, 7), "gmlp_s16_224": (224, 14),
}  # fmt: skip


LAYERS = {
    "vit_b_32": "encoder.layers.encoder_layer_11.ln_1", "swin_t": "norm", "swin_v2_t": "norm",
    "vit_l_32": "encoder.layers.encoder_layer_23.ln_1", "maxvit_t": "blocks.3",
    "resnet18": "layer4", "vgg16": "features", "convnext_tiny": "features",
    "vit_tiny_patch16_224": "blocks.11.norm1", "swin_tiny_patch4_window7_224": "norm",
    "deit_tiny_distilled_patch16_224": "blocks.11.norm1", "convit_tiny": "blocks.11.norm1",
    "cait_xxs24_224": "blocks", "eva02_tiny_patch14_224": "blocks.11", "resnet10t": "layer4",
}  # fmt: skip
"""Where maps are made: of a mean of tokens after the last block, and where two attentions read
them, before both of these."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM)
def test_families_of_timm(name):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    size, grid = TIMM[name]
    network = timm.create_model(name, pretrained=False, num_classes=12)
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.detach().any():
            nn.init.normal_(parameter, std=0.05)
    assert_gradcam_applies(network, size, grid, name)
