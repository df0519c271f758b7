"""Records as reports and plots take them: with their per-image outcomes, and names that differ."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsol.errors import InputError
from wsol.files import is_file
from wsol.records.outcomes import OUTCOMES_SUFFIX
from wsol.records.record import ResultRecord, read_records, record_files
from wsol.records.store import run_key
from wsol.results.cells import GROUPS, Layout, sections


@dataclass(frozen=True, slots=True)
class Source:
    """A record, and the file of its per-image outcomes where there is one.

    `label` is the model's name, with what tells two of the same name apart.
    """

    label: str
    record: ResultRecord
    outcomes: Path | None

    def require_outcomes(self) -> Path:
        """The outcomes, for what cannot be drawn without them.

        Raises:
            InputError: saying how to make them.
        """
        if self.outcomes is None:
            raise InputError(
                f"{self.label}: there are no per-image outcomes beside its record; evaluate with "
                "--per-image and --out DIR."
            )
        return self.outcomes


def read_sources(paths: Sequence[Path]) -> list[Source]:
    """Records of one evaluation's images, from files and folders (see `record_files`).

    Outcomes belong to a record by name: `a.outcomes.parquet` to the one record of `a.json`.

    Raises:
        InputError: for a path without a record, or records that do not compare because their
            images or conventions differ.
    """
    found = find_sources(paths)
    groups = sections([source.record for source in found], Layout(group_by=GROUPS))
    if len(groups) > 1:
        told = "; ".join(group.title for group in groups)
        raise InputError(f"These records do not compare, take those of one group at a time: {told}")
    return found


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """All records of files and folders, in the order named; a run that is found twice stands once.

    Of two records of one run, that with outcomes is kept, else that with intervals, with curves,
    the newer one, the first one; under the first one's name, in its place.

    Raises:
        InputError: for a path without a record.
    """
    found: dict[str, list[tuple[ResultRecord, Path | None]]] = {}
    for file in record_files(paths):
        records = read_records(file)
        outcomes = file.with_name(file.stem + OUTCOMES_SUFFIX)
        beside = outcomes if len(records) == 1 and is_file(outcomes) else None
        for record in records:
            found.setdefault(_run(record), []).append((record, beside))
    kept = []
    for group in found.values():
        record, outcomes_of_it = max(group, key=_worth)
        kept.append((record.model_copy(update={"model": group[0][0].model}), outcomes_of_it))
    labels = _labels([record for record, _ in kept])
    return [Source(label, *pair) for label, pair in zip(labels, kept, strict=True)]


def _run(record: ResultRecord) -> str:
    """What two records of one run have in common, whatever it is called."""
    settings = record.settings
    if settings.get("weights_fingerprint") or settings.get("baseline"):
        return run_key("", record.parameters, record.dataset, record.split, settings)
    told = [record.model, record.metrics.model_dump(mode="json")]
    return run_key(json.dumps(told), record.parameters, record.dataset, record.split, settings)


def _worth(found: tuple[ResultRecord, Path | None]) -> tuple[bool, bool, bool, str]:
    record, outcomes = found
    return (
        outcomes is not None,
        record.intervals is not None,
        record.curves is not None,
        record.environment.date,
    )


def _labels(records: Sequence[ResultRecord]) -> list[str]:
    """Names that differ: by the weights where that is enough, else by number."""
    names = [record.model for record in records]
    twice = _repeated(names)
    for place, record in enumerate(records):
        weights = record.settings.get("weights")
        if record.model in twice and weights is not None:
            names[place] = f"{record.model}, {weights}"
    twice = _repeated(names)
    seen: Counter[str] = Counter()
    for place, name in enumerate(names):
        if name in twice:
            seen[name] += 1
            names[place] = f"{name} #{seen[name]}"
    return names


def _repeated(names: Sequence[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}
