"""A network and a map method, joined: from images to logits and maps."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from wsol.errors import InputError
from wsol.maps.capture import Layer
from wsol.maps.exact import own_classes
from wsol.maps.head import Anatomy
from wsol.maps.methods.attention import AttentionView, Tokens, tokens_of
from wsol.maps.methods.catalog import METHODS, find_method
from wsol.maps.methods.method import MapMethod
from wsol.maps.methods.view import FeatureView, Subject, View
from wsol.plugin import failing, is_plugin


class Localizer:
    """Makes the maps of one method at one layer, for inputs of one size.

    Attributes:
        method: how.
        layer: where; None for a method that looks at no layer.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        method: str,
        layer: str | None,
        probe: Tensor,
        examine: Callable[[str | None], Anatomy],
        weight: Callable[[Any], Tensor | None],
    ) -> None:
        """
        Args:
            name: of the network, for messages.
            method: as `find_method` takes it.
            layer: name of the module whose output features are taken from; several, separated by
                commas, for methods of torchcam; None for the last spatial activation.
            probe: (2, channels, H, W) an input.
            examine: gives the network's anatomy for such an input, and the layer of that name.
            weight: gives the weight of a head as it is now.

        Raises:
            InputError: when the network cannot have the method, with those that it can.
        """
        self.method: MapMethod = find_method(method)
        self._function = self.method.function
        self.layer: Layer | None = None
        self._tokens: Tokens | None = None
        self._probe = probe
        needs = self.method.needs
        if layer is not None and needs in ("head", "attention", "network"):
            raise InputError(
                f"--layer {layer}: the method {self.method.name} has no layer to choose; leave it "
                "out, or take a method by gradients."
            )
        head = None
        anatomy = examine(None)
        if needs != "network":
            if needs == "head" and isinstance(anatomy.head, InputError):
                raise anatomy.head
            self.layer = self._found(anatomy, layer, examine)
            if layer is None and not isinstance(anatomy.head, InputError):
                head = anatomy.head
        if needs == "layer" and self.layer is not None and self.layer.module is None:
            raise InputError(
                f"{name}: its last activation ({self.layer.name}) is no module's output, which "
                f"{self.method.name} needs; name a layer with --layer."
            )
        if needs == "attention":
            assert self.layer is not None
            headed = not isinstance(anatomy.head, InputError)
            self._tokens = self._read_tokens(network, self.layer, probe, name, headed=headed)
        self._subject = Subject(name, network, self.layer, head, lambda: weight(head))
        self.num_classes = anatomy.classes

    def _found(
        self, anatomy: Anatomy, layer: str | None, examine: Callable[[str | None], Anatomy]
    ) -> Layer:
        if layer is not None:
            several = self.method.needs == "layer"
            names = [part.strip() for part in layer.split(",")] if several else [layer]
            anatomies = [examine(name) for name in names]
            found = anatomies[-1].layer
            assert isinstance(found, Layer)
            return replace(found, name=",".join(names))
        if isinstance(anatomy.layer, InputError):
            raise anatomy.layer
        return anatomy.layer

    def _read_tokens(
        self, network: nn.Module, layer: Layer, probe: Tensor, name: str, *, headed: bool
    ) -> Tokens:
        try:
            tokens = tokens_of(network, layer, probe, name)
        except InputError as error:
            had = (*_BY_LAYER, "head") if headed else _BY_LAYER
            told = ", ".join(key for key, method in METHODS.items() if method.needs in had)
            raise InputError(
                f"{error}, which {self.method.name} reads; it can have {told}."
            ) from error
        if self.method.name == "legrad" and not tokens.blocks:
            raise InputError(
                f"{name}: its layers are no modules of their own, which legrad needs; it can have "
                "rollout and attention."
            )
        return tokens

    @cached_property
    def map_size(self) -> tuple[int, int]:
        """(width, height) of its maps."""
        if self.layer is not None:
            height, width = self.layer.grid
        else:  # only the method knows
            view = self.see(self._probe[:1])
            height, width = self.maps(view, torch.zeros_like(view.logits[:, :1]).long()).shape[2:]
        return width, height

    @property
    def not_finite(self) -> str:
        """What to say of a map that has NaN or infinite values."""
        name = self.method.name
        look = "method" if is_plugin(name) else "weights, or use --precision fp32"
        return (
            f"the {name} map of {self._subject.name} has NaN or infinite values; expected finite "
            f"ones: check the {look}."
        )

    @property
    def view_key(self) -> Hashable:
        """What localizers of a network have in common whose methods can share a view."""
        needs = self.method.needs
        if needs == "attention":
            return needs, self.method.name == "legrad"
        if needs in ("head", "features", "gradients"):
            headless = self._subject.head is None
            return "features", self.layer, headless, headless and needs == "gradients"
        return id(self)

    @property
    def passes(self) -> int | None:
        """Forward passes an image, however many classes' maps are made; None: nobody knows."""
        if self.method.count is None:
            return None
        channels = 0 if self.layer is None else self.layer.channels
        return self.method.count(channels, self._subject.head is not None)

    def settings(self) -> dict[str, Any]:
        """What a record says; nothing for exact CAM, which has nothing to choose."""
        if self.method.name == "cam":
            return {}
        settings: dict[str, Any] = {"method": self.method.name}
        if self.layer is not None and self.method.needs != "attention":
            settings["layer"] = self.layer.name
        if self.method.parameters:
            settings["method_parameters"] = dict(self.method.parameters)
        return settings

    def see(self, images: Tensor) -> View:
        """One pass over normalized images (B, 3, H, W), in the caller's precision.

        Raises:
            InputError: when the network raises something, or gives other logits than it did.
        """
        name = self._subject.name
        with failing(f"{name}: failed on {len(images)} images of {_pixels(images)}", _HINT):
            view = self._seen(images)
        if view.logits.shape != (len(images), self.num_classes):
            raise InputError(
                f"{name}: gave logits of shape {tuple(view.logits.shape)} for {len(images)} "
                f"images; expected {self.num_classes} for each, as it gave before."
            )
        return view

    def _seen(self, images: Tensor) -> View:
        if self._tokens is not None:
            by_layer = self.method.name == "legrad"
            return AttentionView(self._subject, images, self._tokens, by_layer=by_layer)
        if self.method.needs in ("head", "features", "gradients"):
            differentiate = self.method.needs == "gradients"
            return FeatureView(self._subject, images, differentiate=differentiate)
        return View(self._subject, images)

    def maps(self, view: View, classes: Tensor) -> Tensor:
        """Maps (B, n, h, w) float32 of classes (B, n), indices of logits, of a view of `see`.

        Args:
            classes: on the view's device, or on the CPU, where their range is looked at without
                waiting for the device.

        Raises:
            InputError: when a class is none of the network's, or the network raises something.
        """
        name = view.subject.name
        classes = own_classes(classes, view.logits.shape[1], name)
        kind = view.images.device.type
        # Gradients cannot be asked for within inference mode.
        with (
            failing(f"{name}: failed in {self.method.name} of {_pixels(view.images)}", _HINT),
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast(kind, enabled=False),
        ):
            found = self._function(view, classes.to(view.images.device, copy=True))
            return found.detach().float()


def _pixels(images: Tensor) -> str:
    height, width = images.shape[-2:]
    return f"{width}x{height} pixels"


_HINT = "; one exported or traced for another number of images takes only that: --batch-size"
_BY_LAYER = ("features", "gradients")
