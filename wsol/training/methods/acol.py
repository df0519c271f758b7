"""Adversarial complementary learning: a second branch must do without what the first one saw."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsol.models.parts import AcolOutput, AcolStep
from wsol.training.methods.base import Method, StepOutput, require_share


def acol(threshold: float = 0.7) -> Method:
    """ACoL (Zhang et al., CVPR 2018): the sum of both branches' cross-entropies.

    Args:
        threshold: of the label's map of the first branch, scaled to [0, 1]; what reaches it is
            erased for the second branch. The default is the released protocol's (Choe et al.,
            CVPR 2020).

    Raises:
        InputError: for a threshold out of range.
    """
    require_share("acol", "threshold", threshold)

    def loss(
        network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> StepOutput:
        output: AcolOutput = network(images, AcolStep(labels, threshold))
        first = F.cross_entropy(output.logits, labels)
        return StepOutput(first + F.cross_entropy(output.erased_logits, labels), output.logits)

    return Method("acol", {"method": "acol"}, loss, "Zhang et al., CVPR 2018 (ACoL)")
