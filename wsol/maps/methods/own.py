"""A map method of one's own: `package.module:callable`."""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsol.errors import InputError
from wsol.maps.methods.method import MapMethod
from wsol.maps.methods.view import View

_EXPECTED = "a function of network, images (B, 3, H, W) and classes (B, n) to maps (B, n, h, w)"


def own_method(name: str) -> MapMethod:
    """The method that a callable is.

    It is called with the network in evaluation mode, normalized images (B, 3, H, W) and indices
    of logits (B, n), int64, and returns finite maps (B, n, h, w) of any h and w, as a tensor or
    NumPy array. Gradients are on.

    Raises:
        InputError: when there is no such callable; later, when it raises or returns something
            else.
    """
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # of a module of one's own it may be anything
        raise InputError(
            f"--method {name}: the module {module_name!r} cannot be imported ({error}); run in its "
            f"folder, or install it. Expected {_EXPECTED}."
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        raise InputError(
            f"--method {name}: {module_name!r} has no callable {attribute!r}; expected {_EXPECTED}."
        )

    def maps(view: View, classes: Tensor) -> Tensor:
        try:
            with torch.inference_mode(False), torch.enable_grad():
                found: Any = function(view.subject.network, view.images, classes)
        except Exception as error:
            told = (str(error).strip().splitlines() or [""])[0]
            raise InputError(
                f"--method {name}: raised {type(error).__name__} ({told}); expected {_EXPECTED}."
            ) from error
        if isinstance(found, np.ndarray):
            found = torch.from_numpy(found)
        if not isinstance(found, Tensor) or found.ndim != 4 or found.shape[:2] != classes.shape:
            told = type(found).__name__
            if isinstance(found, Tensor):
                told = f"a tensor of shape {tuple(found.shape)}"
            raise InputError(
                f"--method {name}: returned {told} for {len(classes)} images and "
                f"{classes.shape[1]} classes; expected {_EXPECTED}."
            )
        return found.detach().to(classes.device)

    return MapMethod(name, name, "your own", "network", "?", True, maps, None)
