"""What a record says about how it was made, and the thresholds that were chosen elsewhere."""

from collections.abc import Sequence
from typing import Any

from wsol.datasets.base import Dataset
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.one_box import BoxJudge
from wsol.evaluation.options import EvaluationOptions, ScoreOptions
from wsol.evaluation.protocol import Protocol, threshold_told
from wsol.evaluation.provenance import dataset_fingerprint, weights_fingerprint
from wsol.maps.methods.localizer import Localizer
from wsol.models.classifier import Classifier
from wsol.records.record import Metrics
from wsol.records.thresholds import ChosenThresholds, chosen_for, positions, read_thresholds


def input_size(classifier: Classifier, options: EvaluationOptions) -> int:
    """The side of the network's input in pixels."""
    return options.size or classifier.preprocessing.size


def localizer(classifier: Classifier, options: EvaluationOptions) -> Localizer:
    """What makes the maps of a run.

    Raises:
        InputError: when there is no such method or layer, or the network cannot have it.
    """
    size = input_size(classifier, options)
    return classifier.localizer(options.map_method, options.layer, size)


def with_coco(options: EvaluationOptions) -> bool:
    """Whether COCO AP/AR is measured."""
    return options.coco and not options.protocol.asks_for_one_box


def require_usable(each: Sequence[EvaluationOptions] | Sequence[ScoreOptions]) -> None:
    """Refuse what the conventions cannot have.

    Args:
        each: options that differ in their convention. What asks for more, such as curves, needs
            one of the conventions to have it; what changes the maps has to suit all of them.

    Raises:
        InputError: naming the option and the convention.
    """
    options = each[0]
    if not any(own.protocol.searches for own in each):
        asked = {"--curves": options.curves}
        if isinstance(options, EvaluationOptions):
            asked["--threshold-from"] = options.threshold_from is not None
        for option, given in asked.items():
            if given:
                raise InputError(
                    f"{option}: is of a search over all thresholds, which the convention "
                    f"{each[0].protocol.rules.name} does not make; add --search."
                )
    without = [own.protocol.rules.name for own in each if own.protocol.asks_for_one_box]
    if not without or not isinstance(options, EvaluationOptions):
        return
    if options.resize_mode != "squash":
        raise InputError(
            f"--resize-mode {options.resize_mode}: is not for the convention {without[0]}, which "
            "asks for one box an image; leave it out, or use choe2020 or exact."
        )


def box_settings(judging: BoxJudge) -> dict[str, Any]:
    """What a record says about the thresholds of a convention that asks for one box."""
    numbers = [threshold for threshold in judging.thresholds if not isinstance(threshold, str)]
    asked: list[float | str] = [*numbers] or [judging.thresholds[0]]
    policy = threshold_told(asked[0])
    if len(asked) > 1:
        told = ", ".join(f"{threshold:g}" for threshold in numbers)
        policy = f"best of {told} on the evaluated split (oracle)"
    searched = judging.protocol.settings()["threshold_policy"] if judging.protocol.search else {}
    return {
        "thresholds": asked,
        "threshold_policy": searched | {"gt_known_loc": policy},
    }


def view_settings(protocol: Protocol, dataset: Dataset) -> tuple[dict[str, str], dict[str, str]]:
    """The convention by name, with the view that it does not state; and what is classified.

    The name is that of baselines too, so that they stand in one table with the networks.
    """
    if protocol.views is None and not protocol.asks_for_one_box:
        return {}, {}
    view = protocol.view_for(dataset.name)
    return {"convention": protocol.rules.seen_as(view, dataset.name)}, {"views": view}


def data_settings(dataset: Dataset) -> dict[str, Any]:
    """What is evaluated, in JSON values."""
    settings: dict[str, Any] = {
        "num_images": len(dataset),
        "dataset_fingerprint": dataset_fingerprint(dataset),
    }
    if dataset.exif != "auto":
        settings["exif"] = dataset.exif
    if dataset.skip_bad_annotations:
        settings["skip_bad_annotations"] = True
    return settings


def run_settings(
    model: Classifier | str, dataset: Dataset, options: EvaluationOptions, weights: str | None
) -> dict[str, Any]:
    """Everything that decides the numbers, in JSON values."""
    protocol = options.protocol
    settings = protocol.settings() | data_settings(dataset)
    settings |= {"skip_bad_images": options.skip_bad_images}
    if protocol.asks_for_one_box:
        name = model if isinstance(model, str) else model.backbone
        asked = protocol.asked_thresholds(dataset.name, name)
        judging = BoxJudge(protocol.rules, asked, dataset.name, protocol)
        settings |= box_settings(judging)
    named, viewed = view_settings(protocol, dataset)
    settings |= named
    if isinstance(model, str):
        settings |= {"baseline": model}
    else:
        settings |= viewed | {
            "size": input_size(model, options),
            "resize_mode": options.resize_mode,
            "precision": options.precision,
            "batch_size": options.batch_size,
            "coco": with_coco(options),
            "preprocessing": model.preprocessing.as_settings(),
            "model_classes": model.num_classes,
            "dataset_classes": len(dataset.classes),
            "weights": weights,
            "weights_fingerprint": weights_fingerprint(model.network.state_dict().items()),
        }
        settings |= localizer(model, options).settings()
        if options.mean_classes is not None:
            settings["mean_classes"] = options.mean_classes
        if model.training_method is not None:
            settings["training_method"] = model.training_method
        if model.training_seed is not None:
            settings["training_seed"] = model.training_seed
            settings["training_recipe"] = model.training_recipe
    return settings | _threshold_policy(settings, options)


def chosen_thresholds(
    settings: dict[str, Any], options: EvaluationOptions
) -> ChosenThresholds | None:
    """The thresholds of another split for a model of these settings, where a file names them.

    Raises:
        InputError: when the file cannot be read, or has none for this network.
    """
    if options.threshold_from is None or not options.protocol.searches:
        return None
    chosen = chosen_for(read_thresholds(options.threshold_from), settings)
    if chosen is None and "baseline" not in settings:
        raise InputError(
            f"{settings['weights']}: no thresholds were chosen for these weights; evaluate "
            "them on the other split, and name that record with --threshold-from."
        )
    return chosen


def _threshold_policy(settings: dict[str, Any], options: EvaluationOptions) -> dict[str, Any]:
    """What the settings of a model say where thresholds of another split were given.

    Raises:
        InputError: when they are not among the evaluated ones.
    """
    chosen = chosen_thresholds(settings, options)
    if chosen is None:
        return {}
    levels = [f"{level:g}" for level in options.protocol.iou]
    for thresholds in (chosen.all, chosen.largest):
        if thresholds is not None:
            positions(thresholds, options.protocol.thresholds, levels)
    return {
        "threshold_policy": settings["threshold_policy"]
        | {"max_box_acc_chosen": f"chosen on {chosen.where}"},
        "chosen_thresholds": {"all": chosen.all, "largest": chosen.largest},
    }


def add_chosen(metrics: Metrics, evaluator: Evaluator, chosen: ChosenThresholds) -> None:
    """Add the accuracies at thresholds of another split."""
    curves = evaluator.curves()
    thresholds = evaluator.protocol.thresholds

    def accuracy(counts: dict[str, list[int]], at: dict[str, float]) -> dict[str, float]:
        return {
            level: 100.0 * counts[level][place] / evaluator.num_boxed_images
            for level, place in positions(at, thresholds, counts).items()
        }

    if curves.all is not None and chosen.all is not None:
        by_level = accuracy(curves.all, chosen.all)
        metrics.max_box_acc_v2_chosen = sum(by_level.values()) / len(by_level)
    if curves.largest is not None and chosen.largest is not None:
        metrics.max_box_acc_chosen = accuracy(curves.largest, chosen.largest).get("0.5")
        place = positions(chosen.largest, thresholds, curves.largest).get("0.5")
        if place is not None:
            found = evaluator.localized_at(place)
            metrics.top1_loc_chosen = found.get("top1_loc")
            metrics.top5_loc_chosen = found.get("top5_loc")
