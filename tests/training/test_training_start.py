"""Which weights a network starts from, and which of its layers are new."""

import numpy as np
import pytest
import torch

from wsol.datasets.base import Dataset, Sample
from wsol.errors import InputError
from wsol.models.checkpoint import save_checkpoint
from wsol.models.classifier import Preprocessing
from wsol.models.fast import memory_format
from wsol.training import start
from wsol.training.methods import make_method
from wsol.training.options import TrainingOptions
from wsol.training.start import starting_network
from wsol.training.train import Training

CAM = make_method("cam")
NARROW = {"width": 0.125}


def images_of(classes):
    names = tuple(f"class-{i}" for i in range(classes))
    samples = [Sample("a", None, 0, np.empty((0, 4)))]
    return Dataset("set", "train", samples, names, names)


def network(classes, **arguments):
    return starting_network(
        "resnet18", images_of(classes), CAM, arguments=NARROW | arguments, size=48
    )


@pytest.fixture
def checkpoint(tmp_path):
    made = network(5)
    path = tmp_path / "five.pt"
    made.classifier.preprocessing = Preprocessing(size=40, mean=(0.5, 0.5, 0.5))
    save_checkpoint(made.classifier, path, spec="resnet18", arguments=NARROW)
    return path, made.classifier.network.state_dict()


def test_from_nothing_every_layer_is_alike_and_the_seed_decides():
    first, second = network(3), network(3)
    assert first.new_parameters == frozenset()
    assert torch.equal(first.classifier.network.fc.weight, second.classifier.network.fc.weight)
    other = starting_network("resnet18", images_of(3), CAM, arguments=NARROW, size=48, seed=1)
    assert not torch.equal(first.classifier.network.fc.weight, other.classifier.network.fc.weight)


def test_trained_layers_are_kept_and_the_classes_layer_is_new(checkpoint):
    path, trained = checkpoint
    made = starting_network("resnet18", images_of(3), CAM, weights=str(path), arguments=NARROW)
    assert made.new_parameters == {"fc.weight", "fc.bias"}
    assert made.classifier.preprocessing == Preprocessing(size=40, mean=(0.5, 0.5, 0.5))
    for name, tensor in made.classifier.network.state_dict().items():
        assert name in made.new_parameters or torch.equal(tensor, trained[name]), name
    same = starting_network("resnet18", images_of(5), CAM, weights=str(path), arguments=NARROW)
    assert same.new_parameters == frozenset()


def test_new_layers_get_their_own_rate(checkpoint, tmp_path):
    from wsol.datasets.shapes import generate_shapes
    from wsol.datasets.weak import open_training_set

    generate_shapes(tmp_path / "shapes", train=8, size=48, test=1, seed=0)
    data = open_training_set("shapes", tmp_path / "shapes")
    made = starting_network(
        "resnet18", data, CAM, weights=str(checkpoint[0]), arguments=NARROW, size=48
    )
    options = TrainingOptions(epochs=4, batch_size=4, lr=0.01, schedule="step", lr_decay_every=2)
    training = Training(made.classifier, data, options, new_parameters=made.new_parameters)
    rates = []
    for _ in training.run():
        groups = training.optimizer.param_groups
        rates.append([group["lr"] for group in groups])
    assert [len(group["params"]) for group in groups][1] == 2  # fc
    expected = [[0.01, 0.1]] * 4 + [[0.001, 0.01]] * 4
    assert np.allclose(rates, expected)
    options = options.replaced(lr_decay_first=1, fast_layers=("layer4",))
    training = Training(made.classifier, data, options, new_parameters=made.new_parameters)
    fast = {id(p) for p in training.optimizer.param_groups[1]["params"]}
    network = made.classifier.network
    assert fast == {id(p) for p in [*network.layer4.parameters(), *network.fc.parameters()]}
    plain = options.replaced(plain_layers=("fc",))
    training = Training(made.classifier, data, plain, new_parameters=made.new_parameters)
    fast = {id(p) for p in training.optimizer.param_groups[1]["params"]}
    assert fast == {id(p) for p in network.layer4.parameters()}
    rates = [options.rate(2 * epoch, 2) for epoch in range(4)]
    assert np.allclose(rates, [0.01, 0.001, 0.001, 0.0001])
    with pytest.raises(InputError, match="layer9: the network has no such layer; there are conv1"):
        Training(made.classifier, data, options.replaced(fast_layers=("layer9",)))


def test_library_weights_are_found_by_name(monkeypatch):
    """torchvision's VGG-16 has VGG-GAP's convolutions; its own classifier is passed over."""
    from torchvision.models import vgg16

    with torch.device("meta"):
        shapes = vgg16().state_dict()
    trained = {k: torch.full(v.shape, 0.01) for k, v in shapes.items() if "classifier" not in k}
    trained["classifier.6.weight"] = torch.zeros(1000, 8)
    monkeypatch.setattr(
        start, "pretrained_tensors", lambda spec: (trained, Preprocessing(mean=(0.4, 0.4, 0.4)))
    )
    made = starting_network("vgg16_gap", images_of(3), CAM, weights="default", size=48)
    assert made.new_parameters == {"cam_conv.0.weight", "cam_conv.0.bias", "fc.weight", "fc.bias"}
    assert made.classifier.preprocessing == Preprocessing(size=48, mean=(0.4, 0.4, 0.4))
    assert made.classifier.network.features[0].weight.unique().tolist() == [pytest.approx(0.01)]


def test_weights_of_another_network_are_refused(checkpoint, tmp_path):
    path, trained = checkpoint
    with pytest.raises(InputError, match=r"checkpoint of resnet18 .*not of resnet50"):
        starting_network("resnet50", images_of(3), CAM, weights=str(path), arguments=NARROW)
    with pytest.raises(InputError, match=r"with width 0\.125, not of resnet18 with width 0\.25"):
        starting_network(
            "resnet18", images_of(3), CAM, weights=str(path), arguments={"width": 0.25}
        )
    plain = tmp_path / "plain.pt"
    torch.save(trained, plain)
    with pytest.raises(InputError, match=r"of another network \(.* of another shape: conv1"):
        starting_network(
            "resnet18", images_of(3), CAM, weights=str(plain), arguments={"width": 0.25}
        )
    with pytest.raises(InputError, match=r"of another network \(0 of \d+ tensors fit\)"):
        starting_network("vgg16_gap", images_of(3), CAM, weights=str(plain), arguments=NARROW)
    acol = make_method("acol")
    with pytest.raises(InputError, match="train the network and method that it belongs to"):
        made = starting_network("resnet50", images_of(3), CAM, arguments=NARROW, size=48)
        save_checkpoint(made.classifier, path, spec="resnet50", arguments=NARROW)
        starting_network("resnet50", images_of(3), acol, weights=str(path), arguments=NARROW)


def test_narrow_shortcuts_keep_the_usual_memory_format():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    narrow = network(3).classifier.network  # 8 channels into a strided 1x1 convolution
    wide = network(3, width=0.25).classifier.network
    assert memory_format(narrow, cpu) is torch.contiguous_format
    assert memory_format(wide, cpu) is memory_format(narrow, cuda) is torch.channels_last


def test_an_offset_of_the_head_changes_maps_and_no_probability():
    plain, shifted = (
        starting_network("resnet18", images_of(5), CAM, arguments=NARROW, size=64, head_offset=o)
        for o in (0.0, 0.5)
    )
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([[0, 3], [4, 1]])
    outputs = []
    for made in (plain, shifted):
        with torch.no_grad():
            logits, features = made.classifier.forward(images)
            outputs.append((logits, features, made.classifier.class_maps(features, classes)))
    (logits, features, maps), (other_logits, other_features, other_maps) = outputs
    assert torch.equal(features, other_features)
    torch.testing.assert_close(logits.softmax(1), other_logits.softmax(1))
    added = 0.5 * features.sum(1, keepdim=True).expand_as(maps)
    torch.testing.assert_close(other_maps, maps + added)
    assert (plain.head_offset, shifted.head_offset) == (0.0, 0.5)


def test_a_network_without_a_linear_layer_has_no_head_to_shift():
    with pytest.raises(InputError, match="no last linear layer"):
        starting_network("squeezenet1_1", images_of(5), CAM, size=96, head_offset=0.5)
