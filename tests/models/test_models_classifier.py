"""A classifier gives maps of any network, at any size, without anything remembered of a pass."""

import sys

import pytest
import torch
import torchvision
from torch import nn

from wsol.errors import InputError
from wsol.models.classifier import Classifier, Preprocessing

from support.networks import Trunk


def averaged(net, x):
    return net.fc(x.mean((2, 3)))


def multiplied(net, x):
    return x.mean((2, 3)) @ net.fc.weight.t() / 2


def made(tail=averaged, size=32, classes=None, network=None):
    torch.manual_seed(0)
    network = network or Trunk(tail)
    return Classifier("network", network, classes, Preprocessing(size=size))


CLASSES = torch.tensor([[0, 3], [2, 6]])


@pytest.mark.parametrize("tail", [averaged, multiplied])
def test_class_maps_need_no_pass_before(tail):
    images = torch.randn(2, 3, 32, 32)
    one, other = made(tail), made(tail)
    logits, features = one.forward(images)
    found = other.class_maps(features, CLASSES)
    torch.testing.assert_close(found, one.class_maps(features, CLASSES))
    bias = one.network.fc.bias if tail is averaged else torch.zeros(7)
    means = found.mean((2, 3)) + bias[CLASSES]
    torch.testing.assert_close(means, logits.gather(1, CLASSES))


@pytest.mark.parametrize("tail", [averaged, multiplied])
def test_maps_are_of_the_weights_as_they_are_now(tail):
    """As within a training; whether or not the head's weight is a parameter that was found."""
    classifier = made(tail)
    images = torch.randn(2, 3, 32, 32)
    for _ in range(2):
        _, features = classifier.forward(images)
        fresh = made(tail)
        fresh.network.load_state_dict(classifier.network.state_dict())
        torch.testing.assert_close(
            classifier.class_maps(features, CLASSES), fresh.class_maps(features, CLASSES)
        )
        with torch.no_grad():
            for parameter in classifier.network.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))


def test_shifting_the_head_moves_every_logit_alike():
    classifier = made()
    images = torch.randn(2, 3, 32, 32)
    before, features = classifier.forward(images)
    classifier.shift_head(0.5)
    after, _ = classifier.forward(images)
    moved = (after - before).detach()
    torch.testing.assert_close(moved, 0.5 * features.mean((2, 3)).sum(1)[:, None].expand(-1, 7))
    with pytest.raises(InputError, match="has no last linear layer that could be shifted"):
        made(multiplied).shift_head(0.5)


def test_a_network_without_a_head_is_a_classifier_too():
    classifier = made(lambda net, x: net.fc(x.mean((2, 3)).tanh()))
    assert classifier.num_classes == 7
    for asked in (classifier.head, classifier.localizer):
        with pytest.raises(InputError, match=r"network: .*not defined.*--method gradcam"):
            asked()
    with pytest.raises(InputError, match="not defined"):
        classifier.forward(torch.randn(2, 3, 32, 32))
    localizer = classifier.localizer("gradcam")
    maps = localizer.maps(localizer.see(torch.randn(2, 3, 32, 32)), CLASSES)
    assert maps.shape == (2, 2, 7, 7)


class FixedSize(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = Trunk(averaged)

    def forward(self, x):
        assert x.shape[2:] == (32, 32), "only 32 pixels"
        return self.trunk(x)


def test_a_size_that_the_network_does_not_take_is_told_when_it_is_used():
    classifier = made(size=224, network=FixedSize())
    with pytest.raises(InputError, match=r"network: cannot take .*224x224.*only 32 pixels"):
        classifier.localizer()
    with pytest.raises(InputError, match="224x224"):
        _ = classifier.num_classes
    assert classifier.localizer(size=32).map_size == (7, 7)
    assert classifier.num_classes == 7


def test_each_size_has_its_own_layer():
    classifier = made(size=32)
    assert classifier.localizer().map_size == (7, 7)
    assert classifier.localizer(size=64).map_size == (15, 15)
    logits, features = classifier.forward(torch.randn(2, 3, 64, 64))
    assert features.shape[2:] == (15, 15)
    torch.testing.assert_close(
        classifier.class_maps(features, CLASSES).mean((2, 3)) + classifier.network.fc.bias[CLASSES],
        logits.gather(1, CLASSES),
    )
    resnet = Classifier("resnet18", torchvision.models.resnet18(), None, Preprocessing(size=64))
    with pytest.raises(InputError, match=r"resnet18: of 32x32 pixels it makes a map of a single"):
        resnet.localizer("gradcam", size=32)


def test_images_are_given_in_the_networks_own_type():
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = made().localizer("gradcam")
    maps = expected.maps(expected.see(made().normalize(pixels)), CLASSES)
    for dtype, tolerance in ((torch.float64, 1e-5), (torch.float16, 0.01), (torch.bfloat16, 0.1)):
        torch.manual_seed(0)
        classifier = made(network=Trunk(averaged).to(dtype))
        assert classifier.normalize(pixels).dtype == dtype
        localizer = classifier.localizer("gradcam")
        found = localizer.maps(localizer.see(classifier.normalize(pixels)), CLASSES)
        assert found.dtype == torch.float32
        assert (found - maps).abs().max() <= tolerance * maps.abs().max()


@pytest.mark.filterwarnings("ignore")
def test_exported_and_scripted_networks_are_classifiers():
    torch.manual_seed(0)
    network, images = Trunk(averaged).eval(), torch.randn(2, 3, 32, 32)
    dynamic = ({0: torch.export.Dim("images")},)
    for compiled in (
        torch.jit.trace(network, images),
        torch.export.export(network, (images,), dynamic_shapes=dynamic).module(),
    ):
        classifier = made(network=compiled)
        logits, features = classifier.forward(torch.randn(3, 3, 32, 32))
        assert logits.shape == (3, 7) and features.shape == (3, 16, 7, 7)
        localizer = classifier.localizer("gradcam")
        view = localizer.see(images)
        exact = made(network=network).localizer("gradcam")
        torch.testing.assert_close(
            localizer.maps(view, CLASSES), exact.maps(exact.see(images), CLASSES)
        )


def test_class_names_must_fit_the_logits():
    with pytest.raises(InputError, match="network: 2 class names for 7 logits"):
        made(classes=("a", "b"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, nn.Identity()), "The name of a network is a text, not None"),
        (("", nn.Identity()), "The name of a network is a text, not ''"),
        (("own", nn.Linear), "own: is of the type type instead of an nn.Module"),
        (("own", lambda images: images), "own: is of the type function instead of an nn.Module"),
        (("own", nn.Identity(), "ab"), "own: its classes are 'ab'; expected texts"),
        (("own", nn.Identity(), range(7)), r"own: its classes are range\(0, 7\); expected texts"),
        (("own", nn.Identity(), ("a", "b", "a")), "own: the class 'a' stands twice"),
    ],
)
def test_what_is_no_network_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Classifier(*arguments)


def test_logits_that_depend_on_the_size_are_refused():
    classifier = made(network=nn.Sequential(nn.Conv2d(3, 2, 8, 8), nn.Flatten()))
    assert classifier.num_classes == 2 * 4 * 4
    with pytest.raises(InputError, match="gives 8 logits for 16 pixels and 32 for 32"):
        classifier.examine(16)


def test_logits_that_are_no_floating_numbers_are_refused():
    whole = made(lambda net, x: averaged(net, x).long())
    with pytest.raises(InputError, match=r"network: gives logits of type torch\.int64"):
        whole.examine()


@pytest.mark.parametrize(
    ("late", "message"),
    [
        (lambda logits: logits[:, :3], r"gave logits of shape \(2, 3\) for 2 images; expected 7"),
        (lambda logits: sys.exit(3), r"failed on 2 images of 32x32 pixels \(SystemExit: 3, "),
        (lambda logits: {}["eggs"], r"failed on 2 images of 32x32 pixels \(KeyError: 'eggs', "),
    ],
)
def test_a_network_that_changes_its_mind_is_named(late, message):
    """After it was looked at."""
    own, is_late = Trunk(averaged), False
    own.tail = lambda net, x: late(averaged(net, x)) if is_late else averaged(net, x)
    localizer = made(network=own).localizer()
    is_late = True
    with pytest.raises(InputError, match=f"network: {message}"):
        localizer.see(torch.randn(2, 3, 32, 32))
