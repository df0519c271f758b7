"""Repeated trainings: records that differ in nothing but the seed, and their mean.

A small network trained twice from different seeds, or on two machines, may differ by more than two
methods do, so that one training alone shows little.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from wsol.records.record import Metrics, ResultRecord
from wsol.results.columns import column_values, frame

_OF_A_SEED = ("training_seed", "weights", "weights_fingerprint", "chosen_thresholds")


@dataclass(frozen=True, slots=True)
class Run:
    """One row of a table.

    Attributes:
        record: the record, or, of a run that was repeated, the first one with the mean of all
            metrics; then it has neither intervals nor curves.
        records: every repetition's.
        spread: by column of `frame`, the standard deviation over the repetitions (divided by
            n - 1); empty where there is only one.
    """

    record: ResultRecord
    records: tuple[ResultRecord, ...]
    spread: dict[str, float]


def runs_of(records: Sequence[ResultRecord]) -> list[Run]:
    """Records as rows: repetitions with other seeds are one, where the first of them stands."""
    groups: dict[str, list[ResultRecord]] = {}
    for number, record in enumerate(records):
        groups.setdefault(_repeated_key(record) or str(number), []).append(record)
    return [_run(group) for group in groups.values()]


def _repeated_key(record: ResultRecord) -> str | None:
    """What repetitions have in common; None for what was trained elsewhere, or not at all."""
    if record.settings.get("training_seed") is None:
        return None
    kept = {name: value for name, value in record.settings.items() if name not in _OF_A_SEED}
    parts = [record.model, record.parameters, record.dataset, record.split, record.cam_method]
    return json.dumps([*parts, kept], sort_keys=True, default=str)


def _run(group: list[ResultRecord]) -> Run:
    if len(group) == 1:
        return Run(group[0], tuple(group), {})
    data = frame(group)
    values = {name: column_values(data, name) for name in data.columns}
    spread = {
        name: stdev(column)
        for name, column in values.items()
        if all(isinstance(value, float) for value in column)
    }
    seeds = ", ".join(str(record.settings["training_seed"]) for record in group)
    update: dict[str, Any] = {
        "metrics": Metrics.model_validate(_mean([record.metrics.model_dump() for record in group])),
        "settings": group[0].settings | {"training_seed": seeds, "weights": None},
        "intervals": None,
        "curves": None,
    }
    return Run(group[0].model_copy(update=update), tuple(group), spread)


def _mean(values: list[Any]) -> Any:
    """The mean of numbers, within dictionaries, too; None where one of them has none."""
    if isinstance(values[0], dict):
        shared = [key for key in values[0] if all(value and key in value for value in values)]
        return {key: _mean([value[key] for value in values]) for key in shared}
    return None if any(value is None for value in values) else fmean(values)
