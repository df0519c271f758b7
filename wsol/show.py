"""What a network sees in a photograph of one's own: classes, their maps, and the box of one."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from wsol.datasets.classes import imagenet_classes
from wsol.errors import InputError, within_memory
from wsol.evaluation.found_boxes import GRID, boxes_of_map
from wsol.evaluation.options import LookOptions
from wsol.maps.framing import fit, maps_on_grid
from wsol.models.classifier import Classifier
from wsol.results.examples import grid_to_photograph


@dataclass(frozen=True, slots=True)
class Shown:
    """A network's view of one photograph.

    Attributes:
        image: (H, W, 3) uint8, the photograph.
        predictions: names and softmax probabilities of the best classes, best first.
        label: the class whose map `score_map` is, by its place among the logits.
        class_name, probability: of that class.
        score_map: (224, 224) float32 within [0, 1], over the whole photograph.
        box: (4,) inclusive corners in the photograph, of the map's largest component at the
            threshold; None where the map is zero everywhere.
    """

    image: NDArray[np.uint8]
    predictions: list[tuple[str, float]]
    label: int
    class_name: str
    probability: float
    score_map: NDArray[np.float32]
    box: NDArray[np.float64] | None


def look(
    classifier: Classifier,
    photograph: Image.Image,
    *,
    options: LookOptions | None = None,
    label: int | None = None,
    top: int = 5,
) -> Shown:
    """Classify a photograph and localize one class in it.

    Args:
        photograph: decoded, RGB, turned upright.
        options: what makes the map and the box; the classifier has its weights already. The
            threshold is in units of the map's maximum (0.2 in Zhou et al., CVPR 2016), or a policy
            of `wsol.maps.automatic`.
        label: the class to localize, an index of logits; None takes the most probable.
        top: how many predictions to name.

    Raises:
        InputError: when the network cannot have the method or has no such class, or its map is
            not finite.
    """
    options = options or LookOptions()
    resize_mode = options.resize_mode
    localizer = classifier.localizer(options.map_method, options.layer)
    if label is not None and not 0 <= label < classifier.num_classes:
        raise InputError(
            f"{classifier.name}: has no class {label}; its logits go from 0 to "
            f"{classifier.num_classes - 1}."
        )
    preprocessing = classifier.preprocessing
    red, green, blue = (round(255 * value) for value in preprocessing.mean_rgb)
    pixels = fit(
        photograph, preprocessing.size, resize_mode, preprocessing.interpolation, (red, green, blue)
    )
    device = classifier.device
    batch = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].to(device)
    told = f"{classifier.name}: memory on {device} is exhausted by one image's map"
    with within_memory(f"{told}; take another method or network."), torch.no_grad():
        view = localizer.see(classifier.normalize(batch))
        probabilities = view.logits.float().softmax(1)[0].cpu()
        best = probabilities.topk(min(top, len(probabilities)))
        label = int(best.indices[0]) if label is None else label
        wanted = torch.tensor([[label]], device=device)
        cams = localizer.maps(view, wanted)
        if not torch.isfinite(cams).all():
            raise InputError(localizer.not_finite)
        score_map = maps_on_grid(
            cams, [photograph.size], preprocessing.size, resize_mode, GRID
        )[0, 0].cpu().numpy()  # fmt: skip
    names = class_names(classifier)
    boxes = boxes_of_map(score_map, options.threshold)
    return Shown(
        image=np.asarray(photograph),
        predictions=[
            (names[index], value)
            for index, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ],
        label=label,
        class_name=names[label],
        probability=float(probabilities[label]),
        score_map=score_map,
        box=grid_to_photograph(boxes, GRID, photograph.size)[0] if len(boxes) else None,
    )


def class_names(classifier: Classifier) -> list[str]:
    """A name for people for each logit: of ImageNet's WordNet ids, else the key or the number."""
    if classifier.classes is None:
        return [f"class {index}" for index in range(classifier.num_classes)]
    names = dict(imagenet_classes())
    return [names.get(key, key) for key in classifier.classes]


def find_class(classifier: Classifier, wanted: str) -> int:
    """The index of the logit that a user means: by index, key (such as a WordNet id) or name.

    A part of a name is enough where it fits one class alone.

    Raises:
        InputError: when nothing fits, or several classes do.
    """
    if wanted.isdecimal() and int(wanted) < classifier.num_classes:
        return int(wanted)
    keys = classifier.classes or ()
    if wanted in keys:
        return keys.index(wanted)
    names = [name.lower() for name in class_names(classifier)]
    asked = wanted.lower()
    # Two classes of ImageNet may have the same name (crane, maillot).
    for fitting in (
        [index for index, name in enumerate(names) if name == asked],
        [index for index, name in enumerate(names) if asked in name],
    ):
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            told = ", ".join(f"{index} ({class_names(classifier)[index]})" for index in fitting[:8])
            raise InputError(f"--class {wanted}: fits several, name one by number: {told}.")
    raise InputError(
        f"--class {wanted}: {classifier.name} has no such class; give a name, "
        f"a key such as n02123045, or an index from 0 to {classifier.num_classes - 1}."
    )
