"""What a map method is; importing this needs no torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

Needs = Literal["head", "features", "gradients", "attention", "layer", "network"]
"""What a method needs of a network: a linear map after a spatial mean; features; gradients at
them; attention over all positions; a layer with a name; or anything that gives logits."""

Function = Callable[[Any, "Tensor"], "Tensor"]
"""From a view of a batch, of the kind that a method needs, and classes (B, n) to maps
(B, n, h, w)."""


@dataclass(frozen=True, slots=True)
class MapMethod:
    """A way to make a class's map.

    Attributes:
        name: as `--method` takes it.
        title, paper: for tables and lists.
        needs: of a network.
        passes: forward passes an image, in words; K is the number of the layer's channels.
        by_class: whether classes have maps of their own.
        maps: the function, or where it is: `module:name` beside this module.
        count: forward passes an image, from the layer's channels and whether there is a head for
            cam; None where nobody knows.
        parameters: that change a number.
    """

    name: str
    title: str
    paper: str
    needs: Needs
    passes: str
    by_class: bool
    maps: Function | str
    count: Callable[[int, bool], int] | None = lambda channels, head: 1
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def function(self) -> Function:
        """What makes the maps."""
        if not isinstance(self.maps, str):
            return self.maps
        module, _, name = self.maps.partition(":")
        found: Function = getattr(import_module(f"wsol.maps.methods.{module}"), name)
        return found
