"""Published weights become wsol checkpoints, or nothing is written."""

from collections.abc import Sequence
from pathlib import Path

import torch

from wsol.datasets.classes import imagenet_classes
from wsol.errors import InputError
from wsol.files import exists
from wsol.models.checkpoint import require_fit, save_checkpoint
from wsol.models.classifier import Classifier
from wsol.models.importers.caffe import read_vgg16_cam
from wsol.models.importers.published import Published
from wsol.models.importers.wsolevaluation import MapSize, read_released
from wsol.models.parts import ACOL_THRESHOLD
from wsol.models.registry import build_classifier

CAFFE_SUFFIX = ".caffemodel"


def import_weights(
    path: Path,
    out: Path,
    *,
    spec: str,
    method: str = "cam",
    map_size: MapSize | None = None,
    classes: Sequence[str] | None = None,
    acol_threshold: float | None = None,
) -> Classifier:
    """Read a published file and write it as a wsol checkpoint, which `wsol evaluate` takes.

    Args:
        path: a `.caffemodel`, or a checkpoint of the wsolevaluation repository.
        out: where the checkpoint goes.
        spec: `vgg16_gap`, `resnet50` or `inception_v3`.
        method: what the network was trained with: it decides which heads it has.
        map_size: side of the class activation map of a 224 pixel input, where the file cannot
            tell (`read_released`).
        classes: class keys in the order of the logits; None for the sorted WordNet ids of ImageNet
            where there are 1,000, and for unnamed classes otherwise.
        acol_threshold: of a network trained with ACoL, whose maps depend on it and whose file does
            not tell; None takes the released default.

    Raises:
        InputError: naming every missing, unexpected and wrongly shaped tensor; nothing is written.
    """
    if exists(path) and exists(out) and path.samefile(out):
        raise InputError(f"{out}: is the file that is imported; write to another one.")
    if acol_threshold is not None and method != "acol":
        raise InputError(f"{path}: a threshold belongs to the method acol, not to {method}.")
    published = _read(path, spec, method, map_size)
    arguments = published.arguments
    if acol_threshold not in (None, ACOL_THRESHOLD):
        arguments = {**arguments, "acol_threshold": acol_threshold}
    if classes is None and published.num_classes == len(imagenet_classes()):
        classes = [wnid for wnid, _ in imagenet_classes()]
    if classes is not None and len(set(classes)) != published.num_classes:
        raise InputError(
            f"{path}: has {published.num_classes} logits, but there are {len(set(classes))} "
            "different class keys."
        )
    classifier = build_classifier(
        spec,
        num_classes=published.num_classes,
        classes=None if classes is None else tuple(classes),
        arguments=arguments,
        preprocessing=published.preprocessing,
    )
    _load(classifier, published, path)
    save_checkpoint(classifier, out, spec=spec, arguments=arguments)
    return classifier


def map_shape(classifier: Classifier) -> tuple[int, int]:
    """Height and width of its class activation maps at the size it was published with."""
    side = classifier.preprocessing.size
    with torch.no_grad():
        _, features = classifier.forward(torch.zeros(1, 3, side, side))
    height, width = features.shape[2:]
    return height, width


def _read(path: Path, spec: str, method: str, map_size: MapSize | None) -> Published:
    if path.suffix != CAFFE_SUFFIX:
        return read_released(path, spec, method, map_size)
    if (spec, method) != ("vgg16_gap", "cam"):
        raise InputError(f"{path}: a Caffe model can be read as vgg16_gap of the method cam alone.")
    if map_size not in (None, 14):
        raise InputError(f"{path}: the maps of VGG16-CAM are 14x14, not {map_size}x{map_size}.")
    return read_vgg16_cam(path)


def _load(classifier: Classifier, published: Published, path: Path) -> None:
    own = classifier.network.state_dict()
    expected = {published.called(name): tensor.shape for name, tensor in own.items()}
    require_fit(expected, published.tensors, path, most=None)
    broken = [name for name, t in published.tensors.items() if not torch.isfinite(t).all()]
    if broken:
        raise InputError(f"{path}: holds numbers that are not finite, in {', '.join(broken)}.")
    classifier.network.load_state_dict(
        {name: published.tensors[published.called(name)] for name in own}
    )
