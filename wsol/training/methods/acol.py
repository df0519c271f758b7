"""Adversarial complementary learning: a second branch must do without what the first one saw."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsol.models.parts import ACOL_THRESHOLD, AcolOutput, AcolStep
from wsol.training.methods.base import Method, StepOutput, require_share


def acol(threshold: float = ACOL_THRESHOLD) -> Method:
    """ACoL (Zhang et al., CVPR 2018): the sum of both branches' cross-entropies.

    Args:
        threshold: of the label's map of the first branch, scaled to [0, 1]; what reaches it is
            erased for the second branch, in localization too. The default is the released
            protocol's (Choe et al., CVPR 2020).

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

    # The default is not told, so that networks are called what they were called before.
    own = {} if threshold == ACOL_THRESHOLD else {"acol_threshold": threshold}
    return Method("acol", {"method": "acol", **own}, loss, "Zhang et al., CVPR 2018 (ACoL)")
