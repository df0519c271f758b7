"""What `wsol score` is given: score maps of an image, or boxes of it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from wsol.boxes.geometry import true_boxes_on
from wsol.datasets.base import Dataset, Sample
from wsol.errors import InputError
from wsol.evaluation.box_reading import GivenBoxes, read_boxes
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import (
    Classification,
    Outcome,
    ground_truth_on_grid,
    judge,
    prepare_map,
    size_of,
)
from wsol.evaluation.options import ScoreOptions
from wsol.evaluation.predictions import read_map_classes
from wsol.evaluation.protocol import Protocol
from wsol.evaluation.provenance import mask_files, photograph_file
from wsol.evaluation.rows import outcome_row, row_of
from wsol.maps.files import ScoreMaps
from wsol.metrics.iou import iou_matrix
from wsol.records.outcomes import OutcomeRow
from wsol.records.record import Metrics, SkippedImage


class Given(Interface):
    """Where an image's answer comes from.

    Attributes:
        what: one of them, for messages.
        settings: what a record says about it, in JSON values.
    """

    what: str
    settings: dict[str, Any]

    def protocol(self, protocol: Protocol) -> Protocol:
        """The protocol under which it is judged."""

    def files(self, part: Dataset) -> Iterator[tuple[str, Path]]:
        """Everything that is read, by name."""

    def account_for(self, part: Dataset, skip_bad: bool) -> list[SkippedImage]:
        """Refuse what is missing or too much before any work is done, or list it."""

    def read(self, sample: Sample) -> Any:
        """The answer for an image, for `outcome`; None where there is none of its label."""

    def outcome(
        self,
        evaluator: Evaluator,
        read: Any,
        sample: Sample,
        said: Classification | None,
        per_image: bool,
    ) -> Outcome:
        """Compare an answer with its image's annotation."""

    def told(self, settings: dict[str, Any]) -> dict[str, Any]:
        """A protocol's settings as far as they apply."""

    def finished(self, metrics: Metrics) -> tuple[Metrics, list[str]]:
        """The metrics as far as they apply, and what has to be said about them."""


class GivenMaps:
    """Score maps: one an image, of its label; or several, with their classes in a file."""

    what = "map"

    def __init__(self, path: Path, dataset: Dataset, options: ScoreOptions) -> None:
        """
        Raises:
            InputError: when the path is no layout of maps, or the file of classes is wrong.
        """
        for option, value, usual in (
            ("--box-corners", options.box_corners, "inclusive"),
            ("--box-pixels", options.box_pixels, "photograph"),
        ):
            if value != usual:
                raise InputError(f"{option}: goes with a file of boxes; {path} has score maps.")
        self._maps = ScoreMaps(path, (sample.image_id for sample in dataset.samples))
        self._classes: Mapping[str, tuple[list[int], str]] | None = None
        self._class_file = options.map_classes
        self._per_image = options.per_image
        self._without_label: list[str] = []
        self.settings: dict[str, Any] = {"score_maps": path.resolve().name}
        if options.map_classes is not None:
            self._classes = read_map_classes(options.map_classes, dataset)
            self.settings["map_classes"] = options.map_classes.name

    def protocol(self, protocol: Protocol) -> Protocol:
        """As it is."""
        return protocol

    def told(self, settings: dict[str, Any]) -> dict[str, Any]:
        """As they are."""
        return settings

    def files(self, part: Dataset) -> Iterator[tuple[str, Path]]:
        """The maps, the masks that they are compared with, photographs that say which size boxes
        are in, and the file of the maps' classes."""
        yield from self._maps.files
        if self._class_file is not None:
            yield "map classes", self._class_file
        for sample in part.samples:
            yield from mask_files(sample)
            if sample.size is None:
                yield from photograph_file(sample)

    def account_for(self, part: Dataset, skip_bad: bool) -> list[SkippedImage]:
        """Refuse missing and extra maps and classes before any work is done, or list them."""
        maps = self._maps
        wanted = {sample.image_id for sample in part.samples}
        missing = [image_id for image_id in maps.missing if image_id in wanted]
        if missing and not skip_bad:
            raise InputError(
                f"{maps.where(missing[0])}: no score map for {missing[0]} "
                f"({len(missing)} of {len(wanted)} images have none); "
                "write them, or leave them out with --skip-bad."
            )
        if maps.extra and not skip_bad:
            raise InputError(
                f"{maps.path}: the score map {maps.extra[0]!r} belongs to no image of the data "
                f"set ({len(maps.extra)} such maps); "
                "remove them, choose the right split, or pass over them with --skip-bad."
            )
        listed = [SkippedImage(image_id=name, reason="no score map") for name in missing] + [
            SkippedImage(image_id=name, reason="a score map without annotation")
            for name in maps.extra
        ]
        return listed + self._account_for_classes(part, set(missing), skip_bad)

    def _account_for_classes(
        self, part: Dataset, left_out: set[str], skip_bad: bool
    ) -> list[SkippedImage]:
        if self._classes is None:
            return []
        there = [sample for sample in part.samples if sample.image_id not in left_out]
        unknown = [s.image_id for s in there if s.image_id not in self._classes]
        if unknown and not skip_bad:
            raise InputError(
                f"{self._class_file}: does not say of which classes the maps of {unknown[0]} are "
                f"({len(unknown):,} images have no line); add them, or leave the images out with "
                "--skip-bad."
            )
        known = [sample for sample in there if sample.image_id in self._classes]
        without = [s.image_id for s in known if s.label not in self._classes[s.image_id][0]]
        if without and self._per_image:
            raise InputError(
                f"--per-image: {without[0]} has no map of its label ({len(without):,} images), of "
                "which an image's outcome is made; write those maps, or leave the option out."
            )
        self._without_label = without
        return [SkippedImage(image_id=name, reason="no classes of its maps") for name in unknown]

    def read(self, sample: Sample) -> NDArray[Any] | None:
        """The map of the image's label.

        Raises:
            InputError: naming the file, when it is not one.
        """
        score_map = self._maps.read(sample.image_id)
        if self._classes is None:
            return score_map
        classes, where = self._classes[sample.image_id]
        if score_map.ndim != 3 or len(score_map) != len(classes):
            raise InputError(
                f"{self._maps.where(sample.image_id)}: has the shape {score_map.shape}; expected "
                f"({len(classes)}, height, width), because {where} names {len(classes)} classes."
            )
        if sample.label not in classes:
            return None
        own: NDArray[Any] = score_map[classes.index(sample.label)]
        return own

    def outcome(
        self,
        evaluator: Evaluator,
        read: NDArray[Any] | None,
        sample: Sample,
        said: Classification | None,
        per_image: bool,
    ) -> Outcome:
        """Find the map's boxes and compare them."""
        protocol, judging = evaluator.protocol, evaluator.box_judge
        if read is None:
            return _missed(evaluator, sample, said)
        if judging is not None:
            return judging.judge_map(read, sample, classification=said, where=self._maps.where)
        prepared = prepare_map(read, sample.image_id, protocol, self._maps.where)
        outcome = judge(prepared, sample, protocol, classification=said)
        if not per_image:
            return outcome
        row = outcome_row(prepared, outcome, sample, evaluator.dataset, protocol)
        return replace(outcome, row=row)

    def finished(self, metrics: Metrics) -> tuple[Metrics, list[str]]:
        """Without what needs every label's map, where some have none."""
        if not self._without_label:
            return metrics, []
        count = len(self._without_label)
        needs = [
            name
            for name in Metrics.model_fields
            if name.startswith(("gt_known", "max_box", "box_acc", "best_threshold"))
        ]
        cleared = metrics.model_copy(update=dict.fromkeys(needs))
        if cleared.loc_at is not None:
            cleared.loc_at = {
                at: {name: value for name, value in found.items() if name not in needs}
                for at, found in cleared.loc_at.items()
            }
        note = (
            f"{count:,} {'image has' if count == 1 else 'images have'} no map of their label: "
            "wrong for Top-k Loc; GT-known Loc and what else needs it are left out."
        )
        return cleared, [note]


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
        self._file = read_boxes(path, dataset, options.box_corners, skip_bad=options.skip_bad)
        self._without_label = 0
        self.settings: dict[str, Any] = {
            "boxes": path.resolve().name,
            "box_corners": self._file.corners,
            "box_pixels": options.box_pixels,
        }

    def protocol(self, protocol: Protocol) -> Protocol:
        """The same box stands at the two thresholds that are the fewest there can be."""
        own = protocol.replaced(threshold_step=0.5)
        return own.replaced(threshold=0.0) if protocol.asks_for_one_box else own

    def told(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Without thresholds."""
        without = ("threshold_step", "fixed_threshold", "thresholds")
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
            box = boxes[own[0]] if len(own) else np.full(4, np.nan)
            return judging.judge(box[None], sample, size_of(sample), said)
        truth, size = np.zeros((0, 4)), sample.size
        detections = None
        if len(sample.boxes):
            size = size_of(sample)
            truth = ground_truth_on_grid(sample.boxes, size, protocol)
            detections = _detections(read, boxes, own, said)
        if not len(own):
            return replace(_missed(evaluator, sample, said, per_image), detections=detections)
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
        return replace(outcome, row=_row_of_box(outcome, sample, evaluator))

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


def _missed(
    evaluator: Evaluator, sample: Sample, said: Classification | None, per_image: bool = False
) -> Outcome:
    """The outcome of an image of whose label there is no map or box."""
    protocol, judging = evaluator.protocol, evaluator.box_judge
    is_boxed = len(sample.boxes) > 0
    policies = len(protocol.policies)
    thresholds = len(judging.thresholds) if judging is not None else 1 + policies
    several = judging is not None or policies
    size = size_of(sample) if is_boxed else sample.size
    truth = np.zeros((0, 4))
    if is_boxed and judging is None:
        truth = ground_truth_on_grid(sample.boxes, size_of(sample), protocol)
    none = np.zeros(len(protocol.thresholds))
    outcome = Outcome(
        image_id=sample.image_id,
        best_iou=dict.fromkeys(protocol.contour_kinds, none)
        if is_boxed and judging is None
        else {},
        fixed_box=np.zeros(4),
        fixed_iou=0.0 if is_boxed else None,
        true_boxes=truth,
        pixels=None,
        size=size,
        classification=said,
        decisions=((False, False),) * thresholds if is_boxed and several else (),
        policy_iou=(0.0,) * policies if is_boxed else (),
    )
    if not per_image:
        return outcome
    return replace(outcome, row=_row_of_box(outcome, sample, evaluator))


def _row_of_box(outcome: Outcome, sample: Sample, evaluator: Evaluator) -> OutcomeRow:
    """The row of an image whose only box stands at every threshold; its map is the box filled."""
    protocol = evaluator.protocol
    width, height = protocol.grid
    x0, y0, x1, y1 = np.rint(outcome.fixed_box).astype(int).tolist()
    iou = np.nan if outcome.fixed_iou is None else outcome.fixed_iou
    filled = np.zeros((height, width), np.float32)
    if outcome.fixed_box.any():
        filled[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1] = 1
    largest = (
        np.zeros(1, np.uint16),
        np.array([[x0, y0, x1, y1]], np.int16),
        np.array([iou], np.float32),
    )
    return row_of(outcome, largest, filled, sample, evaluator.dataset, protocol)
