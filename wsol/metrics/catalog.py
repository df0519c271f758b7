"""The metrics that are a number an image, by name."""

import difflib
import importlib

from wsol.errors import InputError
from wsol.metrics.image_mean import ImageMetric
from wsol.plugin import is_plugin, load_callable

IMAGE_METRICS = ("pointing_game", "energy_pointing_game", "rank_accuracy")
"""The package's own; a metric is the module of its name, which has a `METRIC`."""


def image_metric(name: str) -> ImageMetric:
    """A metric of `IMAGE_METRICS`, or anybody's own by `package.module:callable`.

    Raises:
        InputError: for an unknown name, with the nearest, or a callable that cannot be imported.
    """
    if is_plugin(name):
        return ImageMetric(name, heading(name), load_callable(name))
    if name not in IMAGE_METRICS:
        near = difflib.get_close_matches(name, IMAGE_METRICS, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InputError(
            f"{name}: not a metric to ask for; {hint}there are {', '.join(IMAGE_METRICS)}, and "
            "package.module:callable for your own."
        )
    found: ImageMetric = importlib.import_module(f"wsol.metrics.{name}").METRIC
    return found


def heading(name: str) -> str:
    """What tables call a metric of `image_metric`; a plug-in need not be there for it."""
    if name in IMAGE_METRICS:
        return image_metric(name).heading
    return name.rpartition(":")[2].replace("_", " ")
