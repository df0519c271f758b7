"""Any other method of torchcam: `torchcam:NAME`, run by torchcam itself."""

import difflib
from typing import Any

import torch
from torch import Tensor

from wsol.errors import InputError, in_short, is_exhausted
from wsol.maps.drawing import seeded
from wsol.maps.methods.method import MapMethod
from wsol.maps.methods.view import View

_SEED = 0
_DRAWING = ("SSCAM", "SmoothGradCAMpp")  # draw noise for a whole batch from the global generator


def torchcam_method(name: str) -> MapMethod:
    """The method of a class of `torchcam.methods`, whatever the case of its letters.

    Raises:
        InputError: when torchcam has none of this name, with near matches.
    """
    import torchcam.methods

    wanted = name.removeprefix("torchcam:")
    known = {
        key.lower(): value
        for key, value in vars(torchcam.methods).items()
        if isinstance(value, type) and hasattr(value, "compute_cams") and not key.startswith("_")
    }
    found = known.get(wanted.lower())
    if found is None:
        near = difflib.get_close_matches(wanted.lower(), known, 3)
        told = " or ".join(known[key].__name__ for key in near)
        names = ", ".join(sorted(value.__name__ for value in known.values()))
        hint = f"did you mean {told}?" if near else f"it has {names}."
        raise InputError(f"--method {name}: torchcam has no such method; {hint}")
    title = found.__name__
    draws = title in _DRAWING

    def maps(view: View, classes: Tensor) -> Tensor:
        if not draws:
            return _maps(found, name, view, view.images, classes)
        made = []
        for image, own in zip(view.images.split(1), classes.split(1), strict=True):
            with seeded(_SEED, image.device):
                made.append(_maps(found, name, view, image, own))
        return torch.cat(made)

    parameters = {"seed": _SEED} if draws else {}
    paper = "see torchcam's documentation"
    return MapMethod(f"torchcam:{title}", title, paper, "layer", "?", True, maps, None, parameters)


def _maps(kind: Any, name: str, view: View, images: Tensor, classes: Tensor) -> Tensor:
    layer = view.subject.layer
    assert layer is not None
    targets: Any = [part.strip() for part in layer.name.split(",")]
    options: dict[str, Any] = {}
    if layer.layout.channels != 1 or layer.layout.cells is not None:
        options["reshape_transform"] = layer.layout.features
    if kind.__name__ != "LeGrad":
        options["input_shape"] = tuple(images.shape[1:])
    elif "reshape_transform" in options:
        del options["reshape_transform"]
    target = targets if len(targets) > 1 else targets[0]
    try:
        with torch.inference_mode(False), torch.enable_grad():
            # Parameters may be frozen: then gradients begin at the images.
            given = images.detach().clone().requires_grad_()
            with kind(view.subject.network, target, **options) as extractor:
                columns = []
                for own in classes.unbind(1):
                    with view.precision():
                        scores = view.subject.network(given)
                    made = extractor(own.tolist(), scores, normalized=False)
                    one = made[0] if len(made) == 1 else extractor.fuse_cams(made)
                    columns.append(one.detach().float())
    except (ValueError, TypeError, RuntimeError, AssertionError, AttributeError) as error:
        if is_exhausted(error):
            raise
        raise InputError(
            f"--method {name}: torchcam cannot make a map of {view.subject.name} at {layer.name} "
            f"({in_short(error)}); it may need other layers: --layer NAME, or "
            "NAME,NAME for a method of several."
        ) from error
    return torch.stack(columns, 1)
