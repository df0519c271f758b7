"""Every metric by name: what it is called and which way is better, told in this one place.

Tables, plots, statistics, pages and the record itself go by these names. Those over all images,
such as MaxBoxAcc and PxAP, stand in `METRICS`; one that is a number an image is the module of its
name in `IMAGE_METRICS`, or anybody's own.
"""

import difflib
import importlib
from dataclasses import dataclass
from typing import Literal

from wsol.errors import InputError
from wsol.metrics.image_mean import ImageMetric
from wsol.plugin import is_plugin, load_callable


@dataclass(frozen=True, slots=True)
class Metric:
    """A percentage of a record.

    Attributes:
        name: its field in a record.
        heading: what tables and plots call it.
        better: which numbers are best.
        asked: whether a table has it by name alone.
        error: whether 100 minus it is a column too, as papers on ILSVRC print it.
    """

    name: str
    heading: str
    better: Literal["high", "low"] = "high"
    asked: bool = False
    error: bool = False


METRICS = (
    Metric("top1_cls", "Top-1 Cls", error=True),
    Metric("top5_cls", "Top-5 Cls", error=True),
    Metric("top1_loc", "Top-1 Loc", error=True),
    Metric("top5_loc", "Top-5 Loc", error=True),
    Metric("gt_known_loc", "GT-known Loc"),
    Metric("top1_loc_class_mean", "Top-1 Loc (class mean)", asked=True),
    Metric("top5_loc_class_mean", "Top-5 Loc (class mean)", asked=True),
    Metric("gt_known_loc_class_mean", "GT-known Loc (class mean)", asked=True),
    Metric("max_box_acc", "MaxBoxAcc"),
    Metric("max_box_acc_v2", "MaxBoxAccV2"),
    Metric("max_box_acc_chosen", "MaxBoxAcc (chosen t)"),
    Metric("max_box_acc_v2_chosen", "MaxBoxAccV2 (chosen t)"),
    Metric("top1_loc_chosen", "Top-1 Loc (chosen t)"),
    Metric("top5_loc_chosen", "Top-5 Loc (chosen t)"),
    Metric("pxap", "PxAP"),
    Metric("coco_ap", "COCO AP"),
    Metric("coco_ap50", "COCO AP50"),
    Metric("coco_ar", "COCO AR"),
)
"""The metrics over all images, in the order of tables."""

HEADLINE = ("max_box_acc_v2", "max_box_acc", "gt_known_loc", "top1_loc", "pxap")
"""The metrics that a page or plot shows first, in this order, as far as a record has them."""

IMAGE_METRICS = ("pointing_game", "energy_pointing_game", "rank_accuracy")
"""The package's own that are a number an image: each the module of its name, with a `METRIC`."""

_HEADINGS = {metric.name: metric.heading for metric in METRICS}


def image_metric(name: str) -> ImageMetric:
    """A metric of `IMAGE_METRICS`, or anybody's own by `package.module:callable`.

    Raises:
        InputError: for an unknown name, with the nearest, or a callable that cannot be imported.
    """
    if is_plugin(name):
        function = load_callable(name)
        # Of a copy, for what it does to its arguments is nobody else's.
        return ImageMetric(name, heading(name), lambda image: function(image.copy()))
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
    """What tables call a metric; a plug-in need not be there for it."""
    if name in IMAGE_METRICS:
        return image_metric(name).heading
    return _HEADINGS.get(name) or name.rpartition(":")[2].replace("_", " ")
