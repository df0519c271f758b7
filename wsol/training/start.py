"""The network that a training run begins with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from wsol.datasets.base import Dataset
from wsol.errors import InputError
from wsol.maps.drawing import seeded
from wsol.models.classifier import Classifier, Preprocessing
from wsol.models.registry import build_classifier, pretrained_tensors, tensors_to_start_from
from wsol.training.methods import Method


@dataclass(frozen=True, slots=True)
class Start:
    """A network to train, and how it was made.

    Attributes:
        arguments: of its builder, the method's included.
        weights: `none`, `default`, or the name of a file.
        new_parameters: names of the parameters with random values, where others are trained.
        head_offset: what was added to the weights of the last linear layer.
    """

    classifier: Classifier
    spec: str
    arguments: dict[str, Any]
    weights: str
    new_parameters: frozenset[str]
    head_offset: float = 0.0


def starting_network(
    spec: str,
    dataset: Dataset,
    method: Method,
    *,
    weights: str = "none",
    arguments: dict[str, Any] | None = None,
    size: int | None = None,
    seed: int = 0,
    head_offset: float = 0.0,
) -> Start:
    """Build a network for the classes of a data set, and give it weights to start from.

    Args:
        weights: `none` for random ones, `default` for the library's trained ones, or a checkpoint.
            Trained tensors of other layers than the network's are passed over; the network's
            layers that have none start from random values.
        arguments: for the builder, such as `{"width": 0.25}`; the method may add its own.
        size: side of the input in pixels; None takes that of the trained weights, or 224.
        seed: of random values.
        head_offset: added to the weights of the last linear layer, see `Classifier.shift_head`.

    Raises:
        InputError: when the name is unknown, or weights cannot be had or do not fit.
    """
    arguments = {**(arguments or {}), **method.builder_arguments}
    tensors: dict[str, Tensor] = {}
    preprocessing = Preprocessing()
    if weights == "default":
        tensors, preprocessing = pretrained_tensors(spec)
    elif weights != "none":
        tensors, preprocessing = _from_file(Path(weights), spec, arguments)
    if size is not None:
        preprocessing = preprocessing.model_copy(update={"size": size})
    with seeded(seed):
        classifier = build_classifier(
            spec,
            num_classes=len(dataset.classes),
            classes=dataset.classes,
            arguments=arguments,
            preprocessing=preprocessing,
        )
    new: frozenset[str] = frozenset()
    if tensors:
        new = _put(classifier, tensors, weights)
    if head_offset:
        classifier.shift_head(head_offset)
    name = weights if weights in ("none", "default") else Path(weights).name
    return Start(classifier, spec, arguments, name, new, head_offset)


def _from_file(
    path: Path, spec: str, arguments: dict[str, Any]
) -> tuple[dict[str, Tensor], Preprocessing]:
    tensors, preprocessing, info = tensors_to_start_from(spec, path, arguments)
    if info is not None and (info.spec, info.arguments) != (spec, arguments):
        raise InputError(
            f"{path}: is a checkpoint of {info.spec} with {_told(info.arguments)}, not of {spec} "
            f"with {_told(arguments)}; train the network and method that it belongs to."
        )
    return tensors, preprocessing


def _told(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in arguments.items()) or "no options"


def _put(classifier: Classifier, tensors: dict[str, Tensor], weights: str) -> frozenset[str]:
    """Load what fits by name and shape; the names of the parameters that nothing fits.

    Another shape is right for the classes' own weights alone, and only where their number
    differs: anywhere else it means another network.
    """
    network: nn.Module = classifier.network
    own = network.state_dict()
    fitting = {key: tensors[key] for key in own if _same_shape(tensors, own, key)}
    others = [
        f"{key} {tuple(tensors[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in tensors
        and key not in fitting
        and (own[key].ndim == 0 or len(own[key]) != classifier.num_classes)
    ]
    if others or 2 * len(fitting) < len(own):
        found = f"{len(fitting)} of {len(own)} tensors fit"
        if others:
            found += f"; of another shape: {', '.join(others[:3])}{', ...' * (len(others) > 3)}"
        raise InputError(
            f"{classifier.name}: the weights {weights} are of another network ({found}); "
            "name weights of this one, or start from random ones with --no-pretrained."
        )
    network.load_state_dict({**own, **fitting})
    return frozenset(name for name, _ in network.named_parameters() if name not in fitting)


def _same_shape(tensors: dict[str, Tensor], own: dict[str, Tensor], key: str) -> bool:
    return key in tensors and tensors[key].shape == own[key].shape
