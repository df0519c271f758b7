"""Ways to train for localization: what each does to a batch and which loss it takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsol.errors import InputError


@dataclass(frozen=True, slots=True)
class StepOutput:
    """One training step: a scalar `loss` to go backward from, and (B, C) `logits`."""

    loss: Tensor
    logits: Tensor


LossFunction = Callable[[nn.Module, Tensor, Tensor, torch.Generator], StepOutput]
"""From (network in training mode, normalized images (B, 3, H, W) float, labels (B,) int64, a CPU
generator for random choices) to a step's loss and logits."""


@dataclass(frozen=True, slots=True)
class Method:
    """A way to train.

    Attributes:
        builder_arguments: what the model's builder takes besides its own arguments.
        source: the publication.
    """

    name: str
    builder_arguments: Mapping[str, Any]
    loss: LossFunction
    source: str


def _cross_entropy(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator
) -> StepOutput:
    logits = network(images)
    return StepOutput(F.cross_entropy(logits, labels), logits)


METHODS: dict[str, Method] = {
    "cam": Method("cam", {}, _cross_entropy, "Zhou et al., CVPR 2016"),
}


def make_method(name: str, **options: Any) -> Method:
    """A method by name.

    Raises:
        InputError: for an unknown method or option.
    """
    if name not in METHODS:
        raise InputError(f"{name}: not a training method; there are {', '.join(METHODS)}.")
    if options:
        raise InputError(f"{name}: takes no option {next(iter(options))!r}.")
    return METHODS[name]
