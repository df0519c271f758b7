"""A network with everything an evaluation has to know about it."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from wsol.errors import InputError
from wsol.maps.exact import class_maps
from wsol.maps.head import find_head, run
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
    """A network in evaluation mode whose class activation maps are exact.

    Attributes:
        name: as a record calls it.
        network: from (B, 3, H, W) normalized images to (B, C) logits.
        classes: C class keys in the order of the logits (WordNet ids for ImageNet), or None if
            nobody said; then a data set's labels are taken as indices of logits.
        num_classes: C.
        training_method: the method of `wsol.training.methods` that the weights came from, where a
            checkpoint says so.
        notes: what a record should say about the weights, see `wsol.models.registry`.
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
        """Find the network's head.

        Raises:
            InputError: when it has none that class activation maps are defined for, or `classes`
                has another length than its logits.
        """
        for auxiliary in _AUXILIARY:
            if getattr(network, auxiliary, None) is not None:
                setattr(network, auxiliary, None)
        self.name = name
        self.network = network.eval()
        self.preprocessing = preprocessing or Preprocessing()
        self.classes = None if classes is None else tuple(classes)
        idle = {p for part in training_parts(network) for p in part.parameters()}
        self.parameters = sum(p.numel() for p in network.parameters() if p not in idle)
        side = self.preprocessing.size
        first = next(network.parameters(), torch.empty(0))
        generator = torch.Generator().manual_seed(0)
        probe = torch.rand(2, 3, side, side, generator=generator).to(first.device)
        self._head = find_head(self.network, probe, name)
        self.num_classes = self._head.classes
        if self.classes is not None and len(self.classes) != self.num_classes:
            raise InputError(
                f"{name}: {len(self.classes)} class names for {self.num_classes} logits."
            )
        self._acol = acol_head(network)
        self._weight: Tensor | None
        self.training_method: str | None = None
        self.notes: tuple[str, ...] = ()

    def to(self, device: torch.device) -> "Classifier":
        """Move the network to a device (in place) and return self."""
        self.network.to(device)
        return self

    def normalize(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 RGB pixels as the network's float32 input."""
        images = pixels.float() / 255
        if self.preprocessing.channel_order == "bgr":
            images = images.flip(1)
        shape = (1, 3, 1, 1)
        mean = torch.tensor(self.preprocessing.mean, device=pixels.device).view(shape)
        std = torch.tensor(self.preprocessing.std, device=pixels.device).view(shape)
        return (images - mean) / std

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """One pass: (B, C) logits and the (B, K, h, w) features that `class_maps` needs."""
        if self._acol is None:
            captured = run(self.network, self._head, images)
            self._weight = captured.weight
            return captured.logits, captured.features
        given: list[Tensor] = []
        hook = self._acol.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
        try:
            captured = run(self.network, self._head, images)
        finally:
            hook.remove()
        self._weight = captured.weight
        return captured.logits, given[0]

    def shift_head(self, offset: float) -> None:
        """Add a constant to every weight of the last linear layer, in place.

        All logits of an image then rise by the same amount: softmax and cross-entropy do not see
        it, and no training by them changes it. The class activation maps do see it: `offset` times
        the sum of all features is added to every class's map. A softmax classifier's maps are
        defined up to such a common map, and which one they have is left over from the start.

        Raises:
            InputError: when the averaged features are the logits, without a linear layer.
        """
        side = self.preprocessing.size
        with torch.no_grad():
            device = next(self.network.parameters()).device
            self.forward(torch.zeros(1, 3, side, side, device=device))
            if self._weight is None:
                raise InputError(f"{self.name}: has no last linear layer that could be shifted.")
            self._weight.add_(offset)

    def class_maps(self, features: Tensor, classes: Tensor) -> Tensor:
        """CAMs (B, n, h, w) float32 of `classes` (B, n), indices of logits, after `forward`.

        A network that was built for ACoL has maps of its own, see `AcolHead`.
        """
        if self._acol is not None:
            return self._acol.class_maps(features, classes)
        return class_maps(features, self._weight, classes)


def match_classes(
    model_classes: Sequence[str] | None, dataset_classes: Sequence[str], num_logits: int
) -> Tensor:
    """Which logit stands for each class of a data set.

    By name where both sides have names in common: the data set's classes may be a subset of the
    model's, as the 200 of Tiny ImageNet are of the 1,000 of ImageNet; the other logits are left
    out of every comparison. By position where names are unknown or differ but counts agree.

    Returns:
        (number of data set classes,) int64 indices of logits.

    Raises:
        InputError: when neither is possible.
    """
    if model_classes is not None:
        index = {key: i for i, key in enumerate(model_classes)}
        if all(key in index for key in dataset_classes):
            return torch.tensor([index[key] for key in dataset_classes])
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
