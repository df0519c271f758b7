"""Published numbers with their sources, and what a reproduced one differs from.

The numbers are in `wsol/data/published.toml`. A record's number is compared with a published one
only where the images, the metric and its definition, the model and the method are the same.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict

from wsol.records.record import ResultRecord

_ERROR = "_error"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """Where numbers were published."""

    short: str
    citation: str
    url: str


class ImageSet(_Part):
    """The images that numbers are about; `also` lists other names of the split."""

    dataset: str
    split: str
    also: tuple[str, ...] = ()
    images: int


class _Block(_Part):
    source: str
    table: str
    set: str
    metric: str
    definition: str
    settings: dict[str, Any] = {}
    decimals: int = 1
    checked: bool
    relative_to: str | None = None
    values: list[tuple[str, str, float]]


class _File(_Part):
    sources: dict[str, Source]
    sets: dict[str, ImageSet]
    names: dict[str, list[str]]
    blocks: list[_Block]


@dataclass(frozen=True, slots=True)
class Published:
    """One published number.

    Attributes:
        metric: a name of `wsol.records.record.Metrics`, or that with `_error` for 100 minus it.
        settings: what a record's settings must say for its number to be comparable.
        model, method: as published; `names` are the record's names of the model.
        value: percent, printed with `decimals` places.
        checked: it was looked up in a second place and agrees.
    """

    source: Source
    table: str
    images: ImageSet
    metric: str
    definition: str
    settings: dict[str, Any]
    model: str
    method: str
    names: tuple[str, ...]
    value: float
    decimals: int
    checked: bool

    def as_json(self) -> dict[str, Any]:
        """The entry with its source, in JSON values."""
        return {
            "source": self.source.model_dump(),
            "table": self.table,
            "images": self.images.model_dump(mode="json"),
            "metric": self.metric,
            "definition": self.definition,
            "model": self.model,
            "method": self.method,
            "value": self.value,
            "checked": self.checked,
        }

    def value_as(self, metric: str) -> float | None:
        """The number as `metric`: errors become accuracies and back; None for another metric."""
        if metric == self.metric:
            return self.value
        if opposite(metric) == self.metric:
            # Rounded, because 100 - 57.2 is not 42.8 in binary.
            return round(100 - self.value, 6)
        return None

    def is_about(self, record: ResultRecord) -> bool:
        """Whether a record has the same images, definition, model and method."""
        settings = record.settings
        return (
            record.dataset == self.images.dataset
            and record.split in (self.images.split, *self.images.also)
            and record.num_images == self.images.images
            and record.model in self.names
            and _method(record) == self.method
            and all(settings.get(key) == value for key, value in self.settings.items())
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """A reproduced number beside a published one.

    Attributes:
        value: the published number, as the reproduced one's metric.
        difference: reproduced minus published, percentage points.
        within: whether the published number lies in the reproduced one's confidence interval;
            None where the record has no interval.
    """

    published: Published
    value: float
    difference: float
    within: bool | None


@cache
def published_numbers() -> tuple[Published, ...]:
    """Every number of the registry, in the file's order; differences are added up."""
    text = files("wsol").joinpath("data/published.toml").read_text(encoding="utf-8")
    content = _File.model_validate(tomllib.loads(text))
    numbers: list[Published] = []
    for block in content.blocks:
        images = content.sets[block.set]
        for model, method, value in block.values:
            if block.relative_to is not None:
                (base,) = (
                    number.value
                    for number in numbers
                    if (number.images, number.metric) == (images, block.metric)
                    and (number.model, number.method) == (model, block.relative_to)
                )
                value = round(base + value, 1)
            numbers.append(
                Published(
                    source=content.sources[block.source],
                    table=block.table,
                    images=images,
                    metric=block.metric,
                    definition=block.definition,
                    settings=block.settings,
                    model=model,
                    method=method,
                    names=tuple(content.names.get(model, ())),
                    value=value,
                    decimals=block.decimals,
                    checked=block.checked,
                )
            )
    return tuple(numbers)


def compare(record: ResultRecord, metric: str) -> Comparison | None:
    """Set a record's number beside the published one, if there is one of the very same thing.

    Args:
        metric: a number of `wsol.records.record.Metrics`, or that with `_error`.
    """
    reproduced = metric_value(record, metric)
    if reproduced is None:
        return None
    for published in published_numbers():
        value = published.value_as(metric)
        if value is not None and published.is_about(record):
            interval = _interval(record, metric)
            within = None if interval is None else interval[0] <= value <= interval[1]
            return Comparison(published, value, reproduced - value, within)
    return None


def metric_value(record: ResultRecord, metric: str) -> float | None:
    """A record's number by name, `..._error` included."""
    value = getattr(record.metrics, metric.removesuffix(_ERROR), None)
    if not isinstance(value, float):
        return None
    return 100 - value if metric.endswith(_ERROR) else value


def opposite(metric: str) -> str:
    """`top1_loc` for `top1_loc_error`, and the other way round."""
    return metric.removesuffix(_ERROR) if metric.endswith(_ERROR) else metric + _ERROR


def _interval(record: ResultRecord, metric: str) -> tuple[float, float] | None:
    intervals = record.intervals or {}
    if not metric.endswith(_ERROR):
        return intervals.get(metric)
    ends = intervals.get(opposite(metric))
    return None if ends is None else (100 - ends[1], 100 - ends[0])


def _method(record: ResultRecord) -> str:
    """How the published tables call what made a record's maps."""
    if record.cam_method != "cam":
        return "baseline" if "baseline" in record.settings else record.cam_method
    return str(record.settings.get("training_method", "cam"))
