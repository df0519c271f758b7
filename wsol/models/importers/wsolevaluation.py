"""Checkpoints of the wsolevaluation repository (Choe et al., CVPR 2020).

Its trainer saves the state dict of VGG-16, ResNet-50 or Inception v3 with the heads of one method
(github.com/clovaai/wsolevaluation, wsol/vgg.py, wsol/resnet.py, wsol/inception.py, main.py). HaS
and CutMix train the network of CAM; the layers of ADL hold no tensor, but take numbers in a
sequence. Two things are in no file: the method, where the tensors' names do not show it, and
mostly the stride, which decides whether a map has 14x14 or 28x28 positions.
"""

from pathlib import Path
from typing import Literal

from torch import Tensor

from wsol.errors import InputError
from wsol.models.checkpoint import read_checkpoint
from wsol.models.classifier import Preprocessing
from wsol.models.importers.published import Published, rows, width

MapSize = Literal[14, 28]

# A tensor that only this network has, and one that only this method's network has.
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


def read_released(path: Path, spec: str, method: str, map_size: MapSize | None) -> Published:
    """Read a checkpoint of the repository, or the state dict alone of one.

    Raises:
        InputError: when the file is no checkpoint, holds code, or is of another network or method.
    """
    tensors, info = read_checkpoint(path)
    if info is not None:
        raise InputError(f"{path}: is a wsol checkpoint; `wsol evaluate` takes it as it is.")
    raise InputError(f"{path}: cannot be read as {spec} of the method {method} yet.")
