"""Operations, map size and latency of a forward pass."""

import pytest
import torch
import torchvision
from torch import nn

from wsol.models.classifier import Classifier
from wsol.models.cost import forward_cost, median_latency
from wsol.models.registry import load_classifier


class Striped(nn.Module):
    """A 3x3 convolution that halves the height alone, pooling, one linear layer; counts passes."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3, stride=(2, 1), padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, 5)
        self.passes = 0

    def forward(self, x):
        self.passes += 1
        return self.fc(self.pool(self.features(x)).flatten(1))


def test_a_multiply_accumulate_is_two_operations():
    flops, map_size = forward_cost(Classifier("striped", Striped().eval()), 16)
    assert flops == 2 * (16 * 8 * 4 * 3 * 9 + 4 * 5)
    assert map_size == (16, 8)  # width, height


def test_the_count_is_twice_the_published_multiply_accumulates():
    giga = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.meta["_ops"]
    flops, map_size = forward_cost(load_classifier("mobilenet_v2", "none"), 224)
    assert flops / 1e9 == pytest.approx(2 * giga, abs=0.001)
    assert map_size == (7, 7)


def test_the_input_size_counts():
    classifier = Classifier("striped", Striped().eval())
    assert forward_cost(classifier, 32)[1] == (32, 16)


def test_latency_is_a_median_of_single_images(monkeypatch):
    network = Striped().eval()
    classifier = Classifier("striped", network)
    sizes = []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape))
    ticks = iter(range(10_000))

    def clock():  # the n-th reading is n squared: every pass takes longer than the one before
        return float(next(ticks) ** 2) / 1e6

    monkeypatch.setattr("wsol.models.cost.time.perf_counter", clock)
    milliseconds = median_latency(classifier, 16)
    assert set(sizes) == {torch.Size([1, 3, 16, 16])}
    passes = len(sizes)
    spans = []
    ticks = iter(range(10_000))
    clock()
    for number in range(passes):
        if number >= 10:
            clock()
        start = clock()
        spans.append(clock() - start)
    assert passes == 35
    assert milliseconds == pytest.approx(1000 * sorted(spans[5:])[15], rel=0.05)


def test_a_slow_network_is_passed_less_often(monkeypatch):
    network = Striped().eval()
    classifier = Classifier("striped", network)
    network.passes = 0
    readings = iter(range(10_000))
    monkeypatch.setattr("wsol.models.cost.time.perf_counter", lambda: float(next(readings)))
    assert median_latency(classifier, 16) == 1000
    assert network.passes == 10
