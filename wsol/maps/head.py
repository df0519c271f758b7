"""Finding the head that class activation maps need, by watching a network work.

A CAM (Zhou et al., CVPR 2016) exists where the logits are a linear map of a global average: for
those networks, and exactly for those, the map's mean plus the bias is the logit. What a network is
called and how its modules are named says nothing about it; what it computes does. So one forward
pass is watched: which tensors are averaged over all positions, and which linear map that average
feeds. The same watching captures the features in every later pass, without a second one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from wsol.errors import InputError

_MEANS = (torch.mean, Tensor.mean)
_POOLS = (F.adaptive_avg_pool2d, F.avg_pool2d)
# Operations that hand on the same numbers, at least in evaluation mode.
_PASSING = (
    torch.flatten, Tensor.flatten, Tensor.view, Tensor.reshape, torch.reshape, torch.squeeze,
    Tensor.squeeze, F.dropout, F.dropout2d, F.alpha_dropout, Tensor.contiguous, Tensor.float,
    Tensor.to, Tensor.clone, torch.clone,
)  # fmt: skip
_LINEAR = (F.linear, F.conv2d, torch.conv2d)


@dataclass(frozen=True, slots=True)
class Head:
    """Where in a forward pass the features and the linear layer appear.

    Attributes:
        pooling: the number of the global average, counted from the start of the pass.
        linear: the number of the linear map after it; None where the average is the logits, so
            that the averaged channels are the class maps themselves (SqueezeNet).
        classes: the number of logits.
    """

    pooling: int
    linear: int | None
    classes: int


@dataclass(frozen=True, slots=True)
class Captured:
    """What one forward pass showed.

    Attributes:
        logits: (B, C).
        features: (B, K, h, w), what global average pooling read.
        weight: (C, K), or None where features are class maps (K = C).
        bias: (C,), or None.
    """

    logits: Tensor
    features: Tensor
    weight: Tensor | None
    bias: Tensor | None


class _Watch(TorchFunctionMode):
    """Records global averages and the linear maps, keeping only what `head` asks for."""

    def __init__(self, head: Head | None) -> None:
        super().__init__()
        self._head = head
        self.averages: list[Tensor | None] = []  # the tensors that were averaged
        self.linears: list[tuple[Tensor, Tensor | None] | None] = []  # weight and bias
        # While searching: which average a tensor holds, by identity; `_alive` keeps the
        # identities from being used again.
        self.average_of: dict[int, int] = {}
        self.linear_of: dict[int, tuple[int, int]] = {}  # linear output: its number, its average
        self._alive: list[Tensor] = []
        self.pooled_one_position = False  # there was nothing to average: the input is too small

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _POOLS or func in _MEANS:
            features = _averaged_features(func, args[0], result, args, kwargs or {})
            if features is not None:
                self._on_average(features, result)
            elif func in _POOLS and args[0].ndim == 4 and args[0].shape[2:] == (1, 1):
                self.pooled_one_position = True
        elif func in _LINEAR:
            self._on_linear(args, kwargs or {}, result)
        elif self._head is None and func in _PASSING and isinstance(result, Tensor):
            self._on_passing(args[0], result)
        return result

    def _on_average(self, features: Tensor, result: Tensor) -> None:
        number = len(self.averages)
        wanted = self._head is None or self._head.pooling == number
        self.averages.append(features if wanted else None)
        if self._head is None:
            self.average_of[id(result)] = number
            self._alive.append(result)

    def _on_linear(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> None:
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        bias = args[2] if len(args) > 2 else kwargs.get("bias")
        if weight.ndim == 4 and weight.shape[2:] != (1, 1):
            return
        number = len(self.linears)
        wanted = self._head is None or self._head.linear == number
        self.linears.append((weight.flatten(1), bias) if wanted else None)
        average = self.average_of.get(id(args[0]))
        if self._head is None and average is not None:
            self.linear_of[id(result)] = (number, average)
            self._alive.append(result)

    def _on_passing(self, source: Any, result: Tensor) -> None:
        same_size = isinstance(source, Tensor) and source.numel() == result.numel()
        if same_size and id(source) in self.average_of:
            self.average_of[id(result)] = self.average_of[id(source)]
            self._alive.append(result)
        if same_size and id(source) in self.linear_of:
            self.linear_of[id(result)] = self.linear_of[id(source)]
            self._alive.append(result)


def find_head(network: nn.Module, probe: Tensor, name: str) -> Head:
    """Find the head of a network in evaluation mode.

    Args:
        network: any module from images to logits; on the meta device too.
        probe: (2, 3, H, W) an input it takes, on its device.
        name: what to call it in messages.

    Raises:
        InputError: when its logits are no linear map of a global average. The message says what
            was found instead and what to do.
    """
    watch = _Watch(None)
    with torch.no_grad(), watch:
        logits = network(probe)
    if not isinstance(logits, Tensor) or logits.flatten(1).ndim != 2:
        raise InputError(f"{name}: gives {type(logits).__name__} instead of one tensor of logits.")
    classes = logits.flatten(1).shape[1]
    if id(logits) in watch.linear_of:
        linear, pooling = watch.linear_of[id(logits)]
        head = Head(pooling, linear, classes)
    elif id(logits) in watch.average_of:
        head = Head(watch.average_of[id(logits)], None, classes)
    elif watch.pooled_one_position:
        height, width = probe.shape[2:]
        raise InputError(
            f"{name}: of {width}x{height} pixels it makes a map of a single position, in which "
            "nothing can be localized; use a larger size."
        )
    else:
        raise InputError(
            f"{name}: {_what_instead(watch)}, so class activation maps are not defined for it. "
            "A gradient-based method such as Grad-CAM applies: write its maps as .npy files "
            "and evaluate them with `wsol score`."
        )
    if not logits.is_meta:
        _verify(network, head, probe[:1], name)
    return head


def run(network: nn.Module, head: Head, inputs: Tensor) -> Captured:
    """One forward pass that also hands out the features and the linear layer."""
    with _Watch(head) as watch:
        logits = network(inputs)
    features = watch.averages[head.pooling]
    assert features is not None
    weight, bias = None, None
    if head.linear is not None:
        linear = watch.linears[head.linear]
        assert linear is not None
        weight, bias = linear
    return Captured(logits.flatten(1), features, weight, bias)


def _averaged_features(
    func: Callable[..., Any],
    source: Tensor,
    result: Tensor,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Tensor | None:
    """The (B, K, h, w) features if this call averaged all their positions, else None."""
    if source.ndim != 4:
        return None
    if func in _POOLS:
        return source if result.shape[2:] == (1, 1) and source.shape[2:] != (1, 1) else None
    dims = args[1] if len(args) > 1 else kwargs.get("dim")
    if not isinstance(dims, (tuple, list)):
        return None
    axes = {dim % 4 for dim in dims}
    if axes == {2, 3}:
        return source
    # Networks that keep channels last, such as Swin.
    return source.permute(0, 3, 1, 2) if axes == {1, 2} else None


def _what_instead(watch: _Watch) -> str:
    if not watch.averages:
        return "nothing in it is averaged over all positions"
    if not watch.linear_of:
        return "what follows its global average is not one linear layer (a norm or an activation)"
    return "more than one layer lies between its global average and its logits"


def _verify(network: nn.Module, head: Head, probe: Tensor, name: str) -> None:
    """The defining property: the mean of each class's map plus its bias is its logit."""
    with torch.no_grad():
        captured = run(network, head, probe)
    logits = captured.features.double().mean((2, 3))
    if captured.weight is not None:
        logits = logits @ captured.weight.double().T
    if captured.bias is not None:
        logits = logits + captured.bias.double()
    found = captured.logits.double()
    scale = found.abs().max().clamp(min=1.0)
    if logits.shape != found.shape or ((logits - found).abs().max() > 1e-3 * scale):
        raise InputError(
            f"{name}: its logits are not the means of its class maps, although it ends in a global "
            "average and a linear layer; is it in evaluation mode, and free of scaled outputs?"
        )
