"""Judging under conventions that ask for one box an image, at one threshold or the best of a few.

Every choice of a `Convention` is followed here in plain steps. The conventions that search all
thresholds have an engine of their own, see `wsol.evaluation.judging`; where these are asked for a
search as well, `wsol.evaluation.every_threshold` finds the boxes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wsol.boxes.geometry import crop_margins, true_boxes_on
from wsol.boxes.levels import protocol_levels
from wsol.boxes.rules import tight_box, with_corners
from wsol.boxes.runs import Contours
from wsol.datasets.base import MaskFiles, Sample
from wsol.errors import InputError
from wsol.evaluation.conventions import Convention
from wsol.evaluation.every_threshold import (
    EveryBox,
    box_nowhere,
    every_box,
    frame_box,
    ious_of,
)
from wsol.evaluation.judging import Classification, Outcome, is_dim, size_of, validate_map
from wsol.evaluation.protocol import Protocol
from wsol.maps.automatic import automatic_share, automatic_threshold
from wsol.maps.normalize import normalize, on_grid
from wsol.metrics.box_accuracy import is_hit
from wsol.metrics.image_mean import AnnotatedMap
from wsol.metrics.pxap import load_mask, pixel_histograms

_RIGHT = 0.5
_NOTHING_MORE = Protocol(convention=("psol",))


def foreground_at(
    score_map: NDArray[Any], convention: Convention, threshold: float
) -> NDArray[np.bool_]:
    """The foreground (H, W) of a map on the convention's grid."""
    rule = convention.foreground
    if rule == "levels":
        levels = protocol_levels(score_map)
        return np.asarray(levels > int(threshold * levels.max()))
    limit = threshold
    if rule == "reaching-share":  # in double precision, as at all thresholds
        score_map = score_map.astype(np.float64)
    if rule.endswith("-share"):
        top = float(score_map.max())
        if top <= 0:
            return np.zeros(score_map.shape, dtype=bool)
        limit = threshold * top
    return np.asarray(score_map > limit if rule.startswith("above") else score_map >= limit)


def threshold_of(score_map: NDArray[Any], convention: Convention, threshold: float | str) -> float:
    """A threshold in the convention's units: a number, or what a policy chooses for the map."""
    if not isinstance(threshold, str):
        return threshold
    rule = convention.foreground
    relative = rule == "levels" or rule.endswith("-share")
    return (automatic_share if relative else automatic_threshold)(score_map, threshold)


@dataclass(frozen=True, slots=True)
class PreparedBoxes:
    """A map's boxes under one convention; independent of any annotation.

    Attributes:
        boxes: (T, 4) at each threshold of the judge, in the convention's corners; NaN for none.
        values: (H, W) the map on the grid as the convention normalizes it; None for the frame.
        every: the boxes at all thresholds, where anything needs them.
        policies: of each policy of the protocol, those of all components, where all are looked at.
    """

    boxes: NDArray[np.float64]
    values: NDArray[Any] | None
    every: EveryBox | None = None
    policies: tuple[EveryBox, ...] = ()

    def score_map(self, grid: tuple[int, int]) -> NDArray[Any]:
        """(H, W) the map within [0, 1], min-max normalized where the convention does not."""
        if self.values is None:
            return np.ones(grid[::-1], np.float32)
        if self.values.dtype == np.uint8 or 0 <= self.values.min() <= self.values.max() <= 1:
            return self.values
        normalized: NDArray[Any] = normalize(torch.from_numpy(self.values)).numpy()
        return normalized

    def saved_map(self, score_map: NDArray[Any], convention: Convention) -> NDArray[Any]:
        """What to keep of the map that the boxes are of, so that they are found in it again.

        The map as it was, on the convention's frame; by a convention that takes maps within [0, 1]
        alone the one on its grid.
        """
        if convention.normalization == "if-resized" and self.values is not None:
            return self.values
        return score_map

    def shown_map(self, size: tuple[int, int] | None, judge: "BoxJudge") -> NDArray[Any]:
        """The map over the whole photograph: 0 beyond a crop."""
        assert size is not None
        grid = judge.grid_of(size)
        score_map = self.score_map(grid)
        if judge.convention.frame != "crop":
            return score_map
        across, down = crop_margins(grid)
        return np.pad(score_map, [(down, down), (across, across)])


@dataclass(frozen=True)
class BoxJudge:
    """Judges images under one convention.

    Attributes:
        thresholds: of each of which an image has a box: numbers, or policies by which each map
            chooses its own; several where the best is taken, or others reported beside.
        dataset: `Dataset.name`, on which the truth of one convention depends.
        protocol: what else is asked for: a search over all thresholds, further metrics.
        candidates: how many of the thresholds the best is taken of.
    """

    convention: Convention
    thresholds: tuple[float | str, ...]
    dataset: str
    protocol: Protocol = _NOTHING_MORE
    candidates: int = 1

    @cached_property
    def needs_size(self) -> bool:
        """Whether boxes depend on the photograph's own size."""
        return self.convention.grid == "original"

    def grid_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of the grid for a photograph of `size`."""
        grid = self.convention.grid
        return size if isinstance(grid, str) else grid

    def boxes(self, score_map: NDArray[Any] | None, size: tuple[int, int]) -> NDArray[np.float64]:
        """The box at each threshold, in the convention's corners; NaN where there is none.

        Args:
            score_map: (h, w) on the convention's frame, of any size, finite; None for the whole
                frame.
            size: (width, height) of the photograph.

        Returns:
            (T, 4) float64.
        """
        return self.prepare(score_map, size).boxes

    def prepare(
        self, score_map: NDArray[Any] | None, size: tuple[int, int], *, with_row: bool = False
    ) -> PreparedBoxes:
        """What `boxes` finds, and the boxes at all thresholds where they are searched.

        Args:
            with_row: find the largest component's boxes at all thresholds in any case, for the
                image's row in a per-image file.
        """
        convention, grid = self.convention, self.grid_of(size)
        kinds = self.protocol.searched_kinds
        if with_row and "largest" not in kinds:
            kinds = ("largest", *kinds)
        every, values, chosen = None, None, dict[str, float]()
        found = np.tile(frame_box(convention, grid), (len(self.thresholds), 1))
        if score_map is not None:
            values = on_grid(score_map, grid, convention.upsampling, convention.normalization)
            if values.dtype == np.uint8 and convention.foreground != "levels":
                values = values.astype(np.float32) / 255
            for row, threshold in zip(found, self.thresholds, strict=True):
                at = threshold_of(values, convention, threshold)
                if isinstance(threshold, str):
                    chosen[threshold] = at
                box = tight_box(foreground_at(values, convention, at), convention.component)
                if len(box):
                    row[:] = with_corners(box, convention.corners, grid)[0]
                else:
                    row[:] = box_nowhere(convention, grid)
        if kinds:
            every = every_box(values, convention, grid, self.protocol.thresholds, kinds)
        policies = tuple(
            every_box(values, convention, grid, np.array([chosen.get(name, 0.0)]), ("all",))
            for name in (self.protocol.policies if "all" in self.protocol.searched_kinds else ())
        )
        return PreparedBoxes(found, values, every, policies)

    def judge(
        self,
        boxes: NDArray[np.float64],
        sample: Sample,
        size: tuple[int, int],
        classification: Classification | None = None,
    ) -> Outcome:
        """Compare an image's boxes (T, 4) with its annotation."""
        return self.judge_prepared(PreparedBoxes(boxes, None), sample, size, classification)

    def truth(self, sample: Sample, size: tuple[int, int]) -> NDArray[np.float64]:
        """(m, 4) the true boxes on the convention's grid."""
        rule = self.convention.truth
        if rule == "original-cub" and self.dataset != "CUB":
            rule = "original"
        cropped = self.convention.frame == "crop"
        return true_boxes_on(sample.boxes, size, self.grid_of(size), rule, cropped=cropped)

    def judge_prepared(
        self,
        prepared: PreparedBoxes,
        sample: Sample,
        size: tuple[int, int],
        classification: Classification | None = None,
    ) -> Outcome:
        """Compare what `prepare` found with the image's annotation."""
        convention, boxes = self.convention, prepared.boxes
        truth = np.zeros((0, 4))
        ious = np.full(len(boxes), np.nan)
        decisions: tuple[tuple[bool, bool], ...] = ()
        best_iou: dict[Contours, NDArray[np.float64]] = {}
        if len(sample.boxes):
            truth = self.truth(sample, size)
            ious = ious_of(boxes, truth, convention)
            decisions = tuple(
                (
                    bool(is_hit(value, _RIGHT, above=convention.hit == "above")),
                    bool(is_hit(value, _RIGHT, above=convention.hit_top_k == "above")),
                )
                for value in ious
            )
            if prepared.every is not None:
                best_iou = {
                    kind: prepared.every.best_ious(kind, truth, convention)
                    for kind in self.protocol.searched_kinds
                }
        candidates = np.zeros((0, 5))
        if self.candidates > 1:
            candidates = np.column_stack([np.nan_to_num(boxes), ious])[: self.candidates]
        outcome = Outcome(
            image_id=sample.image_id,
            best_iou=best_iou,
            fixed_box=np.nan_to_num(boxes[0]),
            fixed_iou=float(ious[0]) if len(truth) else None,
            true_boxes=truth,
            pixels=None,
            size=size,
            classification=classification,
            decisions=decisions,
            policy_iou=tuple(
                float(found.best_ious("all", truth, convention)[0])
                for found in (prepared.policies if len(truth) else ())
            ),
            candidates=candidates,
        )
        return self._with_pixels(outcome, prepared, sample, size)

    def _with_pixels(
        self,
        outcome: Outcome,
        prepared: PreparedBoxes,
        sample: Sample,
        size: tuple[int, int],
    ) -> Outcome:
        """With what is said of the map's pixels, where that is asked for."""
        protocol = self.protocol
        masked = sample.mask is not None and protocol.searches
        if not (protocol.metric or masked):
            return outcome
        score_map, mask = prepared.score_map(self.grid_of(size)), None
        if sample.mask is not None:
            mask = self._mask(sample.mask, self.grid_of(size))
        annotated = AnnotatedMap(score_map, outcome.true_boxes, mask)
        values = {
            metric.name: metric.of(annotated, sample.image_id) for metric in protocol.image_metrics
        }
        pixels = None
        if masked:
            assert mask is not None
            pixels = pixel_histograms(score_map, mask, protocol.thresholds)
        return replace(outcome, values=values, pixels=pixels)

    def _mask(self, files: MaskFiles, grid: tuple[int, int]) -> NDArray[np.uint8]:
        """The pixel annotation on the grid, of which a crop sees a part."""
        if self.convention.frame != "crop":
            return load_mask(files, grid)
        (across, down), (width, height) = crop_margins(grid), grid
        whole = load_mask(files, (width + 2 * across, height + 2 * down))
        return whole[down : down + height, across : across + width]

    def judge_map(
        self,
        score_map: NDArray[Any],
        sample: Sample,
        *,
        size: tuple[int, int] | None = None,
        classification: Classification | None = None,
        where: Callable[[str], str] = "the score map of {}".format,
    ) -> Outcome:
        """`prepare_valid`, then `judge_prepared`.

        Raises:
            InputError: naming the map, when it is not one.
        """
        known = size_of(sample, size)
        prepared, dim = self.prepare_valid(score_map, sample.image_id, known, where)
        outcome = self.judge_prepared(prepared, sample, known, classification)
        return replace(outcome, is_dim=dim)

    def prepare_valid(
        self,
        score_map: NDArray[Any],
        image_id: str,
        size: tuple[int, int],
        where: Callable[[str], str] = "the score map of {}".format,
        *,
        with_row: bool = False,
    ) -> tuple[PreparedBoxes, bool]:
        """`prepare` for a map that has to be looked at first; and whether it is dim, see `is_dim`.

        Raises:
            InputError: naming the map, when it is not one.
        """
        try:
            bounded = self.convention.normalization == "if-resized"
            valid = validate_map(score_map, bounded=bounded)
        except ValueError as error:
            raise InputError(f"{where(image_id)}: {error}.") from error
        taken = self.convention.normalization == "if-resized"
        prepared = self.prepare(valid, size, with_row=with_row)
        return prepared, taken and is_dim(valid, self.grid_of(size))
