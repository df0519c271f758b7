"""Networks whose operations Python does not see: compiled by `torch.jit` or `torch.compile`."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx


class Unscripted(nn.Module):
    """Runs a scripted network operation by operation, so that a pass can be watched.

    Each kind of input (shape, type, device, mixed precision) is traced once, through PyTorch's
    own dispatcher; parameters stay the network's.
    """

    def __init__(self, scripted: nn.Module) -> None:
        super().__init__()
        self.scripted = scripted
        self._graphs: dict[tuple[Any, ...], GraphModule] = {}

    def forward(self, images: Tensor) -> Any:
        """As the network's own."""
        kind = images.device.type
        mixed = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        key = (images.shape, images.dtype, images.device, mixed)
        if key not in self._graphs:
            # Unoptimized: else what is traced changes with the passes that were before.
            with (
                torch.inference_mode(False), torch.no_grad(), torch._C.DisableTorchFunction(),
                torch.jit.optimized_execution(False),
            ):  # fmt: skip
                example = images.detach().clone()
                self._graphs[key] = make_fx(self.scripted)(example)
        return self._graphs[key](images)


def uncompiled(network: nn.Module) -> nn.Module:
    """The network as it was before `torch.compile`, with the same parameters.

    What is compiled is compiled anew for each way of looking at it, and its graph can be gone back
    through but once.
    """
    return _uncompiled(network, {})


def _uncompiled(module: nn.Module, known: dict[nn.Module, nn.Module]) -> nn.Module:
    if isinstance(module, torch.jit.ScriptModule):
        return module
    if module not in known:
        plain = module._modules.get("_orig_mod") or module  # as torch.compile keeps it
        parts = {
            name: part if part is None else _uncompiled(part, known)
            for name, part in plain._modules.items()
        }
        compiled = getattr(plain, "_compiled_call_impl", None) is not None
        if compiled or any(part is not plain._modules[name] for name, part in parts.items()):
            plain = copy.copy(plain)
            plain._modules, plain._compiled_call_impl = parts, None
        known[module] = plain
    return known[module]


def watchable(network: nn.Module) -> nn.Module:
    """The network, or where there is TorchScript in it, one that computes the same visibly."""
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        return Unscripted(network)
    return network
