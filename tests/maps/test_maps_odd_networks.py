"""Networks as people write them: their maps are the plain network's, or a line says why not."""

import dataclasses
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

from wsol.errors import InputError
from wsol.models.classifier import Classifier, Preprocessing

from support.networks import Trunk

SIZE = 32
CLASSES = torch.tensor([[0, 1], [2, 3], [4, 5]])


@dataclasses.dataclass
class Output:
    loss: object = None
    logits: object = None


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        share = x.sigmoid()
        return gradient * share * (1 + x * (1 - share))


class SwishModule(nn.Module):
    def forward(self, x):
        return Swish.apply(x)


class Decorated(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    @torch.inference_mode()
    def forward(self, x):
        return self.network(x)


def head(net, x):
    return net.fc(x.mean((2, 3)))


def within_inference(net, x):
    with torch.inference_mode():
        x = x * 1
    return head(net, x)


def reads_numbers(net, x):
    return head(net, x) + 0 * float(x.numpy().mean())


def trunk(tail=head, as_module=False):
    torch.manual_seed(0)
    return Trunk(tail, as_module=as_module)


def compiled_inside():
    network = trunk(as_module=True)
    network.second = torch.compile(network.second, backend="eager")
    return network


def compiled_in_place():
    network = trunk()
    network.compile(backend="eager")
    return network


def hooked():
    network = trunk(as_module=True)
    network.seen = []
    network.second.register_forward_hook(lambda module, args, out: network.seen.append(out.sum()))
    return network


def frozen():
    network = trunk()
    return network.requires_grad_(False)


PLAIN = {
    "dictionary": lambda: trunk(lambda net, x: {"features": x, "logits": head(net, x)}),
    "dataclass": lambda: trunk(lambda net, x: Output(logits=head(net, x))),
    "list of one": lambda: trunk(lambda net, x: [head(net, x)]),
    "dropout": lambda: trunk(lambda net, x: net.fc(F.dropout(x.mean((2, 3)), 0.5, net.training))),
    "compiled": lambda: torch.compile(trunk(), backend="eager"),
    "compiled inside": compiled_inside,
    "compiled in place": compiled_in_place,
    "inference mode": lambda: Decorated(trunk()),
    "features in inference mode": lambda: trunk(within_inference),
    "numbers read": lambda: trunk(reads_numbers),
    "data": lambda: trunk(lambda net, x: head(net, x.data)),
    "averaged": lambda: AveragedModel(trunk()),
    "parallel": lambda: nn.DataParallel(trunk()),
    "checkpoint": lambda: trunk(lambda net, x: checkpoint(lambda y: head(net, y), x,
                                                          use_reentrant=False)),
    "hooked": hooked,
    "frozen": frozen,
    "weight norm": lambda: parametrized(nn.utils.parametrizations.weight_norm),
}  # fmt: skip


def parametrized(norm):
    network = trunk()
    network.fc = norm(network.fc)
    return network


def maps_of(network, method):
    classifier = Classifier("network", network, None, Preprocessing(size=SIZE))
    localizer = classifier.localizer(method)
    images = torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        view = localizer.see(images)
        return view.logits, localizer.maps(view, CLASSES)


@pytest.mark.parametrize("method", ["cam", "gradcam", "layercam"])
@pytest.mark.parametrize("kind", PLAIN)
def test_what_computes_the_same_has_the_same_maps(kind, method):
    expected = maps_of(trunk(), method)
    torch.testing.assert_close(maps_of(PLAIN[kind](), method), expected)


def test_the_network_that_was_given_returns_what_it_did():
    network = PLAIN["dictionary"]()
    Classifier("network", network, None, Preprocessing(size=SIZE))
    assert set(network(torch.zeros(1, 3, SIZE, SIZE))) == {"features", "logits"}


@pytest.mark.parametrize("as_module", [False, True])
def test_an_activation_with_gradients_of_its_own_is_the_layer(as_module):
    act = SwishModule() if as_module else Swish.apply
    own = trunk(lambda net, x: head(net, act(x - 0.5)))
    if as_module:
        own.act = act
    expected = maps_of(trunk(lambda net, x: head(net, F.silu(x - 0.5))), "cam")
    torch.testing.assert_close(maps_of(own, "cam"), expected)


@pytest.mark.filterwarnings("ignore")
def test_a_scripted_network_is_the_same_before_and_after_it_was_optimized():
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 7),
    ).eval()  # fmt: skip
    scripted = torch.jit.script(plain)
    classifier = Classifier("scripted", scripted, None, Preprocessing(size=SIZE))
    for _ in range(3):
        scripted(torch.zeros(3, 3, SIZE, SIZE))
    images = torch.randn(3, 3, SIZE, SIZE)
    localizer = classifier.localizer("cam")
    found = localizer.maps(localizer.see(images), CLASSES)
    reference = Classifier("plain", plain, None, Preprocessing(size=SIZE)).localizer("cam")
    torch.testing.assert_close(found, reference.maps(reference.see(images), CLASSES))


class Transformer(nn.Module):
    """Tokens (images, tokens, channels), or with `turned` (tokens, images, channels)."""

    def __init__(self, turned, with_class):
        super().__init__()
        self.turned, self.with_class = turned, with_class
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.blocks = nn.Sequential(
            *[
                nn.TransformerEncoderLayer(16, 2, 32, norm_first=True, batch_first=not turned)
                for _ in range(3)
            ]
        )
        self.token = nn.Parameter(torch.randn(16))
        self.norm, self.fc = nn.LayerNorm(16), nn.Linear(16, 7)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        if self.with_class:
            x = torch.cat([self.token.expand(len(x), 1, -1), x], 1)
        axes = (0, 1) if self.turned else (0, 0)
        x = self.blocks(x.transpose(*axes)).transpose(*axes)
        return self.fc(self.norm(x[:, 0] if self.with_class else x.mean(1)))


@pytest.mark.parametrize("with_class", [False, True])
@pytest.mark.parametrize("method", ["gradcam", "eigencam", "scorecam", "rollout", "legrad"])
def test_tokens_before_images_are_the_same(with_class, method):
    torch.manual_seed(0)
    plain = Transformer(turned=False, with_class=with_class)
    turned = Transformer(turned=True, with_class=with_class)
    turned.load_state_dict(plain.state_dict())
    expected = maps_of(plain, method)
    torch.testing.assert_close(maps_of(turned, method), expected, rtol=1e-4, atol=1e-5)


def statistics_of_the_batch():
    network = trunk()
    network.first = nn.Sequential(network.first, nn.BatchNorm2d(8, track_running_stats=False))
    return network


def one_at_a_time(net, x):
    assert len(x) == 1
    return head(net, x)


def quantized():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(trunk(), {nn.Linear}, dtype=torch.qint8)


class Endless(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2


REFUSED = {
    "dictionary": (lambda: trunk(lambda net, x: {"out": head(net, x)}), "gives a dict with out"),
    "two heads": (lambda: trunk(lambda net, x: (net.fc(x.mean((2, 3))),) * 2), "a tuple of 2"),
    "maps of classes": (lambda: trunk(lambda net, x: x), r"a tensor of shape \(2, 16, 7, 7\)"),
    "dropout that stays": (
        lambda: trunk(lambda net, x: net.fc(F.dropout(x.mean((2, 3)), 0.5, True))),
        "gives other logits each time",
    ),
    "noise": (lambda: trunk(lambda net, x: head(net, x + torch.randn_like(x))), "other logits"),
    "statistics of the batch": (statistics_of_the_batch, "depend on the other images"),
    "the batch's mean": (
        lambda: trunk(lambda net, x: head(net, x) - head(net, x).mean(0)), "the other images",
    ),
    "one at a time": (lambda: trunk(one_at_a_time), "takes an image at a time"),
    "quantized": (quantized, "no logit has a gradient .* quantized"),
    "left the graph": (
        lambda: trunk(lambda net, x: head(net, torch.from_numpy(x.numpy()))),
        "no gradient leads from its logits to the images|no logit has a gradient",
    ),
    "no backward": (
        lambda: trunk(lambda net, x: net.fc(Endless.apply(x.mean((2, 3))))),
        "its gradients cannot be had .NotImplementedError",
    ),
    "more arguments": (lambda: nn.Bilinear(3, 3, 3), "TypeError: .*takes a batch of images alone"),
    "infinite": (
        lambda: trunk(lambda net, x: head(net, x * 1e38 * 1e38)), "has NaN or infinite values",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_why_a_network_is_refused(kind):
    make, told = REFUSED[kind]
    classifier = Classifier("network", make(), None, Preprocessing(size=SIZE))
    with pytest.raises(InputError, match=f"^network: .*({told})"):
        classifier.localizer("gradcam")


def test_lazy_layers_are_asked_to_be_made():
    with pytest.raises(InputError, match="network: has lazy layers"):
        Classifier("network", nn.LazyConv2d(3, 3), None)


def test_a_network_for_one_number_of_images_names_the_option():
    exported = torch.export.export(trunk().eval(), (torch.rand(2, 3, SIZE, SIZE),)).module()
    with pytest.raises(InputError, match=r"^network: failed on 3 images of .*--batch-size"):
        maps_of(exported, "cam")
