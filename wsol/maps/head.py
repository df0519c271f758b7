"""Finding the head that class activation maps need, by what a network computes.

A CAM (Zhou et al., CVPR 2016) exists where the logits are a linear map of a spatial mean: for
those networks, and exactly for those, the map's mean plus the bias is the logit. How the mean and
the linear map are written, and what modules are called, says nothing about it. The property does:
the derivative of a logit with respect to the last spatial features is the same at every position
and for every image.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wsol.errors import InputError
from wsol.maps.drawing import drawn, give_numbers
from wsol.maps.layers import (
    Layer,
    Pass,
    at_call,
    last_layer,
    layer_of,
    named_layer,
    projection,
    run_through,
)
from wsol.maps.positions import is_moving
from wsol.maps.watch import Step, Watched, watch

_TOLERANCES = {torch.float64: 1e-4, torch.float32: 1e-3}
_AVERAGING = ("mean", "sum", "div", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_avg_pool1d")
_HALF_TOLERANCE = 5e-2  # of float16 and bfloat16


@dataclass(frozen=True, slots=True)
class Head:
    """The linear map from the mean of a layer's features to the logits.

    Attributes:
        layer: what is averaged.
        classes: C, the number of logits.
        weight, bias: names of the network's parameters; None where they are none of its own.
        linear: whether there is a linear map: where it is False the averaged channels are the
            logits, so that the features are the class maps themselves (SqueezeNet).
    """

    layer: Layer
    classes: int
    weight: str | None
    bias: str | None
    linear: bool


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
        network, probe = give_numbers(copy.deepcopy(network)), torch.rand(probe.shape)
    watched = watched_pass(network, probe, name)
    logits = watched.output
    if not isinstance(logits, Tensor) or logits.numel() == 0 or len(logits) != len(probe):
        raise InputError(f"{name}: gives {_told(logits)} instead of one tensor of logits.")
    classes = logits.flatten(1).shape[1]
    if wanted is not None:
        step = named_layer(watched, wanted, name)
        layer, _ = _checked(network, layer_of(step, wanted), step, probe, name)
        return Anatomy(classes, layer, InputError(_NO_HEAD.format(name, f"{wanted} was asked for")))
    anatomy = _anatomy(network, watched, classes, probe, name)
    if isinstance(anatomy.layer, InputError):
        with drawn(network) as some:
            if some:
                watched = watched_pass(network, probe, name)
                anatomy = _anatomy(network, watched, classes, probe, name)
    return anatomy


def _anatomy(
    network: nn.Module, watched: Watched, classes: int, probe: Tensor, name: str
) -> Anatomy:
    try:
        step = last_layer(watched, probe, name)
        layer, seen = _checked(network, layer_of(step), step, probe, name)
    except InputError as error:
        return Anatomy(classes, error, error)
    try:
        return Anatomy(classes, layer, _head(network, layer, step, seen, watched, probe, name))
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


def linear_map(
    network: nn.Module, head: Head, images: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """Weight (C, K) and bias (C,) of a head, live where they are the network's parameters.

    Where they are not, because the linear map is written in other operations, they are its
    derivative, which takes a pass of one of the `images`.
    """
    if not head.linear:
        return None, None
    if head.weight is not None:
        bias = None if head.bias is None else network.get_parameter(head.bias)
        return network.get_parameter(head.weight).flatten(1), bias
    with torch.inference_mode(False), torch.enable_grad():
        seen = run_through(network, head.layer, images[:1].detach().clone(), gradient=True)
        logits = seen.output.flatten(1)[0]
        rows = []
        for logit in logits:
            (gradient,) = torch.autograd.grad(logit, seen.tensor, retain_graph=True)
            rows.append(head.layer.layout.features(gradient)[0].float().sum((1, 2)))
        weight = torch.stack(rows)
        means = head.layer.layout.features(seen.tensor.detach())[0].float().mean((1, 2))
        return weight, logits.detach().float() - weight @ means


def watched_pass(network: nn.Module, probe: Tensor, name: str) -> Watched:
    """`watch`, with whatever a network raises told in one line."""
    channels, height, width = probe.shape[1:]
    try:
        return watch(network, probe)
    except InputError:
        raise
    except Exception as error:  # a network may raise anything
        told = (str(error).strip().splitlines() or [""])[0]
        raise InputError(
            f"{name}: cannot take {channels} channels of {width}x{height} pixels "
            f"({type(error).__name__}{': ' if told else ''}{told}); use a size that it takes, or "
            "wrap it in a module that takes red, green and blue."
        ) from error


_NO_HEAD = (
    "{}: {}, so class activation maps are not defined for it. A method by gradients applies, such "
    "as Grad-CAM: --method gradcam."
)


def _checked(
    network: nn.Module, layer: Layer, step: Step, probe: Tensor, name: str
) -> tuple[Layer, Pass]:
    """The layer, and a pass through it that shows what the watched pass has shown."""
    for place in (layer, at_call(step, layer.layout, layer.channels)):
        try:
            seen = run_through(network, place, probe, gradient=True)
            if _same(seen.tensor.detach(), step.tensor.detach()) and _gradient(seen).any():
                return place, seen
        except RuntimeError:
            continue
    raise InputError(
        f"{name}: no logit depends on its layer {layer.name!r} by a gradient; name another one, "
        "of a transformer with a class token one before its last block."
    )


def _gradient(seen: Pass) -> Tensor:
    """The gradient of the logits' random sum with respect to the layer's tensor."""
    total = (seen.output.flatten(1) * projection(seen.output)).sum()
    (gradient,) = torch.autograd.grad(total, seen.tensor, retain_graph=True)
    return gradient


def _head(
    network: nn.Module,
    layer: Layer,
    step: Step,
    seen: Pass,
    watched: Watched,
    probe: Tensor,
    name: str,
) -> Head:
    """Decide by the property, on the probe's features and on others made of the same numbers."""
    put = _others(layer, seen.tensor).to(seen.tensor.dtype)
    other = run_through(network, layer, probe, gradient=True, put=put)
    features = layer.layout.features
    tolerance = _TOLERANCES.get(seen.tensor.dtype, _HALF_TOLERANCE)
    gradients = torch.cat([_gradient(seen), _gradient(other)])
    slopes = features(gradients).double()
    common = slopes.mean((0, 2, 3))
    allowed = tolerance * common.abs().max()
    if ((slopes - slopes.mean((2, 3), keepdim=True)).abs() > allowed).any():
        told = "its last features are not averaged, logits weigh their positions differently"
        raise InputError(_NO_HEAD.format(name, told))
    if ((slopes - common[:, None, None]).abs() > allowed).any():
        told = "its logits are no linear map of the mean of the last features"
        raise InputError(_NO_HEAD.format(name, told))
    total = (gradients.double().abs().sum(), slopes.abs().sum())
    logits = torch.cat([seen.output, other.output]).flatten(1).detach().double()
    tensors = torch.cat([seen.tensor, other.tensor]).detach()
    means = features(tensors).double().mean((2, 3))
    weights = common * (layer.grid[0] * layer.grid[1])
    sums = logits @ projection(logits)
    offsets = sums - means @ weights
    if total[0] - total[1] > tolerance * total[0] or (
        offsets - offsets[0]
    ).abs().max() > tolerance * sums.abs().max().clamp(min=1):
        told = "its logits depend on more than the mean of the last features"
        raise InputError(_NO_HEAD.format(name, told))
    classes = logits.shape[1]
    random = projection(logits)
    after = [later for later in watched.steps if later.call > step.call]
    names = {id(parameter): key for key, parameter in network.named_parameters()}
    for later in reversed(after):
        weight, bias = later.weights or (None, None)
        if weight is None or weight.flatten(1).shape != (classes, layer.channels):
            continue
        own = id(weight) in names and (bias is None or id(bias) in names)
        if own and _close(random @ weight.detach().flatten(1).double(), weights, tolerance):
            key = None if bias is None else names[id(bias)]
            return Head(layer, classes, names[id(weight)], key, linear=True)
    averaged = all(is_moving(later.name) or later.name in _AVERAGING for later in after)
    if averaged and layer.channels == classes and _close(weights, random, tolerance):
        return Head(layer, classes, None, None, linear=False)
    return Head(layer, classes, None, None, linear=True)


def _others(layer: Layer, tensor: Tensor) -> Tensor:
    """Other features of two images, made of the same numbers, so that they have their signs.

    They are shuffled over everything, channels are scaled at random, and the second image is so
    strong that what bends at all (as activations that are nearly straight around zero) shows it.
    """
    generator = torch.Generator().manual_seed(0)
    tensor = tensor.detach().float()
    order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
    shuffled = tensor.flatten()[order].reshape(tensor.shape).movedim(layer.layout.channels, -1)
    scales = 2 * torch.rand(shuffled.shape[-1], generator=generator).to(tensor.device)
    shuffled = (shuffled * scales).movedim(-1, layer.layout.channels).contiguous()
    shuffled[1] *= (10 / shuffled[1].std()).nan_to_num(1, 1).clamp(min=2)
    return shuffled


def _same(found: Tensor, expected: Tensor) -> bool:
    tolerance = _TOLERANCES.get(expected.dtype, _HALF_TOLERANCE)
    return found.shape == expected.shape and _close(found, expected, tolerance)


def _close(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    return bool((found - expected).abs().max() <= tolerance * expected.abs().max())


def _told(output: object) -> str:
    return (
        f"a tensor of shape {tuple(output.shape)}"
        if isinstance(output, Tensor)
        else type(output).__name__
    )
