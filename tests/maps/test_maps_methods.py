"""Each method equals torchcam's, or its paper's formula in float64 where torchcam has none."""

import pytest
import torch
import torch.nn.functional as F
import torchcam.methods
from torch import nn
from torchvision.models import alexnet
from torchvision.models.vgg import make_layers

from wsol.errors import InputError
from wsol.maps.methods.catalog import METHODS, SMOOTH, find_method
from wsol.models.classifier import Classifier, Preprocessing
from wsol.models.resnet import resnet18

from support.networks import Trunk, exact_gradients, normalized, vit, with_statistics


def grid_of_tokens(tokens):
    """(B, 17, K) tokens of a class and 4x4 positions as (B, K, 4, 4)."""
    return tokens[:, 1:].mT.unflatten(2, (4, 4))


def made(name):
    """A network, the layer that its maps are made at, and how features lie there."""
    torch.manual_seed(3)
    if name == "cnn with a head":
        return with_statistics(resnet18(9, width=1 / 8)), "layer4", None
    if name == "cnn without":  # a normalization and an activation follow its global average
        network = Trunk(
            lambda net, x: net.fc(F.silu(F.layer_norm(x.mean((2, 3)), (16,)))), as_module=True
        )
        network.fc = nn.Linear(16, 9)
        return network.eval(), "second", None
    if name == "vgg":
        # Of torchvision's VGG itself the dense layers alone would take half a second to be made.
        dense = [nn.Linear(32 * 49, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 9)]
        network = nn.Sequential()
        network.features = make_layers([8, "M", 16, "M", 32, 32, "M"])
        network.avgpool = nn.Sequential(nn.AdaptiveAvgPool2d(7), nn.Flatten())
        network.classifier = nn.Sequential(*dense)
        for module in network.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        return network.eval(), "features", None
    return vit(), "encoder.layers.encoder_layer_3.ln_1", grid_of_tokens


NETWORKS = ("cnn with a head", "cnn without", "vgg", "vit")
SIDE = 64
IMAGES = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(7))
CLASSES = torch.tensor([[1, 4], [5, 2], [0, 8]])


def maps_of(network, method, images=IMAGES, classes=CLASSES, layer=None):
    localizer = Classifier("network", network, None, Preprocessing(size=SIDE)).localizer(
        method, layer
    )
    with torch.inference_mode():  # as an evaluation does
        return localizer.maps(localizer.see(images), classes)


def assert_alike(found, expected):
    assert found.shape == expected.shape and found.dtype == torch.float32
    assert normalized(expected).std((-2, -1)).max() > 0.05, "the reference says nothing"
    difference = normalized(found.double()) - normalized(expected.double())
    assert difference.abs().max() < 1e-4


# --- beside torchcam ------------------------------------------------------------------------------

TORCHCAM = {"gradcam": "GradCAM", "xgradcam": "XGradCAM", "layercam": "LayerCAM",
            "scorecam": "ScoreCAM"}  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("method", TORCHCAM)
def test_maps_are_torchcams(method, network):
    network, layer, transform = made(network)
    options = {"input_shape": (3, SIDE, SIDE)}
    if transform is not None:
        options["reshape_transform"] = transform
    found = maps_of(network, method)
    with getattr(torchcam.methods, TORCHCAM[method])(network, layer, **options) as extractor:
        for column, classes in enumerate(CLASSES.unbind(1)):
            scores = network(IMAGES)
            (expected,) = extractor(classes.tolist(), scores, normalized=False)
            assert_alike(found[:, column], expected.detach())


def test_exact_cam_rectified_is_torchcams():
    network, layer, _ = made("cnn with a head")
    with torchcam.methods.CAM(network, layer, "fc", input_shape=(3, SIDE, SIDE)) as extractor:
        network(IMAGES)
        (expected,) = extractor(CLASSES[:, 0].tolist(), normalized=False)
    assert_alike(maps_of(network, "cam")[:, 0], expected.detach())


def test_legrad_is_torchcams():
    network, _, _ = made("vit")
    found = maps_of(network, "legrad")
    blocks = list(network.encoder.layers)
    for column, classes in enumerate(CLASSES.unbind(1)):
        with torchcam.methods.LeGrad(network, blocks) as extractor:
            network(IMAGES)
            (expected,) = extractor(classes.tolist(), normalized=False)
        assert_alike(found[:, column], expected.detach())


# --- beside the papers' formulas ------------------------------------------------------------------


def in_float64(network, classes=CLASSES):
    network, layer, transform = made(network)
    return network, *exact_gradients(
        network, layer, IMAGES, classes, transform or (lambda tensor: tensor)
    )


@pytest.mark.parametrize("network", NETWORKS)
def test_hirescam_is_the_sum_of_gradients_times_features(network):
    network, features, gradients = in_float64(network)
    expected = torch.stack([(g * features).sum(1) for g in gradients.unbind(1)], 1)
    assert_alike(maps_of(network, "hirescam"), expected)


@pytest.mark.parametrize("network", NETWORKS)
def test_gradcam_plus_plus_has_the_papers_alpha(network):
    """torchcam's alpha stays g^2, because it divides a copy."""
    network, features, gradients = in_float64(network)
    expected = torch.zeros(len(IMAGES), 2, *features.shape[2:], dtype=torch.float64)
    for image in range(len(IMAGES)):
        for column in range(2):
            for channel in range(features.shape[1]):
                g, a = gradients[image, column, channel], features[image, channel]
                below = 2 * g**2 + a.sum() * g**3
                alpha = torch.where(g == 0, 0.0, g**2 / torch.where(g == 0, 1.0, below))
                expected[image, column] += (alpha * g.clamp(min=0)).sum() * a
    assert_alike(maps_of(network, "gradcam++"), expected.clamp(min=0))


@pytest.mark.parametrize("network", NETWORKS)
def test_eigencam_is_the_first_principal_component(network):
    network, features, _ = in_float64(network)
    found = maps_of(network, "eigencam")
    assert torch.equal(found[:, 0], found[:, 1])
    for image in range(len(IMAGES)):
        matrix = features[image].flatten(1).T
        _, _, vectors = torch.linalg.svd(matrix, full_matrices=False)
        projected = (matrix @ vectors[0]).view(features.shape[2:])
        expected = projected * (-1 if projected.sum() < 0 else 1)
        assert_alike(found[image, 0], expected)
        assert found[image, 0].sum() > 0


def test_eigencam_of_more_positions_than_channels():
    torch.manual_seed(0)
    network = Trunk(lambda net, x: net.fc(x.mean((2, 3)))).eval()
    images = torch.randn(2, 3, SIDE, SIDE)
    found = maps_of(network, "eigencam", images, CLASSES[:2])
    with torch.no_grad():
        features = F.relu(network.second(F.relu(network.first(images)))).double()
    assert features.shape[2] * features.shape[3] > features.shape[1]
    for image in range(2):
        matrix = features[image].flatten(1).T
        vector = torch.linalg.svd(matrix, full_matrices=False).Vh[0]
        projected = (matrix @ vector).view(features.shape[2:])
        assert_alike(found[image, 0], projected * projected.sum().sign())


def attentions(network):
    """Each layer's attention (B, heads, N, N) in float64, from its own linear layers."""
    network, seen = network.double(), []

    def hook(module, args, output):
        tokens = args[0]
        q, k, _ = F.linear(tokens, module.in_proj_weight, module.in_proj_bias).chunk(3, -1)
        q, k = (x.unflatten(-1, (module.num_heads, -1)).transpose(1, 2) for x in (q, k))
        seen.append((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1))

    handles = [block.self_attention.register_forward_hook(hook) for block in network.encoder.layers]
    network(IMAGES.double())
    for handle in handles:
        handle.remove()
    network.float()
    return [x.detach() for x in seen]


def test_rollout_multiplies_half_identities():
    network = made("vit")[0]
    flow = torch.eye(17, dtype=torch.float64)
    for probabilities in attentions(network):
        mixed = 0.5 * probabilities.mean(1) + 0.5 * torch.eye(17)
        flow = (mixed / mixed.sum(-1, keepdim=True)) @ flow
    found = maps_of(network, "rollout")
    assert torch.equal(found[:, 0], found[:, 1])
    assert_alike(found[:, 0], flow[:, 0, 1:].unflatten(1, (4, 4)))


def test_attention_is_the_class_tokens_in_the_last_layer():
    network = made("vit")[0]
    expected = attentions(network)[-1].mean(1)[:, 0, 1:].unflatten(1, (4, 4))
    assert_alike(maps_of(network, "attention")[:, 0], expected)


def test_attention_without_a_class_token_is_the_mean_over_positions():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = timm.create_model(
        "vit_tiny_patch16_224", img_size=64, num_classes=9, global_pool="avg", class_token=False,
        fc_norm=False, depth=3,
    ).eval()  # fmt: skip
    kept = []
    block = network.blocks[-1].attn
    block.fused_attn = False
    handle = block.attn_drop.register_forward_hook(lambda m, args, out: kept.append(out))
    network(IMAGES)
    handle.remove()
    expected = kept[0].detach().mean((1, 2)).unflatten(1, (4, 4))
    block.fused_attn = True
    for fused in (True, False):  # PyTorch's attention, and a softmax of its own
        for other in network.blocks:
            other.attn.fused_attn = fused
        assert_alike(maps_of(network, "attention")[:, 0], expected)


def test_smooth_gradcam_plus_plus_takes_mean_gradients():
    network, layer, _ = made("vgg")
    generator = torch.Generator().manual_seed(SMOOTH["seed"])
    samples = []
    features, _ = exact_gradients(network, layer, IMAGES, CLASSES)
    for _ in range(SMOOTH["samples"]):
        noise = SMOOTH["deviation"] * torch.randn(1, 3, SIDE, SIDE, generator=generator)
        samples.append(exact_gradients(network, layer, IMAGES + noise, CLASSES)[1])
    g, g2, g3 = (torch.stack([s**power for s in samples]).mean(0) for power in (1, 2, 3))
    below = 2 * g2 + features.sum((2, 3))[:, None, :, None, None] * g3
    alpha = torch.where(g2 == 0, 0.0, g2 / torch.where(g2 == 0, 1.0, below))
    weights = (alpha * g.clamp(min=0)).sum((-2, -1))
    expected = torch.einsum("bnk,bkhw->bnhw", weights, features).clamp(min=0)
    assert_alike(maps_of(network, "smoothgradcam++"), expected)


# --- what they have in common ---------------------------------------------------------------------


def test_with_a_linear_head_methods_coincide():
    network, _, _ = made("cnn with a head")
    cam, found = maps_of(network, "cam"), {name: maps_of(network, name) for name in (
        "hirescam", "gradcam", "xgradcam", "gradcam++", "smoothgradcam++")}  # fmt: skip
    assert_alike(found["hirescam"], cam)
    positions = cam.shape[2] * cam.shape[3]
    torch.testing.assert_close(found["hirescam"] * positions, cam)
    torch.testing.assert_close(found["gradcam"], found["hirescam"].relu())
    torch.testing.assert_close(found["xgradcam"], found["gradcam"])
    torch.testing.assert_close(found["smoothgradcam++"], found["gradcam++"])
    assert cam.min() < 0  # which is why the rectified ones differ from it


@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].needs != "attention"])
def test_closed_forms_are_what_autograd_gives(method):
    """A head that is there, and the same layer by its name, at which nothing is known of it."""
    torch.manual_seed(0)
    network = Trunk(lambda net, x: net.fc(x.mean((2, 3))), as_module=True).eval()
    if method in ("cam", "smoothgradcam++"):  # has no layer to choose; noise changes nothing here
        return
    closed = maps_of(network, method, classes=CLASSES % 7)
    assert_alike(maps_of(network, method, classes=CLASSES % 7, layer="second"), closed)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("method", METHODS)
def test_an_images_maps_do_not_depend_on_its_batch(method, network):
    network = made(network)[0]
    try:
        together = maps_of(network, method)
    except InputError:
        return  # a method that this network cannot have
    alone = torch.cat([
        maps_of(network, method, IMAGES[n : n + 1], CLASSES[n : n + 1]) for n in (2, 0, 1)
    ])[[1, 2, 0]]  # fmt: skip
    assert (normalized(alone) - normalized(together)).abs().max() < 1e-4
    again = maps_of(network, method)
    assert torch.equal(again, together)


def test_logits_are_the_networks():
    for name in NETWORKS:
        network = made(name)[0]
        classifier = Classifier("network", network, None, Preprocessing(size=SIDE))
        for method in METHODS:
            try:
                localizer = classifier.localizer(method)
            except InputError:
                continue
            with torch.no_grad():
                expected = network(IMAGES)
            torch.testing.assert_close(localizer.see(IMAGES).logits, expected)


def test_networks_that_cannot_have_a_method_are_told_which_they_can():
    vgg = Classifier("vgg", made("vgg")[0], None, Preprocessing(size=SIDE))
    with pytest.raises(InputError, match=r"^vgg: .*class activation maps.*--method gradcam"):
        vgg.localizer("cam")
    for method in ("rollout", "attention", "legrad"):
        with pytest.raises(InputError, match=rf"^vgg: .*which {method} reads.*gradcam, .*scorecam"):
            vgg.localizer(method)
    for method in ("cam", "rollout", "support.networks:normalized"):
        with pytest.raises(InputError, match=rf"--layer features: .*{method} has no layer"):
            vgg.localizer(method, "features")
    with pytest.raises(InputError, match=r"has no layer 'feature'.*features"):
        vgg.localizer("gradcam", "feature")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gradcan", r"--method gradcan: .*did you mean gradcam\?"),
        ("GradCAM", "--method GradCAM: should be"),
        ("torchcam:gradcan", "--method torchcam:gradcan: .*did you mean GradCAM"),
        ("torchcam:zebra", "--method torchcam:zebra: .*it has CAM, .*ScoreCAM"),
        ("no_such_module:maps", "no_such_module:maps: the module .* cannot be imported"),
        ("math:no_such", "math:no_such: 'math' has no callable"),
    ],
)
def test_unknown_methods_are_told_with_near_ones(name, told):
    with pytest.raises(InputError, match=told):
        find_method(name)


# --- methods from elsewhere -----------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", ["layercam", "GradCAMpp", "finercam"])
def test_any_method_of_torchcam_runs(name, network):
    network, layer, transform = made(network)
    found = maps_of(network, f"torchcam:{name}")
    kinds = {key.lower(): value for key, value in vars(torchcam.methods).items()}
    options = {} if transform is None else {"reshape_transform": transform}
    with kinds[name.lower()](network, layer, **options) as extractor:
        for column, classes in enumerate(CLASSES.unbind(1)):
            (expected,) = extractor(classes.tolist(), network(IMAGES), normalized=False)
            torch.testing.assert_close(found[:, column], expected.detach())


def test_methods_of_torchcam_over_several_layers():
    network, _, _ = made("cnn with a head")
    found = maps_of(network, "torchcam:RefineCAM", layer="layer3, layer4")
    assert found.shape == (3, 2, 4, 4)
    with pytest.raises(InputError, match=r"torchcam cannot make a map .* at layer4.*--layer"):
        maps_of(network, "torchcam:RefineCAM", layer="layer4")


def test_methods_of_torchcam_that_draw_numbers_are_seeded():
    torch.manual_seed(0)
    network = Trunk(lambda net, x: net.fc(x.mean((2, 3))), as_module=True).eval()
    images = IMAGES[:, :, ::2, ::2]
    localizer = Classifier("network", network, None, Preprocessing(size=32)).localizer(
        "torchcam:SSCAM", "second"
    )
    state = torch.get_rng_state()
    together = localizer.maps(localizer.see(images), CLASSES % 7)
    alone = localizer.maps(localizer.see(images[1:2]), CLASSES[1:2] % 7)
    torch.testing.assert_close(together[1:2], alone)
    assert torch.equal(torch.get_rng_state(), state)
    assert localizer.settings()["method_parameters"] == {"seed": 0}


def test_a_method_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "own_maps.py").write_text(
        "import numpy as np, torch\n"
        "def saliency(network, images, classes):\n"
        "    images = images.clone().requires_grad_()\n"
        "    logits = network(images)\n"
        "    return torch.stack([\n"
        "        torch.autograd.grad(logits.gather(1, own[:, None]).sum(), images,\n"
        "                            retain_graph=True)[0].abs().amax(1)\n"
        "        for own in classes.unbind(1)], 1)\n"
        "def arrays(network, images, classes):\n"
        "    return np.ones((*classes.shape, 2, 3))\n"
        "def wrong(network, images, classes):\n"
        "    return images\n"
        "def text(network, images, classes):\n"
        "    return 'map'\n"
        "def broken(network, images, classes):\n"
        "    raise KeyError('lost')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    network = made("vit")[0]
    found = maps_of(network, "own_maps:saliency")
    assert found.shape == (3, 2, SIDE, SIDE) and found.std() > 0
    images = IMAGES.clone().requires_grad_()
    (expected,) = torch.autograd.grad(network(images)[0, 1], images)
    torch.testing.assert_close(found[0, 0], expected[0].abs().amax(0))
    assert maps_of(network, "own_maps:arrays").shape == (3, 2, 2, 3)
    classifier = Classifier("network", network, None, Preprocessing(size=SIDE))
    assert classifier.localizer("own_maps:arrays").map_size == (3, 2)
    for name, told in (
        (
            "wrong",
            r"own_maps:wrong: returned a Tensor of shape \(3, 3, 64, 64\) and type .* for 3 images",
        ),
        ("text", "own_maps:text: returned str"),
        ("broken", r"own_maps:broken: failed \(KeyError: 'lost', own_maps.py:16\)"),
    ):
        with pytest.raises(InputError, match=told):
            maps_of(network, f"own_maps:{name}")


def test_what_a_network_without_attention_can_have_instead():
    for network, told in (
        (resnet18(num_classes=10), "it can have cam, gradcam, "),
        (alexnet(num_classes=10), "it can have gradcam, "),
    ):
        with pytest.raises(InputError, match=f"no layers of attention .*; {told}"):
            maps_of(network.eval(), "rollout")


def test_a_method_of_ones_own_leaves_the_network_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "rude_maps.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "def plain(network, images, classes):\n"
        "    return images[:, :1].expand(-1, classes.shape[1], -1, -1)\n"
        "def training(network, images, classes):\n"
        "    network.bn1.train()\n"
        "    return plain(network, images, classes)\n"
        "def statistics(network, images, classes):\n"
        "    network.train()\n"
        "    network(images)\n"
        "    network.eval()\n"
        "    return plain(network, images, classes)\n"
        "def weights(network, images, classes):\n"
        "    with torch.no_grad():\n"
        "        network.fc.weight[0, 0] += 1\n"
        "    return plain(network, images, classes)\n"
        "def another(network, images, classes):\n"
        "    network.fc = nn.Linear(512, 10).eval()\n"
        "    return plain(network, images, classes)\n"
        "def fewer(network, images, classes):\n"
        "    network.layer4 = nn.Identity().eval()\n"
        "    return plain(network, images, classes)\n"
        "def borrowed(network, images, classes):\n"
        "    kept = {k: v.clone() for k, v in network.state_dict().items()}\n"
        "    with torch.no_grad():\n"
        "        network.fc.weight.zero_()\n"
        "    network.train()(images)\n"
        "    network.eval().load_state_dict(kept)\n"
        "    return plain(network, images, classes)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, told in (
        ("training", "left bn1 in training mode"),
        ("statistics", "left other numbers in bn1.running_mean"),
        ("weights", "left other numbers in fc.weight"),
        ("another", "left other numbers in fc.weight"),
        ("fewer", "left the network with other tensors"),
    ):
        with pytest.raises(InputError, match=f"rude_maps:{name}: {told}"):
            maps_of(resnet18(num_classes=10).eval(), f"rude_maps:{name}")
    network = resnet18(num_classes=10).eval()
    for _ in range(2):
        assert maps_of(network, "rude_maps:borrowed").shape == (3, 2, SIDE, SIDE)


def test_mixed_precision_gives_nearly_the_same_maps():
    network = made("vgg")[0]
    exact = maps_of(network, "gradcam")
    localizer = Classifier("network", network, None, Preprocessing(size=SIDE)).localizer("gradcam")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        view = localizer.see(IMAGES)
    maps = localizer.maps(view, CLASSES)
    assert maps.dtype == torch.float32
    assert (normalized(maps) - normalized(exact)).abs().mean() < 0.1


def test_how_many_passes_to_expect():
    resnet = Classifier("resnet", made("cnn with a head")[0], None, Preprocessing(size=SIDE))
    vgg = Classifier("vgg", made("vgg")[0], None, Preprocessing(size=SIDE))
    counts = {name: vgg.localizer(name).passes for name in ("gradcam", "smoothgradcam++")}
    assert counts == {"gradcam": 1, "smoothgradcam++": 5}
    assert resnet.localizer("smoothgradcam++").passes == 1
    assert resnet.localizer("scorecam").passes == 1 + 64
    assert resnet.localizer("torchcam:GradCAM").passes is None


def test_passes_are_counted_as_they_are_made():
    network, images = made("vgg")[0], []
    network.register_forward_pre_hook(lambda m, args: images.append(len(args[0])))
    for method in ("gradcam", "scorecam", "smoothgradcam++", "eigencam"):
        localizer = Classifier("network", network, None, Preprocessing(size=SIDE)).localizer(method)
        images.clear()
        localizer.maps(localizer.see(IMAGES), CLASSES)
        assert sum(images) == localizer.passes * len(IMAGES)
