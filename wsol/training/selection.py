"""Choosing a checkpoint and its thresholds on images with boxes that are not reported on."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from wsol.datasets.base import Dataset
from wsol.datasets.settling import NoBoxLeftError, settle_in
from wsol.errors import InputError
from wsol.evaluation.loop import evaluate
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.provenance import dataset_fingerprint, weights_fingerprint
from wsol.evaluation.settings import localizer
from wsol.models.classifier import Classifier, match_classes
from wsol.records.record import Metrics
from wsol.records.training import Chosen


@dataclass(frozen=True, slots=True)
class Selection:
    """The protocol's `train-fullsup` (Choe et al., CVPR 2020) and what is measured on it.

    Attributes:
        options: of the evaluation.
        metric: a field of `Metrics` that is one number; the checkpoint with the highest is best.
        every: epochs between two measurements; the last epoch is always measured.
        pseudo_boxes: the set's boxes are machine-made (Murtaza et al., WACV 2025).
    """

    dataset: Dataset
    options: EvaluationOptions
    metric: str = "max_box_acc_v2"
    every: int = 1
    pseudo_boxes: bool = False

    def __post_init__(self) -> None:
        if self.metric not in selection_metrics():
            raise InputError(
                f"{self.metric}: nothing to select by; there are {', '.join(selection_metrics())}."
            )

    def check(self, classifier: Classifier, training_set: Dataset) -> None:
        """Refuse a selection set before anything is trained that could not be evaluated after."""
        match_classes(
            classifier.classes,
            self.dataset.classes,
            classifier.num_classes,
            {sample.label for sample in self.dataset.samples},
        )
        localizer(classifier, self.options)
        own = set()
        for sample in self.dataset.samples:
            if sample.path is None:
                raise InputError(
                    f"{self.dataset.name}: selection needs pixels, but the data set was opened "
                    f"without images (first: {sample.image_id}); name the image folder."
                )
            own.add(sample.path.absolute())
            with suppress(NoBoxLeftError):  # such an image is not measured
                settle_in(self.dataset, sample)
        for sample in training_set.samples:
            if sample.path is not None and sample.path.absolute() in own:
                raise InputError(f"{sample.path}: is in the selection set and in the training set.")

    def due(self, epoch: int, epochs: int) -> bool:
        """Whether epoch `epoch` (from 1) of `epochs` is measured."""
        return epoch % self.every == 0 or epoch == epochs

    def measure(self, classifier: Classifier, epoch: int) -> Chosen:
        """Evaluate the network as it is; leaves it in evaluation mode."""
        classifier.network.eval()
        metrics = evaluate(classifier, self.dataset, self.options).metrics
        value = getattr(metrics, self.metric)
        if value is None:
            raise InputError(
                f"{self.dataset.name}, split {self.dataset.split}: has no {self.metric}; "
                "select by another metric."
            )
        return Chosen(
            dataset=self.dataset.name,
            split=self.dataset.split,
            num_images=len(self.dataset),
            metric=self.metric,
            value=value,
            weights_fingerprint=weights_fingerprint(classifier.network.state_dict().items()),
            epoch=epoch,
            thresholds=metrics.best_threshold,
            thresholds_largest=metrics.best_threshold_largest,
            pseudo_boxes=self.pseudo_boxes,
        )

    def settings(self) -> dict[str, Any]:
        """What decides the choice, in JSON values."""
        maps = {} if self.options.map_method == "cam" else {
            "method": self.options.map_method, "layer": self.options.layer
        }  # fmt: skip
        made = {"pseudo_boxes": True} if self.pseudo_boxes else {}
        size = {} if self.options.size is None else {"size": self.options.size}
        return (
            maps
            | made
            | size
            | {
                "dataset": self.dataset.name,
                "split": self.dataset.split,
                "num_images": len(self.dataset),
                "dataset_fingerprint": dataset_fingerprint(self.dataset),
                "metric": self.metric,
                "every": self.every,
                "precision": self.options.precision,
            }
            | self.options.protocol.settings()
        )


def selection_metrics() -> list[str]:
    """The metrics that are one number, of which more is better."""
    return [name for name in Metrics.single_numbers() if not name.endswith("_chosen")]
