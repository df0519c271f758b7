"""SqueezeNet 1.0 with its authors' weights, which expect pixels as Caffe gives them.

`squeezenet:squeezenet1_0` reads the torchvision state dict that the variable SQUEEZENET names.
"""

import os
from pathlib import Path

import torch
import torchvision
from torch import nn

from wsol.datasets.classes import imagenet_classes
from wsol.models.classifier import Preprocessing


def squeezenet1_0() -> nn.Module:
    """The network, in evaluation mode: BGR, 0 to 255, minus the channel means."""
    network = torchvision.models.squeezenet1_0(weights=None)
    path = Path(os.environ["SQUEEZENET"])
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network.wsol_preprocessing = Preprocessing(
        mean=(104 / 255, 117 / 255, 123 / 255), std=(1 / 255,) * 3, channel_order="bgr"
    )
    network.wsol_classes = tuple(wnid for wnid, _ in imagenet_classes())
    return network.eval()
