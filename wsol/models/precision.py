"""The arithmetic of a network's forward pass."""

from typing import Any

import torch

from wsol.options import Precision

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""The type of each mixed precision; float32 has none."""


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """A context in which convolutions and products of matrices run in `precision`."""
    return torch.autocast(device.type, dtype=AUTOCAST.get(precision), enabled=precision != "fp32")


_CPU_HAS = {
    "bf16": ("avx512_bf16", "avx10_1", "amx_bf16", "bf16", "sve_bf16"),
    "fp16": ("avx512_fp16", "avx10_1", "amx_fp16", "fp16_arith"),
}
"""What torch calls a processor's instructions for half precision."""


def emulated(device: str, precision: Precision) -> str | None:
    """A sentence where a CPU has no instructions for a precision, which is slower there then.

    None where it has some, on a GPU, and where torch cannot tell.
    """
    if precision == "fp32" or not device.startswith("cpu"):
        return None
    # torch has this from 2.10 on.
    told: Any = getattr(torch.cpu, "get_capabilities", dict)()
    if not told or any(told.get(name, False) for name in _CPU_HAS[precision]):
        return None
    return (
        f"this CPU has no {precision} arithmetic and goes by way of float32; "
        "--precision fp32 is as fast or faster."
    )
