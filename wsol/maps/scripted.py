"""Networks whose operations Python does not see: TorchScript, compiled by `torch.jit`."""

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
            with torch.inference_mode(False), torch.no_grad(), torch._C.DisableTorchFunction():
                example = images.detach().clone()
                self._graphs[key] = make_fx(self.scripted)(example)
        return self._graphs[key](images)


def watchable(network: nn.Module) -> nn.Module:
    """The network, or where there is TorchScript in it, one that computes the same visibly."""
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        return Unscripted(network)
    return network
