"""Networks by name."""

import difflib
import importlib
import inspect
import sys
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from wsol.datasets.classes import imagenet_classes
from wsol.errors import InputError
from wsol.maps.head import find_head
from wsol.models.checkpoint import CheckpointInfo, load_tensors, read_checkpoint
from wsol.models.classifier import Classifier, Preprocessing

_PROBE_SIDE = 224
_INCEPTION_SIDE = 299

_OWN = {
    "inception_v3": "wsol.models.inception",
    "resnet18": "wsol.models.resnet",
    "resnet50": "wsol.models.resnet",
    "vgg16_gap": "wsol.models.vgg_gap",
}
"""wsol's own builders and their modules."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """What `wsol models` says about one name."""

    name: str
    parameters: int
    cam: bool
    pretrained: bool
    reason: str | None


def model_names() -> list[str]:
    """The names that need no prefix: wsol's own and torchvision's classifiers, sorted."""
    models = _torchvision_models()
    return sorted({*_OWN, *models.list_models(module=models)})


def _torchvision_models() -> ModuleType:
    """torchvision's models; importing them takes seconds, which a baseline need not wait for."""
    import torchvision

    models: ModuleType = torchvision.models
    return models


def load_classifier(
    spec: str,
    weights: str = "default",
    *,
    num_classes: int | None = None,
    arguments: dict[str, Any] | None = None,
) -> Classifier:
    """Build a network by name and give it weights.

    Args:
        spec: a name of `model_names`, `timm:NAME`, or `package.module:callable` (the current
            folder counts as a place for packages). The callable takes nothing and returns an
            `nn.Module`, on which `wsol_preprocessing` and `wsol_classes` may state what
            `Preprocessing` and the class keys are, or a `Classifier`.
        weights: `default` for the library's pretrained ones, `none` for random ones (seeded), or
            a checkpoint file. A wsol checkpoint brings its classes, preprocessing and builder's
            arguments along.
        num_classes: for `none`; otherwise the weights decide.
        arguments: for wsol's own builders, such as `{"width": 0.25}`. With pretrained weights
            those that leave the tensors as they are, such as `{"output_stride": 8}`.

    Raises:
        InputError: for an unknown name, weights that do not fit or cannot be had, or a network
            whose head class activation maps are not defined for.
    """
    if weights not in ("default", "none"):
        return _from_checkpoint(spec, Path(weights), arguments or {})
    if ":" in spec and not spec.startswith("timm:"):
        return _from_callable(spec)
    torch.manual_seed(0)  # random weights are the same in every run
    pretrained = weights == "default"
    if pretrained and spec == "vgg16_gap":
        raise InputError(
            "vgg16_gap: there are no pretrained weights in torchvision; give a checkpoint with "
            "--weights, or --weights none for random ones."
        )
    network, preprocessing = _build(spec, num_classes, pretrained, arguments or {})
    classes = None
    if pretrained:
        classes = tuple(wnid for wnid, _ in imagenet_classes())
    return Classifier(_name(spec, arguments or {}), network, classes, preprocessing)


def build_classifier(
    spec: str,
    *,
    num_classes: int,
    classes: tuple[str, ...] | None = None,
    arguments: dict[str, Any] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Classifier:
    """A network with random weights, to be trained; torch's random state decides them."""
    network, default = _build(spec, num_classes, False, arguments or {})
    name = _name(spec, arguments or {})
    return Classifier(name, network, classes, preprocessing or default)


def list_models(names: list[str], advance: Callable[[], None] = lambda: None) -> list[ModelRow]:
    """Parameters of each name, and whether class activation maps apply.

    Networks are built and run on the meta device: shapes without numbers, so this is quick.
    """
    rows = []
    for name in names:
        with _EmptyWeights():
            network = _plain(name, None, {})
        network.to("meta")
        classifier_parameters = sum(
            parameter.numel()
            for key, parameter in network.named_parameters()
            if not key.startswith(("aux1.", "aux2.", "AuxLogits."))
        )
        side = _INCEPTION_SIDE if name == "inception_v3" else _PROBE_SIDE
        try:
            find_head(network.eval(), torch.empty(2, 3, side, side, device="meta"), name)
            reason = None
        except InputError as error:
            told = str(error).removeprefix(f"{name}: ")
            reason = told.split(", so class activation maps")[0]
        pretrained = name != "vgg16_gap"
        rows.append(ModelRow(name, classifier_parameters, reason is None, pretrained, reason))
        advance()
    return rows


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


def _name(spec: str, arguments: dict[str, Any]) -> str:
    """`vgg16_gap`, or `vgg16_gap (width 0.25)` where it is not the plain one."""
    told = ", ".join(
        key.replace("_", " ") + ("" if value is True else f" {_short(value)}")
        for key, value in sorted(arguments.items(), reverse=True)
        if value is not False and value is not None and not (key == "width" and value == 1)
    )
    return f"{spec} ({told})" if told else spec


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _build(
    spec: str, num_classes: int | None, pretrained: bool, arguments: dict[str, Any]
) -> tuple[nn.Module, Preprocessing]:
    if spec.startswith("timm:"):
        return _timm(spec.removeprefix("timm:"), num_classes, pretrained)
    if not pretrained:
        return _plain(spec, num_classes, arguments), Preprocessing()
    _require_known(spec)
    models = _torchvision_models()
    weights = models.get_model_weights(spec)["DEFAULT"]
    try:
        network = models.get_model(spec, weights=weights)
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
        raise InputError(
            f"{spec}: its weights could not be fetched from {weights.url} ({error}). "
            f"Put that file at {cache}, or give a checkpoint with --weights."
        ) from error
    if arguments:
        tensors = network.state_dict()
        network = _plain(spec, None, arguments)
        load_tensors(network, tensors, Path(Path(weights.url).name))
    transforms = weights.transforms()
    return network, Preprocessing(
        size=transforms.crop_size[0],
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        interpolation=_interpolation(str(transforms.interpolation)),
    )


def _interpolation(name: str) -> Literal["bilinear", "bicubic"]:
    return "bicubic" if "bicubic" in name.lower() else "bilinear"


def _plain(name: str, num_classes: int | None, arguments: dict[str, Any]) -> nn.Module:
    """A network without trained weights."""
    _require_known(name)
    classes = {} if num_classes is None else {"num_classes": num_classes}
    if name in _OWN:
        builder = getattr(importlib.import_module(_OWN[name]), name)
        known = inspect.signature(builder).parameters
        for argument in arguments:
            if argument not in known:
                raise InputError(f"{name}: takes no {argument}; it takes {', '.join(known)}.")
        own: nn.Module = builder(**classes, **arguments)
        return own
    if arguments:
        raise InputError(f"{name}: takes no {', '.join(arguments)}; only wsol's own networks do.")
    if name == "googlenet":
        classes |= {"aux_logits": False, "init_weights": False}
    network: nn.Module = _torchvision_models().get_model(name, weights=None, **classes)
    return network


def _require_known(name: str) -> None:
    if name not in model_names():
        near = difflib.get_close_matches(name, model_names(), 3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`wsol models` lists them."
        raise InputError(f"{name}: no model has this name; {hint}")


def _timm(name: str, num_classes: int | None, pretrained: bool) -> tuple[nn.Module, Preprocessing]:
    try:
        import timm
    except ImportError as error:
        raise InputError(f"timm:{name}: needs timm; pip install 'wsol[timm]'.") from error
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('.')[0][:8]}*")[:3]
        hint = f" Similar: {', '.join(near)}." if near else ""
        raise InputError(f"timm:{name}: timm has no model of this name.{hint}")
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
        interpolation=_interpolation(config["interpolation"]),
    )


def _from_callable(spec: str) -> Classifier:
    made = _call(spec)
    if isinstance(made, Classifier):
        return made
    return Classifier(
        spec,
        made,
        getattr(made, "wsol_classes", None),
        getattr(made, "wsol_preprocessing", None),
    )


def _call(spec: str) -> nn.Module | Classifier:
    module_name, _, attribute = spec.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(
            f"{spec}: the module {module_name!r} cannot be imported ({error}); "
            "run in its folder, or install it."
        ) from error
    builder = getattr(module, attribute, None)
    if not callable(builder):
        raise InputError(f"{spec}: {module_name!r} has no callable {attribute!r}.")
    made = builder()
    if not isinstance(made, (nn.Module, Classifier)):
        raise InputError(f"{spec}: returned {type(made).__name__} instead of an nn.Module.")
    return made


def _from_checkpoint(spec: str, path: Path, arguments: dict[str, Any]) -> Classifier:
    tensors, info = read_checkpoint(path)
    if info is None:
        info = CheckpointInfo(
            spec=spec, arguments=arguments, num_classes=_classes_of(tensors), classes=None
        )
        if ":" not in spec and info.num_classes == len(imagenet_classes()):
            wnids = tuple(wnid for wnid, _ in imagenet_classes())
            info = info.model_copy(update={"classes": wnids})
    elif info.spec != spec:
        raise InputError(f"{path}: is a checkpoint of {info.spec}, not of {spec}.")
    if ":" in spec and not spec.startswith("timm:"):
        classifier = _from_callable(spec)
        load_tensors(classifier.network, tensors, path)
        return classifier
    network, preprocessing = _build(spec, info.num_classes, False, info.arguments)
    if "preprocessing" in info.model_fields_set:
        preprocessing = info.preprocessing
    load_tensors(network, tensors, path)
    classifier = Classifier(_name(spec, info.arguments), network, info.classes, preprocessing)
    classifier.training_method = info.training.get("method", info.arguments.get("method"))
    classifier.training_seed = info.training.get("seed")
    classifier.training_recipe = info.training.get("recipe")
    return classifier


def _classes_of(tensors: dict[str, Tensor]) -> int:
    """The number of classes of a plain state dict: the rows of its last matrix or 1x1 filter."""
    weights = [t for t in tensors.values() if t.ndim == 2 or t.shape[2:] == (1, 1)]
    return len(weights[-1]) if weights else len(imagenet_classes())


def pretrained_tensors(spec: str) -> tuple[dict[str, Tensor], Preprocessing]:
    """The library's trained tensors to start the training of a network from.

    For `vgg16_gap` those of torchvision's VGG-16, whose convolutions have the same names.

    Raises:
        InputError: when there are none, or they cannot be fetched.
    """
    network, preprocessing = _build("vgg16" if spec == "vgg16_gap" else spec, None, True, {})
    return network.state_dict(), preprocessing
