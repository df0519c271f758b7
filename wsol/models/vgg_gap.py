"""VGG-GAP, the network of Zhou et al. (CVPR 2016)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
from wsol.models.width import scaled

# Output channels of VGG-16's convolutions; "M" halves the resolution. The paper leaves out the
# last pooling, which doubles the map: 14x14 for a 224x224 input.
_VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)
_POOLINGS = 4
_CAM_CHANNELS, _SPG_CHANNELS = 1024, 512


class VggGap(nn.Module):
    """VGG-16 convolutions, a 3x3 convolution of 1,024 units, global average pooling, one linear.

    `features` has the names of torchvision's VGG-16, so its weights load into it. With
    `batch_norm` each convolution is normalized, which lets narrow networks train from scratch.

    The parts of methods are as in Choe et al. (CVPR 2020):

    - ADL drops after the third pooling and after the fourth and the fifth group of convolutions.
    - SPG: `cam_conv` are two 3x3 convolutions of 512 units, and `spg` (`SpgParts`), which training
      alone uses, reads the fourth pooling, the last of `features` and `cam_conv`. The fourth
      pooling has 3x3 windows.
    - ACoL: all poolings have 3x3 windows, one of stride 1 follows `features`, then an average over
      3x3 windows; `acol` (`AcolHead`) replaces `cam_conv` and `fc`.
    """

    def __init__(
        self,
        num_classes: int,
        width: float,
        batch_norm: bool,
        output_stride: int,
        method: PartsName | None,
        cam_groups: int,
        threshold: float,
    ) -> None:
        super().__init__()
        self.method = method
        layers: list[nn.Module] = []
        ends: list[int] = []  # in `layers`: where poolings and the last convolutions end
        channels = 3

        def convolution(units: int, groups: int = 1) -> list[nn.Module]:
            normalization = [nn.BatchNorm2d(units)] if batch_norm else []
            convolve = nn.Conv2d(channels, units, 3, 1, 1, groups=groups, bias=not batch_norm)
            return [convolve, *normalization, nn.ReLU(inplace=True)]

        for item in _VGG16:
            if isinstance(item, str):
                layers.append(_pooling(len(ends) + 1, output_stride, method))
                ends.append(len(layers) - 1)
            else:
                units = scaled(item, width)
                layers += convolution(units)
                channels = units
        ends.append(len(layers) - 1)
        third, fourth, fifth = ends[2:]
        self._adl_after = (third, fourth - 1, fifth)
        self._early = fourth
        self.features = nn.Sequential(*layers)
        if method == "acol":
            self.acol = AcolHead(channels, scaled(_CAM_CHANNELS, width), num_classes, threshold)
        else:
            units = scaled(_SPG_CHANNELS if method == "spg" else _CAM_CHANNELS, width)
            cam_conv = convolution(units, cam_groups)
            if method == "spg":
                stages = channels
                channels = units
                cam_conv += convolution(units)
                self.spg = SpgParts(stages, stages, units, units, units)
            self.cam_conv = nn.Sequential(*cam_conv)
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(units, num_classes)
        initialize(self, "xavier" if method in ("acol", "spg") else "normal")

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor | AcolOutput | SpgOutput:
        """(B, 3, H, W) images to (B, num_classes) logits, or what the step gives."""
        if step is None:
            x = self.features(x)
        else:
            check_step(step, self.method)
            for number, layer in enumerate(self.features):
                x = layer(x)
                if number in self._adl_after:
                    x = attend_or_drop(x, step)
                if number == self._early:
                    early = x
        if self.method == "acol":
            x = F.avg_pool2d(F.max_pool2d(x, 3, 1, 1), 3, 1, 1)
            return self.acol(x, step)
        late = x
        x = self.cam_conv(x)
        if isinstance(step, SpgStep):
            return self.spg(early, late, x, self.fc, step)
        return self.fc(torch.flatten(self.pool(x), 1))


def _pooling(number: int, output_stride: int, method: PartsName | None) -> nn.Module:
    """The `number`-th pooling, counted from 1; the last is idle at an output stride of 8."""
    last = number == _POOLINGS
    stride = 1 if last and output_stride == 8 else 2
    if method == "acol":
        return nn.MaxPool2d(3, stride, 1)
    if stride == 1:
        return nn.Identity()
    return nn.MaxPool2d(3, 2, 1) if last and method == "spg" else nn.MaxPool2d(2, 2)


def vgg16_gap(
    num_classes: int = 1000,
    width: float = 1.0,
    batch_norm: bool = False,
    output_stride: Literal[8, 16] = 16,
    method: PartsName | None = None,
    cam_groups: int = 1,
    acol_threshold: float = ACOL_THRESHOLD,
) -> VggGap:
    """VGG-GAP of the paper.

    Args:
        width: scales every channel count.
        batch_norm: normalize the convolutions of `features` and `cam_conv`.
        output_stride: pixels of the input to a position of the map: 16 is the paper's, 14x14 at
            224 pixels; 8, without the fourth pooling, 28x28.
        method: whose parts to build in.
        cam_groups: of the convolution before the average; the network that the paper's authors
            published has 2. ACoL and SPG have another convolution there, in one group.
        acol_threshold: with method acol, see `AcolHead`.

    Raises:
        InputError: for values that there is no network for.
    """
    check_parts(method, "vgg16_gap")
    if output_stride not in (8, 16):
        raise InputError(f"vgg16_gap: output_stride is 8 or 16, not {output_stride}.")
    if cam_groups not in ((1,) if method in ("acol", "spg") else (1, 2)):
        raise InputError(f"vgg16_gap: there is no network of {cam_groups} cam_groups here.")
    threshold = check_threshold(method, acol_threshold, "vgg16_gap")
    return VggGap(num_classes, width, batch_norm, output_stride, method, cam_groups, threshold)
