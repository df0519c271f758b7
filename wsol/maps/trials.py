"""Other features for what follows a layer, to see whether it is linear everywhere they can lie."""

import torch
from torch import Tensor, nn

from wsol.maps.capture import Layer, Pass, run_through

_NUMBERS = 1 << 21  # of all maps together; more for large layers, of which there are _FEWEST
_FEWEST, _MOST = 16, 96
_SCALES = (1.0, 1e-3, 10.0, 0.1, 100.0)
_ALONE = 1000.0  # the strength of a channel alone, which no bias is to outweigh
_PAIRS = ((0, 1), (2, 5), (6, 7))  # of the maps, where no more than two go in at once


def trials(network: nn.Module, layer: Layer, probe: Tensor, tensor: Tensor) -> list[Pass]:
    """Passes with gradients that go on from the layer with other features than the probe's.

    What comes before the layer runs once, for a single image, and what follows gets all maps as
    one batch. A network that does not take a batch of another size there gets some of them, two at
    a time.

    Args:
        probe: (2, channels, H, W) an input.
        tensor: the layer's, of the probe.
    """
    images = layer.layout.images
    own = tensor.detach().movedim(images, 0)
    # The axis of channels, once images come first.
    made = trial_features(own, layer.layout.channels).to(tensor.dtype)
    try:
        found = run_through(network, layer, probe[:1], gradient=True, put=made.movedim(0, images))
        if len(found.output) == len(made):
            return [found]
    except (Exception, SystemExit):  # a network may raise anything
        pass
    return [
        run_through(network, layer, probe, gradient=True, put=made[list(pair)].movedim(0, images))
        for pair in _PAIRS
    ]


def trial_features(tensor: Tensor, channels: int) -> Tensor:
    """Features drawn from the numbers of others, so that they have their signs.

    Features that are nowhere negative, as after a rectification, stay so: what follows need not be
    linear where they never lie. What bends at all shows it at one of several strengths from nearly
    nothing to very much, with all channels, with some of them, and with a channel alone. Of a unit
    that is rectified, of weights that have both signs, a channel alone switches it on or off,
    however small its share is beside the others.

    Args:
        tensor: (B, ...) features.
        channels: the axis of K.

    Returns:
        (n, ...) float32; the third is zero.
    """
    tensor = tensor.float()
    count = min(max(_NUMBERS // tensor[0].numel(), _FEWEST), _MOST)
    generator = torch.Generator().manual_seed(0)
    numbers = tensor.flatten().cpu()
    drawn = torch.randint(len(numbers), (count, *tensor.shape[1:]), generator=generator)
    made = numbers[drawn].movedim(channels, -1)
    size = made.shape[-1]
    deviation = float(numbers.std().nan_to_num(1, 1)) or 1.0
    order = torch.randperm(size, generator=generator)
    is_signed, lonely = bool((numbers < 0).any()), 0
    for number, features in enumerate(made):
        strength = max(2.0, 10 / deviation) * _SCALES[number % len(_SCALES)]
        if number == 2:
            features.zero_()
        elif number < 2:
            features.mul_(2 * torch.rand(size, generator=generator))
            features.mul_(strength if number == 1 else 1.0)
        elif number < 5:
            features.mul_(torch.rand(size, generator=generator) * strength)
        elif number % 3:
            channel, lonely = order[lonely % size], lonely + 1
            alone = features[..., channel].abs() + deviation
            features.zero_()
            features[..., channel] = alone * max(2.0, 10 / deviation) * _ALONE
        else:
            some = torch.rand(size, generator=generator) < torch.rand((), generator=generator)
            spread = 10 ** (4 * torch.rand(size, generator=generator) - 2)
            features.mul_(some * spread * strength)
        if is_signed and number % 2:
            features.neg_()
    return made.movedim(-1, channels).contiguous().to(tensor.device)
