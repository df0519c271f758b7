"""Methods that read a transformer's attention: rollout, class attention, LeGrad.

They apply where attention goes over all tokens of an image at once. Probabilities are captured
wherever they are computed: in PyTorch's fused attention, in its multi-head attention, or by a
softmax of one's own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsol.errors import InputError
from wsol.maps.capture import Layer
from wsol.maps.layers import attends, projection
from wsol.maps.methods.view import Subject, View
from wsol.maps.positions import name_of
from wsol.maps.watch import Calls, Step, Watched, watch


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """What a transformer does with its tokens.

    Attributes:
        count: N, tokens of an image, those that stand for no position included.
        read: (N,) float32 how the classifier weighs tokens, of sum 1: the class token alone, or
            the mean over positions.
        blocks: names of the modules that hold one attention each, in the pass's order.
    """

    count: int
    read: Tensor
    blocks: tuple[str, ...]


def tokens_of(network: nn.Module, layer: Layer, probe: Tensor, name: str) -> Tokens:
    """The tokens of a network with attention over all of them.

    Raises:
        InputError: when it has none.
    """
    watched = watch(network, probe)
    count = _token_count(watched, layer)
    found = [step for step in watched.steps if attends(step)]
    if count is None or not found or not all(_is_global(step, count) for step in found):
        raise InputError(f"{name}: has no layers of attention over all its positions alone")
    return Tokens(count, _read(watched, layer, count), _blocks(found))


class AttentionView(View):
    """A pass that keeps every layer's attention.

    Attributes:
        tokens: of the network.
        probabilities: (B, heads, N, N) for each layer; leaves of the graph in a view by layer.
        scores: (layers, B, C) of a view by layer: the classifier's of each layer's mean token.
    """

    def __init__(self, subject: Subject, images: Tensor, tokens: Tokens, *, by_layer: bool) -> None:
        assert subject.layer is not None
        self.tokens = tokens
        self.scores = torch.empty(0)
        self._layer = subject.layer
        self._by_layer = by_layer
        super().__init__(subject, images)

    def _run(self) -> Tensor:
        capture = _Capture(self.tokens.count, differentiate=self._by_layer)
        output = self._run_by_layer(capture) if self._by_layer else self._run_plainly(capture)
        self.probabilities = capture.probabilities
        return output

    def _run_plainly(self, capture: "_Capture") -> Tensor:
        with torch.no_grad(), capture:
            output: Tensor = self.subject.network(self.images)
        return output

    def _run_by_layer(self, capture: "_Capture") -> Tensor:
        """The pass cut after each block, so that no score depends on another block's attention.

        After the last one the blocks' mean tokens go on together, as a larger batch.
        """
        means: list[Tensor] = []
        images = self._layer.layout.images
        tokens = 1 - images
        last = len(self.tokens.blocks) - 1

        def after(number: int) -> Callable[..., Tensor]:
            def hook(module: nn.Module, args: Any, output: Tensor) -> Tensor:
                with torch._C.DisableTorchFunction():  # where a detached tensor would not be one
                    means.append(output.mean(tokens, keepdim=True).expand_as(output))
                    rest = output.detach()
                    return torch.cat([rest, *means], images) if number == last else rest

            return hook

        network = self.subject.network
        handles = [
            network.get_submodule(block).register_forward_hook(after(number))
            for number, block in enumerate(self.tokens.blocks)
        ]
        try:
            with torch.inference_mode(False), torch.enable_grad(), capture:
                output: Tensor = network(self.images)
                parts = output.flatten(1).unflatten(0, (last + 2, len(self.images)))
                self.scores = parts[1:]
        finally:
            for handle in handles:
                handle.remove()
        return parts[0]

    def on_grid(self, values: Tensor, classes: Tensor) -> Tensor:
        """(B, N) values of tokens as maps (B, n, h, w), the same for all classes."""
        layout = self._layer.layout
        maps = layout.features(values.movedim(0, layout.images)[..., None])
        return maps.expand(-1, classes.shape[1], -1, -1)


def rollout(view: AttentionView, classes: Tensor) -> Tensor:
    """Attention rollout: the product over layers of (A + I) / 2 (Abnar and Zuidema, ACL 2020).

    A is the mean over heads; the map is the row of what the classifier reads.
    """
    identity = torch.eye(view.tokens.count, device=view.images.device)
    flow = view.tokens.read.to(view.images.device)[None, None]
    for probabilities in reversed(view.probabilities):
        flow = flow @ ((probabilities.float().mean(1) + identity) / 2)
    return view.on_grid(flow[:, 0], classes)


def attention(view: AttentionView, classes: Tensor) -> Tensor:
    """The last layer's attention of what the classifier reads (Caron et al., ICCV 2021).

    The mean over heads of the class token's row, or of all positions' rows without one.
    """
    last = view.probabilities[-1].float().mean(1)
    read = view.tokens.read.to(last.device)
    return view.on_grid(torch.einsum("n,bnm->bm", read, last), classes)


def legrad(view: AttentionView, classes: Tensor) -> Tensor:
    """LeGrad: positive gradients of attention, mean over heads, queries and layers.

    Each layer's score is the classifier's on the mean of the layer's tokens, and is derived with
    respect to that layer's own attention alone (Bousselham et al., arXiv 2404.03214).
    """
    maps = []
    for own in classes.unbind(1):
        wanted = own.expand(len(view.scores), -1)[..., None]
        with torch.enable_grad():
            total = view.scores.gather(2, wanted).float().sum()
        gradients = torch.autograd.grad(total, view.probabilities, retain_graph=True)
        layers = [gradient.float().relu().mean((1, 2)) for gradient in gradients]
        maps.append(view.on_grid(torch.stack(layers).mean(0), own[:, None]))
    return torch.cat(maps, 1)


class _Capture(Calls):
    """Keeps the probabilities (B, heads, N, N) of every attention over N tokens.

    Args:
        differentiate: make them leaves of the graph that what follows depends on.
    """

    def __init__(self, count: int, *, differentiate: bool) -> None:
        super().__init__()
        self.probabilities: list[Tensor] = []
        self._count = count
        self._differentiate = differentiate

    def on_call(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        name = name_of(func)
        if name == "scaled_dot_product_attention" and self._is_wanted(args[0], args[1]):
            return self._fused(*args, **kwargs)
        if name == "multi_head_attention_forward" and len(args[0]) == self._count:
            return self._multi_head(args, kwargs)
        result = func(*args, **kwargs)
        if name == "softmax" and result.ndim == 4 and self._is_wanted(result, result.mT):
            return self._keep(result)
        return result

    def _is_wanted(self, query: Tensor, key: Tensor) -> bool:
        return query.shape[-2] == key.shape[-2] == self._count

    def _keep(self, probabilities: Tensor) -> Tensor:
        if self._differentiate:
            probabilities = probabilities.detach().requires_grad_()
        self.probabilities.append(probabilities)
        return probabilities

    def _fused(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, -torch.inf)
        elif attn_mask is not None:
            scores = scores + attn_mask
        return self._keep(scores.softmax(-1)).to(value.dtype) @ value

    def _multi_head(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Tensor, Tensor | None]:
        """`F.multi_head_attention_forward` (tokens first), with the sum over values made again.

        The probabilities that it returns lead to nothing; here the output depends on them.
        """
        asked = kwargs.pop("need_weights", True)
        averaged = kwargs.pop("average_attn_weights", True)
        kwargs |= {"need_weights": True, "average_attn_weights": False}
        output, found = F.multi_head_attention_forward(*args, **kwargs)
        assert found is not None  # which was asked for
        probabilities = self._keep(found)
        if self._differentiate:
            output = _sum_of_values(probabilities, args, kwargs)
        told = probabilities.mean(1) if averaged else probabilities
        return output, told if asked else None


def _sum_of_values(probabilities: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Values weighted by probabilities (B, heads, N, N), through the output's linear layer."""
    value, width, heads, weight, bias = args[2], *args[3:7]
    projection_weight, projection_bias = args[11], args[12]
    own: Tensor = kwargs["v_proj_weight"] if weight is None else weight[2 * width :]
    values = F.linear(value, own, None if bias is None else bias[2 * width :])
    values = values.unflatten(2, (heads, -1)).permute(1, 2, 0, 3)
    summed = (probabilities.to(values.dtype) @ values).permute(2, 0, 1, 3).flatten(2)
    return F.linear(summed, projection_weight, projection_bias)


def _token_count(watched: Watched, layer: Layer) -> int | None:
    if layer.layout.channels != 2:
        return None
    tokens = 1 - layer.layout.images
    steps = [step for step in watched.steps if step.call == layer.call and layer.module is None]
    if layer.module is not None:
        return int(watched.outputs[layer.module][0].shape[tokens])
    return int(steps[0].tensor.shape[tokens]) if steps and steps[0].tensor.ndim == 3 else None


def _is_global(step: Step, count: int | None) -> bool:
    """Whether an attention's queries are all tokens (of the pass's images, not of windows)."""
    if step.name == "multi_head_attention_forward":
        return step.inputs[0] == count
    if step.name == "softmax":
        return step.tensor.ndim == 4 and step.tensor.shape[-2:] == (count, count)
    return step.inputs[-2] == count


def _read(watched: Watched, layer: Layer, count: int) -> Tensor:
    """How the classifier weighs the last tokens: those that the logits depend on, alike."""
    total = (watched.output.flatten(1) * projection(watched.output)).sum()
    images = layer.layout.images
    last = next(
        step
        for step in reversed(watched.cuts)
        if step.tensor.ndim == 3 and step.tensor.shape[1 - images] == count
    )
    (gradient,) = torch.autograd.grad(total, last.tensor)
    matters = gradient.abs().sum((images, 2)).cpu() > 0
    numbers = torch.arange(count)[None].movedim(0, images)[..., None]
    positions = layer.layout.features(numbers).flatten()
    chosen = torch.zeros(count)
    chosen[positions if matters[positions].any() else matters] = 1
    return chosen / chosen.sum()


def _blocks(found: list[Step]) -> tuple[str, ...]:
    """The outermost module of each attention that holds no other one."""
    names = []
    for step in found:
        others = {name for other in found if other is not step for name in other.modules}
        own = next((name for name in step.modules if name not in others), None)
        if own is None:
            return ()
        names.append(own)
    return tuple(names)
