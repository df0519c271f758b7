"""What ADL, ACoL and SPG add to a network, for `wsol.training.methods` to train with.

A network that is built for one of them gives (B, C) logits for images alone, in training mode
too, and its class activation maps are exact: the additions work in a training step only, which
is asked for with the second argument of `forward`, one of the steps here.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from wsol.errors import InputError
from wsol.maps.exact import class_maps
from wsol.maps.normalize import normalize

PartsName = Literal["adl", "acol", "spg"]
"""What builders call `method`."""


@dataclass(frozen=True, slots=True)
class AdlStep:
    """A training step with attention-based dropout, see `attend_or_drop`; it gives logits.

    Attributes:
        drop_rate: how often a layer drops instead of weighting by importance.
        threshold: the share of the highest attention from which positions are dropped.
        generator: a CPU generator that decides between the two.
    """

    drop_rate: float
    threshold: float
    generator: torch.Generator


@dataclass(frozen=True, slots=True)
class AcolStep:
    """A training step with both branches of `AcolHead`; it gives `AcolOutput`.

    Attributes:
        labels: (B,) int64, whose map of branch A decides what branch B must do without.
        threshold: of that map, scaled to [0, 1].
    """

    labels: Tensor
    threshold: float


@dataclass(frozen=True, slots=True)
class SpgStep:
    """A training step with `SpgParts`; it gives `SpgOutput`.

    Attributes:
        labels: (B,) int64, whose map is the first guide.
    """

    labels: Tensor


Step = AdlStep | AcolStep | SpgStep

_STEPS: dict[str, type] = {"adl": AdlStep, "acol": AcolStep, "spg": SpgStep}


class AcolOutput(NamedTuple):
    """(B, C) logits of branch A, and those of branch B."""

    logits: Tensor
    erased_logits: Tensor


class SpgOutput(NamedTuple):
    """What an SPG step shows; logits of masks are (B, 1, h, w), before a sigmoid.

    Attributes:
        logits: (B, C).
        maps: (B, 1, h, w) float32 the labels' class activation maps, without gradient.
        early, late: the mask after the first and the second guided stage (B1 and B2 in the paper).
        guided: the mask after the last features (C in the paper).
    """

    logits: Tensor
    maps: Tensor
    early: Tensor
    late: Tensor
    guided: Tensor


def check_parts(method: str | None, network: str) -> None:
    """Raise InputError for parts that do not exist."""
    if method is not None and method not in _STEPS:
        raise InputError(
            f"{network}: there are no parts for the method {method!r}; networks are built for "
            f"{', '.join(_STEPS)}, or without one for the other methods."
        )


def check_step(step: Step, method: str | None) -> None:
    """Raise InputError when a network built for `method` is asked for another one's step."""
    if method is None or not isinstance(step, _STEPS[method]):
        wanted = next(name for name, kind in _STEPS.items() if isinstance(step, kind))
        raise InputError(
            f"The network was built {'without parts' if method is None else f'for {method}'} and "
            f"cannot train with {wanted}; build it with method={wanted!r}."
        )


def attend_or_drop(features: Tensor, step: Step | None) -> Tensor:
    """The attention-based dropout layer (Choe and Shim, CVPR 2019); nothing in another step.

    Attention is the mean over channels. Features are multiplied by one of two maps, drawn once
    for the batch: the drop mask, 0 where attention reaches `threshold` times its maximum over
    the image and 1 elsewhere, or the importance map, the attention's sigmoid.

    Args:
        features: (B, K, h, w).
    """
    if not isinstance(step, AdlStep):
        return features
    attention = features.mean(1, keepdim=True)
    if float(torch.rand((), generator=step.generator)) < step.drop_rate:
        return features * (attention < step.threshold * attention.amax((2, 3), keepdim=True))
    return features * torch.sigmoid(attention)


class AcolBranch(nn.Module):
    """Two 3x3 convolutions, global average pooling, one linear layer.

    The paper's branch ends in a 1x1 convolution whose maps are averaged; the linear layer after
    the average is the same function.
    """

    def __init__(self, channels: int, units: int, num_classes: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(*_convolution(channels, units), *_convolution(units, units))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(units, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """(B, K, h, w) features to (B, C) logits."""
        return self.classify(self.convs(features))

    def classify(self, seen: Tensor) -> Tensor:
        """From the output of `convs` to logits."""
        return self.fc(torch.flatten(self.avgpool(seen), 1))


ACOL_THRESHOLD = 0.7
"""From which share of its map's maximum on branch A erases, in the released protocol's defaults."""


class AcolHead(nn.Module):
    """Adversarial complementary learning (Zhang et al., CVPR 2018): two branches, `a` and `b`.

    Branch B classifies features from which the positions are erased that branch A sees a class at:
    in training the label, in localization the class whose map is wanted. Logits are branch A's.
    The map of a class is the maximum of both branches' maps, each scaled to [0, 1], as in the
    released code (Choe et al., CVPR 2020: `return_cam` in wsol/vgg.py).
    """

    def __init__(
        self, channels: int, units: int, num_classes: int, threshold: float = ACOL_THRESHOLD
    ) -> None:
        """
        Args:
            threshold: for localization; training has its own in its steps.
        """
        super().__init__()
        self.threshold = threshold
        self.a = AcolBranch(channels, units, num_classes)
        self.b = AcolBranch(channels, units, num_classes)

    def forward(self, features: Tensor, step: AcolStep | None = None) -> Tensor | AcolOutput:
        """(B, K, h, w) features to branch A's logits, or both branches' in a step."""
        if step is None:
            return self.a(features)
        seen = self.a.convs(features)
        maps = _label_maps(seen, self.a.fc, step.labels)
        return AcolOutput(self.a.classify(seen), self.b(erase(features, maps, step.threshold)))

    def class_maps(self, features: Tensor, classes: Tensor) -> Tensor:
        """Maps (B, n, h, w) float32 of classes (B, n), for the features given to `forward`.

        Branch B runs once for each of the n. A branch whose map is constant has no say.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            first = class_maps(self.a.convs(features), self.a.fc.weight, classes)
            both = []
            for number in range(classes.shape[1]):
                own = first[:, number : number + 1]
                seen = self.b.convs(erase(features, own, self.threshold))
                second = class_maps(seen, self.b.fc.weight, classes[:, number : number + 1])
                both.append(torch.maximum(normalize(own), normalize(second)))
        return torch.cat(both, dim=1)


def acol_head(network: nn.Module) -> AcolHead | None:
    """The part of a network that makes its class maps, where it was built for ACoL."""
    return next((module for module in network.modules() if isinstance(module, AcolHead)), None)


def check_threshold(method: str | None, threshold: float, network: str) -> float:
    """The threshold of a network, checked.

    Raises:
        InputError: for one out of range, or of a network without these branches.
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"{network}: acol_threshold is between 0 and 1, not {threshold}.")
    if method != "acol" and threshold != ACOL_THRESHOLD:
        raise InputError(f"{network}: acol_threshold belongs to method acol.")
    return threshold


def erase(features: Tensor, maps: Tensor, threshold: float) -> Tensor:
    """Features with zeros where a map, scaled to [0, 1] over its image, is `threshold` or more.

    Args:
        features: (B, K, h, w).
        maps: (B, 1, h, w), passed no gradient.
    """
    return features * (normalize(maps.detach()) < threshold).to(features.dtype)


class SpgParts(nn.Module):
    """Self-produced guidance (Zhang et al., ECCV 2018): masks from three depths of a network.

    Used in training alone. `early` and `late` read the two guided stages and share the rest of
    their way, `shared` (B1, B2 and B in the paper); `guided` reads the last features (C).
    """

    def __init__(self, early: int, late: int, units: int, last: int, last_units: int) -> None:
        """
        Args:
            early, late, last: channels of what the three read.
            units, last_units: channels of the 3x3 convolutions of B and of C.
        """
        super().__init__()
        self.early = nn.Sequential(*_convolution(early, units))
        self.late = nn.Sequential(*_convolution(late, units))
        self.shared = nn.Sequential(*_convolution(units, units), nn.Conv2d(units, 1, 1))
        self.guided = nn.Sequential(*_convolution(last, last_units), nn.Conv2d(last_units, 1, 1))

    def forward(
        self, early: Tensor, late: Tensor, last: Tensor, fc: nn.Linear, step: SpgStep
    ) -> SpgOutput:
        """One training step.

        Args:
            early, late, last: (B, K, h, w) features of their depths.
            fc: from the average of `last` to logits.
        """
        return SpgOutput(
            logits=fc(last.mean((2, 3))),
            maps=_label_maps(last, fc, step.labels),
            early=self.shared(self.early(early)),
            late=self.shared(self.late(late)),
            guided=self.guided(last),
        )


def training_parts(network: nn.Module) -> list[nn.Module]:
    """The parts of a network that only training uses: logits and maps are the same without them."""
    return [module for module in network.modules() if isinstance(module, SpgParts)]


def _label_maps(features: Tensor, fc: nn.Linear, labels: Tensor) -> Tensor:
    """(B, 1, h, w) float32 class activation maps of the labels, without gradient."""
    return class_maps(features.detach(), fc.weight.detach(), labels[:, None])


def _convolution(channels: int, units: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, units, 3, padding=1), nn.ReLU(inplace=True)]


Start = Literal["normal", "xavier", "he"]
"""How the layer that classifies starts: as a linear layer, or as the convolution that it is."""


def initialize(network: nn.Module, classifier: Start = "normal") -> None:
    """Random weights: He et al. (ICCV 2015) for convolutions, so that narrow networks train.

    The convolutions that end in one mask are Xavier's, as the released protocol's are: a fan of
    one output would make theirs too large. Linear layers start from N(0, 0.01) where they are
    linear layers in the released code too, and like convolutions where there they are 1x1
    convolutions before the average. Biases are zero.

    Args:
        classifier: of linear layers.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            if module.out_channels == 1:
                nn.init.xavier_uniform_(module.weight)
            else:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            if classifier == "normal":
                nn.init.normal_(module.weight, 0.0, 0.01)
            elif classifier == "xavier":
                nn.init.xavier_uniform_(module.weight)
            else:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
