"""CutMix: paste a rectangle of another image and mix the labels by area."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsol.errors import InputError
from wsol.training.methods.base import Method, StepOutput, require_share
from wsol.training.methods.cam import cross_entropy_step


@dataclass(frozen=True, slots=True)
class Mixed:
    """A batch of mixed images.

    Attributes:
        images: (B, 3, H, W).
        partners: (B,) int64, the image in the batch that each rectangle comes from.
        own_share: of an image's area, and of its label.
    """

    images: Tensor
    partners: Tensor
    own_share: float


def cutmix(alpha: float = 1.0, probability: float = 1.0) -> Method:
    """CutMix (Yun et al., ICCV 2019), with the paper's values for ImageNet.

    Args:
        alpha: of the Beta(alpha, alpha) distribution of the share an image keeps.
        probability: how often a batch is mixed.

    Raises:
        InputError: for values out of range.
    """
    if not 0 < alpha < float("inf"):
        raise InputError(f"cutmix: alpha is a positive number, not {alpha}.")
    require_share("cutmix", "probability", probability)

    def loss(
        network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> StepOutput:
        if float(torch.rand((), generator=generator)) >= probability:
            return cross_entropy_step(network, images, labels, generator)
        mixed = mix(images, alpha, generator)
        logits = network(mixed.images)
        own = F.cross_entropy(logits, labels)
        pasted = F.cross_entropy(logits, labels[mixed.partners.to(labels.device)])
        return StepOutput(mixed.own_share * own + (1 - mixed.own_share) * pasted, logits)

    return Method("cutmix", {}, loss, "Yun et al., ICCV 2019")


def mix(images: Tensor, alpha: float, generator: torch.Generator) -> Mixed:
    """Paste one rectangle, the same for the whole batch, from a permutation of the batch.

    Its sides are the image's times the square root of the share that Beta(alpha, alpha) gives
    away, its centre is uniform over the image, and what lies outside is cut off; the labels'
    weights are those of the areas that are left.
    """
    height, width = images.shape[2:]
    partners = torch.randperm(len(images), generator=generator)
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    rng = np.random.default_rng(seed)  # torch has no Beta distribution that takes a generator
    side = np.sqrt(1 - rng.beta(alpha, alpha))
    top, bottom = _interval(height, side, rng)
    left, right = _interval(width, side, rng)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[
        partners.to(images.device), :, top:bottom, left:right
    ]
    return Mixed(mixed, partners, 1 - (bottom - top) * (right - left) / (height * width))


def _interval(length: int, share: float, rng: np.random.Generator) -> tuple[int, int]:
    """Start and end of `share` of `length`, around a uniform centre and cut at the borders."""
    extent = int(length * share)
    start = int(rng.integers(length)) - extent // 2
    return max(start, 0), min(start + extent, length)
