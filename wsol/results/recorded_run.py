"""A record together with the per-image outcomes beside it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from wsol.errors import InputError
from wsol.files import exists
from wsol.records.outcomes import OUTCOMES_SUFFIX, OutcomeInfo
from wsol.records.record import ResultRecord, read_records
from wsol.results.columns import column_values, frame
from wsol.results.detections import COCO_METRICS
from wsol.results.image_facts import ImageFacts, facts_of, metric_values, read_facts
from wsol.results.optimism import Bootstrap
from wsol.results.statistics import Estimate, shared_images

RECORD_LEVEL = 0.95
"""The confidence level of the intervals in a record."""
WITHOUT_INTERVAL = ("pxap", *COCO_METRICS)
"""Metrics of all pixels or all detections together: outcomes of images do not add up to them."""
LATER = (
    "top1_loc_chosen",
    "top5_loc_chosen",
    "top1_loc_class_mean",
    "top5_loc_class_mean",
    "gt_known_loc_class_mean",
)
"""Metrics that records of before lack, though their outcomes make them."""

_NOTE = "Intervals: "
_CHOICES = ("fixed_threshold", "thresholds", "threshold_step", "size", "resize_mode", "views")


class NoOutcomesError(InputError):
    """A record has no per-image file beside it."""


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One record, where it lies, and the table and properties of its outcomes."""

    path: Path
    record: ResultRecord
    table: pa.Table
    info: OutcomeInfo

    @property
    def facts(self) -> ImageFacts:
        """What the images contribute to the metrics."""
        return self.facts_in(self.table)

    def facts_in(self, rows: pa.Table) -> ImageFacts:
        """The facts in some rows of its table."""
        return facts_of(rows, self.info, self.record.settings.get("chosen_thresholds"))


def read_run(path: Path) -> RecordedRun:
    """Read a record and its outcomes.

    Raises:
        InputError: naming the file, when it holds several records, has no outcomes beside it
            (`NoOutcomesError`), or the outcomes give other numbers than the record.
    """
    path = Path(path)
    records = read_records(path)
    if len(records) != 1:
        raise InputError(
            f"{path}: holds {len(records)} records, statistics are of one; "
            "wsol evaluate --out DIR --per-image writes a file a model."
        )
    outcomes = outcomes_of(path)
    if not exists(outcomes):
        raise NoOutcomesError(
            f"{outcomes}: does not exist, and nothing can be computed from the record alone; "
            "evaluate again with --per-image."
        )
    run = RecordedRun(path, records[0], *read_facts(outcomes))
    found = metric_values(run.facts)
    recorded = recorded_values(run.record, found)
    for name, value in found.items():
        if name in LATER and name not in recorded:
            continue
        if not math.isclose(recorded.get(name, math.nan), value, abs_tol=1e-9):
            raise InputError(
                f"{outcomes}: is of another run than {path.name}: its images make {name} "
                f"{value:.9g}, the record says {recorded.get(name, math.nan):.9g}; "
                "evaluate again with --per-image."
            )
    return run


def outcomes_of(record: Path) -> Path:
    """Where the outcomes of a record's file lie."""
    return record.with_name(record.stem + OUTCOMES_SUFFIX)


def recorded_values(record: ResultRecord, names: Iterable[str]) -> dict[str, float]:
    """Those of some columns of a table that the record has a number for."""
    data = frame([record])
    values = {name: column_values(data, name)[0] for name in names if name in data}
    return {name: float(value) for name, value in values.items() if value is not None}


def with_intervals(
    record: ResultRecord, estimates: dict[str, Estimate], bootstrap: Bootstrap
) -> ResultRecord:
    """The record with its intervals, and a note of how they were made; earlier ones are replaced.

    Raises:
        InputError: at another level than `RECORD_LEVEL`.
    """
    if bootstrap.level != RECORD_LEVEL:
        raise InputError(
            f"A record's intervals are {RECORD_LEVEL:.0%} intervals, not {bootstrap.level:.4g}; "
            "leave --level out."
        )
    note = (
        f"{_NOTE}{RECORD_LEVEL:.0%}, Wilson's over images, around accuracies without the optimism "
        f"of best thresholds (bootstrap, {bootstrap.resamples} resamples, seed {bootstrap.seed})."
    )
    return record.model_copy(
        update={
            "intervals": {name: (e.low, e.high) for name, e in estimates.items()},
            "notes": [*(n for n in record.notes if not n.startswith(_NOTE)), note],
        }
    )


def paired_facts(
    first: RecordedRun, second: RecordedRun, common: bool
) -> tuple[ImageFacts, ImageFacts]:
    """The facts of two runs, paired by image, see `shared_images`.

    Raises:
        InputError: when the data or the definitions of the metrics differ, or the images do.
    """
    for what, one, two in (
        ("data set", first.record.dataset, second.record.dataset),
        ("split", first.record.split, second.record.split),
        ("convention", first.info.convention, second.info.convention),
        ("IoU levels", first.info.iou_levels, second.info.iou_levels),
        ("grid", first.info.grid, second.info.grid),
    ):
        if one != two:
            raise InputError(f"The two runs do not compare: {what} {one} and {two}.")
    tables = shared_images(first.table, second.table, common)
    return first.facts_in(tables[0]), second.facts_in(tables[1])


def differing_choices(first: ResultRecord, second: ResultRecord) -> list[str]:
    """What two records that compare do not have in common beside the model, for people."""
    return [
        f"{name} {first.settings[name]} and {second.settings[name]}"
        for name in _CHOICES
        if name in first.settings.keys() & second.settings.keys()
        and first.settings[name] != second.settings[name]
    ]
