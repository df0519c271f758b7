"""The same network, faster on a CPU: channels last, and batch normalization folded away.

In evaluation mode a batch normalization is one factor and one offset a channel, which a
convolution before it can take into its weights (in float64, so that they are rounded once). oneDNN
runs convolutions of tensors whose channels lie last without rearranging them. Both change
logits by rounding alone; whether they do is looked at, and a network that comes out otherwise runs
as it is.
"""

import copy
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from wsol.errors import InputError
from wsol.maps.layers import run_through
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
        form = memory_format(network, classifier.device)
        twin = classifier.running(_arranged(folded(network, images, layers), form), form)
        same = all(_same(classifier, twin, images, size, layer) for layer in (None, *layers))
    except Exception:  # a network may do anything, such as refuse to be copied
        return classifier
    return twin if same else classifier


def folded(network: nn.Module, images: Tensor, keep: Collection[str] = ()) -> nn.Module:
    """A copy whose batch normalizations are part of the convolutions before them.

    Those whose input is a convolution's output that nothing else reads, as a pass of `images`
    shows. The copy shares what is not folded.

    Args:
        keep: names of modules that stay what they are.
    """
    pairs = _pairs(network, images, keep)
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
        setattr(faster.get_submodule(parent), name, nn.Identity())
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
    """Who reads the outputs of convolutions in a pass."""

    def __init__(self, network: nn.Module, keep: Collection[str]) -> None:
        super().__init__()
        self.convolution_of: dict[int, str] = {}  # by the identity of outputs, which stay alive
        self.normalization_of: dict[int, str] = {}
        self.reads: Counter[int] = Counter()
        self.calls: Counter[str] = Counter()
        self._outputs: list[Tensor] = []
        self.hooks: list[RemovableHandle] = []
        for name, module in network.named_modules():
            if _is_plain(module, nn.Conv2d, nn.Conv2d) and name not in keep:
                self.hooks.append(module.register_forward_hook(partial(self._on_output, name)))
            elif _is_plain(module, nn.BatchNorm2d, _BatchNorm):
                self.hooks.append(module.register_forward_pre_hook(partial(self._on_input, name)))

    def _on_output(self, name: str, module: nn.Module, args: Any, output: Tensor) -> None:
        self.calls[name] += 1
        self.convolution_of[id(output)] = name
        self._outputs.append(output)

    def _on_input(self, name: str, module: nn.Module, args: Any) -> None:
        self.calls[name] += 1
        # The identity of a tensor that does not stay alive may be another's later.
        if args and id(args[0]) in self.convolution_of:
            self.normalization_of[id(args[0])] = name

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
                    if id(value) in self.convolution_of:
                        self.reads[id(value)] += 1
                elif isinstance(value, (tuple, list)):
                    pending += value
                elif isinstance(value, dict):
                    pending += value.values()
        return func(*args, **kwargs)


def _is_plain(module: nn.Module, kind: type[nn.Module], home: type[nn.Module]) -> bool:
    """Whether a module computes what `home.forward` does, with tensors and hooks of its own."""
    return (
        isinstance(module, kind)
        and type(module).forward is home.forward
        and not (module._forward_hooks or module._forward_pre_hooks)
        and not nn.utils.parametrize.is_parametrized(module)
    )


def _pairs(network: nn.Module, images: Tensor, keep: Collection[str]) -> list[tuple[str, str]]:
    """Convolutions and the batch normalizations that alone read their outputs, by name."""
    readers = _Readers(network, keep)
    try:
        with torch.inference_mode(), readers:
            output = network(images)
    finally:
        for hook in readers.hooks:
            hook.remove()
    pairs = []
    for tensor, normalization in readers.normalization_of.items():
        convolution = readers.convolution_of.get(tensor)
        module = network.get_submodule(normalization)
        if (
            convolution is not None
            and readers.reads[tensor] == 1
            and readers.calls[convolution] == readers.calls[normalization] == 1
            and isinstance(module, _BatchNorm)
            and module.running_var is not None
            and not module.training
            and output is not None
        ):
            pairs.append((convolution, normalization))
    return pairs


def _same(
    classifier: Classifier, twin: Classifier, images: Tensor, size: int, named: str | None
) -> bool:
    """Whether logits and a layer's features come out the same but for rounding."""
    layer, other = (one.examine(size, named).layer for one in (classifier, twin))
    with torch.inference_mode():
        if isinstance(layer, InputError) or isinstance(other, InputError):
            expected = [classifier.network(images)]
            found = [twin.network(twin.arranged(images))]
        else:
            expected = list(run_through(classifier.network, layer, images))
            found = list(run_through(twin.network, other, twin.arranged(images)))
    if type(layer) is not type(other):
        return False
    return all(_close(one, another) for one, another in zip(found, expected, strict=True))


def _close(found: Tensor, expected: Tensor) -> bool:
    difference = (found - expected).abs().max()
    return found.shape == expected.shape and bool(difference <= _TOLERANCE * expected.abs().max())
