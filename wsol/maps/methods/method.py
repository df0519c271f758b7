"""What a map method is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

Needs = Literal["head", "features", "gradients", "attention", "layer", "network"]
"""What a method needs of a network: a linear map after a spatial mean; features; gradients at
them; attention over all positions; a layer with a name; or anything that gives logits."""


@dataclass(frozen=True, slots=True)
class MapMethod:
    """A way to make a class's map.

    Attributes:
        name: as `--method` takes it.
        title, paper: for tables and lists.
        needs: of a network.
        passes: forward passes an image, in words; K is the number of the layer's channels.
        by_class: whether classes have maps of their own.
        maps: from a view of a batch (of the kind that `needs` asks for) and classes (B, n) to
            maps (B, n, h, w).
        count: forward passes an image, from the layer's channels, the number of classes wanted,
            and whether there is a head for cam; None where nobody knows.
        parameters: that change a number.
    """

    name: str
    title: str
    paper: str
    needs: Needs
    passes: str
    by_class: bool
    maps: Callable[[Any, Tensor], Tensor]
    count: Callable[[int, int, bool], int] | None = lambda channels, classes, head: 1
    parameters: dict[str, Any] = field(default_factory=dict)
