"""Watching one forward pass: what was computed in which order, and through what all of it went.

The pass runs with gradients, so that autograd's graph says what the logits depend on. A tensor
that every path of that graph goes through holds all that the logits know of the images: what
follows is a function of it alone. Such tensors are the layers that maps can be made at.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from wsol.maps.positions import Positions, is_moving, name_of, of_grid, positions_after


@dataclass(slots=True, eq=False)
class Step:
    """One call of a torch function that made a tensor out of the images.

    Attributes:
        call: the call's number in the pass, see `Calls`.
        output: which of the function's results; -1 - n is the argument n of the next call.
        in_place: whether it is one of the function's arguments, changed.
        tensor: the result, with its graph.
        source: what a function that only moves elements took them from.
        weights: weight and bias of a linear map or convolution.
        inputs: shape of the first argument.
        modules: names of the modules that were at work, outermost first.
        after: the module that had finished last.
        returned_by: of those, the ones that returned this very tensor as it is at the end, each
            with the number of that call of the module.
    """

    name: str
    call: int
    output: int
    in_place: bool
    tensor: Tensor
    positions: Positions | None
    source: "Step | None" = None
    weights: tuple[Tensor, Tensor | None] | None = None
    inputs: tuple[int, ...] = ()
    modules: tuple[str, ...] = ()
    after: str = ""
    returned_by: list[tuple[str, int]] = field(default_factory=list)


@dataclass(slots=True)
class Watched:
    """One forward pass.

    Attributes:
        steps: in the order of the pass; a tensor that is changed in place has its last one alone.
        cuts: those of them that all paths from the images to the logits go through.
        outputs: what each module returned last, and the number of that call.
    """

    output: Any
    steps: list[Step]
    cuts: list[Step]
    outputs: dict[str, tuple[Tensor, int]]


_TURNED = ("T", "mT", "H", "mH")  # the attributes of a tensor that are moved copies of it
_LEAVING = ("numpy", "__array__")  # what is not to be had of a tensor with gradients


class Calls(TorchFunctionMode):
    """Numbers the calls of torch functions; the same pass has the same numbers.

    A network that switches gradients off on its way, or detaches, cannot hide from what.

    Attributes:
        number: of the latest call.
        gradients: whether what is called has gradients; None leaves the network's inference mode
            as it is.
    """

    def __init__(self, gradients: bool | None = None) -> None:
        super().__init__()
        self.number = -1
        self.gradients = gradients

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name, kwargs = name_of(func), kwargs or {}
        attribute = _attribute_of(func) if name == "__get__" else None
        if func is torch._C._set_grad_enabled:
            return None
        if name in _LEAVING:
            return func(args[0].detach(), *args[1:], **kwargs)
        if attribute is not None and attribute not in (*_TURNED, "data"):
            return func(*args, **kwargs)
        self.number += 1
        if name == "detach" or (attribute == "data" and args[0].grad_fn is not None):
            func, args, kwargs = Tensor.view_as, (args[0], args[0]), {}
        if self.gradients is None or not torch.is_inference_mode_enabled():
            return self.on_call(func, args, kwargs)
        with torch.inference_mode(False):
            torch.set_grad_enabled(self.gradients)
            return self.on_call(func, args, kwargs)

    def on_call(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Make the call; `number` is its number."""
        return func(*args, **kwargs)


class _Recorder(Calls):
    def __init__(self, images: Tensor) -> None:
        super().__init__(gradients=True)
        self.steps: dict[int, Step] = {}  # by the identity of tensors, which `kept` keeps alive
        self.kept: list[Tensor] = [images]
        self.first = Step("images", -1, 0, False, images, of_grid(images))
        self.steps[id(images)] = self.first
        self.active: list[str] = []
        self.last = ""
        self.calls: dict[str, int] = {}
        self.outputs: dict[str, tuple[Tensor, int]] = {}

    def on_call(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        for place, value in enumerate(args):
            if isinstance(value, Tensor) and _is_followed(value) and id(value) not in self.steps:
                self._record_unseen(value, place)
        before = {id(value): value._version for value in args if isinstance(value, Tensor)}
        result = func(*args, **kwargs)
        results = [result] if isinstance(result, Tensor) else result
        if isinstance(result, Tensor) and before.get(id(result)) == result._version:
            return result  # what it was given, as from dropout in evaluation mode
        if isinstance(results, (tuple, list)):
            made = [(n, value) for n, value in enumerate(results) if isinstance(value, Tensor)]
            if any(_is_followed(value) for _, value in made):
                self._record(func, args, kwargs, made)
        return result

    def _record(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        results: list[tuple[int, Tensor]],
    ) -> None:
        tensors = [tensor for _, tensor in results]
        found = positions_after(func, args, kwargs, tensors, self._known)
        given = args[0] if args else None
        source = self.steps.get(id(given)) if is_moving(name_of(func)) else None
        inputs = tuple(given.shape) if isinstance(given, Tensor) else ()
        weights = _weights(args, kwargs) if _takes_weights(func) else None
        for (output, tensor), positions in zip(results, found, strict=True):
            if not _is_followed(tensor):
                continue
            in_place = any(tensor is value for value in args)
            if in_place and id(tensor) in self.steps:
                del self.steps[id(tensor)]  # to come last in the order
            self.kept.append(tensor)
            self.steps[id(tensor)] = Step(
                name_of(func),
                self.number,
                output,
                in_place,
                tensor,
                positions,
                source,
                weights,
                inputs,
                tuple(self.active),
                self.last,
            )

    def _known(self, tensor: Tensor) -> Positions | None:
        step = self.steps.get(id(tensor))
        return None if step is None else step.positions

    def on_enter(self, name: str) -> None:
        self.active.append(name)
        self.calls[name] = self.calls.get(name, -1) + 1

    def on_leave(self, name: str, output: Any) -> None:
        tensor = first_tensor(output)
        if tensor is not None:
            if id(tensor) not in self.steps and _is_followed(tensor):
                self._record_unseen(tensor)
            self.kept.append(tensor)
            self.outputs[name] = (tensor, self.calls[name])
            step = self.steps.get(id(tensor))
            if step is not None and name in step.modules:
                step.returned_by.append((name, self.calls[name]))
        self.active.pop()
        self.last = name

    def _record_unseen(self, tensor: Tensor, argument: int | None = None) -> None:
        """A tensor that no torch function made: an `autograd.Function` of the network's own did.

        Args:
            argument: which of the present call's it is; None for what a module returns.
        """
        before = {node for node, _ in tensor.grad_fn.next_functions} if tensor.grad_fn else set()
        sources = [step for step in self.steps.values() if step.tensor.grad_fn in before]
        alike = [step for step in sources if step.tensor.shape == tensor.shape]
        self.kept.append(tensor)
        self.steps[id(tensor)] = Step(
            type(tensor.grad_fn).__name__,
            self.number if argument is None else self.number - 1,
            0 if argument is None else -1 - argument,
            False,
            tensor,
            alike[-1].positions if alike else None,
            modules=tuple(self.active),
            after=self.last,
        )


def _attribute_of(getter: Any) -> str:
    """The name of the attribute that a `__get__` of a tensor's property reads."""
    name: str = getter.__self__.__name__
    return name


def watch(network: nn.Module, images: Tensor) -> Watched:
    """Watch a pass of a network over images (B, 3, H, W)."""
    with torch.inference_mode(False), torch.enable_grad():
        # A copy, because a network may change its input in place.
        start = images.detach().clone().requires_grad_().clone()
        recorder = _Recorder(start)
        with _module_hooks(network, recorder), recorder:
            output = network(start)
    steps = list(recorder.steps.values())[1:]
    cuts: list[Step] = []
    logits = first_tensor(output)
    if logits is not None and logits.grad_fn is not None:
        through = _cuts(logits, start)
        cuts = [s for s in steps if (s.tensor.grad_fn, s.tensor.output_nr) in through]
    return Watched(output, steps, cuts, recorder.outputs)


def first_tensor(output: Any) -> Tensor | None:
    """A module's output, or the first tensor of several."""
    if isinstance(output, (tuple, list)):
        output = next((value for value in output if isinstance(value, Tensor)), None)
    return output if isinstance(output, Tensor) else None


@contextmanager
def _module_hooks(network: nn.Module, recorder: _Recorder) -> Iterator[None]:
    handles: list[RemovableHandle] = []
    try:
        for name, module in network.named_modules():
            if name and not isinstance(module, torch.jit.ScriptModule):
                handles += _hooks(module, name, recorder)
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hooks(module: nn.Module, name: str, recorder: _Recorder) -> list[RemovableHandle]:
    return [
        module.register_forward_pre_hook(lambda module, args: recorder.on_enter(name)),
        module.register_forward_hook(lambda module, args, output: recorder.on_leave(name, output)),
    ]


def _is_followed(tensor: Tensor) -> bool:
    """Whether gradients flow through it, from the images or from a parameter."""
    return tensor.requires_grad and tensor.grad_fn is not None


def _takes_weights(func: Callable[..., Any]) -> bool:
    name = name_of(func)
    return name == "linear" or ("conv" in name and "pool" not in name)


def _weights(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Tensor | None] | None:
    weight = args[1] if len(args) > 1 else kwargs.get("weight")
    bias = args[2] if len(args) > 2 else kwargs.get("bias")
    return (weight, bias) if isinstance(weight, Tensor) else None


def _cuts(logits: Tensor, start: Tensor) -> set[tuple[Any, int]]:
    """The nodes (and which output of them) on every path of the graph from `logits` to `start`.

    Nodes are gone through in topological order: one is on every path exactly if, when it is its
    turn, no edge from what came before leads anywhere else.
    """
    end, root = start.grad_fn, logits.grad_fn
    order: list[Any] = []
    waiting: list[tuple[Any, bool]] = [(root, False)]
    seen: set[Any] = set()
    while waiting:
        node, finished = waiting.pop()
        if finished:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            waiting.append((node, True))
            if node is not end:
                waiting += [(child, False) for child, _ in node.next_functions if child is not None]
    leads: set[Any] = set()
    for node in order:
        if node is end or any(child in leads for child, _ in node.next_functions):
            leads.add(node)
    found: set[tuple[Any, int]] = set()
    pending: dict[Any, set[int]] = {root: {logits.output_nr}}
    for node in reversed(order):
        if node not in leads:
            continue
        if len(pending) == 1 and len(pending[node]) == 1:
            found.add((node, next(iter(pending[node]))))
        del pending[node]
        if node is not end:
            for child, output in node.next_functions:
                if child in leads:
                    pending.setdefault(child, set()).add(output)
    return found
