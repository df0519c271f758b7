"""What a training method is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from wsol.errors import InputError


@dataclass(frozen=True, slots=True)
class StepOutput:
    """One training step: a scalar `loss` to go backward from, and (B, C) `logits`."""

    loss: Tensor
    logits: Tensor


LossFunction = Callable[[nn.Module, Tensor, Tensor, torch.Generator], StepOutput]
"""From (network in training mode, images (B, 3, H, W) float and normalized, labels (B,) int64,
CPU generator) to a step. The network, which `DistributedDataParallel` may wrap, is called once.
The generator makes every random choice of the method; dropout is torch's own affair."""


@dataclass(frozen=True, slots=True)
class Method:
    """A way to train.

    Attributes:
        builder_arguments: what the network's builder needs for it.
        source: the publication.
    """

    name: str
    builder_arguments: Mapping[str, Any]
    loss: LossFunction
    source: str


def require_share(method: str, option: str, value: float) -> None:
    """Raise InputError unless 0 <= `value` <= 1."""
    if not 0 <= value <= 1:
        raise InputError(f"{method}: {option} is between 0 and 1, not {value}.")
