"""State dicts as people have them: where one lies in a file, and how its names fit a network.

Pure functions over what `torch.load` or safetensors gave. A file may hold a training's whole
state, two copies of the network (raw weights and their moving average), names with the prefixes
of wrappers, or the names of an older library; what the network calls its tensors decides.
"""

import re
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wsol.errors import InputError

# Where trainers keep the network, the usual one first. Any other name is found as well; these
# decide between several.
_USUAL = ("state_dict", "model", "model_state_dict", "net", "weights", "model_state", "network")
_AVERAGED = re.compile(r"(?:^|[._])(?:ema|averaged|swa|shadow)(?:$|[._])", re.IGNORECASE)
# Kept by `torch.optim.swa_utils.AveragedModel` among the averaged weights.
_AVERAGES_COUNT = "n_averaged"
_COMPILED = "_orig_mod."
_COUNTERS = ".num_batches_tracked"
# DenseNet's layers as torchvision once called them, `denselayer1.norm.1.weight`, today
# `denselayer1.norm1.weight`; its published files still have the old names.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")
_DEPTH = 4  # of folders within folders that are searched


@dataclass(frozen=True, slots=True)
class Found:
    """The state dict that was chosen of a file's.

    Attributes:
        tensors: by the file's names; an attribute `_metadata` has the layers' versions, if any.
        notes: what the user should know about the choice.
        averaged: whether these are averaged weights (EMA); None where the file holds one set, and
            its names are yet to tell.
    """

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()
    averaged: bool | None = None


def find_state_dict(content: Any, path: Path, *, ema: bool = False) -> Found:
    """Find the network's state dict in what a file holds.

    Args:
        path: names the file in messages.
        ema: take averaged weights where they lie beside raw ones, instead of the raw ones.

    Raises:
        InputError: when there is none, or when there are several and none is the usual one.
    """
    named = dict(_candidates(content))
    if not named:
        return Found(_all_tensors(content, path))
    averaged = {name: value for name, value in named.items() if _AVERAGED.search(name)}
    raw = {name: value for name, value in named.items() if name not in averaged}
    chosen = averaged if averaged and (ema or not raw) else raw
    notes = () if not averaged else (_note(next(iter(averaged)), alone=not raw, ema=ema),)
    tensors = _all_tensors(_one_of(chosen, path), path)
    return Found(tensors, notes, None if not averaged else chosen is averaged)


def _note(averaged: str, *, alone: bool, ema: bool) -> str:
    """What to tell where a file holds averaged weights, by the name that they stand under."""
    if alone:
        return f"The file holds averaged weights (EMA) alone, {averaged!r}: these were taken."
    if ema:
        return f"Averaged weights (EMA) were taken, {averaged!r}; raw ones lie beside them."
    return f"Raw weights were taken; averaged ones (EMA) lie beside them, {averaged!r}: --ema."


def _candidates(content: Any, where: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """State dicts within a file, by the names that lead to them joined by dots.

    A state dict holds at least one matrix or filter; that leaves out what optimizers, schedules
    and random generators keep.
    """
    if not isinstance(content, Mapping) or "param_groups" in content or depth > _DEPTH:
        return
    inner = [
        found
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Mapping)
        for found in _candidates(value, f"{where}.{name}" if where else name, depth + 1)
    ]
    if inner:
        yield from inner
    elif any(
        isinstance(name, str)
        and isinstance(value, Tensor)
        and value.is_floating_point()
        and value.ndim > 1
        for name, value in content.items()
    ):
        yield where, content


def _one_of(candidates: Mapping[str, Any], path: Path) -> Any:
    if len(candidates) == 1:
        return next(iter(candidates.values()))
    for name in _USUAL:
        if name in candidates:
            return candidates[name]
    raise InputError(
        f"{path}: holds several networks ({', '.join(candidates)}); save the state dict of the "
        "one to evaluate alone: torch.save(model.state_dict(), ...)."
    )


def _all_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, Mapping) or not content:
        raise InputError(f"{path}: holds no state dict, but {type(content).__name__}.")
    strangers = [key for key, value in content.items() if not isinstance(value, Tensor)]
    if strangers:
        kind = type(content[strangers[0]]).__name__
        raise InputError(f"{path}: holds no state dict; {strangers[0]!r} is {kind}.")
    return _with_versions({str(key): content[key] for key in content}, _versions(content))


def unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what data parallel training and `torch.compile` put before names.

    For a file of which no network of ours says what its names should be.
    """
    plain = {
        name.replace(_COMPILED, ""): tensor
        for name, tensor in tensors.items()
        if name != _AVERAGES_COUNT
    }
    while plain and all(name.startswith("module.") for name in plain):
        plain = {name.removeprefix("module."): tensor for name, tensor in plain.items()}
    return plain


def fit_names(own: Mapping[str, Tensor], found: Found, path: Path, *, ema: bool = False) -> Found:
    """A file's tensors by the names that a network has for them.

    Prefixes are found by what follows them: the one after which most of the network's names
    stand. Tensors outside of it (a loss's, a second network's) are passed over where the network
    lacks nothing without them. Counters of batches that an old file lacks are zero.

    Args:
        own: the network's state dict; shapes do not matter.
        ema: take averaged weights, where names say that there are some (`model.`, `ema_model.`).

    Raises:
        InputError: when the names fit several networks in the file, or `ema` is asked for and
            the file has no averaged weights.
    """
    tensors = {_modern(name, own): tensor for name, tensor in found.tensors.items()}
    prefixes = _prefixes(own, tensors) or [""]
    averaged = [prefix for prefix in prefixes if _AVERAGED.search(prefix)]
    raw = [prefix for prefix in prefixes if prefix not in averaged]
    chosen = averaged if averaged and (ema or not raw) else raw
    is_averaged = found.averaged or chosen is averaged or _counts_averages(tensors)
    if ema and not is_averaged:
        raise InputError(f"{path}: holds one set of weights and no averaged ones; leave --ema out.")
    if len(chosen) > 1:
        names = ", ".join(prefix.rstrip(".") or "(no prefix)" for prefix in chosen)
        raise InputError(
            f"{path}: its names fit several networks ({names}); save the state dict of the one to "
            "evaluate alone: torch.save(model.state_dict(), ...)."
        )
    notes = found.notes
    if not notes and not averaged and is_averaged:
        notes = (_note(_AVERAGES_COUNT, alone=True, ema=ema),)
    if averaged and found.averaged is None:
        notes = (_note(averaged[0].rstrip("."), alone=not raw, ema=ema),)
    fitted = _behind(chosen[0], prefixes, tensors, own)
    versions = {}
    for module, version in _versions(found.tensors).items():
        name = f"{module}." if module else ""
        if name.startswith(chosen[0]):
            versions[name.removeprefix(chosen[0]).removesuffix(".")] = version
    # A layer's own reader needs a version; where a file keeps none, its names are today's.
    return Found(_with_versions(fitted, _versions(own) | versions), notes, is_averaged)


def _counts_averages(tensors: Mapping[str, Tensor]) -> bool:
    """Whether they are those of `torch.optim.swa_utils.AveragedModel`."""
    return any(name.rpartition(".")[2] == _AVERAGES_COUNT for name in tensors)


def _prefixes(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> list[str]:
    """The prefixes behind which most of a network's names stand, or as many as half of those."""
    matches: Counter[str] = Counter()
    for name in tensors:
        parts = name.split(".")
        for number in range(len(parts)):
            if ".".join(parts[number:]) in own:
                matches["".join(f"{part}." for part in parts[:number])] += 1
    most = max(matches.values(), default=0)
    return [prefix for prefix, count in matches.items() if 2 * count > most]


def _behind(
    prefix: str,
    prefixes: list[str],
    tensors: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """The tensors behind one prefix and not behind a longer one, with counters that are missing."""
    longer = tuple(other for other in prefixes if other != prefix and other.startswith(prefix))
    inside = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix) and not (longer and name.startswith(longer))
    }
    for name, tensor in own.items():
        if name.endswith(_COUNTERS) and name not in inside:
            inside[name] = torch.zeros_like(tensor, device="cpu")
    if not own.keys() <= inside.keys():  # what is missing may have another name: show the rest
        inside |= {name: t for name, t in tensors.items() if not name.startswith(prefix)}
    if _AVERAGES_COUNT not in own:
        inside.pop(_AVERAGES_COUNT, None)
    return inside


def _modern(name: str, own: Mapping[str, Tensor]) -> str:
    """A name without `torch.compile`'s part, and of DenseNet as it is called today."""
    if name not in own:
        name = name.replace(_COMPILED, "")
        if any("denselayer" in key for key in own):
            name = _OLD_DENSENET.sub(r"\1", name)
    return name


def num_classes_of(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], built_for: int) -> int:
    """The number of classes of weights, from the shapes in which they differ from a network's.

    Args:
        own: the state dict of the same network built for `built_for` classes.
        tensors: a file's, by the network's names.

    Returns:
        What stands in the place of `built_for` in the tensors of another shape, where all agree;
        else `built_for`, and what differs is told when the weights are loaded.
    """
    counts = {
        len(tensors[name])
        for name, tensor in own.items()
        if name in tensors
        and tensor.ndim > 0
        and tensors[name].ndim == tensor.ndim
        and len(tensor) == built_for != len(tensors[name])
        and tensors[name].shape[1:] == tensor.shape[1:]
    }
    return counts.pop() if len(counts) == 1 else built_for


def _versions(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What torch keeps beside a state dict: the version of each module's format, by its name."""
    versions = getattr(tensors, "_metadata", None)
    return dict(versions) if isinstance(versions, Mapping) else {}


def _with_versions(tensors: Mapping[str, Tensor], versions: dict[str, Any]) -> dict[str, Tensor]:
    whole: OrderedDict[str, Tensor] = OrderedDict(tensors)
    whole._metadata = versions  # type: ignore[attr-defined]
    return whole
