"""Adds up the outcomes of images into one set of metrics; the Python door for one's own loop."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wsol.boxes.runs import Contours
from wsol.datasets.base import Dataset
from wsol.datasets.settling import finding_notes, settle_in
from wsol.errors import InputError
from wsol.evaluation.beside import AlsoAt
from wsol.evaluation.judging import Classification, Outcome, judge_map
from wsol.evaluation.one_box import BoxJudge
from wsol.evaluation.protocol import Protocol
from wsol.metrics.box_accuracy import BoxAccuracy
from wsol.metrics.classification import LocalizationCounts
from wsol.metrics.coco import CocoAveragePrecision
from wsol.metrics.image_mean import ImageMeans
from wsol.metrics.pxap import PixelAveragePrecision
from wsol.plugin import is_plugin
from wsol.records.record import Curves, Metrics


class Evaluator:
    """Metrics of one set of score maps against one data set.

    Feed it maps in any order, each image once::

        evaluator = Evaluator(open_dataset("protocol", "CUB/test"))
        for image_id, score_map in my_maps():
            evaluator.update(score_map, image_id)
        print(evaluator.compute().max_box_acc_v2)

    Evaluators over disjoint images `merge` into exactly what one over all of them would hold,
    whatever the order: every state is a sum of integers or a set of rows sorted by image.
    """

    def __init__(
        self, dataset: Dataset, protocol: Protocol | None = None, network: str | None = None
    ) -> None:
        """
        Args:
            protocol: None takes the default one.
            network: what made the maps, where it is known; some conventions state a threshold for a
                network's name.

        Raises:
            InputError: when the convention needs a threshold that nobody named.
        """
        self.dataset = dataset
        self._network = network
        self.protocol = protocol = protocol or Protocol()
        self._position = {sample.image_id: i for i, sample in enumerate(dataset.samples)}
        self._seen = np.zeros(len(dataset), dtype=bool)
        self._findings = np.zeros(len(dataset), dtype=np.uint8)
        self._dim = np.zeros(len(dataset), dtype=bool)
        above = protocol.rules.hit == "above"
        self._boxes = {
            kind: BoxAccuracy(protocol.thresholds, protocol.iou, above=above)
            for kind in protocol.contour_kinds
        }
        self.box_judge: BoxJudge | None = None
        if protocol.asks_for_one_box:
            asked = protocol.asked_thresholds(dataset.name, network)
            thresholds = (*asked, *protocol.policies)
            self.box_judge = BoxJudge(
                protocol.rules, thresholds, dataset.name, protocol, candidates=len(asked)
            )
        # One for each threshold of which the best is taken, then one for each that is beside it.
        self._asked = 1 if self.box_judge is None else len(asked)
        number = self._asked + len(protocol.policies)
        self._counts = [LocalizationCounts(len(dataset.classes)) for _ in range(number)]
        self._also = AlsoAt(protocol)
        self._pixels = PixelAveragePrecision(protocol.thresholds)
        self._coco = CocoAveragePrecision()
        self._means = ImageMeans((m.name for m in protocol.image_metrics), len(dataset))

    def update(
        self,
        score_map: Any,
        image_id: str,
        classification: Classification | None = None,
    ) -> None:
        """Add one image's score map of its label.

        Args:
            score_map: (H, W) uint8, or floating and within [0, 1], of any size, see `to_grid`: a
                NumPy array, a torch tensor on any device, or nested lists.
            image_id: as the data set has it.
            classification: what a classifier said about the image, for Top-1 and Top-5 Loc.

        Raises:
            InputError: naming the image: an unknown or repeated one, or a map that is not one.
        """
        if image_id not in self._position:
            raise InputError(f"{image_id}: not an image of {self.dataset.name}.")
        settled = settle_in(self.dataset, self.dataset.samples[self._position[image_id]])
        array = _as_array(score_map, f"the score map of {image_id}")
        if self.box_judge is not None:
            outcome = self.box_judge.judge_map(array, settled.sample, classification=classification)
        else:
            outcome = judge_map(array, settled.sample, self.protocol, classification=classification)
        self.add(replace(outcome, findings=settled.findings))

    def add(self, outcome: Outcome) -> None:
        """Add an outcome of `wsol.evaluation.judging.judge`.

        Raises:
            InputError: when its image has been added before.
        """
        position = self._position[outcome.image_id]
        if self._seen[position]:
            raise InputError(f"{outcome.image_id}: evaluated twice.")
        self._seen[position] = True
        self._findings[position] = outcome.findings
        self._dim[position] = outcome.is_dim
        for kind, best_iou in outcome.best_iou.items():
            self._boxes[kind].update(best_iou)
        classification = outcome.classification
        rank = None if classification is None else classification.rank
        label = self.dataset.samples[position].label
        for number, counts in enumerate(self._counts):
            if outcome.decisions:
                right, top_k = outcome.decisions[number]
                counts.update(right, rank, top_k=top_k, label=label)
            else:
                right_box = None if outcome.fixed_iou is None else outcome.fixed_iou >= 0.5
                counts.update(right_box, rank, label=label)
        if outcome.fixed_iou is not None:
            self._also.update(outcome)
        self._means.update(position, outcome.values)
        if outcome.pixels is not None:
            self._pixels.update_histograms(*outcome.pixels)
        detected = outcome.detections or classification
        if detected is not None and detected.boxes is not None:
            self._coco.update(
                position,
                classes=detected.classes,
                scores=detected.scores,
                boxes=detected.boxes,
                true_class=label,
                true_boxes=outcome.true_boxes,
            )

    def position_of(self, image_id: str) -> int:
        """Where an image stands in the data set."""
        return self._position[image_id]

    @property
    def num_images(self) -> int:
        """How many images have been added."""
        return int(self._seen.sum())

    @property
    def num_boxed_images(self) -> int:
        """How many of them have true boxes, so that localization is defined for them."""
        return next(iter(self._boxes.values())).num_images

    def pending(self) -> list[int]:
        """Positions in the data set of the images not added yet, ascending."""
        return np.flatnonzero(~self._seen).tolist()

    def evaluated(self) -> list[int]:
        """Positions in the data set of the images that have been added, ascending."""
        return np.flatnonzero(self._seen).tolist()

    def emptied(self) -> "Evaluator":
        """One of the same data set, protocol and network that nothing has been added to."""
        return Evaluator(self.dataset, self.protocol, self._network)

    def merge(self, other: "Evaluator") -> None:
        """Add another evaluator's images to this one's.

        Raises:
            InputError: when the two share an image, or their data set or protocol differ.
        """
        if other.protocol != self.protocol:
            raise InputError("Two shards with different protocols cannot be merged.")
        if other._position != self._position:
            raise InputError("Two shards of different data sets cannot be merged.")
        if (self._seen & other._seen).any():
            twice = self.dataset.samples[int(np.argmax(self._seen & other._seen))].image_id
            raise InputError(f"{twice}: in both of the shards to merge.")
        self._seen |= other._seen
        self._findings |= other._findings
        self._dim |= other._dim
        for name, metric in self._parts():
            metric.merge(dict(other._parts())[name])

    def compute(self) -> Metrics:
        """The metrics over the images added so far."""
        best_counts = self._counts[self.chosen_candidate]
        own = {name: v for name, v in self._means.compute().items() if not is_plugin(name)}
        metrics = Metrics.model_validate(own | best_counts.compute() | best_counts.class_means())
        if self.box_judge is not None:
            chosen = self.box_judge.thresholds[self.chosen_candidate]
            if self._asked > 1 and not isinstance(chosen, str):
                metrics.best_threshold_largest = {"0.5": chosen}
                metrics.loc_threshold = chosen
        if "largest" in self._boxes and self._boxes["largest"].num_images:
            best = self._boxes["largest"].compute()
            metrics.box_acc_largest = best.accuracy
            metrics.best_threshold_largest = best.threshold
            metrics.max_box_acc = best.accuracy.get("0.5")
        if "all" in self._boxes and self._boxes["all"].num_images:
            best = self._boxes["all"].compute()
            metrics.box_acc = best.accuracy
            metrics.best_threshold = best.threshold
            metrics.max_box_acc_v2 = best.mean
        if self.protocol.also_at:
            metrics.loc_at = self._also.compute(self._counts[self._asked :]) or None
        if self._pixels.num_images:
            metrics.pxap = self._pixels.compute()
        if self._coco.num_images:
            metrics.coco_ap, metrics.coco_ap50, metrics.coco_ar = self._coco.compute()
        return metrics

    @property
    def candidates(self) -> tuple[float, ...]:
        """The thresholds of which the best is taken, where there are several."""
        if self.box_judge is None or self._asked < 2:
            return ()
        return tuple(float(value) for value in self.box_judge.thresholds[: self._asked])

    @property
    def chosen_candidate(self) -> int:
        """Which of the thresholds asked for is the best on the images added so far."""
        # At ties the first, as integer counts decide.
        localized = [counts.localized for counts in self._counts[: self._asked]]
        return localized.index(max(localized))

    def localized_at(self, place: int) -> dict[str, float]:
        """GT-known and Top-k Loc of the largest component at the position of a threshold."""
        return self._also.at(place)

    def plugin_metrics(self) -> dict[str, float]:
        """The means of metrics that are not the package's, by the names they were asked for by."""
        return {name: value for name, value in self._means.compute().items() if is_plugin(name)}

    def notes(self) -> list[str]:
        """What was noticed about the photographs and maps added so far, with counts."""
        notes, dim = finding_notes(self._findings), int(self._dim.sum())
        if dim:
            notes.append(
                f"{dim:,} map{'s have' if dim > 1 else ' has'} the evaluation's size and a maximum "
                "below 1: taken as given, which is what the released code does. To normalize them, "
                "subtract a map's minimum and divide by what is then its maximum."
            )
        return notes

    def curves(self) -> Curves:
        """The number of correct images at every threshold and IoU level."""

        def counts(kind: Contours) -> dict[str, list[int]] | None:
            metric = self._boxes.get(kind)
            return metric.curves() if metric is not None and metric.num_images else None

        return Curves(
            thresholds=self.protocol.thresholds.tolist(),
            largest=counts("largest"),
            all=counts("all"),
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything added so far as named arrays, for a file that a later run goes on from."""
        state = {"seen": self._seen, "findings": self._findings, "dim": self._dim}
        for name, metric in self._parts():
            state |= {f"{name}.{key}": value for key, value in metric.state().items()}
        return state

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Replace everything by what `state` returned, of the same data set and protocol."""
        if state["seen"].shape != self._seen.shape:
            raise InputError("The saved state belongs to another data set.")
        self._seen = state["seen"].copy()
        self._findings = state["findings"].copy()
        self._dim = state.get("dim", np.zeros_like(self._seen)).copy()
        for name, metric in self._parts():
            prefix = f"{name}."
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            if not own:
                raise InputError(
                    "The saved progress is of another version; repeat the command without --resume."
                )
            metric.load_state(own)

    def _parts(self) -> Iterable[tuple[str, Any]]:
        yield from ((f"boxes_{kind}", metric) for kind, metric in self._boxes.items())
        yield from ((f"counts_{number}", counts) for number, counts in enumerate(self._counts))
        yield from self._also.parts()
        yield "pixels", self._pixels
        yield "coco", self._coco
        yield "means", self._means


def _as_array(score_map: Any, name: str) -> NDArray[Any]:
    """Whatever holds a map as an array; half precision tensors keep their values."""
    if isinstance(score_map, torch.Tensor):
        score_map = score_map.detach().cpu()
        if score_map.dtype == torch.bfloat16:  # which NumPy does not have
            score_map = score_map.float()
        return np.asarray(score_map.numpy())
    try:
        return np.asarray(score_map)
    except (ValueError, TypeError) as error:
        raise InputError(f"{name}: is not an array of numbers ({error}).") from error
