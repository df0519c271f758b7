"""Checkpoints of the wsolevaluation repository, against a second writing of its networks.

The networks here are functions that make random weights, under the repository's names, where they
first need one; what they compute is what the imported networks have to compute.
"""

import pickle

import pytest
import torch
import torch.nn.functional as F

from wsol.errors import InputError
from wsol.models.checkpoint import save_checkpoint
from wsol.models.classifier import Preprocessing
from wsol.models.importers.importing import import_weights, map_shape
from wsol.models.parts import AcolStep, SpgStep
from wsol.models.registry import build_classifier, load_classifier

CLASSES = 5
SHARE = 16  # of every channel count
THRESHOLD = 0.57  # not the default


class Weights:
    """Random weights, made when they are first used."""

    def __init__(self):
        self.tensors = {}
        self._generator = torch.Generator().manual_seed(0)

    def _get(self, name, shape, scale=1.0, shift=0.0):
        if name not in self.tensors:
            self.tensors[name] = torch.randn(shape, generator=self._generator) * scale + shift
        return self.tensors[name]

    def conv(self, x, name, units, size=3, stride=1, padding=1, bias=True):
        size = (size, size) if isinstance(size, int) else size
        shape = (units, x.shape[1], *size)
        scale = (2 / (x.shape[1] * size[0] * size[1])) ** 0.5
        weight = self._get(f"{name}.weight", shape, scale)
        shift = self._get(f"{name}.bias", (units,), 0.1) if bias else None
        return F.conv2d(x, weight, shift, stride, padding)

    def norm(self, x, name, eps=1e-5):
        units = x.shape[1]
        values = [
            self._get(f"{name}.{part}", (units,), 0.1, shift)
            for part, shift in (
                ("running_mean", 0), ("running_var", 1), ("weight", 1), ("bias", 0)
            )
        ]  # fmt: skip
        self.tensors[f"{name}.num_batches_tracked"] = torch.tensor(7)
        return F.batch_norm(x, *values, eps=eps)

    def linear(self, x, name, units):
        return F.linear(
            x,
            self._get(f"{name}.weight", (units, x.shape[1]), x.shape[1] ** -0.5),
            self._get(f"{name}.bias", (units,)),
        )


def plain_head(w, x):
    """Average, linear layer; maps are weighted sums of features."""
    logits = w.linear(x.mean((2, 3)), "fc", CLASSES)
    return {"logits": logits, "maps": torch.einsum("ck,bkyx->bcyx", w.tensors["fc.weight"], x)}


def filter_head(w, x, name):
    """A 1x1 filter a class, averaged; the filters' outputs are the maps, with the bias."""
    maps = w.conv(x, name, CLASSES, 1, padding=0)
    bias = w.tensors[f"{name}.bias"][:, None, None]
    return {"logits": maps.mean((2, 3)), "maps": maps - bias}


def acol_heads(w, x, labels):
    units = 1024 // SHARE

    def branch(x, name):
        x = F.relu(w.conv(F.relu(w.conv(x, f"{name}.0", units)), f"{name}.2", units))
        return filter_head(w, x, f"{name}.4")

    def scaled(maps):
        low, high = maps.amin((-2, -1), True), maps.amax((-2, -1), True)
        return (maps - low) / (high - low)

    def without(labels):
        """Branch B, of what branch A does not see the labels at."""
        attention = scaled(seen["maps"][torch.arange(len(x)), labels])
        return branch(x * (attention < THRESHOLD)[:, None], "classifier_B")

    seen = branch(x, "classifier_A")
    # With return_cam: the maximum of both branches' maps of a label, each scaled.
    cams = [
        torch.maximum(scaled(seen["maps"]), scaled(without(torch.full((len(x),), label))["maps"]))[
            :, label
        ]
        for label in range(CLASSES)
    ]
    return {
        "logits": seen["logits"],
        "maps": torch.stack(cams, dim=1),
        "erased_logits": without(labels)["logits"],
    }


def spg_masks(w, early, late, last, units, last_units):
    def shared(x):
        return w.conv(F.relu(w.conv(x, "SPG_B_shared.0", units)), "SPG_B_shared.2", 1, 1, padding=0)

    return {
        "early": shared(F.relu(w.conv(early, "SPG_B_1a.0", units))),
        "late": shared(F.relu(w.conv(late, "SPG_B_2a.0", units))),
        "guided": w.conv(F.relu(w.conv(last, "SPG_C.0", last_units)), "SPG_C.2", 1, 1, padding=0),
    }


def vgg(w, x, kind, side, labels):
    groups = ([64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3)
    number = 0
    for position, group in enumerate(groups, 1):
        if kind == "adl" and position == 4:
            number += 1  # a layer that does nothing outside of training
        for depth, units in enumerate(group):
            name = f"features.{number}"
            if kind == "spg" and position >= 4:
                name = f"SPG_A_{position - 3}.{2 * depth}"
            x = F.relu(w.conv(x, name, units // SHARE))
            number += 2
        if kind == "adl" and position >= 4:
            number += 1
        if position == 5:
            break
        halved = position < 4 or side == 14
        if kind == "acol":
            x = F.max_pool2d(x, 3, 2 if halved else 1, 1)
        elif kind == "spg" and position == 4:
            x = F.max_pool2d(x, 3, 2, 1) if halved else x
            early = x
        elif halved:
            x = F.max_pool2d(x, 2, 2)
        if halved or kind == "acol":
            number += 1
    if kind == "acol":
        return acol_heads(w, F.avg_pool2d(F.max_pool2d(x, 3, 1, 1), 3, 1, 1), labels)
    if kind == "spg":
        units = 512 // SHARE
        late = x
        x = F.relu(w.conv(F.relu(w.conv(x, "SPG_A_3.0", units)), "SPG_A_3.2", units))
        masks = spg_masks(w, early, late, x, units, units)
        return {**filter_head(w, x, "SPG_A_4"), **masks}
    return plain_head(w, F.relu(w.conv(x, "conv6", 1024 // SHARE)))


def resnet(w, x, kind, side, labels):
    def block(x, name, planes, stride):
        y = F.relu(w.norm(w.conv(x, f"{name}.conv1", planes, 1, 1, 0, False), f"{name}.bn1"))
        y = F.relu(w.norm(w.conv(y, f"{name}.conv2", planes, 3, stride, 1, False), f"{name}.bn2"))
        y = w.norm(w.conv(y, f"{name}.conv3", 4 * planes, 1, 1, 0, False), f"{name}.bn3")
        if stride > 1 or x.shape[1] != 4 * planes:
            x = w.conv(x, f"{name}.downsample.0", 4 * planes, 1, stride, 0, False)
            x = w.norm(x, f"{name}.downsample.1")
        return F.relu(x + y)

    x = F.relu(w.norm(w.conv(x, "conv1", 64 // SHARE, 7, 2, 3, False), "bn1"))
    x = F.max_pool2d(x, 3, 2, 1)
    skipped = {3: [1], 4: [1, 4]} if kind == "adl" else {}
    for stage, (planes, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        number = 0
        for depth in range(count):
            name = f"layer{stage}.{number}"
            if kind == "spg" and stage == 3:
                name = f"SPG_A2.{depth - 1}" if depth else "SPG_A1.0"
            strided = stage == 2 or (stage == 3 and side == 14)
            x = block(x, name, planes // SHARE, 2 if depth == 0 and strided else 1)
            if (stage, depth) == (3, 0):
                early = x
            number += 1
            number += number in skipped.get(stage, [])
        if stage == 3:
            late = x
    if kind == "acol":
        return acol_heads(w, x, labels)
    if kind == "spg":
        masks = spg_masks(w, early, late, x, 1024 // SHARE, 512 // SHARE)
        return {**filter_head(w, x, "SPG_A4"), **masks}
    return plain_head(w, x)


def inception(w, x, kind, side, labels):
    def conv(x, name, units, size=1, stride=1, padding=0):
        y = w.conv(x, f"{name}.conv", units // SHARE, size, stride, padding, bias=False)
        return F.relu(w.norm(y, f"{name}.bn", 0.001))

    def chain(x, name, *steps):
        for number, (units, size) in enumerate(steps, 1):
            padding = size // 2 if isinstance(size, int) else (size[0] // 2, size[1] // 2)
            x = conv(x, f"{name}_{number}", units, size, 1, padding)
        return x

    def block_a(x, name, pooled):
        return torch.cat([
            conv(x, f"{name}.branch1x1", 64),
            chain(x, f"{name}.branch5x5", (48, 1), (64, 5)),
            chain(x, f"{name}.branch3x3dbl", (64, 1), (96, 3), (96, 3)),
            conv(F.avg_pool2d(x, 3, 1, 1), f"{name}.branch_pool", pooled),
        ], 1)  # fmt: skip

    def block_c(x, name, c):
        tall, flat = (7, 1), (1, 7)
        return torch.cat([
            conv(x, f"{name}.branch1x1", 192),
            chain(x, f"{name}.branch7x7", (c, 1), (c, flat), (192, tall)),
            chain(x, f"{name}.branch7x7dbl", (c, 1), (c, tall), (c, flat), (c, tall), (192, flat)),
            conv(F.avg_pool2d(x, 3, 1, 1), f"{name}.branch_pool", 192),
        ], 1)  # fmt: skip

    x = conv(x, "Conv2d_1a_3x3", 32, 3, 2, 1)
    x = conv(conv(x, "Conv2d_2a_3x3", 32, 3), "Conv2d_2b_3x3", 64, 3, 1, 1)
    x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
    x = conv(conv(x, "Conv2d_3b_1x1", 80), "Conv2d_4a_3x3", 192, 3)
    x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
    for name, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        x = block_a(x, name, pooled)
    early = x = F.max_pool2d(x, 3, 2, ceil_mode=True) if side == 14 else x
    x = torch.cat([
        conv(x, "Mixed_6a.branch3x3", 384, 3, 1, 1),
        chain(x, "Mixed_6a.branch3x3dbl", (64, 1), (96, 3), (96, 3)),
        F.max_pool2d(x, 3, 1, 1),
    ], 1)  # fmt: skip
    for name, c in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        late, x = x, block_c(x, name, c)
    if kind == "acol":
        return acol_heads(w, x, labels)
    units = 1024 // SHARE
    x = F.relu(w.conv(F.relu(w.conv(x, "SPG_A3_1b.0", units)), "SPG_A3_2b.0", units))
    masks = spg_masks(w, early, late, x, 512 // SHARE, 512 // SHARE) if kind == "spg" else {}
    return {**filter_head(w, x, "SPG_A4"), **masks}


NETWORKS = {"vgg16_gap": vgg, "resnet50": resnet, "inception_v3": inception}
ARCHITECTURES = {"vgg16_gap": "vgg16", "resnet50": "resnet50", "inception_v3": "inception_v3"}


def images(seed):
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def saved(path, spec, kind, side, **change):
    """A checkpoint as the repository's trainer writes one; returns the weights."""
    weights = Weights()
    NETWORKS[spec](weights, images(0), kind, side, torch.tensor([1, 3]))
    tensors = {**weights.tensors, **change}
    optimizer = torch.optim.SGD([torch.zeros(3, requires_grad=True)], 0.1, momentum=0.9)
    torch.save(
        {
            "architecture": ARCHITECTURES[spec],
            "epoch": 10,
            "state_dict": {k: v for k, v in tensors.items() if v is not None},
            "optimizer": optimizer.state_dict(),
        },
        path,
        _use_new_zipfile_serialization=False,  # PyTorch 1.4 had no other
    )
    return weights


# VGG-16's names depend on both; elsewhere the stride has nothing to do with the method.
COMBINATIONS = [
    *(("vgg16_gap", kind, side) for kind in ("cam", "adl", "acol", "spg") for side in (14, 28)),
    *(
        (spec, kind, side)
        for spec in ("resnet50", "inception_v3")
        for kind, side in (("cam", 14), ("cam", 28), ("adl", 28), ("acol", 14), ("spg", 14))
    ),
]


@pytest.mark.parametrize(("spec", "kind", "side"), COMBINATIONS)
def test_the_imported_network_computes_what_the_released_one_does(tmp_path, spec, kind, side):
    weights = saved(tmp_path / "a.pth.tar", spec, kind, side)
    import_weights(
        tmp_path / "a.pth.tar",
        tmp_path / "a.pt",
        spec=spec,
        method=kind,
        map_size=side,
        acol_threshold=THRESHOLD if kind == "acol" else None,
    )
    loaded = load_classifier(spec, str(tmp_path / "a.pt"))
    assert map_shape(loaded) == (side, side)
    assert loaded.preprocessing == Preprocessing()
    assert loaded.num_classes == CLASSES and loaded.classes is None

    seen, labels = images(1), torch.tensor([4, 0])
    with torch.no_grad():
        expected = NETWORKS[spec](weights, seen, kind, side, labels)
        logits, features = loaded.forward(seen)
        found = {
            "logits": logits,
            "maps": loaded.class_maps(features, torch.arange(CLASSES).expand(2, -1)),
        }
        if kind == "acol":
            found |= loaded.network(seen, AcolStep(labels, THRESHOLD))._asdict()
        if kind == "spg":
            found |= {
                name: mask
                for name, mask in loaded.network(seen, SpgStep(labels))._asdict().items()
                if name in ("early", "late", "guided")
            }
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def refused(tmp_path, **options):
    """The message, after checking that nothing was written."""
    with pytest.raises(InputError) as told:
        import_weights(tmp_path / "a.pth.tar", tmp_path / "a.pt", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth.tar"]
    assert "a.pth.tar" in str(told.value)
    return str(told.value)


def test_a_threshold_is_acols_alone_and_a_share(tmp_path):
    saved(tmp_path / "a.pth.tar", "resnet50", "cam", 28)
    told = refused(tmp_path, spec="resnet50", acol_threshold=0.5)
    assert "a threshold belongs to the method acol" in told
    saved(tmp_path / "a.pth.tar", "resnet50", "acol", 28)
    with pytest.raises(InputError, match=r"acol_threshold is between 0 and 1, not 1\.5"):
        import_weights(
            tmp_path / "a.pth.tar",
            tmp_path / "a.pt",
            spec="resnet50",
            method="acol",
            acol_threshold=1.5,
        )
    made = import_weights(tmp_path / "a.pth.tar", tmp_path / "a.pt", spec="resnet50", method="acol")
    assert made.network.acol.threshold == 0.7 and "threshold" not in made.name


def test_has_and_cutmix_train_the_network_of_cam(tmp_path):
    saved(tmp_path / "a.pth.tar", "vgg16_gap", "cam", 14)
    written = {
        method: import_weights(
            tmp_path / "a.pth.tar", tmp_path / f"{method}.pt", spec="vgg16_gap", method=method
        ).network.state_dict()
        for method in ("cam", "has", "cutmix")
    }
    assert len(written["cam"]) == 30
    for name, tensor in written["cam"].items():
        assert tensor.equal(written["has"][name]) and tensor.equal(written["cutmix"][name])


def test_what_the_file_does_not_show_is_the_protocols_28(tmp_path):
    saved(tmp_path / "a.pth.tar", "resnet50", "cam", 28)
    imported = import_weights(tmp_path / "a.pth.tar", tmp_path / "a.pt", spec="resnet50")
    assert map_shape(imported) == (28, 28)


def test_vgg16_shows_its_map_size(tmp_path):
    saved(tmp_path / "a.pth.tar", "vgg16_gap", "adl", 14)
    told = refused(tmp_path, spec="vgg16_gap", method="adl", map_size=28)
    assert "its maps are 14x14, not 28x28" in told
    imported = import_weights(
        tmp_path / "a.pth.tar", tmp_path / "a.pt", spec="vgg16_gap", method="adl"
    )
    assert map_shape(imported) == (14, 14)


def test_another_network_or_method_is_named(tmp_path):
    saved(tmp_path / "a.pth.tar", "resnet50", "adl", 28)
    told = refused(tmp_path, spec="vgg16_gap", method="adl")
    assert "holds resnet50, not vgg16_gap; import it --as resnet50" in told
    told = refused(tmp_path, spec="resnet50", method="cutmix")
    assert "the method adl, not cutmix; import it with --wsol-method adl" in told
    saved(tmp_path / "a.pth.tar", "vgg16_gap", "cam", 28)
    told = refused(tmp_path, spec="vgg16_gap", method="acol")
    assert "the method cam, has or cutmix, not acol; import it with --wsol-method cam" in told


def test_missing_extra_and_wrongly_shaped_tensors_are_listed_by_name(tmp_path):
    path, change = tmp_path / "a.pth.tar", {"conv6.bias": None, "features.5.weight": None}
    change |= {"stray": torch.zeros(2), "features.23.bias": torch.zeros(3)}
    saved(path, "vgg16_gap", "cam", 28, **change)
    told = refused(tmp_path, spec="vgg16_gap")
    assert "2 missing: features.5.weight, conv6.bias;" in told
    assert "1 unexpected: stray;" in told
    assert "1 of another shape: features.23.bias (3,) instead of (32,)" in told
    saved(path, "vgg16_gap", "cam", 28, **{"fc.bias": torch.tensor([0, 0, 0, 0, torch.inf])})
    assert "not finite, in fc.bias" in refused(tmp_path, spec="vgg16_gap")


class _Code:
    def __reduce__(self):
        return exec, ("raise SystemExit('the code in the file was run')",)


def test_damaged_files_and_code_are_refused(tmp_path):
    path = tmp_path / "a.pth.tar"
    saved(path, "vgg16_gap", "cam", 28)
    path.write_bytes(path.read_bytes()[:100_000])
    assert "is no PyTorch checkpoint, or is damaged" in refused(tmp_path, spec="vgg16_gap")
    torch.save({"state_dict": {}, "meters": _Code()}, path)
    assert "save the state dict alone" in refused(tmp_path, spec="vgg16_gap")
    path.write_bytes(pickle.dumps(_Code(), protocol=2))
    assert "save the state dict alone" in refused(tmp_path, spec="vgg16_gap")
    ours = build_classifier("vgg16_gap", num_classes=3, arguments={"width": 0.0625})
    save_checkpoint(ours, path, spec="vgg16_gap", arguments={"width": 0.0625})
    assert "is a wsol checkpoint" in refused(tmp_path, spec="vgg16_gap")
    with pytest.raises(InputError, match="is the file that is imported"):
        import_weights(path, path, spec="vgg16_gap")
