"""Hide-and-Seek: hide random squares of the image, so that every part of an object counts."""

import torch
from torch import Tensor, nn

from wsol.errors import InputError
from wsol.training.methods.base import Method, StepOutput, require_share
from wsol.training.methods.cam import cross_entropy_step


def has(grid_size: int = 32, hide_rate: float = 0.5) -> Method:
    """Hide-and-Seek (Singh and Lee, ICCV 2017), in training alone.

    Args:
        grid_size: side of the squares in pixels; those at the right and the bottom may be cut.
            The paper has 16, 32, 44 and 56 for 224 pixels.
        hide_rate: the probability that a square is hidden.

    Raises:
        InputError: for values out of range.
    """
    if grid_size < 1:
        raise InputError(f"has: grid_size is at least 1 pixel, not {grid_size}.")
    require_share("has", "hide_rate", hide_rate)

    def loss(
        network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> StepOutput:
        hidden = hide(images, grid_size, hide_rate, generator)
        return cross_entropy_step(network, hidden, labels, generator)

    return Method("has", {}, loss, "Singh and Lee, ICCV 2017")


def hide(images: Tensor, grid_size: int, rate: float, generator: torch.Generator) -> Tensor:
    """Images (B, 3, H, W) with squares of a grid replaced by 0, the mean of normalized pixels.

    Every image has its own choice of squares.
    """
    height, width = images.shape[2:]
    cells = (len(images), 1, -(-height // grid_size), -(-width // grid_size))
    visible = torch.rand(cells, generator=generator) >= rate
    visible = visible.repeat_interleave(grid_size, 2).repeat_interleave(grid_size, 3)
    return images * visible[:, :, :height, :width].to(images.device)
