"""Per-image outcomes of a running evaluation: how a row is made, and how rows reach a file.

`wsol.records.outcomes` defines the file; here is what fills it.
"""

import functools
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wsol.boxes.all_levels import box_runs
from wsol.datasets.base import Dataset, Sample
from wsol.errors import InputError
from wsol.evaluation.every_threshold import box_changes, largest_over_thresholds
from wsol.evaluation.judging import Classification, Outcome, PreparedMap, map_levels
from wsol.evaluation.one_box import BoxJudge, PreparedBoxes
from wsol.evaluation.protocol import Protocol
from wsol.files import atomic_path
from wsol.metrics.box_accuracy import is_hit
from wsol.metrics.iou import iou_matrix
from wsol.records.outcomes import (
    THUMBNAIL,
    OutcomeInfo,
    OutcomeRow,
    outcomes_schema,
    outcomes_writer,
    read_outcomes,
    switches_of,
    write_outcomes,
)

_ROWS = 2000
"""Rows held in memory before they are written, and rows joined at a time."""


def outcome_info(protocol: Protocol, candidates: tuple[float, ...] = ()) -> OutcomeInfo:
    """What holds for all images under a protocol.

    Args:
        candidates: thresholds of which the best over the images is taken.
    """
    rules = protocol.rules
    one_box = protocol.asks_for_one_box
    return OutcomeInfo(
        thresholds=protocol.thresholds,
        iou_levels=protocol.iou,
        kinds=protocol.searched_kinds,
        grid=None if isinstance(rules.grid, str) else rules.grid,
        convention=rules.name if one_box else protocol.engine,
        values=protocol.metric,
        rules=rules.parts() if one_box else {},
        candidates=candidates,
    )


def outcome_row(
    prepared: PreparedMap, outcome: Outcome, sample: Sample, dataset: Dataset, protocol: Protocol
) -> OutcomeRow:
    """The row of one image; pure, so any thread may call it."""
    largest = largest_boxes(prepared, outcome.true_boxes, protocol)
    return row_of(outcome, largest, prepared.score_map, sample, dataset, protocol)


def row_of(
    outcome: Outcome,
    largest: tuple[NDArray[np.uint16], NDArray[np.int16], NDArray[np.float32]],
    score_map: NDArray[Any],
    sample: Sample,
    dataset: Dataset,
    protocol: Protocol,
) -> OutcomeRow:
    """The row of an image whose box at each threshold is known, see `largest_boxes`."""
    classification = outcome.classification
    nowhere = np.zeros(0, dtype=np.uint16)
    above = protocol.rules.hit == "above"
    switches = {
        f"{kind}@{level:g}": switches_of(is_hit(outcome.best_iou[kind], level, above=above))
        if kind in outcome.best_iou
        else nowhere
        for kind in protocol.searched_kinds
        for level in protocol.iou
    }
    starts, boxes, ious = largest
    return OutcomeRow(
        image_id=sample.image_id,
        path=None if sample.path is None else str(sample.path),
        label=sample.label,
        class_name=dataset.class_names[sample.label],
        size=outcome.size,
        true_boxes=sample.boxes,
        rank=None if classification is None else classification.rank,
        predicted=()
        if classification is None
        else tuple(dataset.class_names[label] for label in classification.classes),
        scores=np.zeros(0) if classification is None else classification.scores,
        fixed_box=outcome.fixed_box,
        fixed_iou=outcome.fixed_iou,
        switches=switches,
        box_starts=starts,
        boxes=boxes,
        ious=ious,
        score_map=reduced_map(score_map),
        values=outcome.values,
        candidates=outcome.candidates,
    )


def one_box_row(
    prepared: PreparedBoxes, outcome: Outcome, sample: Sample, dataset: Dataset, judge: BoxJudge
) -> OutcomeRow:
    """The row of one image under a convention that asks for one box."""
    assert prepared.every is not None
    rules = judge.convention
    largest = largest_over_thresholds(prepared.every, outcome.true_boxes, rules)
    shown = prepared.shown_map(outcome.size, judge)
    return row_of(outcome, largest, shown, sample, dataset, judge.protocol)


def judged_by(
    judge: BoxJudge,
    prepared: PreparedBoxes,
    sample: Sample,
    size: tuple[int, int],
    classification: Classification | None = None,
    rows_of: Dataset | None = None,
) -> Outcome:
    """The outcome of one image under a convention that asks for one box, see `BoxJudge`.

    Args:
        prepared: made `with_row` where rows are wanted.
        rows_of: the data set, where the image's row is wanted.
    """
    outcome = judge.judge_prepared(prepared, sample, size, classification)
    if rows_of is None:
        return outcome
    return replace(outcome, row=one_box_row(prepared, outcome, sample, rows_of, judge))


def largest_boxes(
    prepared: PreparedMap, true_boxes: NDArray[np.float64], protocol: Protocol
) -> tuple[NDArray[np.uint16], NDArray[np.int16], NDArray[np.float32]]:
    """The largest component's box over the thresholds: `box_starts`, `boxes` and `ious` of
    `OutcomeRow`.

    A threshold without foreground has the box 0, 0, 0, 0; its IoU is that box's in the
    `choe2020` convention, which predicts it, and 0 in the exact one, which predicts nothing.
    """
    runs = prepared.runs.get("largest")
    if runs is None:
        levels = map_levels(prepared.score_map, protocol)
        runs = box_runs(levels, "largest", protocol.engine)
    nothing = len(runs.boxes)
    boxes = np.concatenate([runs.boxes, np.zeros((1, 4), dtype=np.int32)])
    ious = np.full(len(boxes), np.nan)
    if len(true_boxes):
        ious = iou_matrix(boxes, true_boxes).max(axis=1)
        if protocol.engine == "exact":
            ious[nothing] = 0.0
    return box_changes(runs, boxes, ious, prepared.threshold_levels)


def reduced_map(score_map: NDArray[Any]) -> NDArray[np.uint8]:
    """A score map (H, W) as (THUMBNAIL, THUMBNAIL) uint8: the mean over each cell's area.

    Where a cell's border crosses a pixel, the pixel counts by the share of it that lies inside.
    """
    values = score_map.astype(np.float64)
    if score_map.dtype != np.uint8:
        values *= 255
    height, width = score_map.shape
    means = _area_weights(height) @ values @ _area_weights(width).T
    return np.rint(means).astype(np.uint8)


@functools.lru_cache
def _area_weights(pixels: int) -> NDArray[np.float64]:
    """(THUMBNAIL, pixels): how much of each cell of a line each of its pixels covers."""
    borders = np.arange(THUMBNAIL + 1) * pixels / THUMBNAIL
    start = np.maximum(borders[:-1, None], np.arange(pixels))
    end = np.minimum(borders[1:, None], np.arange(pixels) + 1)
    return np.maximum(end - start, 0) * (THUMBNAIL / pixels)


class OutcomeFile:
    """The outcomes of one run on their way into `path`.

    Rows are kept in memory by the thousand only: they go to numbered part files in a hidden folder
    beside `path`, and `join` puts these together in the data set's order. Rows have to be flushed
    *before* the progress of the evaluation is saved; then a run that was killed finds all rows of
    the images that its progress holds. Images that it evaluates again come twice, and the later
    row counts, as it does in the progress.
    """

    def __init__(
        self,
        path: Path,
        dataset: Dataset,
        protocol: Protocol,
        rank: int = 0,
        candidates: tuple[float, ...] = (),
    ) -> None:
        """Nothing is read or written yet.

        Args:
            candidates: see `outcome_info`.
            rank: of this process among several, each of which writes part files of its own; the
                first of them begins and joins.
        """
        self._rank = rank
        self.path = Path(path)
        self._parts = self.path.with_name(f".{self.path.stem}")
        self._dataset = dataset
        self._info = outcome_info(protocol, candidates)
        self._rows: list[OutcomeRow] = []

    def begin(self, evaluated: Sequence[int]) -> None:
        """Start, keeping the parts of an earlier run only if images of it count as evaluated.

        Args:
            evaluated: positions in the data set of the images that progress was loaded for.

        Raises:
            InputError: when the outcomes of some of these images have not been kept.
        """
        if not evaluated:
            self.discard_parts()
            return
        places = self._places()
        for position in evaluated:
            image_id = self._dataset.samples[position].image_id
            if image_id not in places:
                raise InputError(
                    f"{self._parts}: the outcome of {image_id} is not there, because the run to "
                    "go on with had no --per-image; repeat the command without --resume, or "
                    "without --per-image."
                )

    def add(self, outcome: OutcomeRow) -> None:
        """Add a row."""
        self._rows.append(outcome)
        if len(self._rows) >= _ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows in memory to the next part file."""
        if not self._rows:
            return
        parts = self._part_files()
        number = _part_number(parts[-1])[0] + 1 if parts else 0
        name = f"part-{number:04d}{f'-{self._rank}' if self._rank else ''}.parquet"
        write_outcomes(self._rows, self._info, self._parts / name)
        self._rows = []

    def join(self, evaluated: Sequence[int], candidate: int = 0) -> None:
        """Write the file from the parts, in the data set's order; the parts stay.

        Args:
            evaluated: positions in the data set of the images to keep, ascending.
            candidate: which of several is the fixed threshold.
        """
        self.flush()
        parts, places = self._part_files(), self._places()
        order = [places[self._dataset.samples[position].image_id] for position in evaluated]
        schema = outcomes_schema(self._info)
        with (
            atomic_path(self.path) as temporary,
            outcomes_writer(temporary, schema) as writer,
        ):
            for start in range(0, len(order), _ROWS):
                table = _take(parts, order[start : start + _ROWS])
                if self._info.candidates:
                    table = _fixed_at(table, candidate)
                writer.write_table(table)

    def discard_parts(self) -> None:
        """Remove the parts: no progress needs them any more."""
        shutil.rmtree(self._parts, ignore_errors=True)

    def _part_files(self) -> list[Path]:
        return sorted(self._parts.glob("part-*.parquet"), key=_part_number)

    def _places(self) -> dict[str, tuple[int, int]]:
        """The part and the row in it that hold each image; the last where there are several."""
        places: dict[str, tuple[int, int]] = {}
        for number, part in enumerate(self._part_files()):
            ids = read_outcomes(part, ["image_id"])[0]["image_id"].to_pylist()
            places |= {image_id: (number, row) for row, image_id in enumerate(ids)}
        return places


def _part_number(path: Path) -> tuple[int, int]:
    """A part's number, and the rank of the process that wrote it."""
    match = re.fullmatch(r"part-(\d+)(?:-(\d+))?", path.stem)
    return (int(match[1]), int(match[2] or 0)) if match else (-1, 0)


def _take(parts: Sequence[Path], places: Sequence[tuple[int, int]]) -> pa.Table:
    """The rows at these places of the part files, in their order; each part is read once."""
    rows_of: dict[int, list[int]] = {}
    for part, row in places:
        rows_of.setdefault(part, []).append(row)
    table = pa.concat_tables(
        [read_outcomes(parts[part])[0].take(rows) for part, rows in rows_of.items()]
    )
    taken = ((part, row) for part, rows in rows_of.items() for row in rows)
    found = {place: i for i, place in enumerate(taken)}
    return table.take([found[place] for place in places])


def _fixed_at(table: pa.Table, candidate: int) -> pa.Table:
    """Rows whose fixed box and IoU are those of one of the candidates."""
    found = [np.reshape(row, (-1, 5))[candidate] for row in table["candidates"].to_pylist()]
    ious = [None if np.isnan(row[4]) else float(row[4]) for row in found]
    for name, values in (("fixed_box", [row[:4] for row in found]), ("fixed_iou", ious)):
        place = table.column_names.index(name)
        field = table.schema.field(place)
        table = table.set_column(place, field, pa.array(values, field.type))
    return table
