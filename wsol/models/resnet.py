"""ResNets at any width and stride, from torchvision's own blocks."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from wsol.errors import InputError
from wsol.models.parts import (
    ACOL_THRESHOLD,
    AcolHead,
    AcolOutput,
    PartsName,
    SpgOutput,
    SpgParts,
    SpgStep,
    Start,
    Step,
    attend_or_drop,
    check_parts,
    check_step,
    check_threshold,
    initialize,
)
from wsol.models.width import scaled

OutputStride = Literal[8, 16, 32]

_PLANES = (64, 128, 256, 512)
# The first strides of the stages, by pixels of the input to a position of the map.
_STRIDES = {8: (1, 2, 1, 1), 16: (1, 2, 2, 1), 32: (1, 2, 2, 2)}
_ACOL_UNITS, _SPG_GUIDED_UNITS = 1024, 512
_CLASSIFIER: dict[str | None, Start] = {"acol": "he", "spg": "xavier"}


class ResNet(nn.Module):
    """A ResNet with every channel count scaled by `width` (He et al., CVPR 2016).

    At width 1 it has torchvision's tensors, by name and by shape, whatever the stride; ADL adds
    none. SPG adds `spg` (`SpgParts`), which training alone uses, and ACoL has `acol` (`AcolHead`)
    instead of `fc`. Where the parts sit is as in Choe et al. (CVPR 2020): ADL after the first
    block of `layer3` and the first and the last of `layer4`, SPG's masks after the first and the
    last block of `layer3` and after `layer4`.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: tuple[int, int, int, int],
        num_classes: int,
        width: float,
        output_stride: OutputStride,
        method: PartsName | None = None,
        threshold: float = ACOL_THRESHOLD,
    ) -> None:
        super().__init__()
        self.method = method
        channels = scaled(64, width)
        self.conv1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        planes = [scaled(count, width) for count in _PLANES]
        ends = [channels, *(count * block.expansion for count in planes)]
        stages = [
            _stage(block, count, inputs, outputs, number, stride)
            for count, (inputs, outputs), number, stride in zip(
                planes, pairwise(ends), blocks, _STRIDES[output_stride], strict=True
            )
        ]
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        middle, last = ends[-2:]
        if method == "acol":
            self.acol = AcolHead(last, scaled(_ACOL_UNITS, width), num_classes, threshold)
        else:
            if method == "spg":
                guided = scaled(_SPG_GUIDED_UNITS, width)
                self.spg = SpgParts(middle, middle, middle, last, guided)
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(last, num_classes)
        initialize(self, _CLASSIFIER.get(method, "normal"))

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor | AcolOutput | SpgOutput:
        """(B, 3, H, W) images to (B, num_classes) logits, or what the step gives."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        if step is None:
            x = self.layer4(self.layer3(x))
        else:
            check_step(step, self.method)
            early = attend_or_drop(self.layer3[0](x), step)
            late = self.layer3[1:](early)
            x = attend_or_drop(self.layer4[0](late), step)
            x = attend_or_drop(self.layer4[1:](x), step)
            if isinstance(step, SpgStep):
                return self.spg(early, late, x, self.fc, step)
        if self.method == "acol":
            return self.acol(x, step)
        return self.fc(torch.flatten(self.avgpool(x), 1))


def _stage(
    block: type[BasicBlock] | type[Bottleneck],
    planes: int,
    inputs: int,
    outputs: int,
    blocks: int,
    stride: int,
) -> nn.Sequential:
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )
    first = block(inputs, planes, stride, shortcut)
    return nn.Sequential(first, *(block(outputs, planes) for _ in range(1, blocks)))


def resnet50(
    num_classes: int = 1000,
    width: float = 1.0,
    output_stride: OutputStride = 32,
    method: PartsName | None = None,
    acol_threshold: float = ACOL_THRESHOLD,
) -> ResNet:
    """ResNet-50.

    Args:
        width: scales every channel count.
        output_stride: pixels of the input to a position of the map. 32 is torchvision's; the
            published protocol uses 8, 28x28 maps at 224 pixels, with stride 1 in the last two
            stages, or 16 with stride 1 in the last.
        method: whose parts to build in.
        acol_threshold: with method acol, see `AcolHead`.

    Raises:
        InputError: for values that there is no network for.
    """
    return _resnet("resnet50", num_classes, width, output_stride, method, acol_threshold)


def resnet18(
    num_classes: int = 1000,
    width: float = 1.0,
    output_stride: OutputStride = 32,
    method: PartsName | None = None,
    acol_threshold: float = ACOL_THRESHOLD,
) -> ResNet:
    """ResNet-18; all else as for `resnet50`, the methods' parts at the same places.

    The published protocol has no ResNet-18: the places are ours by analogy.
    """
    return _resnet("resnet18", num_classes, width, output_stride, method, acol_threshold)


_BLOCKS: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}


def _resnet(
    name: str,
    num_classes: int,
    width: float,
    output_stride: OutputStride,
    method: PartsName | None,
    acol_threshold: float,
) -> ResNet:
    check_parts(method, name)
    _check_stride(output_stride, name)
    threshold = check_threshold(method, acol_threshold, name)
    block, blocks = _BLOCKS[name]
    return ResNet(block, blocks, num_classes, width, output_stride, method, threshold)


def _check_stride(output_stride: int, network: str) -> None:
    if output_stride not in _STRIDES:
        raise InputError(f"{network}: output_stride is 8, 16 or 32, not {output_stride}.")
