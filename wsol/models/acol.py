"""Maps of a network with ACoL's two branches, which no single head makes."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from wsol.maps.exact import own_classes
from wsol.maps.methods.localizer import Localizer
from wsol.maps.methods.view import View
from wsol.models.parts import AcolHead


@contextmanager
def given_to(head: AcolHead) -> Iterator[list[Tensor]]:
    """A list that gets the features of each pass through the branches."""
    given: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    try:
        yield given
    finally:
        hook.remove()


class AcolLocalizer(Localizer):
    """Exact CAM's localizer, whose map is the maximum of both branches', see `AcolHead`."""

    def __init__(self, cam: Localizer, head: AcolHead) -> None:
        self.__dict__.update(cam.__dict__)
        self._acol = head
        self._given: WeakKeyDictionary[View, Tensor] = WeakKeyDictionary()

    @property
    def view_key(self) -> Hashable:
        """Its views keep what the branches get, which no other method's do."""
        return id(self)

    def see(self, images: Tensor) -> View:
        """One pass over normalized images (B, 3, H, W), in the caller's precision."""
        with given_to(self._acol) as given:
            view = super().see(images)
        self._given[view] = given[0]
        return view

    def maps(self, view: View, classes: Tensor) -> Tensor:
        """Maps (B, n, h, w) float32 of classes (B, n), indices of logits, of a view of `see`."""
        classes = own_classes(classes, view.logits.shape[1], view.subject.name)
        with torch.inference_mode(False), torch.no_grad():
            given = self._given[view].clone()
            return self._acol.class_maps(given, classes.to(given.device, copy=True))
