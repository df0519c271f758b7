"""Records as reports and plots take them: with their per-image outcomes, and names that differ."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsol.errors import InputError
from wsol.files import is_file
from wsol.records.outcomes import OUTCOMES_SUFFIX
from wsol.records.record import ResultRecord, read_records, record_files
from wsol.records.store import run_key
from wsol.results.cells import GROUPS, Layout, sections
from wsol.results.names import names_among


@dataclass(frozen=True, slots=True)
class Source:
    """A record, and the file of its per-image outcomes where there is one.

    `label` is the model's name, with what tells two of the same name apart; `path` is the file of
    the record.
    """

    label: str
    record: ResultRecord
    outcomes: Path | None
    path: Path

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


def read_sources(paths: Sequence[Path], *, conventions: bool = False) -> list[Source]:
    """Records of one evaluation's images, from files and folders (see `record_files`).

    Outcomes belong to a record by name: `a.outcomes.parquet` to the one record of `a.json`.

    Args:
        conventions: take records of several conventions.

    Raises:
        InputError: for a path without a record, or records that do not compare because their
            images or conventions differ.
    """
    found = find_sources(paths)
    groups = sections([source.record for source in found], Layout(group_by=GROUPS))
    images = {group.title.partition(" images")[0] for group in groups}
    if len(images if conventions else groups) > 1:
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
    found: dict[str, list[_Found]] = {}
    for file in record_files(paths):
        records = read_records(file)
        outcomes = file.with_name(file.stem + OUTCOMES_SUFFIX)
        beside = outcomes if len(records) == 1 and is_file(outcomes) else None
        for record in records:
            found.setdefault(same_run(record), []).append((record, beside, file))
    kept = []
    for group in found.values():
        record, beside, file = max(group, key=_worth)
        kept.append((record.model_copy(update={"model": group[0][0].model}), beside, file))
    labels = _labels([record for record, _, _ in kept])
    return [Source(label, *parts) for label, parts in zip(labels, kept, strict=True)]


_Found = tuple[ResultRecord, Path | None, Path]
"""A record, its outcomes, and its file."""


def same_run(record: ResultRecord) -> str:
    """What two records of one run have in common, whatever it is called."""
    settings = record.settings
    if settings.get("weights_fingerprint") or settings.get("baseline"):
        return run_key("", record.parameters, record.dataset, record.split, settings)
    told = [record.model, record.metrics.model_dump(mode="json")]
    return run_key(json.dumps(told), record.parameters, record.dataset, record.split, settings)


def _worth(found: _Found) -> tuple[bool, bool, bool, str]:
    record, outcomes, _ = found
    return (
        outcomes is not None,
        record.intervals is not None,
        record.curves is not None,
        record.environment.date,
    )


def _labels(records: Sequence[ResultRecord]) -> list[str]:
    """Names that differ among the records of the same images."""
    labels = [""] * len(records)
    of_images: dict[tuple[str, str, int], list[int]] = {}
    for place, record in enumerate(records):
        images = (record.dataset, record.split, record.num_images)
        of_images.setdefault(images, []).append(place)
    for places in of_images.values():
        names = names_among([records[place] for place in places])
        for place, name in zip(places, names, strict=True):
            labels[place] = name.label
    return labels
