"""What networks return besides logits: dictionaries, tuples and objects that hold them."""

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn

from wsol.errors import InputError


class LogitsWithinError(InputError):
    """The logits lie within what a network returns; `giving_logits` takes them out."""


def logits_in(output: Any) -> Any:
    """What a network returned under the name `logits` (key or attribute), or as the one of a tuple.

    Everything else is returned as it is.
    """
    if isinstance(output, Mapping):
        return output.get("logits", output)
    if hasattr(output, "logits"):
        return output.logits
    if isinstance(output, (tuple, list)) and len(output) == 1:
        return output[0]
    return output


def giving_logits(network: nn.Module) -> nn.Module:
    """A network that returns the logits alone; parts and parameters stay the given one's."""
    twin = copy.copy(network)
    twin._forward_hooks = twin._forward_hooks.copy()
    twin.register_forward_hook(lambda module, images, output: logits_in(output))
    return twin
