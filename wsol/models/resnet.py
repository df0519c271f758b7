"""ResNet-50 at any width, from torchvision's own blocks."""

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # planes, blocks, stride


class WidthResNet50(nn.Module):
    """ResNet-50 with every channel count scaled by `width`.

    At width 1 it has the tensors of `torchvision.models.resnet50`, by name and by shape.
    """

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        channels = max(4, round(64 * width))
        self.conv1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for number, (planes, blocks, stride) in enumerate(_STAGES, 1):
            planes = max(4, round(planes * width))
            stage = []
            for block in range(blocks):
                step = stride if block == 0 else 1
                wide = planes * Bottleneck.expansion
                shortcut = None
                if step != 1 or channels != wide:
                    shortcut = nn.Sequential(
                        nn.Conv2d(channels, wide, 1, step, bias=False), nn.BatchNorm2d(wide)
                    )
                stage.append(Bottleneck(channels, planes, step, shortcut))
                channels = wide
            setattr(self, f"layer{number}", nn.Sequential(*stage))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) images to (B, num_classes) logits."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for number in range(1, len(_STAGES) + 1):
            x = getattr(self, f"layer{number}")(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


def resnet50(num_classes: int = 1000, width: float = 1.0) -> WidthResNet50:
    """ResNet-50 (He et al., CVPR 2016); `width` scales every channel count."""
    return WidthResNet50(num_classes, width)
