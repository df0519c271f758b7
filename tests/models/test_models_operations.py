"""Our count of operations beside torch's own."""

import subprocess
import sys

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from wsol.models.builders import model_names, skeleton
from wsol.models.operations import OperationCounter

SAMPLE = (
    "resnet18", "googlenet", "squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5",
    "convnext_tiny", "vit_b_32", "swin_v2_t", "maxvit_t", "vgg16_gap",
)  # fmt: skip


class Composed(TorchFunctionMode):
    """Keeps attentions with their projections from their fused form."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def counts(network, images):
    """Ours, ours with composed attentions, and torch's, which misses attentions in fused forms."""
    with torch.no_grad():
        with OperationCounter() as plain:
            network(images)
        with Composed():
            with OperationCounter() as composed:
                network(images)
            with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as reference:
                network(images)
    return plain.total, composed.total, reference.get_total_flops()


def assert_equal(name):
    network = skeleton(name, None, {}).eval()
    side = getattr(network, "image_size", 299 if name == "inception_v3" else 224)
    plain, composed, reference = counts(network, torch.empty(1, 3, side, side, device="meta"))
    assert plain == composed == reference > 0


@pytest.mark.parametrize("name", SAMPLE)
def test_torchvisions_networks(name):
    assert_equal(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(model_names()) - set(SAMPLE)))
def test_every_network_with_a_name(name):
    assert_equal(name)


class Products(nn.Module):
    """Matrix products of every spelling, grouped and transposed convolutions, one axis or three."""

    def __init__(self):
        super().__init__()
        self.grouped = nn.Conv2d(4, 8, (3, 5), stride=2, padding=1, groups=2)
        self.up = nn.ConvTranspose2d(8, 6, 3, stride=2, groups=2)
        self.line = nn.Conv1d(6, 5, 3, dilation=2)
        self.cube = nn.Conv3d(1, 2, 3)
        self.attention = nn.MultiheadAttention(12, 3)
        self.weight = nn.Parameter(torch.randn(5, 7))

    def forward(self, x):
        x = self.up(self.grouped(x)).flatten(2)
        x = self.line(x).transpose(1, 2)
        x = torch.einsum("bik,kj->bij", x, self.weight) @ torch.randn(7, 12)
        x = self.attention(x, x, x)[0]
        x = torch.baddbmm(x, x @ x.mT, x)
        return self.cube(x[:, None, None, :, :].expand(-1, -1, 4, -1, -1)).sum((1, 2, 3))


def test_every_spelling_of_a_product():
    torch.manual_seed(0)
    plain, composed, reference = counts(Products().eval(), torch.randn(2, 4, 12, 11))
    assert plain == composed == reference > 0


def test_attention_on_real_numbers():
    network = torchvision.models.VisionTransformer(32, 8, 2, 3, 24, 48).eval()
    plain, composed, reference = counts(network, torch.randn(2, 3, 32, 32))
    assert plain == composed == reference > 0


def test_counting_does_not_import_torchs_compiler():
    code = (
        "import sys, torch\n"
        "from torch import nn\n"
        "from wsol.models.operations import OperationCounter\n"
        "with torch.no_grad(), OperationCounter() as counter:\n"
        "    nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2))("
        "torch.zeros(1, 3, 4, 4))\n"
        "print(counter.total, 'torch._dynamo' in sys.modules, 'sympy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == [str(2 * (4 * 4 * 27 + 32)), "False", "False"], done.stderr
