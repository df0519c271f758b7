"""Published numbers as rows of a table, beside those of records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wsol.records.record import Environment, Metrics, ResultRecord, Timing
from wsol.results.published import Published, convention_of, published_numbers
from wsol.results.published_file import ImageSet, Source

_KEY = "published"
_NOWHERE = Environment(
    python="", platform="", device="", threads=0, date="", commit=None, versions={}
)
_NO_TIME = Timing(data=0, forward=0, localization=0, total=0)

_RowKey = tuple[ImageSet, str, str, str, str | None]


@dataclass(frozen=True, slots=True)
class PublishedRows:
    """Rows as records, whose names end in the mark of a footnote, and how many were left out
    because their convention is none of the table's, or was never said."""

    records: list[ResultRecord]
    left_out: int


def published_rows(
    records: Sequence[ResultRecord], every_convention: bool = False
) -> PublishedRows:
    """The published localizations of the images that records are about.

    Args:
        every_convention: also those whose boxes were made or judged in another way, which do not
            compare with the records' own; otherwise they are counted.
    """
    anchors: dict[tuple[str, str, str | None], ResultRecord] = {}
    for record in records:
        anchors.setdefault((record.dataset, record.split, convention_of(record)), record)
    marks: dict[str, int] = {}
    made, left_out = [], 0
    for (images, _, _, source, convention), numbers in _lines().items():
        about = [record for record in anchors.values() if images.holds(record)]
        if not about:
            continue
        same = [record for record in about if convention_of(record) == convention is not None]
        if not same and not every_convention:
            left_out += 1
            continue
        mark = marks.setdefault(source, len(marks) + 1)
        made.append(_row(numbers, (same or about)[0], bool(same), mark))
    return PublishedRows(made, left_out)


def _lines() -> dict[_RowKey, list[Published]]:
    """The numbers of each row, localizations first; what no box has a part in makes no row.

    One network's numbers under several conventions, or under none that is known, are rows each.
    """
    lines: dict[_RowKey, list[Published]] = {}
    known = [n for n in published_numbers() if _field(n) in Metrics.model_fields]
    for number in (n for n in known if not n.is_classification):
        lines.setdefault(_key(number), []).append(number)
    for number in (n for n in known if n.is_classification):
        for key in lines:
            if key[:-1] == _key(number)[:-1]:
                lines[key].append(number)
    return lines


def _key(number: Published) -> _RowKey:
    return number.images, number.model, number.method, number.source.key, number.convention


def published_notes(records: Sequence[ResultRecord]) -> list[str]:
    """What the marks of rows mean: one footnote a source, in the marks' order."""
    rows = [record.settings[_KEY] for record in records if _KEY in record.settings]
    notes = []
    for mark in sorted({row["mark"] for row in rows}):
        own = [row for row in rows if row["mark"] == mark]
        tables = dict.fromkeys(table for row in own for table in row["tables"])
        remarks = dict.fromkeys(remark for row in own for remark in row["remarks"])
        told = f"[{mark}] Published: {own[0]['source']} ({'; '.join(tables)})."
        notes.append(" ".join([told, *remarks]))
    return notes


def cited_sources(records: Sequence[ResultRecord]) -> list[Source]:
    """The sources of those records that are published rows, each once."""
    keys = {r.settings[_KEY]["key"] for r in records if _KEY in r.settings}
    sources = dict.fromkeys(number.source for number in published_numbers())
    return [source for source in sources if source.key in keys]


def _field(number: Published) -> str:
    return number.metric.removesuffix("_error")


def _row(
    numbers: list[Published], beside: ResultRecord, comparable: bool, mark: int
) -> ResultRecord:
    """One row, of the images of the record that it stands beside."""
    first = numbers[0]
    settings: dict[str, Any] = {
        name: beside.settings[name]
        for name in ("iou_levels", "num_images")
        if name in beside.settings
    }
    if comparable:
        settings["convention"] = beside.settings["convention"]
    elif first.convention is not None:
        settings["convention"] = first.convention
    remarks = [] if first.classifier is None else [f"{first.classifier} says the class."]
    for number in numbers:
        if number.elsewhere is not None:
            told = f"{_field(number)} is {number.value} here and {number.elsewhere} elsewhere"
            remarks.append(f"{first.model}, {first.method}: {told}.")
        if not number.checked:
            remarks.append("Not checked in a second place.")
    settings[_KEY] = {
        "mark": mark,
        "key": first.source.key,
        "source": f"{first.source.citation}, {first.source.url}",
        "tables": list(dict.fromkeys(number.table for number in numbers)),
        "remarks": remarks,
    }
    values = {_field(number): number.value_as(_field(number)) for number in numbers}
    return ResultRecord(
        model=f"{first.model} [{mark}]",
        parameters=None,
        dataset=beside.dataset,
        split=beside.split,
        num_images=beside.num_images,
        cam_method=first.method,
        metrics=Metrics.model_validate(values),
        settings=settings,
        environment=_NOWHERE,
        timing=_NO_TIME,
    )
