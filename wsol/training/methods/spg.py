"""Self-produced guidance: masks of sure foreground and background supervise each other."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsol.errors import InputError
from wsol.maps.normalize import normalize
from wsol.models.parts import SpgOutput, SpgStep
from wsol.training.methods.base import Method, StepOutput

_FEWEST_SURE = 30  # pixels of an image; below, the foreground is what reaches a share of its peak
_PEAK_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Targets:
    """What is sure of masks (B, 1, H, W): float32 `values` of 0 and 1 where bool `sure` is set."""

    values: Tensor
    sure: Tensor


def spg(
    attention_high: float = 0.7,
    attention_low: float = 0.01,
    late_high: float = 0.5,
    late_low: float = 0.05,
    fused_high: float = 0.7,
    fused_low: float = 0.1,
) -> Method:
    """SPG (Zhang et al., ECCV 2018).

    The label's map guides the late mask (B2 in the paper), which guides the early one (B1); the
    mean of both guides the mask from the last features (C). Each guide says foreground above its
    high threshold, background below its low one, and nothing in between. Masks are compared at
    the images' resolution by binary cross-entropy, whose three means join the classification's.

    The default thresholds are those of the released protocol (Choe et al., CVPR 2020).

    Args:
        attention_high, attention_low: of the label's map, scaled to [0, 1].
        late_high, late_low: of the late mask.
        fused_high, fused_low: of the mean of the early and the late mask.

    Raises:
        InputError: unless 0 < low < high < 1.
    """
    pairs = {
        "attention": (attention_high, attention_low),
        "late": (late_high, late_low),
        "fused": (fused_high, fused_low),
    }
    for name, (high, low) in pairs.items():
        if not 0 < low < high < 1:
            raise InputError(
                f"spg: {name}_low is above 0 and below {name}_high, which is below 1; not "
                f"{low} and {high}."
            )

    def loss(
        network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> StepOutput:
        output: SpgOutput = network(images, SpgStep(labels))
        size = (images.shape[2], images.shape[3])
        attention = normalize(_resized(output.maps, size))
        early, late, guided = (
            _resized(m, size) for m in (output.early, output.late, output.guided)
        )
        early_mask, late_mask = early.detach().sigmoid(), late.detach().sigmoid()
        total = (
            F.cross_entropy(output.logits, labels)
            + _mask_loss(late, targets(attention, *pairs["attention"]))
            + _mask_loss(early, targets(late_mask, *pairs["late"]))
            + _mask_loss(guided, targets((early_mask + late_mask) / 2, *pairs["fused"]))
        )
        return StepOutput(total, output.logits)

    return Method("spg", {"method": "spg"}, loss, "Zhang et al., ECCV 2018 (SPG)")


def targets(guide: Tensor, high: float, low: float) -> Targets:
    """What a guide is sure of.

    Foreground lies above `high`, background below `low`. Where an image has fewer than 30 pixels
    of foreground, `high` gives way to 0.7 times the guide's maximum, as in the released protocol.

    Args:
        guide: (B, 1, H, W) in [0, 1].
    """
    foreground = guide > high
    few = foreground.sum((2, 3), keepdim=True) < _FEWEST_SURE
    foreground = torch.where(
        few, guide > _PEAK_SHARE * guide.amax((2, 3), keepdim=True), foreground
    )
    background = guide < low
    values = foreground & ~background
    return Targets(values.float(), values | background)


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, 1, h, w) maps as float32 of `size`."""
    return F.interpolate(maps.float(), size, mode="bilinear", align_corners=False)


def _mask_loss(logits: Tensor, target: Targets) -> Tensor:
    """The mean binary cross-entropy over what the target is sure of.

    There always is something: a guide has a maximum, and a constant map is all background.
    """
    each = F.binary_cross_entropy_with_logits(logits, target.values, reduction="none")
    return (each * target.sure).sum() / target.sure.sum()
