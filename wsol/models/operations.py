"""Counting the floating-point operations of a forward pass.

torch has a counter (`torch.utils.flop_counter`), whose numbers these are; but it imports torch's
compiler, which takes longer than most of the passes that are counted.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
Arguments = tuple[Any, ...]


class OperationCounter(TorchDispatchMode):
    """Adds up the operations of convolutions and matrix products while it is entered.

    Two for every multiply-accumulate. Enter it without inference mode: there, torch does not
    take its compound operations apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """torch asks whether to keep its compiler away from the mode, which would import it."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Arguments = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        count = _COUNTS.get(func.overloadpacket)
        if count is not None:
            self.total += count(args, result)
        return result


def _convolution(args: Arguments, result: Tensor) -> int:
    images, weight, transposed = args[0], args[1], args[6]
    positions = (images if transposed else result).shape[2:]
    return 2 * len(images) * prod(positions) * weight.numel()


def _product(first: Tensor, second: Tensor) -> int:
    """Of (..., m, k) by (..., k, n), with equal shapes in front."""
    return 2 * first.numel() * second.shape[-1]


def _attention(args: Arguments, result: Any) -> int:
    """Of queries (..., m, d), keys (..., k, d) and values (..., k, e)."""
    query, key, value = args[:3]
    return 2 * prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def _whole_attention(args: Arguments, result: Any) -> int:
    """An attention with its projections, of (B, m, d) queries and (B, k, d) keys and values."""
    query, key = args[0], args[1]
    batch, tokens, width = query.shape
    projections = 2 * width**2 * (2 * tokens + 2 * key.shape[1])
    return batch * (projections + 4 * width * tokens * key.shape[1])


_COUNTS: dict[Any, Callable[[Arguments, Any], int]] = {
    aten.convolution: _convolution,
    aten.mm: lambda args, _: _product(args[0], args[1]),
    aten.bmm: lambda args, _: _product(args[0], args[1]),
    aten.addmm: lambda args, _: _product(args[1], args[2]),
    aten._addmm_activation: lambda args, _: _product(args[1], args[2]),
    aten.baddbmm: lambda args, _: _product(args[1], args[2]),
    aten._scaled_dot_product_flash_attention: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_efficient_attention: _attention,
    aten._scaled_dot_product_cudnn_attention: _attention,
    aten._native_multi_head_attention: _whole_attention,
}
