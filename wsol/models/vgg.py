"""VGG-16 at any width, from torchvision's own layers (Simonyan and Zisserman, ICLR 2015)."""

import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from wsol.errors import InputError
from wsol.models.parts import initialize
from wsol.models.width import scaled

_CHANNELS, _UNITS = 512, 4096
_POOLED = 7  # positions each way that the first dense layer reads


class Vgg16(nn.Module):
    """VGG-16 with every channel count, and the units of its dense layers, scaled by `width`.

    At width 1 it has torchvision's tensors, by name and by shape: those of `vgg16`, and with
    `batch_norm` those of `vgg16_bn`.
    """

    def __init__(self, num_classes: int, width: float, batch_norm: bool, dropout: float) -> None:
        super().__init__()
        plan = [item if isinstance(item, str) else scaled(item, width) for item in cfgs["D"]]
        units = scaled(_UNITS, width)
        self.features = make_layers(plan, batch_norm)
        self.avgpool = nn.AdaptiveAvgPool2d(_POOLED)
        first = nn.Linear(scaled(_CHANNELS, width) * _POOLED**2, units)
        second = nn.Linear(units, units)
        self.classifier = nn.Sequential(
            first,
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            second,
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(units, num_classes),
        )
        initialize(self)
        for dense in (first, second):  # N(0, 0.01) would let the signal of few units die out
            nn.init.kaiming_normal_(dense.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) images to (B, num_classes) logits."""
        x = self.avgpool(self.features(x))
        logits: Tensor = self.classifier(torch.flatten(x, 1))
        return logits


def vgg16(
    num_classes: int = 1000, width: float = 1.0, batch_norm: bool = False, dropout: float = 0.5
) -> Vgg16:
    """VGG-16 with the dense layers that `vgg16_gap` replaces by an average over positions.

    Args:
        width: scales the channels of convolutions and the units of dense layers alike.
        batch_norm: normalize the convolutions, which lets narrow networks train from scratch.
        dropout: share of the dense layers' units that a training step leaves out.

    Raises:
        InputError: when the width is not positive, or the dropout no share below 1.
    """
    if not 0 <= dropout < 1:
        raise InputError(f"vgg16: dropout is at least 0 and below 1, not {dropout:g}.")
    return Vgg16(num_classes, width, batch_norm, dropout)
