"""What tells records of one network apart: names for legends, pages and tables."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from wsol.records.record import ResultRecord
from wsol.results.columns import column_values, frame


@dataclass(frozen=True, slots=True)
class Name:
    """What a record is called among others.

    Attributes:
        label: the model's name, with what tells two of the same name apart; no other record has it.
        variant: everything that tells any two of the same name apart, as this record has it, such
            as its method; empty where no name stands twice, and of baselines.
    """

    label: str
    variant: str
    is_numbered: bool = False


def names_among(records: Sequence[ResultRecord]) -> list[Name]:
    """Names that differ: by method, weights, seed or convention where they do, else by number."""
    labels = [record.model for record in records]
    parts: list[list[str]] = [[] for _ in records]
    data = frame(records)
    seeds = [record.settings.get("training_seed") for record in records]
    for told in (
        column_values(data, "method"),
        column_values(data, "weights"),
        [None if seed is None else f"seed {seed}" for seed in seeds],
        column_values(data, "convention"),
    ):
        groups: dict[str, set[str | None]] = {}
        for label, value in zip(labels, told, strict=True):
            groups.setdefault(label, set()).add(value)
        if all(len(values) == 1 for values in groups.values()):
            continue
        for place, (label, value) in enumerate(zip(labels, told, strict=True)):
            if value is not None:
                parts[place].append(str(value))
                if len(groups[label]) > 1:
                    labels[place] = f"{label}, {value}"
    count, seen = Counter(labels), Counter[str]()
    names = []
    for label, own, record in zip(labels, parts, records, strict=True):
        is_numbered = count[label] > 1
        if is_numbered:
            seen[label] += 1
            number = f"#{seen[label]}"
            label, own = f"{label} {number}", [*own, number]
        variant = "" if record.parameters == 0 else ", ".join(own)
        names.append(Name(label, variant, is_numbered))
    return names


def look_of(labels: Sequence[str], last: Collection[str] = ()) -> dict[str, int]:
    """A number for the look of each label, such as its colour, which is of the label alone.

    So what is drawn keeps its look whatever the order, the filter or the part of a page.

    Args:
        last: labels that come after all others, such as baselines.

    Returns:
        By label, in the order in which they were given.
    """
    ordered = sorted(set(labels), key=lambda label: (label in last, label.casefold(), label))
    number = {label: place for place, label in enumerate(ordered)}
    return {label: number[label] for label in labels}
