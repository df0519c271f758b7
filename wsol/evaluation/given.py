"""What `wsol score` is given: where an image's answer comes from, be it maps or boxes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from wsol.boxes.runs import BoxRuns
from wsol.datasets.base import Dataset, Sample
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.every_threshold import EveryBox
from wsol.evaluation.judging import (
    Classification,
    Outcome,
    ground_truth_on_grid,
    size_of,
)
from wsol.evaluation.one_box import BoxJudge, PreparedBoxes
from wsol.evaluation.protocol import Protocol
from wsol.evaluation.rows import judged_by, row_of
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


def missed(
    evaluator: Evaluator, sample: Sample, said: Classification | None, per_image: bool = False
) -> Outcome:
    """The outcome of an image of whose label there is no map or box."""
    protocol, judging = evaluator.protocol, evaluator.box_judge
    if judging is not None:
        size = size_of(sample)
        none = standing_boxes(np.zeros((0, 4)), judging, size)
        return judged_by(
            judging, none, sample, size, said, evaluator.dataset if per_image else None
        )
    is_boxed = len(sample.boxes) > 0
    policies = len(protocol.policies)
    known = size_of(sample) if is_boxed else sample.size
    truth = np.zeros((0, 4))
    if is_boxed:
        truth = ground_truth_on_grid(sample.boxes, size_of(sample), protocol)
    never = np.zeros(len(protocol.thresholds))
    outcome = Outcome(
        image_id=sample.image_id,
        best_iou=dict.fromkeys(protocol.contour_kinds, never) if is_boxed else {},
        fixed_box=np.zeros(4),
        fixed_iou=0.0 if is_boxed else None,
        true_boxes=truth,
        pixels=None,
        size=known,
        classification=said,
        decisions=((False, False),) * (1 + policies) if is_boxed and policies else (),
        policy_iou=(0.0,) * policies if is_boxed else (),
    )
    if not per_image:
        return outcome
    return replace(outcome, row=row_of_box(outcome, sample, evaluator))


def standing_boxes(
    boxes: NDArray[np.float64], judge: BoxJudge, size: tuple[int, int]
) -> PreparedBoxes:
    """Boxes (n, 4) in a convention's corners that stand at every threshold, the first as the
    largest; their map is the first box filled."""
    width, height = judge.grid_of(size)
    filled = np.zeros((height, width), np.float32)
    best = boxes[:1]
    if len(best):
        x0, y0, x1, y1 = np.rint(best[0]).astype(int).tolist()
        beyond = 0 if judge.convention.corners == "exclusive" else 1
        filled[max(y0, 0) : y1 + beyond, max(x0, 0) : x1 + beyond] = 1

    def always(standing: NDArray[np.float64]) -> BoxRuns:
        zeros = np.zeros(len(standing), np.int32)
        return BoxRuns(standing, zeros, zeros, min(len(standing), 1))  # type: ignore[arg-type]

    places = np.zeros(len(judge.protocol.thresholds), np.int64)
    nothing = np.full(4, np.nan)
    every = EveryBox({"largest": always(best), "all": always(boxes)}, places, nothing)
    fixed = best if len(best) else nothing[None]
    return PreparedBoxes(
        np.repeat(fixed, len(judge.thresholds), axis=0),
        filled,
        every,
        (every,) * len(judge.protocol.policies),
    )


def row_of_box(outcome: Outcome, sample: Sample, evaluator: Evaluator) -> OutcomeRow:
    """The row of an image whose only box stands at every threshold; its map is the box filled."""
    protocol = evaluator.protocol
    width, height = protocol.map_grid
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
