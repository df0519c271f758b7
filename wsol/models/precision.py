"""The arithmetic of a network's forward pass."""

import torch

from wsol.options import Precision

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""The type of each mixed precision; float32 has none."""


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """A context in which convolutions and products of matrices run in `precision`."""
    return torch.autocast(device.type, dtype=AUTOCAST.get(precision), enabled=precision != "fp32")
