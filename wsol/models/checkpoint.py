"""Checkpoint files: wsol's own, which carry all that an evaluation needs, and plain state dicts."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from wsol.errors import InputError
from wsol.files import atomic_path, require_file
from wsol.models.classifier import Classifier, Preprocessing

_FORMAT = 1


class CheckpointInfo(BaseModel):
    """What a wsol checkpoint says about its network, so that no evaluation can get it wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spec: str
    arguments: dict[str, Any] = {}
    num_classes: int
    classes: tuple[str, ...] | None = None
    preprocessing: Preprocessing = Preprocessing()
    training: dict[str, Any] = {}


def save_checkpoint(
    classifier: Classifier,
    path: Path,
    *,
    spec: str,
    arguments: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
) -> None:
    """Write a classifier's weights with its classes and preprocessing, atomically.

    Args:
        spec: the registry name that builds the network.
        arguments: what the builder takes besides the number of classes, such as `width`.
        training: how the weights came about, in JSON values; nothing depends on it.
    """
    info = CheckpointInfo(
        spec=spec,
        arguments=arguments or {},
        num_classes=classifier.num_classes,
        classes=classifier.classes,
        preprocessing=classifier.preprocessing,
        training=training or {},
    )
    content = {
        "wsol_checkpoint": _FORMAT,
        "info": info.model_dump_json(),
        "state_dict": classifier.network.state_dict(),
    }
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], CheckpointInfo | None]:
    """Read tensors, and what a wsol checkpoint says about them.

    A plain state dict is taken as it is, under `state_dict` or `model`, and with the `module.`
    that data parallel training puts before names.

    Raises:
        InputError: naming the file; among others when it holds pickled code, which is never run.
    """
    path = require_file(path, "a checkpoint")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: holds pickled objects or code besides tensors, which is never loaded; "
            "save the state dict alone: torch.save(model.state_dict(), ...)."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: is no PyTorch checkpoint, or is damaged ({first}).") from error
    info = None
    if isinstance(content, dict) and "wsol_checkpoint" in content:
        if content["wsol_checkpoint"] != _FORMAT:
            raise InputError(
                f"{path}: has the checkpoint format {content['wsol_checkpoint']}, this version "
                f"reads {_FORMAT}."
            )
        try:
            info = CheckpointInfo.model_validate_json(content["info"])
        except (ValidationError, KeyError) as error:
            raise InputError(f"{path}: its description is damaged ({error}).") from error
    if isinstance(content, dict) and "wsol_training" in content:
        raise InputError(
            f"{path}: is the state of a training run, to go on from with `wsol train --resume`; "
            "its checkpoints are best.pt and final.pt beside it."
        )
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: holds no state dict, but {type(content).__name__}.")
    strangers = [key for key, value in content.items() if not isinstance(value, Tensor)]
    if strangers:
        kind = type(content[strangers[0]]).__name__
        raise InputError(f"{path}: holds no state dict; {strangers[0]!r} is {kind}.")
    return {str(key).removeprefix("module."): value for key, value in content.items()}, info


def load_tensors(network: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Put a checkpoint's tensors into a network, all of them or none.

    Auxiliary classifiers that only the file has are passed over.

    Raises:
        InputError: naming missing, unexpected and wrongly shaped tensors.
    """
    own = network.state_dict()
    auxiliary = tuple(
        f"{name}." for name in ("aux1", "aux2", "AuxLogits") if getattr(network, name, 0) is None
    )
    tensors = {k: v for k, v in tensors.items() if not (auxiliary and k.startswith(auxiliary))}
    require_fit({key: value.shape for key, value in own.items()}, tensors, path)
    network.load_state_dict(tensors)


def require_fit(
    expected: Mapping[str, torch.Size],
    tensors: Mapping[str, Tensor],
    path: Path,
    most: int | None = 5,
) -> None:
    """Compare a file's tensors with those of a network by name and shape.

    Args:
        expected: the shape of each tensor that the network has, by the file's names.
        most: how many names of a kind the message lists; None for all.

    Raises:
        InputError: naming missing, unexpected and wrongly shaped tensors.
    """
    problems = {
        "missing": [key for key in expected if key not in tensors],
        "unexpected": [key for key in tensors if key not in expected],
        "of another shape": [
            f"{key} {tuple(tensors[key].shape)} instead of {tuple(shape)}"
            for key, shape in expected.items()
            if key in tensors and tensors[key].shape != shape
        ],
    }
    if any(problems.values()):
        told = "; ".join(
            f"{len(names)} {kind}: {', '.join(names[:most])}"
            + ("" if most is None or len(names) <= most else ", ...")
            for kind, names in problems.items()
            if names
        )
        raise InputError(f"{path}: does not fit this network. Tensors {told}.")
