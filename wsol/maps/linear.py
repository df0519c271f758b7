"""Whether logits are a linear map of the mean of a layer's features, decided by what that means.

The derivative of a logit with respect to the features is then the same at every position and for
every image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wsol.errors import InputError
from wsol.maps.capture import Layer, Pass, run_through
from wsol.maps.layers import is_close, projection, tolerance_of
from wsol.maps.positions import is_moving
from wsol.maps.trials import trials
from wsol.maps.watch import Step, Watched

_AVERAGING = ("mean", "sum", "div", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_avg_pool1d")


NO_HEAD = (
    "{}: {}, so class activation maps are not defined for it. A method by gradients applies, such "
    "as Grad-CAM: --method gradcam."
)
_MORE = "its logits depend on more than the mean of the last features"


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


def head_of(
    network: nn.Module,
    layer: Layer,
    step: Step,
    seen: Pass,
    watched: Watched,
    probe: Tensor,
    name: str,
) -> Head:
    """Decide by the property, on the probe's features and on others made of the same numbers."""
    tolerance = tolerance_of(seen.tensor)
    _common_slope([seen], layer, tolerance, name)  # which nearly all others do not have
    passes = [seen, *trials(network, layer, probe, seen.tensor)]
    common = _common_slope(passes, layer, tolerance, name)
    weights = common * (layer.grid[0] * layer.grid[1])
    logits = torch.cat([each.output for each in passes]).flatten(1).detach().double()
    features = torch.cat([layer.layout.features(each.tensor.detach()) for each in passes])
    means = features.double().mean((2, 3))
    random = projection(logits)
    offsets = logits @ random - means @ weights
    # What their terms add up to without signs is what rounding is relative to.
    terms = logits.abs() @ random.abs() + means.abs() @ weights.abs()
    least = terms.argmin()
    if ((offsets - offsets[least]).abs() > tolerance * (terms + terms[least])).any():
        raise InputError(NO_HEAD.format(name, _MORE))
    classes = logits.shape[1]
    after = [later for later in watched.steps if later.call > step.call]
    names = {id(parameter): key for key, parameter in network.named_parameters()}
    for later in reversed(after):
        weight, bias = later.weights or (None, None)
        if weight is None or weight.flatten(1).shape != (classes, layer.channels):
            continue
        own = id(weight) in names and (bias is None or id(bias) in names)
        if own and is_close(random @ weight.detach().flatten(1).double(), weights, tolerance):
            key = None if bias is None else names[id(bias)]
            return Head(layer, classes, names[id(weight)], key, linear=True)
    averaged = all(is_moving(later.name) or later.name in _AVERAGING for later in after)
    if averaged and layer.channels == classes and is_close(weights, random, tolerance):
        return Head(layer, classes, None, None, linear=False)
    return Head(layer, classes, None, None, linear=True)


def _common_slope(passes: list[Pass], layer: Layer, tolerance: float, name: str) -> Tensor:
    """(K,) float64 the derivative of the logits' random sum, of all positions and maps the same.

    Raises:
        InputError: when it is not, or the logits depend on more than the features.
    """
    gradients = [gradient_of(each) for each in passes]
    slopes = torch.cat([layer.layout.features(gradient) for gradient in gradients]).double()
    common = slopes.mean((0, 2, 3))
    allowed = tolerance * common.abs().max()
    if ((slopes - slopes.mean((2, 3), keepdim=True)).abs() > allowed).any():
        told = "its last features are not averaged, logits weigh their positions differently"
        raise InputError(NO_HEAD.format(name, told))
    if ((slopes - common[:, None, None]).abs() > allowed).any():
        told = "its logits are no linear map of the mean of the last features"
        raise InputError(NO_HEAD.format(name, told))
    everything = torch.stack([gradient.double().abs().sum() for gradient in gradients]).sum()
    if everything - slopes.abs().sum() > tolerance * everything:
        raise InputError(NO_HEAD.format(name, _MORE))
    return common


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


def gradient_of(seen: Pass) -> Tensor:
    """The gradient of the logits' random sum with respect to the layer's tensor."""
    total = (seen.output.flatten(1) * projection(seen.output)).sum()
    (gradient,) = torch.autograd.grad(total, seen.tensor, retain_graph=True)
    return gradient
