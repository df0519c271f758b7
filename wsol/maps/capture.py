"""A layer within a pass: its tensor is handed out, gradients begin at it, or another goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from wsol.maps.layout import Layout
from wsol.maps.watch import Calls, first_tensor


@dataclass(frozen=True, slots=True)
class Layer:
    """Where in a forward pass the features appear, and how they lie in their tensor.

    Attributes:
        name: for people and records: a module's name, or a function and the module before it.
        module: whose output it is; None where it is no module's.
        call: the number of that call of the module, or else of a torch function, see
            `wsol.maps.watch.Calls`.
        output: which of the function's results; -1 - n is the argument n of the next call.
        in_place: whether the function changes its argument.
        channels: K.
    """

    name: str
    module: str | None
    call: int
    output: int
    in_place: bool
    layout: Layout
    channels: int

    @property
    def grid(self) -> tuple[int, int]:
        """(height, width) of the maps."""
        return self.layout.grid


class Pass(NamedTuple):
    """What a forward pass with a captured layer gives.

    Attributes:
        output: of the network.
        tensor: the layer's, as it lies there; in a pass with gradients a leaf of the graph.
    """

    output: Any
    tensor: Tensor


def run_through(
    network: nn.Module,
    layer: Layer,
    images: Tensor,
    *,
    gradient: bool = False,
    put: Tensor | None = None,
) -> Pass:
    """One forward pass that hands out a layer's tensor.

    Args:
        gradient: record what follows the layer for autograd; what comes before never is.
        put: goes on with this tensor instead of the layer's own.

    Raises:
        RuntimeError: when the pass does not come by the layer.
    """
    catch = _Catch(gradient, put)
    hold = _at_module if layer.module is not None else _at_function
    # Within inference mode autograd cannot begin.
    inference = torch.is_inference_mode_enabled() and not gradient
    with torch.inference_mode(inference), torch.no_grad(), hold(network, layer, catch):
        output = network(images)
    if catch.tensor is None:
        raise RuntimeError(f"the pass did not come by {layer.name}")
    return Pass(output, catch.tensor)


class _Catch:
    """Keeps the layer's tensor when it comes, and says what the pass goes on with."""

    def __init__(self, gradient: bool, put: Tensor | None) -> None:
        self.gradient = gradient
        self._put = put
        self.tensor: Tensor | None = None

    def __call__(self, tensor: Tensor, in_place: bool) -> Tensor:
        # What is of another batch cannot take the argument's place, only the result's.
        in_place = in_place and (self._put is None or self._put.shape == tensor.shape)
        if self._put is not None and in_place:
            tensor.copy_(self._put)
        elif self._put is not None:
            tensor = self._put
        self.tensor = tensor
        if not self.gradient:
            return tensor
        torch.set_grad_enabled(True)
        if in_place:  # what follows may use the argument, not the result
            self.tensor = tensor.requires_grad_()
            return tensor
        self.tensor = tensor.detach().requires_grad_()
        # A copy, because a leaf of the graph cannot be changed in place.
        return self.tensor.clone()


@contextmanager
def _at_module(network: nn.Module, layer: Layer, catch: _Catch) -> Iterator[None]:
    assert layer.module is not None
    calls = -1

    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != layer.call:
            return None
        tensor = first_tensor(output)
        if tensor is None:
            return None
        passed = catch(tensor, False)
        return tree_map(lambda value: passed if value is tensor else value, output)

    handle = network.get_submodule(layer.module).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _at_function(network: nn.Module, layer: Layer, catch: _Catch) -> Iterator[None]:
    gradient = catch.gradient

    class AtCall(Calls):
        def on_call(
            self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            number = self.number
            if self.gradients:  # which the end of an inference mode switches off
                torch.set_grad_enabled(True)
            if layer.output < 0 and number == layer.call + 1:
                self.gradients = gradient or None
                given = list(args)
                given[-1 - layer.output] = catch(given[-1 - layer.output], False)
                return func(*given, **kwargs)
            result = func(*args, **kwargs)
            if number != layer.call or layer.output < 0:
                return result
            self.gradients = gradient or None
            if isinstance(result, Tensor):
                return catch(result, layer.in_place)
            results = list(result)
            results[layer.output] = catch(results[layer.output], layer.in_place)
            return type(result)(results)

    with AtCall(False if gradient else None):
        yield
