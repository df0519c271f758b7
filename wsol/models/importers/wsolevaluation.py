"""Checkpoints of the wsolevaluation repository (Choe et al., CVPR 2020).

Its trainer saves the state dict of a VGG-16, ResNet-50 or Inception v3 with the heads of one
method (github.com/clovaai/wsolevaluation: wsol/vgg.py, wsol/resnet.py, wsol/inception.py,
main.py). HaS and CutMix train the network of CAM. The layers of ADL hold no tensor, but take
numbers in a sequence. A network comes with maps of 14x14 or 28x28 positions, which is a matter
of strides, so most files do not show it. The maps of an imported network are the released ones.
"""

from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from wsol.errors import InputError
from wsol.models.checkpoint import read_checkpoint
from wsol.models.classifier import Preprocessing
from wsol.models.importers.published import Published, rows, width
from wsol.models.state_dicts import unwrapped

MapSize = Literal[14, 28]

# A tensor that only this network has, and one that only this method's networks have.
_NETWORKS = {
    "features.0.weight": "vgg16_gap",
    "layer1.0.conv1.weight": "resnet50",
    "Mixed_5b.branch1x1.conv.weight": "inception_v3",
}
_METHODS = {
    "classifier_A.0.weight": "acol",
    "SPG_C.0.weight": "spg",
    "features.18.weight": "adl",
    "layer3.6.conv1.weight": "adl",
}
# The first filter of each network, and how many units it has.
_FIRST = {
    "vgg16_gap": ("features.0.weight", 64),
    "resnet50": ("conv1.weight", 64),
    "inception_v3": ("Conv2d_1a_3x3.conv.weight", 32),
}

# Our modules and theirs, where the names differ.
_ACOL = {
    "acol.a.fc": "classifier_A.4",
    "acol.b.fc": "classifier_B.4",
    "acol.a.convs": "classifier_A",
    "acol.b.convs": "classifier_B",
}
_SPG = {
    "spg.early": "SPG_B_1a",
    "spg.late": "SPG_B_2a",
    "spg.shared": "SPG_B_shared",
    "spg.guided": "SPG_C",
}
_VGG_SPG = {
    "features.17": "SPG_A_1.0", "features.19": "SPG_A_1.2", "features.21": "SPG_A_1.4",
    "features.24": "SPG_A_2.0", "features.26": "SPG_A_2.2", "features.28": "SPG_A_2.4",
    "cam_conv": "SPG_A_3",
    "fc": "SPG_A_4",
}  # fmt: skip
_RESNET_SPG = {
    "layer3.0": "SPG_A1.0",
    **{f"layer3.{block}": f"SPG_A2.{block - 1}" for block in range(1, 6)},
    "fc": "SPG_A4",
}
# A layer of ADL follows the first block of both stages, and the last block of the second.
_RESNET_ADL = {
    f"layer{stage}.{block}": f"layer{stage}.{block + 1}"
    for stage, blocks in ((3, 6), (4, 3))
    for block in range(1, blocks)
}
_INCEPTION = {"cam_conv.1": "SPG_A3_1b.0", "cam_conv.4": "SPG_A3_2b.0", "fc": "SPG_A4"}


def read_released(path: Path, spec: str, method: str, map_size: MapSize | None) -> Published:
    """Read a checkpoint of the repository, or the state dict alone of one.

    Args:
        map_size: side of its maps for a 224 pixel input; needed where the file does not show it,
            and 28 if None.

    Raises:
        InputError: when the file is no checkpoint, holds code, or is of another network, method
            or map size than given.
    """
    checkpoint = read_checkpoint(path)
    if checkpoint.info is not None:
        raise InputError(f"{path}: is a wsol checkpoint; `wsol evaluate` takes it as it is.")
    tensors = unwrapped(checkpoint.tensors)
    parts = method if method in ("adl", "acol", "spg") else None
    _require_kind(path, tensors, spec, method, parts)
    side = _map_size(path, tensors, spec, parts, map_size)
    renamed = _renamed(spec, parts, side)

    def called(ours: str) -> str:
        for module, theirs in renamed.items():
            if ours.startswith(f"{module}."):
                return theirs + ours.removeprefix(module)
        return ours

    # Where they classify each position and then average, we average and then classify.
    for head in ("fc.weight", "acol.a.fc.weight", "acol.b.fc.weight"):
        tensor = tensors.get(called(head))
        if tensor is not None and tensor.shape[2:] == (1, 1):
            tensors[called(head)] = tensor.flatten(1)
    arguments: dict[str, Any] = {"output_stride": 224 // side, **width(tensors, *_FIRST[spec])}
    if parts is not None:
        arguments["method"] = parts
    head = "acol.a.fc.weight" if parts == "acol" else "fc.weight"
    return Published(
        tensors=tensors,
        called=called,
        num_classes=rows(tensors, called(head), 1000),
        arguments=arguments,
        preprocessing=Preprocessing(),
    )


def _require_kind(
    path: Path, tensors: dict[str, Tensor], spec: str, method: str, parts: str | None
) -> None:
    """Refuse another network or method, where the file shows which it holds."""
    network = _shown(_NETWORKS, tensors)
    if network is None:
        return
    if network != spec:
        raise InputError(f"{path}: holds {network}, not {spec}; import it --as {network}.")
    if (spec, parts) == ("inception_v3", "adl"):
        parts = None  # there, ADL takes no number and leaves no trace
    shown = _shown(_METHODS, tensors)
    if shown != parts:
        raise InputError(
            f"{path}: has the tensors of the method {shown or 'cam, has or cutmix'}, not {method}; "
            f"import it with --wsol-method {shown or 'cam'}."
        )


def _shown(signs: dict[str, str], tensors: dict[str, Tensor]) -> str | None:
    return next((meaning for name, meaning in signs.items() if name in tensors), None)


def _map_size(
    path: Path, tensors: dict[str, Tensor], spec: str, parts: str | None, given: MapSize | None
) -> MapSize:
    """What the file shows, else what is given, else 28."""
    shown: MapSize | None = None
    if spec == "vgg16_gap" and parts in (None, "adl"):
        # The number of the last filter tells whether a fourth pooling comes before it.
        last = 30 if parts == "adl" else 28
        if f"features.{last}.weight" in tensors:
            shown = 14
        elif f"features.{last - 1}.weight" in tensors:
            shown = 28
    if shown is not None and given not in (None, shown):
        raise InputError(f"{path}: its maps are {shown}x{shown}, not {given}x{given}.")
    return shown or given or 28


def _renamed(spec: str, parts: str | None, side: MapSize) -> dict[str, str]:
    """Their name of each of our modules that they call something else."""
    heads = {"acol": _ACOL, "spg": _SPG}.get(parts or "", {})
    if spec == "resnet50":
        return {**heads, **{"spg": _RESNET_SPG, "adl": _RESNET_ADL}.get(parts or "", {})}
    if parts == "acol":
        return heads
    if spec == "inception_v3":
        return {**heads, **_INCEPTION}
    return {**heads, **_VGG_SPG} if parts == "spg" else _plain_vgg(parts == "adl", side)


def _plain_vgg(adl: bool, side: MapSize) -> dict[str, str]:
    """Filters by their numbers in `features`, where ours keep those of torchvision's VGG-16.

    A layer of ADL takes a number before conv4_1 and one after conv4_3; the fourth pooling has a
    number only where it halves the map.
    """
    fourth = 1 if adl else 0
    fifth = 2 * fourth - (side == 28)
    return {
        **{f"features.{number}": f"features.{number + fourth}" for number in (17, 19, 21)},
        **{f"features.{number}": f"features.{number + fifth}" for number in (24, 26, 28)},
        "cam_conv.0": "conv6",
    }
