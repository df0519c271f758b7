"""Boxes as what `wsol score` is given."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsol.boxes.geometry import true_boxes_on
from wsol.datasets.base import Dataset, Sample
from wsol.errors import InputError
from wsol.evaluation.box_reading import GivenBoxes, read_boxes
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.given import missed, row_of_box, standing_boxes
from wsol.evaluation.judging import (
    Classification,
    Outcome,
    ground_truth_on_grid,
    size_of,
)
from wsol.evaluation.options import ScoreOptions
from wsol.evaluation.protocol import Protocol
from wsol.evaluation.provenance import photograph_file
from wsol.evaluation.rows import judged_by
from wsol.metrics.iou import iou_matrix
from wsol.records.record import Metrics, SkippedImage


class BoxesGiven:
    """Boxes, of which the label's are judged: there is no map, and so no threshold."""

    what = "box"

    def __init__(self, path: Path, dataset: Dataset, options: ScoreOptions) -> None:
        """
        Raises:
            InputError: naming file and line of what is wrong, or an option that needs maps.
        """
        for option, given in (
            ("--map-classes", options.map_classes is not None),
            ("--threshold", options.protocol.threshold is not None),
            ("--also-at", bool(options.protocol.also_at)),
            ("--metric", bool(options.protocol.metric)),
            ("--curves", options.curves),
        ):
            if given:
                raise InputError(f"{option}: is for score maps; {path} has boxes.")
        self._path = path
        self._pixels = options.box_pixels
        self._file = read_boxes(
            path,
            dataset,
            options.box_corners,
            with_classes=options.box_classes,
            skip_bad=options.skip_bad,
        )
        self._without_label = 0
        self.settings: dict[str, Any] = {
            "boxes": path.resolve().name,
            "box_corners": self._file.corners,
            "box_pixels": options.box_pixels,
        }
        if not options.box_classes:
            self.settings["box_classes"] = False

    def protocol(self, protocol: Protocol) -> Protocol:
        """The same box stands at the two thresholds that are the fewest there can be."""
        own = protocol.replaced(threshold_step=0.5)
        return own.replaced(threshold=0.0) if protocol.asks_for_one_box else own

    def told(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Without thresholds."""
        without = ("search", "threshold_step", "fixed_threshold", "thresholds")
        kept = {name: value for name, value in settings.items() if name not in without}
        return kept | {"threshold_policy": {"gt_known_loc": "none: boxes were given"}}

    def files(self, part: Dataset) -> Iterator[tuple[str, Path]]:
        """The file of boxes, and photographs that say which size they are in."""
        yield self._path.name, self._path
        for sample in part.samples:
            if sample.size is None:
                yield from photograph_file(sample)

    def account_for(self, part: Dataset, skip_bad: bool) -> list[SkippedImage]:
        """Refuse images without any box before any work is done, or list them."""
        of = self._file.of
        missing = [s.image_id for s in part.samples if s.image_id not in of]
        if missing and not skip_bad:
            raise InputError(
                f"{self._path}: has no box for {missing[0]} ({len(missing):,} of {len(part):,} "
                "images have none); write them, or leave the images out with --skip-bad."
            )
        self._without_label = sum(
            not len(of[s.image_id].of_label(s.label)) for s in part.samples if s.image_id in of
        )
        extra = dict.fromkeys(name for name, _ in self._file.extra)
        return [SkippedImage(image_id=name, reason="no box") for name in missing] + [
            SkippedImage(image_id=name, reason="a box without annotation") for name in extra
        ]

    def read(self, sample: Sample) -> GivenBoxes:
        """All boxes of an image."""
        return self._file.of[sample.image_id]

    def outcome(
        self,
        evaluator: Evaluator,
        read: GivenBoxes,
        sample: Sample,
        said: Classification | None,
        per_image: bool,
    ) -> Outcome:
        """Bring the boxes onto the convention's grid and compare them.

        Raises:
            InputError: naming the line of a box outside its image.
        """
        protocol, judging = evaluator.protocol, evaluator.box_judge
        own = read.of_label(sample.label)
        boxes = self._on_grid(read, sample, evaluator)
        if judging is not None:
            known = size_of(sample)
            found = standing_boxes(boxes[own], judging, known)
            rows_of = evaluator.dataset if per_image else None
            return judged_by(judging, found, sample, known, said, rows_of)
        truth, size = np.zeros((0, 4)), sample.size
        detections = None
        if len(sample.boxes):
            size = size_of(sample)
            truth = ground_truth_on_grid(sample.boxes, size, protocol)
            detections = _detections(read, boxes, own, said)
        if not len(own):
            return replace(missed(evaluator, sample, said, per_image), detections=detections)
        ious = np.full(len(own), np.nan)
        if len(truth):
            ious = iou_matrix(boxes[own], truth).max(axis=1)
        best = {"largest": ious[0], "all": ious.max()}
        count = len(protocol.thresholds)
        outcome = Outcome(
            image_id=sample.image_id,
            best_iou={kind: np.full(count, best[kind]) for kind in protocol.contour_kinds}
            if len(truth)
            else {},
            fixed_box=boxes[own[0]],
            fixed_iou=float(ious[0]) if len(truth) else None,
            true_boxes=truth,
            pixels=None,
            size=size,
            classification=said,
            detections=detections,
        )
        if not per_image:
            return outcome
        return replace(outcome, row=row_of_box(outcome, sample, evaluator))

    def _on_grid(
        self, read: GivenBoxes, sample: Sample, evaluator: Evaluator
    ) -> NDArray[np.float64]:
        """(n, 4) boxes on the convention's grid: as it scales true ones."""
        if self._pixels == "grid":
            return read.boxes
        size = size_of(sample)
        boxes = read.in_photograph(size, self._file.corners, self._pixels)
        judging = evaluator.box_judge
        if judging is None:
            return ground_truth_on_grid(boxes, size, evaluator.protocol)
        rules = judging.convention
        # CUB's own corners are one more than that convention's, predicted ones are not.
        truth = "original" if rules.truth == "original-cub" else rules.truth
        grid = judging.grid_of(size)
        return true_boxes_on(boxes, size, grid, truth, cropped=rules.frame == "crop")

    def finished(self, metrics: Metrics) -> tuple[Metrics, list[str]]:
        """Without best thresholds."""
        cleared = metrics.model_copy(
            update={"best_threshold": None, "best_threshold_largest": None}
        )
        count = self._without_label
        if not count:
            return cleared, []
        told = "image has" if count == 1 else "images have"
        return cleared, [f"{count:,} {told} boxes, but none of their label: not localized."]


def _detections(
    read: GivenBoxes,
    boxes: NDArray[np.float64],
    own: NDArray[np.int64],
    said: Classification | None,
) -> Classification | None:
    """Boxes with classes and scores, for COCO AP; None where there is no telling.

    Boxes without classes are of each class that a classifier predicted, with its score.
    """
    if read.classes is not None:
        if read.scores is None:
            return None
        return Classification(0, read.classes, read.scores, boxes)
    if said is None or not said.scores.any():
        return None
    best = np.repeat(boxes[own[:1]], len(said.classes), axis=0)
    return Classification(said.rank, said.classes, said.scores, best)
