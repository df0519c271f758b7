"""Which of torchvision's published weights a file holds, and how images are prepared for them."""

import hashlib
import re
import zipfile
from pathlib import Path
from typing import Any, Literal

from torch import nn

from wsol.errors import InputError
from wsol.models.classifier import Preprocessing

# torch.hub names a file `resnet18-f37072fd.pth`, after the first digits of its SHA-256.
_DIGEST = re.compile(r"-([0-9a-f]{8,})\.")


def entries(name: str) -> list[Any]:
    """torchvision's weights (`torchvision.models.WeightsEnum`) of a network, the default first."""
    import torchvision

    found = torchvision.models.get_model_weights(name)
    return [found["DEFAULT"], *(entry for entry in found if entry is not found["DEFAULT"])]


def preprocessing_of(entry: Any) -> Preprocessing:
    """How torchvision prepares images for some weights; the central crop is left out."""
    transforms = entry.transforms()
    return Preprocessing(
        size=transforms.crop_size[0],
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        interpolation=interpolation(str(transforms.interpolation)),
    )


def interpolation(name: str) -> Literal["bilinear", "bicubic"]:
    """The interpolation that a library means."""
    return "bicubic" if "bicubic" in name.lower() else "bilinear"


def identify(name: str, path: Path) -> Any | None:
    """The entry of a network's weights that a file is: by its name, or by the hash of its content.

    Raises:
        InputError: when a file of a torchvision name, in the old format that has no checksums of
            its own, has another content.
    """
    by_file = {file_name(entry): entry for entry in entries(name)}
    if path.name in by_file and zipfile.is_zipfile(path):
        return by_file[path.name]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    for expected, entry in by_file.items():
        begin = _DIGEST.search(expected)
        if begin is not None and digest.startswith(begin[1]):
            return entry
    if path.name in by_file:
        raise InputError(
            f"{path}: is named as a file of torchvision's but has another content: it is damaged "
            "(fetch it again), or something else (give it another name)."
        )
    return None


def file_name(entry: Any) -> str:
    """What torch.hub calls the file of some weights."""
    return str(entry.url).rpartition("/")[2]


def assumed(name: str, network: nn.Module) -> tuple[Preprocessing, tuple[str, ...]]:
    """How to prepare images for weights of someone else's, and what to tell about it.

    As for torchvision's default weights of the network, or, of a network for one size of input,
    as for the first of that size. It is told where that is not simply 224 pixels, bilinear and
    ImageNet's mean, or where torchvision's own weights of the network differ from each other.
    """
    published = entries(name)
    side = getattr(network, "image_size", None)
    prepared = [preprocessing_of(entry) for entry in published]
    index = next((i for i, p in enumerate(prepared) if p.size == side), 0)
    chosen = prepared[index]
    if side is not None:
        chosen = chosen.model_copy(update={"size": side})
    plain = Preprocessing()
    if all(p == plain for p in (chosen, *prepared)) and not hasattr(network, "transform_input"):
        return chosen, ()
    rescaled = ", transform_input" if hasattr(network, "transform_input") else ""
    note = (
        "The file does not say how images are prepared for its weights; taken as for torchvision's "
        f"{published[index]}: {chosen.size} pixels, {chosen.interpolation}{rescaled}."
    )
    return chosen, (note,)


def rescale_input(network: nn.Module) -> None:
    """Let GoogLeNet and Inception v3 shift their input as their published weights need it.

    Those were trained on pixels scaled to [-1, 1]; torchvision prepares images as for every other
    network and lets these two correct that, where it loads the weights itself.
    """
    if hasattr(network, "transform_input"):
        network.transform_input = True  # type: ignore[assignment]
