"""What each method hides, erases, drops or mixes, and that its loss falls."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from wsol.datasets.shapes import generate_shapes, read_shapes
from wsol.errors import InputError
from wsol.models.classifier import Preprocessing
from wsol.models.registry import build_classifier
from wsol.training.images import TrainingImages
from wsol.training.methods import METHODS, make_method
from wsol.training.methods.cutmix import mix
from wsol.training.methods.has import hide
from wsol.training.methods.spg import targets


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Recorder(nn.Module):
    """A stand-in for a network: keeps what it is called with, and answers fixed logits."""

    def __init__(self, classes=5):
        super().__init__()
        self.calls = []
        self.bias = nn.Parameter(torch.arange(float(classes)))

    def forward(self, images):
        self.calls.append(images)
        return self.bias + images.mean((1, 2, 3))[:, None] * torch.arange(len(self.bias))


# --- names and options ----------------------------------------------------------------------------


def test_unknown_names_and_options_are_told_with_the_known_ones():
    with pytest.raises(InputError, match=r"cutmx: is no .*did you mean cutmix\? .*cam, has, acol"):
        make_method("cutmx")
    with pytest.raises(InputError, match=r"has: has no option rate; .*grid_size \(32\), hide_rate"):
        make_method("has", rate=0.5)
    with pytest.raises(InputError, match=r"cam: has no option alpha; its options \(defaults\): no"):
        make_method("cam", alpha=1.0)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("has", "grid_size", 0), ("has", "grid_size", 2.5), ("has", "hide_rate", 1.01),
        ("acol", "threshold", -0.1), ("adl", "drop_rate", 2), ("adl", "threshold", float("nan")),
        ("cutmix", "alpha", 0.0), ("cutmix", "probability", "often"), ("cutmix", "alpha", True),
        ("spg", "late_low", 0.6), ("spg", "fused_high", 1.0), ("spg", "attention_low", 0.0),
    ],
)  # fmt: skip
def test_values_out_of_range_are_told_by_name(name, option, value):
    with pytest.raises(InputError, match=f"^{name}: .*{option}"):
        make_method(name, **{option: value})


def test_every_method_says_its_source_and_what_it_builds():
    for name in METHODS:
        method = make_method(name)
        assert method.name == name and " 20" in method.source
        parts = {"method": name} if name in ("adl", "acol", "spg") else {}
        assert method.builder_arguments == parts


# --- Hide-and-Seek --------------------------------------------------------------------------------


def test_whole_squares_are_hidden_at_the_rate():
    images = torch.rand(200, 3, 20, 26) + 1  # no zeros
    hidden = hide(images, 8, 0.3, seeded())
    count = 0
    for image, original in zip(hidden, images, strict=True):
        for top in range(0, 20, 8):
            for left in range(0, 26, 8):
                square = image[:, top : top + 8, left : left + 8]
                if bool((square == 0).all()):
                    count += 1
                else:
                    assert torch.equal(square, original[:, top : top + 8, left : left + 8])
    assert count / (200 * 3 * 4) == pytest.approx(0.3, abs=0.03)
    assert not torch.equal(hidden[0] == 0, hidden[1] == 0)  # a choice of its own for every image


def test_has_hides_only_in_a_step_and_leaves_the_batch_alone():
    images, labels = torch.rand(4, 3, 16, 16) + 1, torch.arange(4)
    before, network = images.clone(), Recorder()
    step = make_method("has", grid_size=4, hide_rate=1.0).loss(network, images, labels, seeded())
    assert torch.equal(images, before)
    assert len(network.calls) == 1 and not network.calls[0].any()
    torch.testing.assert_close(step.loss, F.cross_entropy(network.bias.expand(4, -1), labels))
    make_method("has", hide_rate=0.0).loss(network, images, labels, seeded())
    assert torch.equal(network.calls[1], before)


# --- CutMix ---------------------------------------------------------------------------------------


def test_the_pasted_area_is_the_labels_weight():
    # Image i holds the value i: a pixel tells whose it is.
    images = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 3, 11, 17)
    shares, moved = [], 0
    generator = seeded()
    for _ in range(300):
        mixed = mix(images, 1.0, generator)
        shares.append(mixed.own_share)
        for i, partner in enumerate(mixed.partners.tolist()):
            if partner == i:
                continue
            pasted = (mixed.images[i] == partner).all(0)
            assert torch.equal(pasted, ~(mixed.images[i] == i).all(0))
            assert int(pasted.sum()) == round((1 - mixed.own_share) * 11 * 17)
            if pasted.any():  # one rectangle
                rows, columns = pasted.any(1), pasted.any(0)
                assert int(pasted.sum()) == int(rows.sum()) * int(columns.sum())
                moved += 1
        assert sorted(mixed.partners.tolist()) == list(range(6))
    assert moved > 500 and min(shares) < 0.3 and max(shares) > 0.95
    # Uniform shares, made larger by what the borders cut off.
    assert 0.5 < np.mean(shares) < 0.75


def test_cutmix_mixes_the_gradients_of_both_labels():
    images, labels = torch.rand(4, 3, 12, 12), torch.tensor([0, 1, 2, 3])
    mixed = None
    for seed in range(20):  # a draw whose rectangle is neither empty nor everything
        generator = seeded(seed)
        torch.rand((), generator=generator)
        mixed = mix(images, 1.0, generator)
        if 0.2 < mixed.own_share < 0.8:
            break
    network = Recorder()
    step = make_method("cutmix").loss(network, images, labels, seeded(seed))
    step.loss.backward()
    assert len(network.calls) == 1 and torch.equal(network.calls[0], mixed.images)
    one_hot = F.one_hot(labels, 5).float()
    target = mixed.own_share * one_hot + (1 - mixed.own_share) * one_hot[mixed.partners]
    probabilities = step.logits.detach().softmax(1)
    torch.testing.assert_close(network.bias.grad, (probabilities - target).mean(0))


def test_cutmix_leaves_batches_alone_at_its_rate():
    images, labels, network = torch.rand(4, 3, 8, 8), torch.arange(4), Recorder()
    method, generator = make_method("cutmix", probability=0.25), seeded()
    for _ in range(200):
        method.loss(network, images, labels, generator)
    untouched = sum(torch.equal(call, images) for call in network.calls)
    assert 0.7 < untouched / 200 < 0.85  # some rectangles are empty


# --- SPG ------------------------------------------------------------------------------------------


def test_a_guide_is_sure_above_and_below_its_thresholds():
    guide = torch.rand(3, 1, 20, 20, generator=seeded())
    guide[1] *= 0.6  # never above 0.7: 0.7 times its maximum takes over
    guide[2] = 0
    found = targets(guide, 0.7, 0.1)
    for image in range(3):
        values = guide[image, 0].tolist()
        peak = max(max(row) for row in values)
        high = 0.7 if sum(v > 0.7 for row in values for v in row) >= 30 else 0.7 * peak
        for y in range(20):
            for x in range(20):
                value = values[y][x]
                target, sure = float(found.values[image, 0, y, x]), found.sure[image, 0, y, x]
                if value < 0.1:
                    assert sure and target == 0
                elif value > high:
                    assert sure and target == 1
                else:
                    assert not sure


def test_spg_adds_three_masks_to_the_classification():
    """Against the sum written out, with one loop over images and pixels' sets."""
    torch.manual_seed(0)
    classifier = build_classifier(
        "vgg16_gap", num_classes=4, arguments={"width": 0.03, "batch_norm": True, "method": "spg"},
        preprocessing=Preprocessing(size=48),
    )  # fmt: skip
    seen = []
    network = classifier.network.train()
    network.register_forward_hook(lambda module, args, output: seen.append(output))
    images, labels = torch.randn(3, 3, 48, 48), torch.tensor([3, 0, 1])
    step = make_method("spg").loss(network, images, labels, seeded())
    (output,) = seen

    def resized(maps):
        return F.interpolate(maps, (48, 48), mode="bilinear")

    def bce(logits, guide, high, low):
        terms = []
        for one, values in zip(resized(logits)[:, 0], guide[:, 0], strict=True):
            front = values > high
            if front.sum() < 30:
                front = values > 0.7 * values.max()
            terms += [F.softplus(-one[front & ~(values < low)]), F.softplus(one[values < low])]
        return torch.cat(terms).mean()

    maps = resized(output.maps)
    low = maps.amin((2, 3), keepdim=True)
    attention = (maps - low) / (maps.amax((2, 3), keepdim=True) - low)
    early, late = resized(output.early).sigmoid(), resized(output.late).sigmoid()
    expected = (
        F.cross_entropy(output.logits, labels)
        + bce(output.late, attention, 0.7, 0.01)
        + bce(output.early, late, 0.5, 0.05)
        + bce(output.guided, (early + late) / 2, 0.7, 0.1)
    )
    torch.testing.assert_close(step.loss, expected)
    assert step.logits is output.logits


# --- training -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "shapes"
    generate_shapes(root, train=32, test=0, size=32, seed=0)
    images = TrainingImages(
        read_shapes(root, "train"), size=32, interpolation="bilinear", seed=0, cache=False
    )
    pairs = [images[index, 0] for index in range(32)]
    pixels, labels = torch.stack([p for p, _ in pairs]), torch.tensor([y for _, y in pairs])
    return [(pixels[:16], labels[:16]), (pixels[16:], labels[16:])]


def narrow(method):
    torch.manual_seed(0)
    return build_classifier(
        "vgg16_gap", num_classes=8,
        arguments={"width": 0.0625, "batch_norm": True, **method.builder_arguments},
        preprocessing=Preprocessing(size=32),
    )  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_the_loss_falls_on_shapes(name, batches):
    method = make_method(name, **({"grid_size": 8} if name == "has" else {}))
    classifier = narrow(method)
    network = classifier.network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    generator, losses, classification = seeded(), [], []
    for _ in range(12):
        for pixels, labels in batches:
            step = method.loss(network, classifier.normalize(pixels), labels, generator)
            assert step.logits.shape == (16, 8) and step.loss.ndim == 0
            optimizer.zero_grad()
            step.loss.backward()
            assert all(p.grad is not None for p in network.parameters())
            optimizer.step()
            losses.append(step.loss.item())
            classification.append(F.cross_entropy(step.logits, labels).item())
    assert np.mean(losses[-6:]) < 0.93 * np.mean(losses[:6])
    if name != "cutmix":  # whose images have two labels
        assert np.mean(classification[-6:]) < np.mean(classification[:6])


@pytest.mark.parametrize("name", METHODS)
def test_the_generator_makes_every_choice(name, batches):
    pixels, labels = batches[0]

    def losses(seed):
        method = make_method(name)
        classifier = narrow(method)
        generator, images = seeded(seed), classifier.normalize(pixels)
        network = classifier.network.train()
        state = torch.get_rng_state()
        values = [method.loss(network, images, labels, generator).loss.item() for _ in range(3)]
        assert torch.equal(torch.get_rng_state(), state)
        return values

    assert losses(1) == losses(1)
    if name in ("has", "adl", "cutmix"):
        assert losses(1) != losses(2)


@pytest.mark.parametrize("name", METHODS)
def test_a_network_wrapped_for_data_parallel_training(name, batches, tmp_path):
    pixels, labels = batches[0]
    method = make_method(name)
    classifier = narrow(method)
    images = classifier.normalize(pixels)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        wrapped = DistributedDataParallel(classifier.network.train())
        for _ in range(2):  # a parameter without a gradient would fail in the second step
            step = method.loss(wrapped, images, labels, seeded())
            step.loss.backward()
    finally:
        torch.distributed.destroy_process_group()
    reference = narrow(method)
    expected = method.loss(reference.network.train(), images, labels, seeded())
    torch.testing.assert_close(step.loss, expected.loss)
