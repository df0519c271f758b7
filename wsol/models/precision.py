"""The arithmetic of a network's forward pass."""

from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""The type of each mixed precision; float32 has none."""


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """A context in which convolutions and products of matrices run in `precision`."""
    return torch.autocast(device.type, dtype=AUTOCAST.get(precision), enabled=precision != "fp32")
