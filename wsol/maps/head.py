"""Finding the head that class activation maps need, by what a network computes.

A CAM (Zhou et al., CVPR 2016) exists where the logits are a linear map of a spatial mean: for
those networks, and exactly for those, the map's mean plus the bias is the logit. How the mean and
the linear map are written, and what modules are called, says nothing about it. The property does:
the derivative of a logit with respect to the last spatial features is the same at every position
and for every image.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wsol.errors import InputError, in_short, is_exhausted
from wsol.maps.capture import Layer, Pass, run_through
from wsol.maps.drawing import drawn, give_numbers
from wsol.maps.layers import (
    at_call,
    is_close,
    last_layer,
    layer_of,
    named_layer,
    tolerance_of,
)
from wsol.maps.linear import (
    NO_HEAD,
    Head,
    gradient_of,
    head_of,
    linear_map,
)
from wsol.maps.outputs import LogitsWithinError, logits_in
from wsol.maps.watch import Step, Watched, watch
from wsol.plugin import failing

_HALF = (torch.float16, torch.bfloat16)
_NO_WAY = (
    "{}: no gradient leads from its logits to the images, as in quantized networks, with reentrant "
    "checkpointing and where values leave PyTorch's graph, so none of its layers can be looked at; "
    "evaluate it as it was in floating point and without that, or by a method of your own "
    "(--method package.module:callable)."
)


@dataclass(frozen=True, slots=True)
class Captured:
    """What one forward pass showed.

    Attributes:
        logits: (B, C).
        features: (B, K, h, w), what is averaged.
        weight: (C, K), or None where features are class maps (K = C).
        bias: (C,), or None.
    """

    logits: Tensor
    features: Tensor
    weight: Tensor | None
    bias: Tensor | None


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What one input size shows of a network.

    Attributes:
        classes: the number of logits.
        layer: that maps are made at, or why there is none.
        head: for exact class activation maps, or why there is none.
    """

    classes: int
    layer: Layer | InputError
    head: Head | InputError


@torch.inference_mode(False)
@torch.enable_grad()
def examine(network: nn.Module, probe: Tensor, name: str, wanted: str | None = None) -> Anatomy:
    """Find the layer of a network in evaluation mode, and whether it has a head for CAM.

    Args:
        network: any module from images to logits; one on the meta device is looked at with
            random numbers.
        probe: (2, channels, H, W) an input it takes, on its device.
        name: what to call it in messages.
        wanted: the module whose output is the layer, instead of the last spatial activation.

    Raises:
        InputError: when it cannot take the probe, gives no tensor of logits, or has no such
            module as `wanted`.
    """
    if probe.is_meta:
        numbers = torch.rand(probe.shape, generator=torch.Generator().manual_seed(0))
        network, probe = give_numbers(copy.deepcopy(network)), numbers
    elif any(p.dtype in _HALF for p in network.parameters()):
        exact = _in_float32(network, probe, name, wanted)
        if exact is not None:
            return exact
    with failing(f"{name}: failed when it was looked at"):  # a network may raise anything
        return _examined(network, probe, name, wanted)


def _in_float32(network: nn.Module, probe: Tensor, name: str, wanted: str | None) -> Anatomy | None:
    """What a copy in float32 shows of a network in half precision.

    In half precision rounding hides what is linear and what is not. None where the network itself
    does not come by the copy's layer, because it computes otherwise there.
    """
    try:
        found = _examined(copy.deepcopy(network).float(), probe.float(), name, wanted)
        if isinstance(found.layer, InputError):
            return None
        seen = run_through(network, found.layer, probe).tensor
        shape = found.layer.layout.features(seen).shape[1:]
    except (Exception, SystemExit):  # a network may raise anything
        return None
    return found if shape == (found.layer.channels, *found.layer.grid) else None


def _examined(network: nn.Module, probe: Tensor, name: str, wanted: str | None) -> Anatomy:
    watched = watched_pass(network, probe, name)
    logits = watched.output
    is_logits = isinstance(logits, Tensor) and logits.ndim >= 2 and len(logits) == len(probe)
    if not is_logits or sum(side > 1 for side in logits.shape[1:]) > 1:
        within = not isinstance(logits, Tensor) and isinstance(logits_in(logits), Tensor)
        raise (LogitsWithinError if within else InputError)(
            f"{name}: gives {_told(logits)} instead of one tensor of logits (images, classes); "
            "wrap it in a module that returns these alone."
        )
    if not logits.is_floating_point():
        raise InputError(f"{name}: gives logits of type {logits.dtype}; expected floating ones.")
    _require_repeatable(network, probe, logits.detach(), name)
    classes = logits.flatten(1).shape[1]
    with _told_of(name, probe, "its gradients cannot be had"):
        if not watched.cuts:
            error = InputError(_NO_WAY.format(name))
            if wanted is not None:
                raise error
            return Anatomy(classes, error, error)
        if wanted is not None:
            step = named_layer(watched, wanted, name)
            layer, _ = _checked(network, layer_of(step, wanted), step, probe, name)
            told = NO_HEAD.format(name, f"{wanted} was asked for")
            return Anatomy(classes, layer, InputError(told))
        anatomy = _anatomy(network, watched, classes, probe, name)
        if isinstance(anatomy.layer, InputError):
            with drawn(network) as some:
                if some:
                    watched = watched_pass(network, probe, name)
                    anatomy = _anatomy(network, watched, classes, probe, name)
        return anatomy


def _require_repeatable(network: nn.Module, probe: Tensor, logits: Tensor, name: str) -> None:
    """See that the logits of an image are its own, and the same whenever it is looked at."""

    def first(images: Tensor) -> Tensor | None:
        try:
            with torch.no_grad():
                found = network(images)
        except Exception:  # a network may raise anything
            return None
        return found[:1] if isinstance(found, Tensor) and found.isfinite().all() else None

    def differs(found: Tensor | None) -> bool:
        return found is not None and not is_close(found, logits[:1], tolerance_of(logits))

    if not logits.isfinite().all() or not differs(first(probe[[0, 0]])):
        return
    if differs(first(probe)):
        raise InputError(
            f"{name}: gives other logits each time it sees the same images, so that no result "
            "could be repeated; switch off what is random or still adapts in evaluation mode "
            "(dropout, noise, a quantization's observers)."
        )
    raise InputError(
        f"{name}: the logits of an image depend on the other images of its batch, so that results "
        "would change with --batch-size; give its normalizations statistics of their own, as they "
        "have after training with track_running_stats and eval()."
    )


def _anatomy(
    network: nn.Module, watched: Watched, classes: int, probe: Tensor, name: str
) -> Anatomy:
    try:
        step = last_layer(watched, probe, name)
        layer, seen = _checked(network, layer_of(step), step, probe, name)
    except InputError as error:
        return Anatomy(classes, error, error)
    try:
        return Anatomy(classes, layer, head_of(network, layer, step, seen, watched, probe, name))
    except InputError as error:
        return Anatomy(classes, layer, error)


def find_head(network: nn.Module, probe: Tensor, name: str) -> Head:
    """The head of a network in evaluation mode; arguments as of `examine`.

    Raises:
        InputError: when its logits are no linear map of a spatial mean. The message says what
            was found instead and what to do.
    """
    head = examine(network, probe, name).head
    if isinstance(head, InputError):
        raise head
    return head


def run(network: nn.Module, head: Head, inputs: Tensor) -> Captured:
    """One forward pass that also hands out the features and the linear map."""
    output, tensor = run_through(network, head.layer, inputs)
    weight, bias = linear_map(network, head, inputs)
    return Captured(output.flatten(1), head.layer.layout.features(tensor), weight, bias)


def watched_pass(network: nn.Module, probe: Tensor, name: str) -> Watched:
    """`watch`, with whatever a network raises told in one line."""
    channels, height, width = probe.shape[1:]
    with _told_of(name, probe, f"cannot take {channels} channels of {width}x{height} pixels"):
        try:
            return watch(network, probe)
        except Exception as error:  # a network may raise anything
            told = isinstance(error, InputError) or is_exhausted(error)
            if not told and _takes(network, probe[:1]):
                raise InputError(
                    f"{name}: takes an image at a time and no batch of two ({in_short(error)}); "
                    "export or write it for any number of images."
                ) from error
            raise


def _takes(network: nn.Module, images: Tensor) -> bool:
    try:
        with torch.no_grad():
            network(images)
    except Exception:  # a network may raise anything
        return False
    return True


@contextmanager
def _told_of(name: str, probe: Tensor, what: str) -> Iterator[None]:
    """Tell in one line what a network, or autograd within it, raises."""
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # a network may raise anything
        if is_exhausted(error):
            height, width = probe.shape[2:]
            raise InputError(
                f"{name}: memory is exhausted by two images of {width}x{height} pixels; lower "
                "--size."
            ) from error
        told = in_short(error)
        advice = "use a size that it takes"
        if isinstance(error, TypeError):
            advice = "wrap it in a module that takes a batch of images alone"
        elif isinstance(error, NotImplementedError):
            advice = "write what is missing, or take a network without"
        elif "channels" in told:
            advice += ", or wrap it in a module that takes red, green and blue"
        raise InputError(f"{name}: {what} ({told}); {advice}.") from error


def _checked(
    network: nn.Module, layer: Layer, step: Step, probe: Tensor, name: str
) -> tuple[Layer, Pass]:
    """The layer, and a pass through it that shows what the watched pass has shown."""
    if not step.tensor.isfinite().all():
        raise InputError(
            f"{name}: its layer {layer.name!r} has NaN or infinite values; check the weights."
        )
    counts = False
    for place in (layer, at_call(step, layer.layout, layer.channels)):
        try:
            seen = run_through(network, place, probe, gradient=True)
            same = _same(seen.tensor.detach(), step.tensor.detach())
            counts = bool(layer.layout.features(gradient_of(seen)).any())
            if same and counts:
                return place, seen
        except RuntimeError:
            continue
    if counts:
        raise InputError(
            f"{name}: its layer {layer.name!r} is another one in a second pass over the same "
            "images; name another one."
        )
    raise InputError(
        f"{name}: no logit depends on its layer {layer.name!r} by a gradient; name another one, "
        "of a transformer with a class token one before its last attention."
    )


def _same(found: Tensor, expected: Tensor) -> bool:
    tolerance = tolerance_of(expected)
    return found.shape == expected.shape and is_close(found, expected, tolerance)


def _told(output: object) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    kind = type(output).__name__
    if isinstance(output, Mapping):
        return f"a {kind} with {', '.join(map(str, output))}"
    if isinstance(output, (tuple, list)):
        return f"a {kind} of {len(output)}"
    return f"a {kind}"
