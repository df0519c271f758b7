"""What a published file holds, before it becomes one of our networks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from wsol.models.classifier import Preprocessing


@dataclass(frozen=True, slots=True)
class Published:
    """Weights under the names of their own project, and how they fit one of our networks.

    Attributes:
        tensors: all that the file holds, by the file's names.
        called: what the file calls a tensor of our network.
        num_classes: how many logits the network has.
        arguments: for our network's builder.
        preprocessing: what the network was published with.
    """

    tensors: dict[str, Tensor]
    called: Callable[[str], str]
    num_classes: int
    arguments: dict[str, Any]
    preprocessing: Preprocessing


def rows(tensors: Mapping[str, Tensor], name: str, otherwise: int) -> int:
    """The outputs of a layer whose weight is `name`; `otherwise` where it is missing."""
    tensor = tensors.get(name)
    return otherwise if tensor is None or tensor.ndim == 0 else len(tensor)


def width(tensors: Mapping[str, Tensor], name: str, channels: int) -> dict[str, float]:
    """The `width` argument of a network whose first filter has `channels` outputs at width 1."""
    found = rows(tensors, name, channels) / channels
    return {} if found == 1 else {"width": found}
