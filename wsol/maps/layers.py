"""The layer that maps are made at, found in a watched pass.

The layer is the last spatial activation on which the logits depend: the last tensor that all of
the logits' knowledge goes through, has a grid of positions, and has a gradient at them. Of a
convolutional network that is what is pooled or flattened before the classifier, of a vision
transformer that classifies by a class token what its last attention is given, because after it no
token but that one counts.
"""

import difflib

import torch
from torch import Tensor

from wsol.errors import InputError
from wsol.maps.capture import Layer
from wsol.maps.layout import Layout, layout_of
from wsol.maps.positions import of_grid
from wsol.maps.watch import Step, Watched

_TOLERANCES = {torch.float64: 1e-4, torch.float32: 1e-3}
_HALF_TOLERANCE = 5e-2  # of float16 and bfloat16
_SINGLE_POSITION = (
    "of {}x{} pixels it makes a map of a single position, in which nothing can be "
    "localized; use a larger size."
)


def last_layer(watched: Watched, probe: Tensor, name: str) -> Step:
    """The last spatial activation on which the logits of a watched pass depend.

    Raises:
        InputError: when there is none.
    """
    height, width = probe.shape[2:]
    cuts = set(map(id, watched.cuts))
    attending = {
        step.modules[-1]: step.call for step in watched.steps if step.modules and attends(step)
    }
    dead: Step | None = None
    for step in reversed(watched.cuts):
        grid = _grid_of(step)
        if grid is None or not _holds_all(step, probe):
            continue
        origin = step.source
        if (
            origin is not None
            and id(origin) in cuts
            and _grid_of(origin) == grid
            and (origin.returned_by or not step.returned_by)
        ):
            continue  # the same activation, in another layout
        if any(attending.get(module, -1) > step.call for module in step.modules):
            continue  # keys and values within an attention, whose input is asked for
        if step.name.endswith("adaptive_avg_pool2d"):
            continue  # an average of the activation before it, or a copy of its positions
        everywhere, at_positions = _counts(step, watched)
        if not everywhere:
            dead = step
            break
        if not at_positions:
            continue  # only a token that stands for the whole image counts
        if any(_shrinks(later) for later in watched.steps if later.call > step.call):
            break
        return _normalized(step, watched)
    if any(_shrinks(step) for step in watched.steps):
        raise InputError(f"{name}: {_SINGLE_POSITION.format(width, height)}")
    if dead is not None:
        raise InputError(
            f"{name}: no logit has a gradient at its last activation ({dead.name} after "
            f"{dead.after or 'the start'}), as in quantized networks; take the network in floating "
            "point, or other weights."
        )
    spatial = [step for step in watched.steps if _grid_of(step) is not None]
    if spatial and not any(_holds_all(step, probe) for step in spatial):
        raise InputError(
            f"{name}: looks at one image after the other, so that no activation is of a whole "
            "batch; wrap the network without its loop over images."
        )
    raise InputError(
        f"{name}: of {width}x{height} pixels, no spatial activation was found that all of its "
        "logits depend on; use a larger size, or name one of its layers."
    )


def named_layer(watched: Watched, wanted: str, name: str) -> Step:
    """The step whose result the module `wanted` returned last.

    Raises:
        InputError: when there is no such module, its output is no grid of features, or what another
            call of it returned comes to the logits by another way.
    """
    if wanted not in watched.outputs:
        near = difflib.get_close_matches(wanted, watched.outputs, 4, 0.4)
        spatial = [module for module in watched.outputs if _module_step(watched, module)]
        told = near or spatial[-4:]
        hint = f"did you mean {' or '.join(told)}?" if told else "none of its layers has a name."
        raise InputError(f"{name}: has no layer {wanted!r}; {hint}")
    step = _module_step(watched, wanted)
    if step is None:
        shape = tuple(watched.outputs[wanted][0].shape[1:])
        spatial = [module for module in watched.outputs if _module_step(watched, module)]
        raise InputError(
            f"{name}: the output of its layer {wanted!r}, of shape {shape}, is no grid of "
            f"features; the last ones that are: {', '.join(spatial[-4:])}."
        )
    if any(_goes_round(other, step, watched) for other in _of_module(watched, wanted)):
        raise InputError(
            f"{name}: its layer {wanted!r} is at work several times side by side, as on an image "
            "and its mirror image, and a map would be of the last of them alone; name a layer "
            "where they have come together, or wrap the network without that."
        )
    return step


def _of_module(watched: Watched, module: str) -> list[Step]:
    """The steps whose results calls of a module returned."""
    return [step for step in watched.steps if module in dict(step.returned_by)]


def _goes_round(other: Step, step: Step, watched: Watched) -> bool:
    """Whether the logits depend on another step, and not by way of this one."""
    if other is step or not _slope(other, watched).any():
        return False
    (through,) = torch.autograd.grad(
        step.tensor.sum(), other.tensor, retain_graph=True, allow_unused=True
    )
    return through is None


def spatial_modules(watched: Watched) -> list[tuple[str, tuple[int, int], int]]:
    """Name, grid (height, width) and channels of every module whose output is spatial."""
    found = []
    for module, (tensor, _) in watched.outputs.items():
        step = _module_step(watched, module)
        layout = None if step is None else _layout_of(step)
        if layout is not None:
            found.append((module, layout.grid, tensor.shape[layout.channels]))
    return found


def layer_of(step: Step, wanted: str | None = None) -> Layer:
    """The layer of a step, captured at the module `wanted`, or the outermost that returns it."""
    layout = _layout_of(step)
    assert layout is not None
    channels = step.tensor.shape[layout.channels]
    returned = dict(step.returned_by)
    module = wanted or next((name for name in step.modules if name in returned), None)
    if module is not None:
        return Layer(module, module, returned[module], 0, False, layout, channels)
    return at_call(step, layout, channels)


def at_call(step: Step, layout: Layout, channels: int) -> Layer:
    """The layer of a step, captured where the function is called."""
    name = f"{step.name} after {step.after or 'the start'}"
    return Layer(name, None, step.call, step.output, step.in_place, layout, channels)


def _layout_of(step: Step) -> Layout | None:
    if step.positions is not None:
        return layout_of(step.positions)
    # Of a function that nothing is known of.
    return layout_of(of_grid(step.tensor)) if step.tensor.ndim == 4 else None


def _grid_of(step: Step) -> tuple[int, int] | None:
    """The grid of a step that has more than one position, where it has been followed."""
    if step.positions is None or step.positions.grid == (1, 1):
        return None
    layout = layout_of(step.positions)
    return None if layout is None or layout.grid == (1, 1) else layout.grid


def _holds_all(step: Step, probe: Tensor) -> bool:
    layout = _layout_of(step)
    return layout is not None and step.tensor.shape[layout.images] == len(probe)


def _module_step(watched: Watched, module: str) -> Step | None:
    """The step of a module's last output, where that is a grid of more than one position."""
    tensor, call = watched.outputs[module]
    step = next((step for step in watched.steps if step.tensor is tensor), None)
    if step is None:  # it was not made by torch functions that could be watched
        return None
    layout = _layout_of(step)
    if layout is None or layout.grid == (1, 1):
        return None
    if (module, call) not in step.returned_by:
        step.returned_by.append((module, call))
    return step


def _counts(step: Step, watched: Watched) -> tuple[bool, bool]:
    """Whether the logits change with anything in a step's tensor, and at the grid's positions."""
    slope = _slope(step, watched)
    return bool(slope.any()), bool(_features(step, slope).any())


def _normalized(step: Step, watched: Watched) -> Step:
    """A step, or where a normalization that knows no scale follows at once, what that gives.

    Before such a one the derivative with respect to a position's scale is zero: features times
    gradients, which methods multiply, add up to nothing there. A vision transformer's last
    attention is given normalized tokens, while the tokens as they were go on beside it, of which
    only the class token counts. So what is looked for carries the gradient at all positions.
    """
    slope = _slope(step, watched)
    if not _has_no_scale(step, slope):
        return step
    whole = _features(step, slope)
    grid, found = _grid_of(step), step
    for later in watched.steps:
        if later.call <= step.call or _grid_of(later) != grid:
            continue
        own = _slope(later, watched)
        if not _features(later, own).any() or _has_no_scale(later, own):
            continue
        (through,) = torch.autograd.grad(
            later.tensor, step.tensor, own, retain_graph=True, allow_unused=True
        )
        if through is None:
            continue
        if not is_close(_features(step, through), whole, tolerance_of(whole)):
            continue
        if later.returned_by:
            return later
        found = later if found is step else found  # unless a module's output comes after it
    return found


def _has_no_scale(step: Step, slope: Tensor) -> bool:
    products = _features(step, step.tensor.detach()) * _features(step, slope)
    allowed = tolerance_of(step.tensor) * products.abs().sum(1).max()
    return bool(products.sum(1).abs().max() <= allowed)


def _slope(step: Step, watched: Watched) -> Tensor:
    """The gradient of the logits' random sum with respect to a step's tensor; zero if unused."""
    total = (watched.output.flatten(1) * projection(watched.output)).sum()
    (gradient,) = torch.autograd.grad(total, step.tensor, retain_graph=True, allow_unused=True)
    return torch.zeros_like(step.tensor) if gradient is None else gradient


def _features(step: Step, tensor: Tensor) -> Tensor:
    """(B, K, h, w) of a tensor that lies as the step's does."""
    layout = _layout_of(step)
    assert layout is not None
    return layout.features(tensor)


def projection(logits: Tensor) -> Tensor:
    """Random weights of the classes, always the same: what holds for their sum holds for each."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(logits.flatten(1).shape[1], generator=generator)
    return weights.to(logits.device, logits.dtype)


def tolerance_of(tensor: Tensor) -> float:
    """How far numbers of a tensor's type may differ, relative to their greatest."""
    return _TOLERANCES.get(tensor.dtype, _HALF_TOLERANCE)


def is_close(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Whether numbers differ by no more than that share of the greatest expected."""
    return bool((found - expected).abs().max() <= tolerance * expected.abs().max())


def attends(step: Step) -> bool:
    """Whether it is an attention, or the probabilities of one."""
    if step.name == "softmax":
        return step.tensor.ndim >= 3
    return step.name in ("scaled_dot_product_attention", "multi_head_attention_forward")


def _shrinks(step: Step) -> bool:
    """Whether a convolution leaves one position, other than by reading its whole input as one."""
    if step.weights is None or "conv" not in step.name:
        return False
    kernel, inputs = tuple(step.weights[0].shape[2:]), step.inputs[2:]
    single = step.tensor.ndim == 4 and step.tensor.shape[2:] == (1, 1)
    return single and kernel != (1, 1) and kernel != inputs
