"""Plain classification, whose class activation maps localize."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsol.training.methods.base import Method, StepOutput


def cam() -> Method:
    """Cross-entropy on the images as they are."""
    return Method("cam", {}, cross_entropy_step, "Zhou et al., CVPR 2016")


def cross_entropy_step(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator
) -> StepOutput:
    """A `LossFunction`."""
    logits = network(images)
    return StepOutput(F.cross_entropy(logits, labels), logits)
