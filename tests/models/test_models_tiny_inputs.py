"""Inputs that are too small for a network: evaluated or told in one line, whatever the method."""

import pytest
import torch

from wsol.errors import InputError
from wsol.maps.drawing import give_numbers
from wsol.models.builders import skeleton
from wsol.models.classifier import Classifier, Preprocessing

METHODS = ("cam", "gradcam", "smoothgradcam++", "eigencam", "attention", "torchcam:GradCAM")
SINGLE = "makes a map of a single position"


@pytest.mark.parametrize(
    ("name", "size", "told"),
    [
        ("resnet18", 32, SINGLE),
        ("densenet121", 32, SINGLE),
        ("mobilenet_v2", 16, SINGLE),
        ("inception_v3", 64, "cannot take 3 channels of 64x64 pixels .*; use a size that it takes"),
        ("squeezenet1_1", 16, "cannot take 3 channels of 16x16 pixels"),
        ("vit_b_32", 64, "cannot take 3 channels of 64x64 pixels .*Wrong image height"),
        ("resnet18", 64, None),
    ],
)
def test_an_input_that_is_too_small(name, size, told):
    network = give_numbers(skeleton(name, None, {})).eval()
    classifier = Classifier(name, network, None, Preprocessing(size=size))
    images, classes = torch.rand(1, 3, size, size), torch.tensor([[3]])
    for method in METHODS:
        if told is None and method != "attention":
            localizer = classifier.localizer(method)
            maps = localizer.maps(localizer.see(images), classes)
            assert torch.isfinite(maps).all() and maps[0, 0].numel() > 1
        else:
            with pytest.raises(InputError, match=f"^{name}: .*{told or 'attention'}") as raised:
                classifier.localizer(method)
            assert "\n" not in str(raised.value)
