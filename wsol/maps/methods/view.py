"""One forward pass as map methods see it: logits, features, and what can be asked of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsol.maps.capture import Layer, run_through
from wsol.maps.linear import Head


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What maps are made of.

    Attributes:
        name: what to call the network in messages.
        network: in evaluation mode, from images to (B, C) logits.
        layer: that features are taken from; None for a method that asks for none.
        head: the linear map after the features' mean, where there is one.
        weight: gives the head's weight (C, K) as it is now; None where features are class maps.
    """

    name: str
    network: nn.Module
    layer: Layer | None
    head: Head | None
    weight: Callable[[], Tensor | None]


class View:
    """One pass over a batch.

    Attributes:
        subject: what was run.
        images: (B, 3, H, W) as the network got them.
        logits: (B, C), without gradients.
    """

    def __init__(self, subject: Subject, images: Tensor) -> None:
        """Run the network, under the caller's autocast if there is one."""
        self.subject = subject
        with torch.inference_mode(False):  # where gradients may be asked for
            self.images = images.clone() if images.is_inference() else images
        kind = images.device.type
        self._precision = (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
        self.logits = self._run().flatten(1).detach()

    def _run(self) -> Tensor:
        """The pass: gives the network's output."""
        with torch.no_grad():
            output: Tensor = self.subject.network(self.images)
        return output

    def score(self, images: Tensor) -> Tensor:
        """Logits (B, C) float32 of other images, in the pass's precision."""
        with torch.no_grad(), self.precision():
            logits: Any = self.subject.network(images)
        return logits.flatten(1).float()

    def precision(self) -> torch.autocast:
        """A context of the precision that the pass ran in."""
        enabled, dtype = self._precision
        return torch.autocast(self.images.device.type, dtype=dtype, enabled=enabled)


class FeatureView(View):
    """A pass that keeps a layer's features."""

    def __init__(self, subject: Subject, images: Tensor, *, differentiate: bool) -> None:
        """
        Args:
            differentiate: prepare `gradients`, where the subject has no head to know them from.
        """
        assert subject.layer is not None
        self._layer = subject.layer
        # Of the last classes that were asked for: several methods can share a view.
        self._known: tuple[Tensor, Tensor] | None = None
        self._differentiate = differentiate and subject.head is None
        super().__init__(subject, images)

    def _run(self) -> Tensor:
        seen = run_through(
            self.subject.network, self._layer, self.images, gradient=self._differentiate
        )
        self._tensor, self._output = seen.tensor, seen.output.flatten(1)
        return self._output

    @property
    def layer(self) -> Layer:
        """Where the features are from."""
        return self._layer

    @cached_property
    def features(self) -> Tensor:
        """(B, K, h, w) float32."""
        return self._layer.layout.features(self._tensor.detach()).float()

    def gradients(self, classes: Tensor) -> Tensor:
        """Derivatives of the logits of `classes` (B, n) with respect to the features.

        Returns:
            (B, n, K, h, w) float32, or (B, n, K, 1, 1) where they are the same everywhere.
        """
        if self.subject.head is not None:
            weight = self.subject.weight()
            height, width = self._layer.grid
            if weight is None:
                slopes = F.one_hot(classes, self.logits.shape[1]).float()
            else:
                slopes = weight.detach().float()[classes]
            return slopes[..., None, None] / (height * width)
        if self._known is not None and torch.equal(self._known[0], classes):
            return self._known[1]
        found = []
        for own in classes.unbind(1):
            with torch.enable_grad():
                total = self._output.gather(1, own[:, None]).float().sum()
            (gradient,) = torch.autograd.grad(total, self._tensor, retain_graph=True)
            found.append(self._layer.layout.features(gradient).float())
        self._known = classes, torch.stack(found, 1)
        return self._known[1]

    def again(self, images: Tensor) -> "FeatureView":
        """The view of other images, in the pass's precision."""
        with self.precision():
            return FeatureView(self.subject, images, differentiate=True)
