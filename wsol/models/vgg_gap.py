"""VGG-GAP, the network of Zhou et al. (CVPR 2016)."""

import torch
from torch import Tensor, nn

# Output channels of VGG-16's convolutions; "M" halves the resolution. The paper leaves out the
# last pooling, which doubles the map: 14x14 for a 224x224 input.
_VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)
_CAM_CHANNELS = 1024


class VggGap(nn.Module):
    """VGG-16 convolutions, a 3x3 convolution of 1,024 units, global average pooling, one linear.

    `features` has the names of torchvision's VGG-16, so its weights load into it. With
    `batch_norm` each convolution is normalized, which lets narrow networks train from scratch.
    """

    def __init__(self, num_classes: int, width: float, batch_norm: bool, cam_groups: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3

        def convolution(units: int, groups: int = 1) -> list[nn.Module]:
            normalization = [nn.BatchNorm2d(units)] if batch_norm else []
            convolve = nn.Conv2d(channels, units, 3, 1, 1, groups=groups, bias=not batch_norm)
            return [convolve, *normalization, nn.ReLU(inplace=True)]

        for item in _VGG16:
            if isinstance(item, str):
                layers.append(nn.MaxPool2d(2, 2))
            else:
                units = _scaled(item, width)
                layers += convolution(units)
                channels = units
        self.features = nn.Sequential(*layers)
        units = _scaled(_CAM_CHANNELS, width)
        self.cam_conv = nn.Sequential(*convolution(units, cam_groups))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(units, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) images to (B, num_classes) logits."""
        x = self.cam_conv(self.features(x))
        return self.fc(torch.flatten(self.pool(x), 1))


def vgg16_gap(
    num_classes: int = 1000, width: float = 1.0, batch_norm: bool = False, cam_groups: int = 1
) -> VggGap:
    """VGG-GAP of the paper; `width` scales every channel count.

    `cam_groups` splits the last convolution: the network that the authors published has 2 groups.
    """
    return VggGap(num_classes, width, batch_norm, cam_groups)


def _scaled(channels: int, width: float) -> int:
    return max(4, round(channels * width))
