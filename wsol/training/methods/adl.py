"""Attention-based dropout: hide what is attended to most, or strengthen it, inside the network."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsol.models.parts import AdlStep
from wsol.training.methods.base import Method, StepOutput, require_share


def adl(drop_rate: float = 0.75, threshold: float = 0.9) -> Method:
    """ADL (Choe and Shim, CVPR 2019); the layer is `wsol.models.parts.attend_or_drop`.

    Args:
        drop_rate: how often a layer drops instead of weighting by importance.
        threshold: the share of the highest attention from which positions are dropped (gamma).

    The defaults are those of the released protocol (Choe et al., CVPR 2020).

    Raises:
        InputError: for values out of range.
    """
    require_share("adl", "drop_rate", drop_rate)
    require_share("adl", "threshold", threshold)

    def loss(
        network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> StepOutput:
        logits = network(images, AdlStep(drop_rate, threshold, generator))
        return StepOutput(F.cross_entropy(logits, labels), logits)

    return Method("adl", {"method": "adl"}, loss, "Choe and Shim, CVPR 2019")
