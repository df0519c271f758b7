"""VGG-16 of any width: torchvision's at full width, and its parameters where VGG-GAP has none."""

import pytest
import torch
import torchvision

from wsol.errors import InputError
from wsol.models.builders import build, skeleton
from wsol.models.classifier import Classifier


@pytest.mark.parametrize("batch_norm", [False, True])
def test_at_full_width_it_has_torchvisions_tensors(batch_norm):
    own = skeleton("vgg16", 10, {"batch_norm": batch_norm})
    name = "vgg16_bn" if batch_norm else "vgg16"
    with torch.device("meta"):
        other = torchvision.models.get_model(name, weights=None, num_classes=10)
    assert {key: value.shape for key, value in own.state_dict().items()} == {
        key: value.shape for key, value in other.state_dict().items()
    }
    assert [name for name, _ in own.named_modules()] == [name for name, _ in other.named_modules()]


def test_it_computes_what_torchvisions_does():
    own, _ = build("vgg16", 5, {})
    with torch.device("meta"):
        other = torchvision.models.vgg16(num_classes=5)
    other = other.to_empty(device="cpu")
    other.load_state_dict(own.state_dict())
    images = torch.rand(2, 3, 64, 48)
    with torch.no_grad():
        assert torch.equal(own.eval()(images), other.eval()(images))


def test_a_narrow_one_keeps_its_share_of_dense_layers():
    def share(width):
        network = skeleton("vgg16", 1000, {"width": width})
        dense = sum(p.numel() for p in network.classifier[:6].parameters())
        return dense / (dense + sum(p.numel() for p in network.features.parameters()))

    assert share(1) == pytest.approx(0.890, abs=0.001)
    assert share(0.25) == pytest.approx(share(1), abs=0.001)


def test_a_narrow_one_begins_with_a_signal_and_has_grad_cam():
    torch.manual_seed(0)
    network, _ = build("vgg16", 7, {"width": 0.0625, "batch_norm": True})
    classifier = Classifier("vgg16", network.eval())
    images = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        assert 0.01 < network(images).std() < 2
    maps = classifier.localizer("gradcam", "features.42", 64).map_size
    assert maps == (4, 4)


@pytest.mark.parametrize("arguments", [{"width": 0}, {"output_stride": 8}, {"dropout": 1}])
def test_what_there_is_no_network_for(arguments):
    with pytest.raises(InputError):
        build("vgg16", 10, arguments)
