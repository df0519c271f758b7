"""Small heads that bend are never taken for linear ones."""

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import nn

from wsol.errors import InputError
from wsol.maps.head import find_head
from wsol.maps.trials import trial_features

ACTIVATIONS = {
    "relu": nn.ReLU(),
    "leaky": nn.LeakyReLU(),
    "relu6": nn.ReLU6(),
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "softplus": nn.Softplus(),
    "hardswish": nn.Hardswish(),
}


class HiddenLayer(nn.Module):
    """Pooled features through one hidden layer; with `by_view`, of a fixed number of images."""

    def __init__(self, channels, hidden, activation, rectified, by_view=False):
        super().__init__()
        last = nn.ReLU() if rectified else nn.Identity()
        self.trunk = nn.Sequential(nn.Conv2d(3, channels, 4, stride=4), last)
        self.before = nn.Linear(channels, hidden)
        self.after = nn.Linear(hidden, 3)
        self.activation = activation
        self.by_view = by_view

    def forward(self, x):
        pooled = self.trunk(x).mean((2, 3))
        if self.by_view:
            pooled = pooled.view(len(x), -1)
        return self.after(self.activation(self.before(pooled)))


def bends_where_features_lie(network, rectified):
    """Whether a hidden unit that counts is positive for some features and negative for others."""
    weight, bias = network.before.weight, network.before.bias[:, None]
    reached = torch.cat([bias, bias + 1000 * weight], 1)
    if not rectified:  # else pooled features are nowhere negative
        reached = torch.cat([reached, bias - 1000 * weight], 1)
    switches = (reached > 0).any(1) & (reached < 0).any(1)
    counts = network.after.weight[0].abs() * weight.abs().amax(1)
    return bool(counts[switches].max() > 0.05 * counts.max()) if switches.any() else False


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.integers(2, 24),
    hidden=st.integers(2, 16),
    name=st.sampled_from(sorted(ACTIVATIONS)),
    rectified=st.booleans(),
    bias=st.sampled_from([0.0, 1.0, 30.0]),
)
@example(seed=0, channels=16, hidden=2, name="relu", rectified=True, bias=30.0)
def test_a_hidden_layer_is_never_taken_for_a_linear_one(
    seed, channels, hidden, name, rectified, bias
):
    torch.manual_seed(seed)
    network = HiddenLayer(channels, hidden, ACTIVATIONS[name], rectified).eval()
    with torch.no_grad():
        network.before.weight.normal_()
        network.before.bias.normal_().mul_(bias)
        # Of all classes alike, so that no unit cancels out.
        network.after.weight.copy_(torch.tensor([1.0, 0.5, -1.0]).outer(torch.rand(hidden) + 0.5))
        assume(bends_where_features_lie(network, rectified))
    with pytest.raises(InputError, match=r"^network: "):
        find_head(network, torch.rand(2, 3, 16, 16), "network")


@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_a_unit_that_is_nearly_always_on_or_off(weight):
    """Of 16 weights one has another sign and a hundredth of the others' size."""
    torch.manual_seed(0)
    network = HiddenLayer(16, 2, nn.ReLU(), True).eval()
    with torch.no_grad():
        network.before.weight[0].fill_(weight)
        network.before.weight[0, 5] = -weight / 100
        network.before.bias.fill_(weight)
        network.before.weight[1].fill_(1.0)  # on wherever features lie
    with pytest.raises(InputError, match="no linear map"):
        find_head(network, torch.rand(2, 3, 16, 16), "network")


@pytest.mark.parametrize("by_view", [False, True])
def test_a_layer_that_rectifies_nothing_is_linear(by_view):
    torch.manual_seed(0)
    network = HiddenLayer(6, 4, nn.Identity(), True, by_view).eval()
    assert find_head(network, torch.rand(2, 3, 16, 16), "network").linear
    network.activation = nn.ReLU()
    with pytest.raises(InputError, match="no linear map"):
        find_head(network, torch.rand(2, 3, 16, 16), "network")


@pytest.mark.parametrize("shape", [(2, 5, 3, 4), (2, 7, 5), (2, 700, 30, 30)])
def test_the_features_that_are_tried(shape):
    given_features = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    channels = 2 if len(shape) == 3 else 1
    made = trial_features(given_features.relu(), channels)
    assert made.shape[1:] == shape[1:] and 16 <= len(made) <= 96
    assert (made >= 0).all() and not made[2].any() and torch.isfinite(made).all()
    signed = trial_features(given_features, channels)
    assert (signed < 0).any() and signed.abs().max() > 50
    alone = (made.movedim(channels, 1).flatten(2).abs().amax(2) > 0).sum(1) == 1
    assert alone.sum() >= 6
