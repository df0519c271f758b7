"""Checkpoint files: wsol's own, which carry all that an evaluation needs, and those of others."""

import argparse
import errno
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from wsol.errors import InputError
from wsol.files import atomic_path, require_file
from wsol.models.classifier import Classifier, Preprocessing
from wsol.models.state_dicts import Found, find_state_dict
from wsol.reading import failures_and, told

_FORMAT = 1
# How torch's restricted reader names what it does not load.
_STRANGER = re.compile(r"(?:Unsupported global: GLOBAL |but got <class ')([\w.]+)")


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
    write_torch_file(content, path)


def write_torch_file(content: Any, path: Path) -> None:
    """`torch.save`, atomically, to equal bytes for equal content.

    Given a name, torch would put it into the file, and an atomic file's first name is random.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            raise _written_in_part(error) from error


def _written_in_part(error: RuntimeError) -> OSError:
    """Why torch could not write a file: on a full disk it tells of a position that is not the
    expected one, with the system's error behind it at best."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return OSError(errno.EIO, f"the disk may be full; torch says: {str(error).splitlines()[0]}")


class Checkpoint(NamedTuple):
    """What a file says about a network.

    Attributes:
        tensors: by the file's names.
        info: what a wsol checkpoint says about them, else None.
        found: the tensors with how they were found in a file of someone else's.
    """

    tensors: dict[str, Tensor]
    info: CheckpointInfo | None
    found: Found


def read_checkpoint(path: Path, *, ema: bool = False) -> Checkpoint:
    """Read a wsol checkpoint, or the state dict in a file of someone else's.

    Files are those of `torch.save`, and `.safetensors`. Where several state dicts lie in one, see
    `wsol.models.state_dicts.find_state_dict`. Checksums are verified where the file has them.

    Args:
        ema: take averaged weights where they lie beside raw ones.

    Raises:
        InputError: naming the file; among others when it holds pickled code, which is never run.
    """
    path = require_file(path, "a checkpoint")
    content = _safetensors(path) if _is_safetensors(path) else read_torch_file(path)
    info = None
    if isinstance(content, dict) and "wsol_checkpoint" in content:
        if content["wsol_checkpoint"] != _FORMAT:
            raise InputError(
                f"{path}: has the checkpoint format {content['wsol_checkpoint']}, this version "
                f"reads {_FORMAT}."
            )
        try:
            info = CheckpointInfo.model_validate_json(str(content["info"]))
        except (ValidationError, KeyError) as error:
            raise InputError(f"{path}: its description is damaged ({error}).") from error
        if ema:
            raise InputError(f"{path}: is a wsol checkpoint, without averaged weights for --ema.")
        content = content.get("state_dict")
    if isinstance(content, dict) and "wsol_training" in content:
        raise InputError(
            f"{path}: is the state of a training run, to go on from with `wsol train --resume`; "
            "its checkpoint is best.pt (with a selection set) or final.pt beside it."
        )
    found = find_state_dict(content, path, ema=ema)
    return Checkpoint(found.tensors, info, found)


def read_torch_file(path: Path) -> Any:
    """What `torch.save` wrote, with its checksums verified and without running any code.

    Raises:
        InputError: when the file is damaged, or holds objects that would have to be run.
    """
    try:
        _verify_checksums(path)
        with torch.serialization.safe_globals(_harmless()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except failures_and(pickle.UnpicklingError) as error:
        stranger = _STRANGER.search(str(error))
        if "TorchScript" in str(error):
            raise InputError(
                f"{path}: is a TorchScript archive; save its weights alone: "
                "torch.save(torch.jit.load(...).state_dict(), ...)."
            ) from error
        if isinstance(error, pickle.UnpicklingError) and stranger is not None:
            raise InputError(
                f"{path}: holds pickled objects or code besides tensors ({stranger[1]}), which is "
                "never loaded; save the state dict alone: torch.save(model.state_dict(), ...)."
            ) from error
        raise InputError(
            f"{path}: is no PyTorch checkpoint, or is damaged ({_reason(error)})."
        ) from error


def _harmless() -> list[Any]:
    """Types that training scripts put beside weights and that only hold values.

    torch's restricted reader refuses a whole file for one of them: the arguments of the command
    line, paths, and numpy's numbers and texts.
    """
    scalar = np.float64(0).__reduce__()[0]
    array = np.empty(0).__reduce__()[0]
    dtypes = {type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdSU"}
    return [
        argparse.Namespace, PosixPath, WindowsPath, PurePosixPath, PureWindowsPath,
        np.dtype, np.ndarray, *dtypes, scalar, array,
        # What files of numpy before 2 call them.
        (scalar, "numpy.core.multiarray.scalar"),
        (array, "numpy.core.multiarray._reconstruct"),
    ]  # fmt: skip


def _verify_checksums(path: Path) -> None:
    """Compare the parts of a zip, which `torch.save` writes, with their checksums.

    torch does not, and a bit that has flipped in a tensor is a number like any other.

    Raises:
        zipfile.BadZipFile: when they differ.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as parts:
        # `torch.serialization.set_crc32_options(False)` writes zeros instead.
        if any(part.CRC for part in parts.infolist()):
            damaged = parts.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(f"{damaged} does not have its checksum; copy it again")


def _is_safetensors(path: Path) -> bool:
    """By its name, or under another one by how it begins: a length, and that many bytes of JSON."""
    if path.suffix == ".safetensors":
        return True
    with path.open("rb") as file:
        begin = file.read(9)
    length = int.from_bytes(begin[:8], "little")
    return begin[8:] == b"{" and 8 + length <= path.stat().st_size


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except failures_and(SafetensorError) as error:
        raise InputError(
            f"{path}: is no safetensors file, or is damaged ({_reason(error)})."
        ) from error


def _reason(error: Exception) -> str:
    """The first sentence of a reader's message; torch's go on about what it might be."""
    if isinstance(error, pickle.UnpicklingError):
        return "its list of tensors cannot be read"
    return told(error).partition(". ")[0]


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
    kept = OrderedDict((k, v) for k, v in tensors.items() if not k.startswith(auxiliary))
    require_fit({key: value.shape for key, value in own.items()}, kept, path)
    # Some layers read the version of their format, which torch keeps in this attribute.
    kept._metadata = getattr(tensors, "_metadata", None) or own._metadata  # type: ignore
    network.load_state_dict(kept)


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
        listed = "; ".join(
            f"{len(names)} {kind}: {', '.join(names[:most])}"
            + ("" if most is None or len(names) <= most else ", ...")
            for kind, names in problems.items()
            if names
        )
        raise InputError(f"{path}: does not fit this network. Tensors {listed}.")
