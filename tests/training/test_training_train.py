"""Training reads labels alone, lowers the loss, and is reproducible."""

import dataclasses

import numpy as np
import pytest
import torch

from wsol.datasets.shapes import generate_shapes, read_shapes
from wsol.errors import InputError
from wsol.models.classifier import Preprocessing
from wsol.models.registry import build_classifier
from wsol.training.options import TrainingOptions
from wsol.training.schedule import cosine_rate
from wsol.training.train import train_classifier


class Blind:
    """A sample whose annotation must not be touched."""

    def __init__(self, sample):
        self.image_id, self.path, self.label = sample.image_id, sample.path, sample.label

    def __getattr__(self, name):
        raise AssertionError(f"training looked at {name}")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "shapes"
    generate_shapes(root, train=64, test=8, size=48, seed=0)
    return read_shapes(root, "train")


def network(classes=8):
    torch.manual_seed(0)
    return build_classifier(
        "resnet50", num_classes=classes, arguments={"width": 0.0625},
        preprocessing=Preprocessing(size=48),
    )  # fmt: skip


OPTIONS = TrainingOptions(epochs=8, batch_size=16, lr=0.05, warmup_epochs=1, cache=True)


def test_the_loss_falls_and_no_box_is_read(data):
    blind = dataclasses.replace(data)
    object.__setattr__(blind, "samples", [Blind(sample) for sample in data.samples])
    reports = []
    # Long enough to fall by three times what is asked for, whatever a processor's rounding does.
    options = OPTIONS.replaced(lr=0.1, epochs=24)
    history = train_classifier(network(), blind, options, progress=reports.append)
    assert [r.step for r in reports] == list(range(1, 97)) and reports[-1].steps == 96
    assert len(history) == 24
    # The last layer starts from about nothing: at first all of eight classes are alike.
    assert abs(reports[0].loss - np.log(8)) < 0.2
    assert history[-1].loss < np.log(8) - 0.05


def test_the_same_seed_gives_the_same_weights(data):
    weights = []
    for _ in range(2):
        classifier = network()
        train_classifier(classifier, data, OPTIONS.replaced(epochs=2))
        weights.append(classifier.network.state_dict())
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name
    other = network()
    train_classifier(other, data, OPTIONS.replaced(epochs=2, seed=1))
    assert not torch.equal(weights[0]["fc.weight"], other.network.state_dict()["fc.weight"])


def test_a_loss_that_is_not_finite_stops_with_the_step(data):
    classifier = network()
    with torch.no_grad():
        classifier.network.fc.weight.fill_(float("inf"))
    with pytest.raises(InputError, match=r"the loss became nan at step 1 of 32"):
        train_classifier(classifier, data, OPTIONS)
    assert not classifier.network.training


def test_what_does_not_fit_is_said(data):
    with pytest.raises(InputError, match="5 outputs, but shapes has 8 classes"):
        train_classifier(network(5), data, OPTIONS)
    with pytest.raises(InputError, match="fewer than one batch of 999"):
        train_classifier(network(), data, OPTIONS.replaced(batch_size=999))
    with pytest.raises(InputError, match="lr: should be greater than 0"):
        OPTIONS.replaced(lr=0.0)
    with pytest.raises(InputError, match="warm-up"):
        OPTIONS.replaced(warmup_epochs=8)


def test_the_schedule_rises_then_falls_to_nothing():
    rates = [cosine_rate(step, 100, 10) for step in range(100)]
    assert np.all(np.diff(rates[:10]) > 0) and np.all(np.diff(rates[10:]) < 0)
    assert max(rates) == pytest.approx(1) and rates[-1] < 0.01
