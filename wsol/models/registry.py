"""Networks by name."""

import math
from pathlib import Path
from typing import Any

from torch import Tensor

from wsol.datasets.classes import imagenet_classes
from wsol.errors import InputError
from wsol.maps.drawing import seeded
from wsol.models.builders import (
    build,
    build_trained,
    call_builder,
    has_torchvision_weights,
    is_callable,
    model_names,
    skeleton,
)
from wsol.models.checkpoint import Checkpoint, CheckpointInfo, load_tensors, read_checkpoint
from wsol.models.classifier import Classifier, Preprocessing
from wsol.models.state_dicts import fit_names, num_classes_of
from wsol.models.torchvision_weights import assumed, identify, preprocessing_of, rescale_input

__all__ = [
    "build_classifier", "load_classifier", "model_names", "pretrained_tensors",
    "tensors_to_start_from",
]  # fmt: skip


def load_classifier(
    spec: str,
    weights: str = "default",
    *,
    num_classes: int | None = None,
    arguments: dict[str, Any] | None = None,
    ema: bool = False,
) -> Classifier:
    """Build a network by name and give it weights.

    Args:
        spec: a name of `model_names`, `timm:NAME`, or `package.module:callable` (the current
            folder counts as a place for packages). The callable takes nothing and returns an
            `nn.Module`, on which `wsol_preprocessing` and `wsol_classes` may state what
            `Preprocessing` and the class keys are, or a `Classifier`.
        weights: `default` for the library's pretrained ones, `none` for random ones (seeded), or
            a checkpoint file. A wsol checkpoint brings its classes, preprocessing and builder's
            arguments along; for a file of torchvision's they are torchvision's; of any other, the
            number of classes is read from the weights.
        num_classes: for `none`; otherwise the weights decide.
        arguments: for wsol's own builders, such as `{"width": 0.25}`. With pretrained weights
            those that leave the tensors as they are, such as `{"output_stride": 8}`.
        ema: take averaged weights where a checkpoint has them beside raw ones.

    Raises:
        InputError: for an unknown name, weights that do not fit or cannot be had, or a network
            whose head class activation maps are not defined for.
    """
    if weights not in ("default", "none"):
        return _from_checkpoint(spec, Path(weights), arguments or {}, ema)
    if ema:
        raise InputError(f"{spec}: --ema chooses among the weights of a checkpoint file.")
    if is_callable(spec):
        return _from_callable(spec)
    pretrained = weights == "default"
    if pretrained and spec == "vgg16_gap":
        raise InputError(
            "vgg16_gap: there are no pretrained weights in torchvision; give a checkpoint with "
            "--weights, or --weights none for random ones."
        )
    classes = _wnids() if pretrained else None
    # Random weights are the same in every run, and the caller's own random numbers go on as before.
    with seeded(0):
        if pretrained:
            network, preprocessing = build_trained(spec, arguments or {})
        else:
            network, preprocessing = build(spec, num_classes, arguments or {})
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
    network, default = build(spec, num_classes, arguments or {})
    name = _name(spec, arguments or {})
    return Classifier(name, network, classes, preprocessing or default)


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


def _from_callable(spec: str) -> Classifier:
    made = call_builder(spec)
    network = made.network if isinstance(made, Classifier) else made
    if any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers())):
        raise InputError(f"{spec}: returned a network on the meta device; expected its weights.")
    if isinstance(made, Classifier):
        return made
    return Classifier(
        spec,
        made,
        getattr(made, "wsol_classes", None),
        getattr(made, "wsol_preprocessing", None),
    )


def _from_checkpoint(spec: str, path: Path, arguments: dict[str, Any], ema: bool) -> Classifier:
    checkpoint = read_checkpoint(path, ema=ema)
    if checkpoint.info is not None and checkpoint.info.spec != spec:
        raise InputError(f"{path}: is a checkpoint of {checkpoint.info.spec}, not of {spec}.")
    if is_callable(spec):
        classifier = _from_callable(spec)
        found = fit_names(classifier.network.state_dict(), checkpoint.found, path, ema=ema)
        load_tensors(classifier.network, found.tensors, path)
        classifier.notes += found.notes
        return classifier
    if checkpoint.info is None:
        return _from_state_dict(spec, path, checkpoint, arguments, ema)
    info = checkpoint.info
    network, preprocessing = build(spec, info.num_classes, info.arguments)
    if "preprocessing" in info.model_fields_set:
        preprocessing = info.preprocessing
    load_tensors(network, checkpoint.tensors, path)
    classifier = Classifier(_name(spec, info.arguments), network, info.classes, preprocessing)
    classifier.training_method = info.training.get("method", info.arguments.get("method"))
    classifier.training_seed = info.training.get("seed")
    classifier.training_recipe = info.training.get("recipe")
    return classifier


def _from_state_dict(
    spec: str, path: Path, checkpoint: Checkpoint, arguments: dict[str, Any], ema: bool
) -> Classifier:
    """A network whose classes, names and preprocessing the weights have to tell."""
    published = has_torchvision_weights(spec) and not arguments
    entry = identify(spec, path) if published else None
    imagenet = len(imagenet_classes())
    plan = skeleton(spec, imagenet, arguments).state_dict()
    found = fit_names(plan, checkpoint.found, path, ema=ema)
    num_classes = num_classes_of(plan, found.tensors, imagenet)
    built = arguments | _image_size(spec, plan, found.tensors)
    network, preprocessing = build(spec, num_classes, built)
    load_tensors(network, found.tensors, path)
    notes = found.notes
    if entry is not None:
        preprocessing = preprocessing_of(entry)
    elif published:
        preprocessing, told = assumed(spec, network)
        notes += told
    if published:
        rescale_input(network)
    classes = _wnids() if num_classes == imagenet else None
    classifier = Classifier(_name(spec, arguments), network, classes, preprocessing)
    classifier.notes = notes
    return classifier


def _image_size(spec: str, plan: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, int]:
    """The input size of a ViT of torchvision, where its weights have another than 224 pixels."""
    positions, patches = "encoder.pos_embedding", "conv_proj.weight"
    if spec.startswith("timm:") or not {positions, patches} <= plan.keys() & tensors.keys():
        return {}
    if tensors[positions].ndim != 3 or tensors[positions].shape == plan[positions].shape:
        return {}
    side = math.isqrt(tensors[positions].shape[1] - 1)
    return {"image_size": side * plan[patches].shape[-1]} if side else {}


def _wnids() -> tuple[str, ...]:
    return tuple(wnid for wnid, _ in imagenet_classes())


def pretrained_tensors(spec: str) -> tuple[dict[str, Tensor], Preprocessing]:
    """The library's trained tensors to start the training of a network from.

    For `vgg16_gap` those of torchvision's VGG-16, whose convolutions have the same names.

    Raises:
        InputError: when there are none, or they cannot be fetched.
    """
    network, preprocessing = build_trained(_published_as(spec), {})
    return network.state_dict(), preprocessing


def tensors_to_start_from(
    spec: str, path: Path, arguments: dict[str, Any]
) -> tuple[dict[str, Tensor], Preprocessing, CheckpointInfo | None]:
    """A file's trained tensors to start the training of a network from.

    Of a file of someone else's they have the network's names where they fit, and the
    preprocessing is torchvision's where the file is.

    Raises:
        InputError: when the file holds no weights, or is damaged.
    """
    checkpoint = read_checkpoint(path)
    if checkpoint.info is not None:
        return checkpoint.tensors, checkpoint.info.preprocessing, checkpoint.info
    entry = identify(_published_as(spec), path) if ":" not in spec else None
    plan = skeleton(spec, None, arguments).state_dict()
    tensors = fit_names(plan, checkpoint.found, path).tensors
    return tensors, Preprocessing() if entry is None else preprocessing_of(entry), None


def _published_as(spec: str) -> str:
    """The network of torchvision's whose weights fit: VGG-16's convolutions those of VGG-GAP."""
    return "vgg16" if spec == "vgg16_gap" else spec
