"""A class that is none of the network's is told, wherever it comes in."""

import pytest
import torch
from torch import nn

from wsol.errors import InputError
from wsol.maps.methods.catalog import METHODS
from wsol.models.acol import AcolLocalizer
from wsol.models.classifier import Classifier, Preprocessing
from wsol.models.parts import AcolHead
from wsol.models.resnet import resnet18

from support.networks import vit

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def classifiers():
    torch.manual_seed(0)
    return [
        Classifier(name, network.eval(), None, Preprocessing(size=64))
        for name, network in (("resnet", resnet18(9, width=1 / 8)), ("vit", vit()))
    ]


@pytest.mark.parametrize("method", [*METHODS, "torchcam:GradCAM", "support.networks:zero_maps"])
@pytest.mark.parametrize(
    ("wanted", "first"), [([[0], [9]], 9), ([[-1], [3]], -1), ([[0, 8], [2, 10_000]], 10_000)]
)
def test_by_every_method(classifiers, method, wanted, first):
    tried = 0
    for classifier in classifiers:
        try:
            localizer = classifier.localizer(method)
        except InputError:
            continue  # a method that this network cannot have
        tried += 1
        with pytest.raises(
            InputError,
            match=f"^{classifier.name}: has no class {first}; its logits go from 0 to 8\\.$",
        ):
            localizer.maps(localizer.see(IMAGES), torch.tensor(wanted))
    assert tried


def test_of_maps_of_features(classifiers):
    features = classifiers[0].forward(IMAGES)[1]
    with pytest.raises(InputError, match=r"has no class 9; its logits go from 0 to 8\."):
        classifiers[0].class_maps(features, torch.tensor([[1], [9]]))


def test_of_a_network_of_two_branches():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU(), AcolHead(8, 8, 5))
    classifier = Classifier("acol", network.eval(), None, Preprocessing(size=64))
    localizer = classifier.localizer()
    assert isinstance(localizer, AcolLocalizer)
    view = localizer.see(IMAGES)
    assert localizer.maps(view, torch.tensor([[0], [4]])).shape == (2, 1, 8, 8)
    with pytest.raises(InputError, match=r"^acol: has no class 5; its logits go from 0 to 4\.$"):
        localizer.maps(view, torch.tensor([[0], [5]]))
