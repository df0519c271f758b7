"""A map method of one's own: `package.module:callable`."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsol.errors import InputError
from wsol.maps.methods.method import MapMethod
from wsol.maps.methods.untouched import Untouched
from wsol.maps.methods.view import View
from wsol.plugin import call, load_callable


def own_method(name: str) -> MapMethod:
    """The method that a callable is.

    It is called with the network in evaluation mode, normalized images (B, 3, H, W) and indices
    of logits (B, n), int64, and returns finite maps (B, n, h, w) of any h and w, as a tensor or
    NumPy array. Gradients are on.

    Raises:
        InputError: when there is no such callable; later, when it raises, returns something else,
            or leaves the network with other weights, buffers or modes.
    """
    function = load_callable(name)
    untouched: Untouched | None = None

    def maps(view: View, classes: Tensor) -> Tensor:
        nonlocal untouched
        network = view.subject.network
        if untouched is None or untouched.network is not network:
            untouched = Untouched(network)
        with torch.inference_mode(False), torch.enable_grad():
            found: Any = call(name, function, network, view.images, classes)
        difference = untouched.difference()
        if difference is not None:
            raise InputError(
                f"{name}: left {difference}, so that the next images would be judged by another "
                "network; put back what it changes before it returns."
            )
        if isinstance(found, np.ndarray) and found.dtype.kind in "fiub":
            found = torch.from_numpy(np.ascontiguousarray(found))
        if not _are_maps(found, classes):
            told = type(found).__name__
            if isinstance(found, Tensor | np.ndarray):
                told = f"a {told} of shape {tuple(found.shape)} and type {found.dtype}"
            raise InputError(
                f"{name}: returned {told} for {classes.shape[0]} images and {classes.shape[1]} "
                "classes; expected maps (images, classes, height, width) of real numbers."
            )
        return found.detach().to(classes.device)

    return MapMethod(name, name, "your own", "network", "?", True, maps, None)


def _are_maps(found: Any, classes: Tensor) -> bool:
    """Whether it is one map, of numbers that are there, for each of classes (B, n)."""
    return (
        isinstance(found, Tensor)
        and found.layout == torch.strided
        and not (found.is_meta or found.is_complex())
        and found.ndim == 4
        and found.shape[:2] == classes.shape
        and 0 not in found.shape[2:]
    )
