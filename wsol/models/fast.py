"""The same network, faster on a CPU: channels last, and batch normalization folded away.

In evaluation mode a batch normalization is one factor and one offset a channel, which a
convolution before it can take into its weights (in float64, so that they are rounded once). oneDNN
runs convolutions of tensors whose channels lie last without rearranging them. Both change
logits by rounding alone; whether they do is looked at, and a network that comes out otherwise runs
as it is.
"""

import copy
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from wsol.errors import InputError
from wsol.maps.capture import run_through
from wsol.maps.positions import name_of
from wsol.models.classifier import Classifier

_ONEDNN_BLOCK = 16
_TOLERANCE = 1e-3  # of the greatest logit or feature; rounding differs by a hundredth of that
# What asks a tensor for something other than its numbers.
_ASKING = ("dim", "size", "stride", "numel", "is_contiguous", "element_size", "__get__", "__len__")


def memory_format(network: nn.Module, device: torch.device) -> torch.memory_format:
    """Channels last, which is the faster one, except where oneDNN is wrong about it.

    On a CPU, the weights' gradient of a strided 1x1 convolution with fewer input channels than
    its block (8 or 16) is written past its buffer: a crash, or wrong numbers
    (github.com/uxlfoundation/oneDNN/issues/6035). Narrow ResNets have such shortcuts.
    """
    affected = device.type == "cpu" and any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and module.in_channels < _ONEDNN_BLOCK
        for module in network.modules()
    )
    return torch.contiguous_format if affected else torch.channels_last


def sped_up(classifier: Classifier, size: int, layers: Sequence[str] = ()) -> Classifier:
    """A classifier for evaluation alone that gives the same logits and maps, in less time.

    Weights that stay as they are are shared with the original, whose own network is left alone.

    Args:
        size: side of the inputs in pixels.
        layers: names of the modules that maps are made at, where they are asked for by name.

    Returns:
        The classifier itself where there is nothing to gain, or it would not come out the same.
    """
    network = classifier.network
    floats = {p.dtype for p in network.parameters() if p.is_floating_point()}
    convolutions = any(isinstance(module, nn.Conv2d) for module in network.modules())
    if classifier.device.type != "cpu" or floats != {torch.float32} or not convolutions:
        return classifier
    try:
        images = classifier.probe(size)[:1]
        with _Readers(network, layers) as readers:
            expected = _seen(classifier, images, size, None)
        form = memory_format(network, classifier.device)
        twin = classifier.running(_arranged(_folded(network, readers.pairs()), form), form)
        same = _close(_seen(twin, images, size, None), expected) and all(
            _close(_seen(twin, images, size, layer), _seen(classifier, images, size, layer))
            for layer in layers
        )
    except (Exception, SystemExit):  # a network may do anything, such as refuse to be copied
        return classifier
    return twin if same else classifier


def folded(network: nn.Module, images: Tensor, keep: Collection[str] = ()) -> nn.Module:
    """A copy whose batch normalizations are part of the convolutions before them.

    Those whose input is a convolution's output that nothing else reads, as a pass of `images`
    shows. The copy shares what is not folded.

    Args:
        keep: names of convolutions whose outputs stay what they are.
    """
    with torch.inference_mode(), _Readers(network, keep) as readers:
        network(images)
    return _folded(network, readers.pairs())


def _folded(network: nn.Module, pairs: Iterable[tuple[str, str]]) -> nn.Module:
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    faster = copy.deepcopy(network, shared)
    for convolution, normalization in pairs:
        before = network.get_submodule(convolution)
        after = network.get_submodule(normalization)
        assert isinstance(before, nn.Conv2d) and isinstance(after, _BatchNorm)
        weight, bias = _folded_weights(before, after)
        target = faster.get_submodule(convolution)
        target.weight = nn.Parameter(weight, requires_grad=False)
        target.bias = nn.Parameter(bias, requires_grad=False)
        parent, _, name = normalization.rpartition(".")
        setattr(faster.get_submodule(parent), name, _rest(after))
    return faster


def _arranged(network: nn.Module, form: torch.memory_format) -> nn.Module:
    """Give the convolutions weights of a memory format, where they have weights of their own."""
    for module in network.modules():
        weight = module._parameters.get("weight")
        if isinstance(module, nn.Conv2d) and weight is not None:
            arranged = weight.detach().contiguous(memory_format=form)
            module.weight = nn.Parameter(arranged, requires_grad=False)
    return network


def _folded_weights(convolution: nn.Conv2d, normalization: _BatchNorm) -> tuple[Tensor, Tensor]:
    mean, variance = normalization.running_mean, normalization.running_var
    assert mean is not None and variance is not None
    factor = (variance.double() + normalization.eps).rsqrt()
    offset = -mean.double() * factor
    with torch.no_grad():
        if convolution.bias is not None:
            offset = offset + convolution.bias.double() * factor
        if normalization.affine:
            factor = factor * normalization.weight.double()
            offset = offset * normalization.weight.double() + normalization.bias.double()
        weight = convolution.weight.double() * factor.view(-1, 1, 1, 1)
        return weight.float(), offset.float()


class _Readers(TorchFunctionMode):
    """Who reads the outputs of convolutions in a pass that runs within it."""

    def __init__(self, network: nn.Module, keep: Collection[str]) -> None:
        super().__init__()
        self._network = network
        self._keep = keep
        self._convolution_of: dict[int, str] = {}  # by the identity of outputs, which stay alive
        self._normalization_of: dict[int, str] = {}
        self._outputs: list[Tensor] = []
        self._reads: Counter[int] = Counter()
        self._calls: Counter[str] = Counter()
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        for name, module in self._network.named_modules():
            if _is_altered(module):
                continue
            if isinstance(module, nn.Conv2d) and name not in self._keep:
                hook = module.register_forward_hook(partial(self._on_output, name))
                self._hooks.append(hook)
            elif isinstance(module, nn.BatchNorm2d) and _rest(module) is not None:
                hook = module.register_forward_pre_hook(partial(self._on_input, name))
                self._hooks.append(hook)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()

    def pairs(self) -> list[tuple[str, str]]:
        """Convolutions and the batch normalizations that alone read their outputs, by name."""
        return [
            (convolution, normalization)
            for tensor, normalization in self._normalization_of.items()
            for convolution in [self._convolution_of[tensor]]
            if self._reads[tensor] == self._calls[convolution] == self._calls[normalization] == 1
        ]

    def _on_output(self, name: str, module: nn.Module, args: Any, output: Tensor) -> None:
        self._calls[name] += 1
        self._convolution_of[id(output)] = name
        self._outputs.append(output)

    def _on_input(self, name: str, module: nn.Module, args: Any) -> None:
        self._calls[name] += 1
        # The identity of a tensor that does not stay alive may be another's later.
        if args and id(args[0]) in self._convolution_of:
            self._normalization_of[id(args[0])] = name

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if name_of(func) not in _ASKING:
            pending: list[Any] = [args, kwargs]
            while pending:
                value = pending.pop()
                if isinstance(value, Tensor):
                    if id(value) in self._convolution_of:
                        self._reads[id(value)] += 1
                elif isinstance(value, (tuple, list)):
                    pending += value
                elif isinstance(value, dict):
                    pending += value.values()
        return func(*args, **kwargs)


def _is_altered(module: nn.Module) -> bool:
    """Whether more goes on in a module than its `forward`, with weights of its own."""
    hooked = module._forward_hooks or module._forward_pre_hooks
    return bool(hooked) or nn.utils.parametrize.is_parametrized(module)


def _rest(normalization: _BatchNorm) -> nn.Module | None:
    """What a batch normalization does beside normalizing; None where it cannot be folded.

    One that normalizes by its input, and not by what it has learned, cannot. timm's also has an
    activation.
    """
    if normalization.training or normalization.running_var is None:
        return None
    if type(normalization).forward is _BatchNorm.forward:
        return nn.Identity()
    if type(normalization).__name__ == "BatchNormAct2d":
        drop, act = normalization.drop, normalization.act
        assert isinstance(drop, nn.Module) and isinstance(act, nn.Module)
        return nn.Sequential(drop, act)
    return None


def _seen(
    classifier: Classifier, images: Tensor, size: int, named: str | None
) -> tuple[Tensor, ...]:
    """Logits, and the features of a layer where there is one."""
    layer = classifier.examine(size, named).layer
    images = classifier.arranged(images)
    with torch.inference_mode():
        if isinstance(layer, InputError):
            return (classifier.network(images),)
        return run_through(classifier.network, layer, images)


def _close(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    """Whether tensors are the same but for rounding."""
    return [tensor.shape for tensor in found] == [tensor.shape for tensor in expected] and all(
        bool((one - other).abs().max() <= _TOLERANCE * other.abs().max())
        for one, other in zip(found, expected, strict=True)
    )
