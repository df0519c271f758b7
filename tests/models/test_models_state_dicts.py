"""State dicts of any container, order and prefix, and which of several is taken."""

import random
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wsol.errors import InputError
from wsol.models.state_dicts import Found, find_state_dict, fit_names, num_classes_of, unwrapped

FILE = Path("a.pt")


class Net(nn.Module):
    """A block whose names end like those of the whole, counters, and a head."""

    def __init__(self, classes=7):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.block = nn.Sequential(OrderedDict(conv=nn.Conv2d(4, 4, 1), bn=nn.BatchNorm2d(4)))
        self.fc = nn.Linear(4, classes)


def values(network=None, shift=0.0):
    torch.manual_seed(1)
    return {name: t + shift for name, t in (network or Net()).state_dict().items()}


def fitted(content, *, ema=False, own=None):
    found = find_state_dict(content, FILE, ema=ema)
    return fit_names(own or Net().state_dict(), found, FILE, ema=ema)


def assert_same(tensors, expected):
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


PREFIXES = ("", "module.", "module.module.", "_orig_mod.", "module._orig_mod.", "model.", "net.",
            "backbone.", "model.backbone.", "_orig_mod.module.", "network.0.")  # fmt: skip
CONTAINERS = ((), ("state_dict",), ("model",), ("model_state_dict",), ("net",), ("weights",),
              ("checkpoint", "network"), ("whatever",))  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    prefix=st.sampled_from(PREFIXES),
    container=st.sampled_from(CONTAINERS),
    seed=st.integers(0, 2**16),
    counters=st.booleans(),
    beside=st.booleans(),
)
def test_order_prefix_container_and_counters_do_not_matter(
    prefix, container, seed, counters, beside
):
    expected = values()
    names = [n for n in expected if counters or not n.endswith("num_batches_tracked")]
    random.Random(seed).shuffle(names)
    content = {prefix + name: expected[name] for name in names}
    for name in reversed(container):
        content = {name: content}
        if beside:
            state = {0: {"exp_avg": torch.ones(2, 2)}}
            content |= {
                "optimizer": {"state": state, "param_groups": [{"lr": 0.1}]},
                "best_acc1": torch.tensor(71.0),
                "rng": {"torch": torch.get_rng_state()},
                "epoch": 3,
            }
    found = fitted(content)
    assert_same(found.tensors, expected)
    assert found.notes == () and not found.averaged


@pytest.mark.parametrize("classes", [2, 1000, 1001])
def test_the_head_is_found_by_its_shape_wherever_it_stands(classes):
    tensors = values(Net(classes))
    assert num_classes_of(Net(1000).state_dict(), dict(sorted(tensors.items())), 1000) == classes


def test_a_disagreement_on_the_number_of_classes_is_left_to_the_loading():
    tensors = values() | {"fc.bias": torch.zeros(9)}
    assert num_classes_of(Net(1000).state_dict(), tensors, 1000) == 1000


def test_a_layer_of_another_shape_is_not_taken_for_the_head():
    tensors = values() | {"conv.weight": torch.zeros(5, 3, 3, 3)}
    assert num_classes_of(Net(1000).state_dict(), tensors, 1000) == 7


AVERAGED = ("model_ema", "ema", "state_dict_ema", "ema_state_dict", "ema_model", "swa_model")


@pytest.mark.parametrize("name", AVERAGED)
def test_averaged_weights_beside_raw_ones_are_told_and_taken_when_asked_for(name):
    raw, averaged = values(), values(shift=1)
    shadow = {f"module.{key}": value for key, value in averaged.items()}
    content = {name: shadow | {"n_averaged": torch.tensor(4)}, "model": raw}
    found = fitted(content)
    assert_same(found.tensors, raw)
    assert found.averaged is False
    assert found.notes == (
        f"Raw weights were taken; averaged ones (EMA) lie beside them, {name!r}: --ema.",
    )
    found = fitted(content, ema=True)
    assert_same(found.tensors, averaged)
    assert found.averaged and "were taken" in found.notes[0] and name in found.notes[0]


def test_averaged_weights_by_a_prefix_within_one_state_dict():
    raw, averaged = values(), values(shift=1)
    content = {
        "state_dict": {f"model.{key}": value for key, value in raw.items()}
        | {f"ema_model.module.{key}": value for key, value in averaged.items()}
        | {"ema_model.n_averaged": torch.tensor(4), "loss.weight": torch.ones(3)},
    }
    found = fitted(content)
    assert_same(found.tensors, raw)
    assert "'ema_model.module': --ema" in found.notes[0]
    assert_same(fitted(content, ema=True).tensors, averaged)


def test_averaged_weights_behind_names_without_a_prefix():
    raw, averaged = values(), values(shift=1)
    content = raw | {f"ema.{key}": value for key, value in averaged.items()}
    assert_same(fitted(content).tensors, raw)
    assert_same(fitted(content, ema=True).tensors, averaged)


def test_averaged_weights_alone_are_taken_and_told():
    for content in (
        {"model_ema": values(), "epoch": 3},
        {f"ema_model.{key}": value for key, value in values().items()},
    ):
        found = fitted(content)
        assert_same(found.tensors, values())
        assert "alone" in found.notes[0]
        assert_same(fitted(content, ema=True).tensors, values())


def test_asking_for_averaged_weights_where_there_are_none_is_refused():
    with pytest.raises(InputError, match=r"a\.pt: holds one set of weights"):
        fitted({"model": values()}, ema=True)


def test_several_networks_are_not_guessed_between():
    content = {"student": values(), "teacher": values()}
    with pytest.raises(InputError, match=r"several networks \(student, teacher\)"):
        fitted(content)
    content = {f"{part}.{key}": v for part in ("q", "k") for key, v in values().items()}
    with pytest.raises(InputError, match=r"fit several networks \(q, k\)"):
        fitted(content)


def test_what_is_missing_behind_the_prefix_is_shown_beside_the_rest():
    content = {f"backbone.{key}": value for key, value in values().items()}
    content["head.weight"] = content.pop("backbone.fc.weight")
    found = fitted(content)
    assert "fc.weight" not in found.tensors and "head.weight" in found.tensors


def test_old_densenet_names():
    layer = nn.Sequential(OrderedDict(norm1=nn.BatchNorm2d(2), conv1=nn.Conv2d(2, 2, 1)))
    own = nn.ModuleDict({"denseblock1": nn.ModuleDict({"denselayer1": layer})})
    expected = values(own)
    old = {
        name.replace("norm1.", "norm.1.").replace("conv1.", "conv.1."): value
        for name, value in expected.items()
        if not name.endswith("num_batches_tracked")
    }
    assert_same(fitted(old, own=own.state_dict()).tensors, expected)


def test_versions_of_formats_follow_the_names():
    network = Net()
    content = OrderedDict((f"module.{k}", v) for k, v in network.state_dict().items())
    content._metadata = {"module": {"version": 5}, "module.bn": {"version": 1}}
    versions = fitted(content).tensors._metadata
    assert versions[""] == {"version": 5} and versions["bn"] == {"version": 1}
    assert versions["block.bn"] == {"version": 2}  # the network's own, where the file has none


def test_no_state_dict_is_said():
    for content, message in (
        (torch.ones(3), "holds no state dict, but Tensor"),
        ({}, "holds no state dict, but dict"),
        ({"epoch": 3}, "'epoch' is int"),
        ({"model": {"conv.weight": torch.ones(2, 2), "size": 3}}, "'size' is int"),
    ):
        with pytest.raises(InputError, match=message):
            find_state_dict(content, FILE)


def test_wrappers_come_off_where_no_network_says_the_names():
    names = unwrapped({"module._orig_mod.module.conv": torch.ones(1), "n_averaged": torch.ones(1)})
    assert list(names) == ["conv"]
    assert list(unwrapped({"module.conv": torch.ones(1), "fc": torch.ones(1)})) == [
        "module.conv",
        "fc",
    ]


def test_nothing_that_fits_is_left_as_it_is():
    found = fit_names(Net().state_dict(), Found({"a.b": torch.ones(2)}), FILE)
    assert "a.b" in found.tensors
