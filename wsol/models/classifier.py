"""A network with everything an evaluation has to know about it."""

import copy
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from wsol.datasets.classes import require_once
from wsol.errors import InputError
from wsol.maps.capture import run_through
from wsol.maps.exact import class_maps, own_classes
from wsol.maps.head import Anatomy, examine
from wsol.maps.linear import Head, linear_map
from wsol.maps.methods.localizer import Localizer
from wsol.maps.outputs import LogitsWithinError, giving_logits
from wsol.maps.scripted import uncompiled, watchable
from wsol.models.acol import AcolLocalizer, given_to
from wsol.models.parts import acol_head, training_parts

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
# Classifiers that networks carry for training alone (GoogLeNet, Inception v3).
_AUXILIARY = ("aux1", "aux2", "AuxLogits")


class Preprocessing(BaseModel):
    """How photographs become a network's input.

    Attributes:
        size: the side it was trained or published with, in pixels.
        mean, std: of pixels scaled to [0, 1], in the network's channel order.
        channel_order: of the network's input.
        interpolation: how photographs are resized.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(default=224, gt=0)
    mean: tuple[float, float, float] = _IMAGENET_MEAN
    std: tuple[float, float, float] = _IMAGENET_STD
    channel_order: Literal["rgb", "bgr"] = "rgb"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    @property
    def mean_rgb(self) -> tuple[float, float, float]:
        """The mean as red, green, blue."""
        first, second, third = self.mean
        return self.mean if self.channel_order == "rgb" else (third, second, first)

    def as_settings(self) -> dict[str, Any]:
        """What a record says; `size` is stated by the evaluation itself."""
        return self.model_dump(mode="json", exclude={"size"})


class Classifier:
    """A network in evaluation mode, and the maps that can be made of it.

    Attributes:
        name: as a record calls it.
        backbone: what tells the architecture: the name that it was built by and the network's
            class, whatever it is called afterwards.
        network: from (B, 3, H, W) normalized images to (B, C) logits.
        classes: C class keys in the order of the logits (WordNet ids for ImageNet), or None if
            nobody said; then a data set's labels are taken as indices of logits.
        training_method: the method of `wsol.training.methods` that the weights came from, where a
            checkpoint says so.
        notes: what a record should say about the weights, see `wsol.models.registry`.
        training_seed, training_recipe: of that training, likewise; the recipe is a digest of
            everything but the seed, so that repetitions are known by it.
        parameters: how many the network has, without auxiliary classifiers, which are removed,
            and without what only training uses, see `wsol.models.parts.training_parts`.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        classes: Sequence[str] | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> None:
        """Look at the network at its own input size; one that it cannot take is told later.

        Raises:
            InputError: when the name is no text, the network no module, or `classes` has another
                length than its logits or one of them twice, or it has lazy layers that are yet to
                be made.
        """
        if not isinstance(name, str) or not name:
            raise InputError(f"The name of a network is a text, not {name!r:.40}.")
        if not isinstance(network, nn.Module):
            kind = type(network).__name__
            raise InputError(f"{name}: is of the type {kind} instead of an nn.Module.")
        if any(is_lazy(parameter) for parameter in network.parameters()):
            raise InputError(
                f"{name}: has lazy layers without weights; let it see an image once before."
            )
        network = uncompiled(network)
        for auxiliary in _AUXILIARY:
            if getattr(network, auxiliary, None) is not None:
                setattr(network, auxiliary, None)
        self.name = name
        self.backbone = f"{name} {type(network).__name__}"
        with suppress(NotImplementedError):  # exported networks are in evaluation mode for good
            network.eval()
        self.network = network
        self._watchable = watchable(network)
        self.preprocessing = preprocessing or Preprocessing()
        self.classes = None if classes is None else _class_keys(classes, name)
        idle = {p for part in training_parts(network) for p in part.parameters()}
        self.parameters = sum(p.numel() for p in network.parameters() if p not in idle)
        self.training_method: str | None = None
        self.training_seed: int | None = None
        self.training_recipe: str | None = None
        self.notes: tuple[str, ...] = ()
        self._form = torch.contiguous_format
        self._acol = acol_head(network)
        self._seen: dict[tuple[int, str | None], Anatomy] = {}
        self._derived: dict[Head, tuple[Any, Tensor]] = {}
        self._localizers: dict[tuple[str, str | None, int], Localizer] = {}
        try:
            self.examine()
        except InputError:
            if self._seen:  # it was looked at, but its classes do not fit
                raise

    @property
    def num_classes(self) -> int:
        """C, the number of logits.

        Raises:
            InputError: when the network takes no input of its own size.
        """
        seen = next(iter(self._seen.values()), None) or self.examine()
        return seen.classes

    def examine(self, size: int | None = None, layer: str | None = None) -> Anatomy:
        """Layer and head for inputs of `size` pixels (None: of the network's own), looked at once.

        Args:
            layer: the module whose output is the layer; None for the last spatial activation.

        Raises:
            InputError: when the network cannot take them, gives no logits, or has no such layer.
        """
        key = (size or self.preprocessing.size, layer)
        if key not in self._seen:
            probe = self.probe(key[0])
            try:
                self._seen[key] = examine(self._watchable, probe, self.name, layer)
            except LogitsWithinError:
                self._take_logits()
                self._seen[key] = examine(self._watchable, probe, self.name, layer)
        anatomy = self._seen[key]
        if self.classes is not None and len(self.classes) != anatomy.classes:
            raise InputError(
                f"{self.name}: {len(self.classes)} class names for {anatomy.classes} logits."
            )
        (first, _), before = next(iter(self._seen.items()))
        if before.classes != anatomy.classes:
            raise InputError(
                f"{self.name}: gives {anatomy.classes} logits for {key[0]} pixels and "
                f"{before.classes} for {first}; expected the same number."
            )
        return anatomy

    def _take_logits(self) -> None:
        """Have the logits alone of a network that returns them within something else."""
        same = self._watchable is self.network
        self._watchable = giving_logits(self._watchable)
        if same:
            self.network = self._watchable

    def running(self, network: nn.Module, form: torch.memory_format) -> "Classifier":
        """The same with another network, whose modules have the same names and outputs.

        Args:
            form: how its input lies in memory.
        """
        twin = copy.copy(self)
        twin.network = twin._watchable = network
        twin._form = form
        twin._acol = acol_head(network)
        # Functions of torch may be others now, so what is known by their number is not.
        twin._seen = {
            key: anatomy
            for key, anatomy in self._seen.items()
            if isinstance(anatomy.layer, InputError) or anatomy.layer.module is not None
        }
        twin._derived, twin._localizers = {}, {}
        return twin

    def arranged(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) as the network's input lies in memory."""
        return images.contiguous(memory_format=self._form)

    def probe(self, size: int) -> Tensor:
        """(2, 3, H, W) an input of `size` pixels, always the same."""
        generator = torch.Generator().manual_seed(0)
        probe = torch.rand(2, 3, size, size, generator=generator)
        return probe.to(self.device, self._dtype)

    def head(self, size: int | None = None) -> Head:
        """The head for exact class activation maps of inputs of `size` pixels.

        Raises:
            InputError: when class activation maps are not defined for it.
        """
        head = self.examine(size).head
        if isinstance(head, InputError):
            raise head
        return head

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        first = next(self.network.parameters(), None)
        return torch.device("cpu") if first is None else first.device

    @property
    def _dtype(self) -> torch.dtype:
        """What the network computes in: photographs are given to it so."""
        floats = (p.dtype for p in self.network.parameters() if p.is_floating_point())
        return next(floats, torch.float32)

    def to(self, device: torch.device) -> "Classifier":
        """Move the network to a device (in place) and return self."""
        self.network.to(device)
        return self

    def normalize(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 RGB pixels as the network's input."""
        images = pixels.float() / 255
        if self.preprocessing.channel_order == "bgr":
            images = images.flip(1)
        shape = (1, 3, 1, 1)
        mean = torch.tensor(self.preprocessing.mean, device=pixels.device).view(shape)
        std = torch.tensor(self.preprocessing.std, device=pixels.device).view(shape)
        return self.arranged(((images - mean) / std).to(self._dtype))

    def localizer(
        self, method: str = "cam", layer: str | None = None, size: int | None = None
    ) -> Localizer:
        """What makes the maps of a method for inputs of `size` pixels.

        Args:
            method: see `wsol.maps.methods.catalog.find_method`.
            layer: name of the module whose output features are taken from; None finds it.

        Raises:
            InputError: when there is no such method or layer, or the network cannot have it.
        """
        size = size or self.preprocessing.size
        key = (method, layer, size)
        if key not in self._localizers:
            made = Localizer(
                self.name,
                self._watchable,
                method,
                layer,
                self.probe(size),
                lambda wanted: self.examine(size, wanted),
                lambda head: self._weight(head, size),
            )
            if self._acol is not None and method == "cam":
                made = AcolLocalizer(made, self._acol)
            self._localizers[key] = made
        return self._localizers[key]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """One pass: (B, C) logits and the (B, K, h, w) features that `class_maps` needs.

        They are what is averaged for the logits, or of a network with ACoL's branches what both
        of these get.

        Raises:
            InputError: when class activation maps are not defined for the network.
        """
        layer = self.head(images.shape[-1]).layer
        if self._acol is not None:
            with given_to(self._acol) as given:
                logits = self._watchable(images).flatten(1)
            return logits, given[0]
        output, tensor = run_through(self._watchable, layer, images)
        return output.flatten(1), layer.layout.features(tensor)

    def class_maps(self, features: Tensor, classes: Tensor) -> Tensor:
        """CAMs (B, n, h, w) float32 of `classes` (B, n), indices of logits.

        Args:
            features: of `forward`.

        Raises:
            InputError: when a class is none of the network's.
        """
        own_classes(classes, self.num_classes, self.name)
        if self._acol is not None:
            return self._acol.class_maps(features, classes)
        shape = tuple(features.shape[1:])
        fitting = [
            (size, anatomy.head)
            for (size, layer), anatomy in self._seen.items()
            if isinstance(anatomy.head, Head)
            and (anatomy.head.layer.channels, *anatomy.head.layer.grid) == shape
        ]
        size, head = fitting[0] if fitting else (self.preprocessing.size, self.head())
        return class_maps(features, self._weight(head, size), classes)

    def shift_head(self, offset: float) -> None:
        """Add a constant to every weight of the last linear layer, in place.

        All logits of an image then rise by the same amount: softmax and cross-entropy do not see
        it, and no training by them changes it. The class activation maps do see it: `offset` times
        the sum of all features is added to every class's map. A softmax classifier's maps are
        defined up to such a common map, and which one they have is left over from the start.

        Raises:
            InputError: when the averaged features are the logits, without a linear layer.
        """
        weight = self.head().weight
        if weight is None:
            raise InputError(f"{self.name}: has no last linear layer that could be shifted.")
        with torch.no_grad():
            self._watchable.get_parameter(weight).add_(offset)

    def _weight(self, head: Head | None, size: int) -> Tensor | None:
        """A head's weight (C, K) as it is now, for inputs of `size` pixels."""
        if head is None or not head.linear:
            return None
        if head.weight is not None:
            return self._watchable.get_parameter(head.weight).flatten(1)
        # Derived from a pass, and again after the parameters have changed or moved.
        state = [(id(p), p._version, p.device) for p in self.network.parameters()]
        known = self._derived.get(head)
        if known is None or known[0] != state:
            weight, _ = linear_map(self._watchable, head, self.probe(size))
            assert weight is not None
            self._derived[head] = known = (state, weight)
        return known[1]


def _class_keys(classes: Sequence[str], name: str) -> tuple[str, ...]:
    keys = tuple(classes)
    if isinstance(classes, str) or not all(isinstance(key, str) for key in keys):
        raise InputError(f"{name}: its classes are {classes!r:.40}; expected texts.")
    require_once(keys, name)
    return keys


def match_classes(
    model_classes: Sequence[str] | None,
    dataset_classes: Sequence[str],
    num_logits: int,
    labels: Iterable[int] | None = None,
) -> Tensor:
    """Which logit stands for each class of a data set.

    By name where both sides have names in common: the data set's classes may be a subset of the
    model's, as the 200 of Tiny ImageNet are of the 1,000 of ImageNet; the other logits are left
    out of every comparison. By position where names are unknown or differ but counts agree.

    The model may also be one for a part of the data set's classes, of which images of that part
    alone are there: the first 50 birds of CUB.

    Args:
        labels: positions of the classes of which there are images; None for all of them.

    Returns:
        (number of data set classes,) int64 indices of logits; -1 for a class that the model has
        not.

    Raises:
        InputError: when neither is possible.
    """
    if model_classes is not None:
        index = {key: i for i, key in enumerate(model_classes)}
        if all(key in index for key in dataset_classes):
            return torch.tensor([index[key] for key in dataset_classes])
    present = set(range(len(dataset_classes)) if labels is None else labels)
    if model_classes is not None and set(model_classes) <= set(dataset_classes):
        found = [index.get(key, -1) for key in dataset_classes]
        if all(found[label] >= 0 for label in present):
            return torch.tensor(found)
    if model_classes is None and present == set(range(num_logits)):
        missing = len(dataset_classes) - num_logits
        return torch.cat([torch.arange(num_logits), torch.full((missing,), -1)])
    if num_logits == len(dataset_classes):
        shared = set(model_classes or ()) & set(dataset_classes)
        if not shared:
            return torch.arange(num_logits)
        raise InputError(
            f"The model and the data set share only {len(shared)} of {num_logits} classes; "
            "evaluate it on the data it was trained for."
        )
    raise InputError(
        f"The model has {num_logits} classes and the data set {len(dataset_classes)}"
        + ("" if model_classes is None else ", not all of them among the model's")
        + "; use weights that were trained for this data set."
    )
