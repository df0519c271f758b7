"""A folder that keeps the records of all runs, and recognizes a run that it has already.

One JSON file a run, under a name that ends in a digest of its content, so that no two different
records ever want the same one; per-image outcomes lie beside it. Files appear by renaming, the
outcomes before the record. Nothing is ever locked: a run that was added twice, even by two
processes at once, is one entry, because every reader and writer prefers the same one of the two.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from wsol.errors import InputError
from wsol.files import atomic_path, exists, is_file, is_no_folder, write_text
from wsol.records.outcomes import OUTCOMES_SUFFIX
from wsol.records.record import ResultRecord, read_records

_PRECOMPUTED = "precomputed"
_LATER = ("top1_loc_class_mean", "top5_loc_class_mean", "gt_known_loc_class_mean")


def default_store() -> Path:
    """The folder that the variable WSOL_RESULTS names, else `wsol-results` where one stands."""
    return Path(os.environ.get("WSOL_RESULTS") or "wsol-results")


def run_key(
    model: str, parameters: int | None, dataset: str, split: str, settings: dict[str, Any]
) -> str:
    """A digest of everything that decides a network's or baseline's numbers.

    `settings` are those of a record: the protocol, the input, and the fingerprints of the weights
    and of the annotations. The name of the weights' file does not count, only what is in it.
    """
    decisive = {name: value for name, value in settings.items() if name != "weights"}
    return _digest([model, parameters, dataset, split, decisive])


def run_key_of(record: ResultRecord) -> str:
    """The key of the run that made a record.

    Score maps that were computed elsewhere have no fingerprint: two of their runs are the same
    only if their numbers are, too.
    """
    settings = record.settings
    if record.cam_method == _PRECOMPUTED:
        # Older records have no means over classes, which follow from the same images.
        numbers = record.metrics.model_dump(mode="json") | dict.fromkeys(_LATER)
        settings = settings | {"metrics": numbers}
    return run_key(record.model, record.parameters, record.dataset, record.split, settings)


@dataclass(frozen=True, slots=True)
class Entry:
    """A run in a store.

    Attributes:
        id: the file's name without suffix; ends in a digest that names the run as well.
        path: the JSON file.
        outcomes: the Parquet file of its per-image outcomes, None without.
    """

    id: str
    path: Path
    record: ResultRecord
    run_key: str
    outcomes: Path | None

    @property
    def short_id(self) -> str:
        """The digest alone."""
        return self.id.rpartition("--")[2]

    @property
    def date(self) -> datetime:
        """When the record was made, with its time zone."""
        return _date(self.record)

    @property
    def _rank(self) -> tuple[bool, bool, datetime, str]:
        """Which of two entries of the same run is kept: the fuller one, then the newer."""
        return self.outcomes is not None, self.record.curves is not None, self.date, self.id


@dataclass(frozen=True, slots=True)
class Added:
    """What `Store.add` did: the entry that holds the run now, and whether it is new, has taken
    another's place, or was there before."""

    entry: Entry
    state: Literal["new", "replaced", "kept"]


class Store:
    """A results folder; it need not exist before something is added."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = Path(folder or default_store())
        if is_no_folder(self.folder):
            raise InputError(f"{self.folder}: is not a folder; expected a store of results.")

    def read(self) -> tuple[list[Entry], list[str]]:
        """All runs, oldest first, one entry each; and what is wrong with files that are none."""
        entries, problems = self._read_all()
        best: dict[str, Entry] = {}
        for entry in entries:
            known = best.get(entry.run_key)
            if known is None or entry._rank > known._rank:
                best[entry.run_key] = entry
        return sorted(best.values(), key=lambda entry: (entry.date, entry.id)), problems

    def find(self, key: str) -> Entry | None:
        """The run with this key, if the store has it."""
        return next((entry for entry in self.read()[0] if entry.run_key == key), None)

    def add(self, record: ResultRecord, outcomes: Path | None = None) -> Added:
        """Add a run, with a copy of its per-image outcomes.

        Of two records of the same run (equal settings, weights and data set) the store keeps one:
        that with outcomes, else that with curves, else the newer.

        Raises:
            InputError: when the folder or a file in it cannot be written.
        """
        key = run_key_of(record)
        name = _name(record)
        path = self.folder / f"{name}.json"
        was_there = exists(path)
        if outcomes is not None:
            with atomic_path(self._outcomes(name)) as temporary:
                shutil.copyfile(outcomes, temporary)
        write_text(path, record.to_json())
        same = {entry.id: entry for entry in self._read_all()[0] if entry.run_key == key}
        # Another process that adds this run may have removed the file again, for a better one.
        same.setdefault(name, Entry(name, path, record, key, outcomes and self._outcomes(name)))
        best = max(same.values(), key=lambda entry: entry._rank)
        for entry in same.values():
            if entry is not best:
                self.remove(entry)
        if best.id != name or was_there:
            return Added(best, "kept")
        return Added(best, "replaced" if len(same) > 1 else "new")

    def remove(self, entry: Entry) -> None:
        """Delete a run's files; one that is gone already is no error."""
        entry.path.unlink(missing_ok=True)
        self._outcomes(entry.id).unlink(missing_ok=True)

    def resolve(self, name: str) -> Entry:
        """The run that a user means: a whole id, or any part of one that no other has.

        Raises:
            InputError: when no run, or more than one, fits.
        """
        entries, _ = self.read()
        found = [entry for entry in entries if name in (entry.id, entry.short_id)]
        found = found or [entry for entry in entries if name and name in entry.id]
        if len(found) == 1:
            return found[0]
        if not found:
            raise InputError(f"{self.folder}: has no run {name!r}; see `wsol results list`.")
        told = ", ".join(entry.id for entry in found[:5]) + (", ..." if len(found) > 5 else "")
        raise InputError(f"{name!r} fits {len(found)} runs: {told}; give more of the id.")

    def _read_all(self) -> tuple[list[Entry], list[str]]:
        entries, problems = [], []
        for path in sorted(self.folder.glob("*.json")):
            if path.name.startswith("."):  # not whole yet
                continue
            try:
                entries.append(self._entry(path))
            except InputError as error:
                if exists(path):  # else another process has just removed it
                    problems.append(str(error))
        return entries, problems

    def _entry(self, path: Path) -> Entry:
        records = read_records(path)
        if len(records) != 1:
            raise InputError(f"{path}: holds {len(records)} records; a store has one a file.")
        try:
            _date(records[0])
        except ValueError as error:
            raise InputError(f"{path}: field environment.date: {error}.") from error
        outcomes = self._outcomes(path.stem)
        return Entry(
            id=path.stem,
            path=path,
            record=records[0],
            run_key=run_key_of(records[0]),
            outcomes=outcomes if is_file(outcomes) else None,
        )

    def _outcomes(self, name: str) -> Path:
        return self.folder / f"{name}{OUTCOMES_SUFFIX}"


def _date(record: ResultRecord) -> datetime:
    date = datetime.fromisoformat(record.environment.date)
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _name(record: ResultRecord) -> str:
    parts: Sequence[str] = (
        _plain(record.model),
        _plain(f"{record.dataset}-{record.split}"),
        f"{_date(record).astimezone(UTC):%Y%m%d-%H%M%S}",
        _digest(record.model_dump(mode="json"))[:10],
    )
    return "--".join(parts)


def _plain(text: str) -> str:
    """Text as a part of a file name anywhere."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text)[:60].strip("-.") or "unnamed"


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
