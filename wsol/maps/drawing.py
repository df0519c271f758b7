"""Random numbers for networks that have none, to see what they compute."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_BLOCK = 1 << 20
_CPU = torch.device("cpu")


def seed_torch(seed: int, device: torch.device = _CPU) -> None:
    """Seed what torch draws from on the CPU and a device; `torch.manual_seed` seeds all there are.

    The numbers that follow are the same.
    """
    torch.random.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type != "cpu":
        torch.manual_seed(seed)


@contextmanager
def seeded(seed: int, device: torch.device = _CPU) -> Iterator[None]:
    """A block in which torch draws from a seed; after it the caller's numbers go on as before."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        seed_torch(seed, device)
        yield


@contextmanager
def drawn(network: nn.Module) -> Iterator[bool]:
    """Draw the matrices that are all zeros; afterwards they are all zeros again.

    Some networks are born with a last layer of zeros, so that nothing depends on anything. Yields
    whether there are any such matrices.
    """
    zeros = [p for p in network.parameters() if p.ndim > 1 and not p.detach().any()]
    generator = torch.Generator().manual_seed(0)
    try:
        with torch.no_grad():
            for matrix in zeros:
                values = torch.randn(matrix.shape, generator=generator)
                matrix.copy_(values / matrix[0].numel() ** 0.5)
        yield bool(zeros)
    finally:
        with torch.no_grad():
            for matrix in zeros:
                matrix.zero_()


def give_numbers(network: nn.Module) -> nn.Module:
    """Replace parameters and buffers on the meta device by random ones, in place; returns it.

    Matrices and filters get the deviation that keeps a signal's strength, vectors ones or zeros,
    as normalizations are born with. Numbers repeat after a million, which takes no time to draw.
    """
    block = torch.randn(_BLOCK, generator=torch.Generator().manual_seed(0))
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.is_meta:
                data = _numbers(name, parameter, block)
                setattr(module, name, nn.Parameter(data, requires_grad=parameter.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_meta:
                made = torch.ones if name == "running_var" else torch.zeros
                setattr(module, name, made(buffer.shape, dtype=buffer.dtype))
    return network


def _numbers(name: str, parameter: Tensor, block: Tensor) -> Tensor:
    if parameter.ndim < 2:
        made = torch.ones if name == "weight" else torch.zeros
        return made(parameter.shape, dtype=parameter.dtype)
    count = parameter.numel()
    data = torch.empty(-(-count // _BLOCK), min(count, _BLOCK))
    torch.mul(block[: data.shape[1]], (2 / parameter[0].numel()) ** 0.5, out=data[0])
    data[1:] = data[0]
    return data.flatten()[:count].view(parameter.shape).to(parameter.dtype)
