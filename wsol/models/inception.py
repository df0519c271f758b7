"""Inception v3, and the variant of it that localization is measured with.

Szegedy et al. (CVPR 2016); the variant: Choe et al. (CVPR 2020), after SPG (Zhang et al., ECCV
2018), from torchvision's own blocks.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.inception import (
    BasicConv2d,
    Inception3,
    InceptionA,
    InceptionAux,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
)

from wsol.errors import InputError
from wsol.models.parts import (
    ACOL_THRESHOLD,
    AcolHead,
    AcolOutput,
    PartsName,
    SpgOutput,
    SpgParts,
    SpgStep,
    Step,
    attend_or_drop,
    check_parts,
    check_step,
    check_threshold,
    initialize,
)

_COLOURS = 3
_SHARES = 16  # divides every channel count of the network


class GapInception(nn.Module):
    """Inception v3 up to `Mixed_6e` without its last two reductions, and a head for maps.

    The map has 28x28 positions for a 224x224 input (`output_stride` 8), or 14x14 (16) with a
    pooling before `Mixed_6a`. The trunk has torchvision's names and shapes at width 1; paddings
    and strides differ. The head:

    - plain and ADL: `cam_conv`, two 3x3 convolutions of 1,024 units with biases at `cam_conv.1`
      and `cam_conv.4`, then the average and `fc`, a linear layer. The paper's 1x1 convolution
      before the average (`SPG_A4` in the released weights, (C, 1024, 1, 1)) is the same function.
      Dropout of one half surrounds the convolutions, except for ADL, which drops by itself.
    - SPG: the same, and `spg` (`SpgParts`), which training alone uses; its masks look at
      `Mixed_5d`, `Mixed_6d` and `cam_conv`, as in the code released with Choe et al. (CVPR 2020).
    - ACoL: `acol` (`AcolHead`) on `Mixed_6e` instead of both.
    """

    def __init__(
        self,
        num_classes: int,
        width: float,
        output_stride: int,
        method: PartsName | None,
        threshold: float,
    ) -> None:
        super().__init__()
        conv = _convolution(width)
        self.method = method
        self.output_stride = output_stride
        self.Conv2d_1a_3x3 = conv(3, 32, kernel_size=3, stride=2, padding=1)
        self.Conv2d_2a_3x3 = conv(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = conv(32, 64, kernel_size=3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.Conv2d_3b_1x1 = conv(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = conv(80, 192, kernel_size=3)
        self.maxpool2 = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.Mixed_5b = InceptionA(192, 32, conv)
        self.Mixed_5c = InceptionA(256, 64, conv)
        self.Mixed_5d = InceptionA(288, 64, conv)
        self.reduction = (
            nn.MaxPool2d(3, 2, ceil_mode=True) if output_stride == 16 else nn.Identity()
        )
        self.Mixed_6a = _DenseInceptionB(288, conv)
        self.Mixed_6b = InceptionC(768, 128, conv)
        self.Mixed_6c = InceptionC(768, 160, conv)
        self.Mixed_6d = InceptionC(768, 160, conv)
        self.Mixed_6e = InceptionC(768, 192, conv)
        early, late, units, mask_units = (_units(count, width) for count in (288, 768, 1024, 512))
        if method == "acol":
            self.acol = AcolHead(late, units, num_classes, threshold)
        else:
            dropout = 0.0 if method == "adl" else 0.5
            self.cam_conv = nn.Sequential(
                nn.Dropout(dropout),
                nn.Conv2d(late, units, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                nn.Conv2d(units, units, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
            )
            if method == "spg":
                self.spg = SpgParts(early, late, mask_units, units, mask_units)
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(units, num_classes)
        initialize(self, "xavier")

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor | AcolOutput | SpgOutput:
        """(B, 3, H, W) images to (B, num_classes) logits, or what the step gives."""
        if step is not None:
            check_step(step, self.method)
        x = self.maxpool1(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = attend_or_drop(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))), step)
        early = self.reduction(x)
        middle = self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(early))))
        late = attend_or_drop(self.Mixed_6e(middle), step)
        if self.method == "acol":
            return self.acol(late, step)
        x = attend_or_drop(self.cam_conv(late), step)
        if isinstance(step, SpgStep):
            return self.spg(early, middle, x, self.fc, step)
        return self.fc(torch.flatten(self.avgpool(x), 1))


class _DenseInceptionB(InceptionB):
    """torchvision's InceptionB at stride 1: it keeps the resolution."""

    def __init__(self, channels: int, conv: Callable[..., nn.Module]) -> None:
        super().__init__(channels, conv)
        for layer in (self.branch3x3.conv, self.branch3x3dbl_3.conv):
            layer.stride, layer.padding = (1, 1), (1, 1)

    def _forward(self, x: Tensor) -> list[Tensor]:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return [self.branch3x3(x), double, F.max_pool2d(x, 3, 1, 1)]


def inception_v3(
    num_classes: int = 1000,
    width: float = 1.0,
    output_stride: int = 32,
    method: PartsName | None = None,
    acol_threshold: float = ACOL_THRESHOLD,
) -> nn.Module:
    """Inception v3.

    Args:
        width: scales every channel count; a multiple of 1/16, so that branches still add up.
        output_stride: pixels of the input to a position of the map. 32: torchvision's network,
            without its auxiliary classifier. 8 and 16: the published protocol's (`GapInception`).
        method: whose parts to build in; needs the protocol's network.
        acol_threshold: with method acol, see `AcolHead`.

    Raises:
        InputError: for values that there is no network for.
    """
    check_parts(method, "inception_v3")
    threshold = check_threshold(method, acol_threshold, "inception_v3")
    if output_stride in (8, 16):
        return GapInception(num_classes, width, output_stride, method, threshold)
    if output_stride != 32:
        raise InputError(f"inception_v3: output_stride is 8, 16 or 32, not {output_stride}.")
    if method is not None:
        raise InputError(
            f"inception_v3: {method} is defined for the published protocol's network; "
            "give output_stride 8 (28x28 maps at 224 pixels) or 16 (14x14)."
        )
    return _torchvisions(num_classes, width)


def _torchvisions(num_classes: int, width: float) -> Inception3:
    conv = _convolution(width)
    mixed = (InceptionA, InceptionB, InceptionC, InceptionD, InceptionE)
    network = Inception3(
        num_classes,
        aux_logits=False,
        inception_blocks=[conv, *(partial(b, conv_block=conv) for b in mixed), InceptionAux],
        init_weights=False,
    )
    network.fc = nn.Linear(_units(network.fc.in_features, width), num_classes)
    initialize(network)
    return network


def _convolution(width: float) -> Callable[..., nn.Module]:
    """A builder of convolutions that takes the full network's channel counts."""

    def build(channels: int, units: int, **options: Any) -> nn.Module:
        inputs = channels if channels == _COLOURS else _units(channels, width)
        return BasicConv2d(inputs, _units(units, width), **options)

    return build


def _units(channels: int, width: float) -> int:
    """`channels` times `width`, exactly, so that the parts of a sum stay parts of the sum."""
    shares = width * _SHARES
    if not (shares >= 1 and shares == int(shares)):
        raise InputError(f"inception_v3: the width {width} is no multiple of 1/{_SHARES}.")
    return channels // _SHARES * int(shares)
