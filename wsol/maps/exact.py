"""The exact class activation map (Zhou et al., CVPR 2016)."""

import torch
from torch import Tensor

from wsol.errors import InputError


def own_classes(classes: Tensor, count: int, name: str) -> Tensor:
    """`classes`, if they are indices of `count` logits.

    Raises:
        InputError: naming the network, the first class that is none of them, and their range.
    """
    outside = classes[(classes < 0) | (classes >= count)]
    if outside.numel():
        raise InputError(
            f"{name}: has no class {outside[0].item()}; its logits go from 0 to {count - 1}."
        )
    return classes


def class_maps(features: Tensor, weight: Tensor | None, classes: Tensor) -> Tensor:
    """CAM_c(x, y) = sum over k of weight[c, k] * features[k, x, y].

    Computed in float32 whatever the precision of the forward pass. The bias is left out: it moves
    a whole map and vanishes in normalization.

    Args:
        features: (B, K, h, w), what global average pooling reads.
        weight: (C, K) of the linear layer after it; None where features are class maps already.
        classes: (B, n) class indices wanted for each image.

    Returns:
        (B, n, h, w) float32.
    """
    features = features.float()
    with torch.autocast(features.device.type, enabled=False):
        if weight is None:
            index = classes[:, :, None, None].expand(-1, -1, *features.shape[2:])
            return features.gather(1, index)
        return torch.einsum("bnk,bkhw->bnhw", weight.float()[classes], features)
