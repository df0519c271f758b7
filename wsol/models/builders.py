"""Networks built by name, with a library's trained weights or with random ones."""

import difflib
import importlib
import inspect
import urllib.error
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from wsol.errors import InputError
from wsol.models.checkpoint import load_tensors
from wsol.models.classifier import Classifier, Preprocessing
from wsol.models.torchvision_weights import (
    entries,
    file_name,
    interpolation,
    preprocessing_of,
    rescale_input,
)
from wsol.plugin import call, load_callable

OWN = {
    "inception_v3": "wsol.models.inception",
    "resnet18": "wsol.models.resnet",
    "resnet50": "wsol.models.resnet",
    "vgg16": "wsol.models.vgg",
    "vgg16_gap": "wsol.models.vgg_gap",
}
"""wsol's own builders and their modules."""


def model_names() -> list[str]:
    """The names that need no prefix: wsol's own and torchvision's classifiers, sorted."""
    models = _torchvision_models()
    return sorted({*OWN, *models.list_models(module=models)})


def has_torchvision_weights(spec: str) -> bool:
    """Whether torchvision has trained weights of a network, rather than timm or nobody."""
    return ":" not in spec and spec != "vgg16_gap"


def is_callable(spec: str) -> bool:
    """Whether a name means a user's own `package.module:callable`."""
    return ":" in spec and not spec.startswith("timm:")


def build(
    spec: str, num_classes: int | None, arguments: dict[str, Any]
) -> tuple[nn.Module, Preprocessing]:
    """A network with random weights; a library's own preprocessing where it states one.

    Raises:
        InputError: for an unknown name, a callable of one's own, or arguments that the builder does
            not take.
    """
    if is_callable(spec):
        raise InputError(
            f"{spec}: is of your own, which is evaluated as it is; train one of `wsol models`."
        )
    if spec.startswith("timm:"):
        return _timm(spec.removeprefix("timm:"), num_classes, False, arguments)
    return _plain(spec, num_classes, arguments), Preprocessing()


def build_trained(spec: str, arguments: dict[str, Any]) -> tuple[nn.Module, Preprocessing]:
    """A network with its library's default weights and their preprocessing.

    Args:
        arguments: for wsol's own builders; those that leave the tensors as they are.

    Raises:
        InputError: when the name is unknown, or the weights cannot be had or do not fit.
    """
    if spec.startswith("timm:"):
        return _timm(spec.removeprefix("timm:"), None, True, arguments)
    _require_known(spec)
    entry = entries(spec)[0]
    try:
        network = _torchvision_models().get_model(spec, weights=entry)
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints" / file_name(entry)
        raise InputError(
            f"{spec}: its weights could not be fetched from {entry.url} ({error}). "
            f"Put that file at {cache}, or give a checkpoint with --weights."
        ) from error
    if arguments:
        tensors = network.state_dict()
        network = _plain(spec, None, arguments)
        load_tensors(network, tensors, Path(file_name(entry)))
        rescale_input(network)
    return network, preprocessing_of(entry)


def skeleton(spec: str, num_classes: int | None, arguments: dict[str, Any]) -> nn.Module:
    """A network on the meta device: names and shapes without numbers, in little time."""
    _torchvision_models()  # imported within, some versions compute with what then has no numbers
    with _EmptyWeights():
        network, _ = build(spec, num_classes, arguments)
    return network.to("meta")


class _EmptyWeights(TorchFunctionMode):
    """Makes layers allocate their weights on the meta device: no memory, no initialization.

    Unlike `torch.device("meta")` it leaves small tensors alone that builders compute with.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in (torch.empty, torch.zeros, torch.ones):
            kwargs = {**(kwargs or {}), "device": "meta"}
        return func(*args, **(kwargs or {}))


def call_builder(spec: str) -> nn.Module | Classifier:
    """What a user's `package.module:callable` returns.

    Raises:
        InputError: when there is no such callable, it raises, or it returns something else.
    """
    made: Any = call(spec, load_callable(spec))
    if isinstance(made, nn.Module | Classifier):
        return made
    raise InputError(f"{spec}: returned {type(made).__name__} instead of an nn.Module.")


def _torchvision_models() -> ModuleType:
    """torchvision's models; importing them takes seconds, which a baseline need not wait for."""
    import torchvision

    models: ModuleType = torchvision.models
    return models


def _plain(name: str, num_classes: int | None, arguments: dict[str, Any]) -> nn.Module:
    """A network without trained weights."""
    _require_known(name)
    classes = {} if num_classes is None else {"num_classes": num_classes}
    if name in OWN:
        builder = getattr(importlib.import_module(OWN[name]), name)
        known = inspect.signature(builder).parameters
        for argument in arguments:
            if argument not in known:
                raise InputError(f"{name}: takes no {argument}; it takes {', '.join(known)}.")
        own: nn.Module = builder(**classes, **arguments)
        return own
    if arguments and not (name.startswith("vit_") and arguments.keys() == {"image_size"}):
        raise InputError(f"{name}: takes no {', '.join(arguments)}; only wsol's own networks do.")
    if name == "googlenet":
        arguments = {"aux_logits": False, "init_weights": False}
    network: nn.Module = _torchvision_models().get_model(name, weights=None, **classes, **arguments)
    return network


def _require_known(name: str) -> None:
    if name not in model_names():
        near = difflib.get_close_matches(name, model_names(), 3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`wsol models` lists them."
        raise InputError(f"{name}: no model has this name; {hint}")


def _timm(
    name: str, num_classes: int | None, pretrained: bool, arguments: dict[str, Any]
) -> tuple[nn.Module, Preprocessing]:
    try:
        import timm
    except ImportError as error:
        raise InputError(f"timm:{name}: needs timm; pip install 'wsol[timm]'.") from error
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('.')[0][:8]}*")[:3]
        hint = f" Similar: {', '.join(near)}." if near else ""
        raise InputError(f"timm:{name}: timm has no model of this name.{hint}")
    if arguments:
        raise InputError(
            f"timm:{name}: takes no {', '.join(arguments)}; only wsol's own networks do."
        )
    classes: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    try:
        network = timm.create_model(name, pretrained=pretrained, **classes)
    except Exception as error:
        if not pretrained:
            raise
        # The hub client raises errors of its own, none of which the user can tell apart.
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"timm:{name}: its weights could not be fetched ({first}); "
            "give a checkpoint with --weights."
        ) from error
    config: dict[str, Any] = timm.data.resolve_model_data_config(network)
    return network, Preprocessing(
        size=config["input_size"][-1],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=interpolation(config["interpolation"]),
    )
