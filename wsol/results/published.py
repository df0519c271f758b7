"""Published numbers with their sources, and what a reproduced one differs from.

The numbers are in `wsol/data/published.toml`. A record's number is compared with a published one
where what makes the two comparable is the same, and nothing else has to be: the convention with
its frame and input size, the size of the maps, the images, the network and the method, and the
metric by its definition. What a record does not state is not held against it.
"""

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from wsol.records.record import ResultRecord
from wsol.results.published_file import Block, ImageSet, Line, Source, read_registry

_ERROR = "_error"
# Arguments in a network's name that the size of the map and the method say.
_TOLD_ELSEWHERE = re.compile(r"output stride \d+|method \w+|acol threshold .*")
_TRIPLE = ("top1_loc", "top5_loc", "gt_known_loc")
_TRIPLE_DEFINITIONS = {
    "top1_loc": "The best class is right, and the box of its map has IoU 0.5.",
    "top5_loc": "One of the five best classes is right with a box of IoU 0.5.",
    "gt_known_loc": "The box of the label's map has IoU 0.5.",
}


@dataclass(frozen=True, slots=True)
class Published:
    """One published number.

    Attributes:
        metric: a name of a record's metrics, or `..._error` for 100 minus it.
        convention: how boxes were made and judged; None where nobody says.
        size, resize_mode: of the input, where the convention says.
        map_size: side of the square map before it is scaled up, where it is known.
        settings: what else a record's settings must say for the metric to be the same.
        model, method: as published; `names` are the record's names of the model.
        classifier: a second network that said the class, as published.
        value: percent, printed with `decimals` places; `elsewhere` is another number that is
            printed for the same thing.
        checked: it was looked up in a second place and agrees.
    """

    source: Source
    table: str
    images: ImageSet
    metric: str
    definition: str
    convention: str | None
    size: int | None
    resize_mode: str | None
    map_size: int | None
    settings: dict[str, Any]
    model: str
    method: str
    classifier: str | None
    names: tuple[str, ...]
    value: float
    elsewhere: float | None
    decimals: int
    checked: bool

    @property
    def is_classification(self) -> bool:
        """Whether no box has a part in it, and so no convention."""
        return self.metric.removesuffix(_ERROR) in ("top1_cls", "top5_cls")

    @property
    def printed(self) -> str:
        """The number as published, with what is printed elsewhere."""
        told = f"{self.value:.{self.decimals}f}"
        return told if self.elsewhere is None else f"{told} (elsewhere {self.elsewhere:g})"

    def as_json(self) -> dict[str, Any]:
        """The entry with its source, in JSON values."""
        return {
            "source": self.source.model_dump() | {"citation": self.source.citation},
            "table": self.table,
            "images": self.images.model_dump(mode="json"),
            "metric": self.metric,
            "definition": self.definition,
            "convention": self.convention,
            "map_size": self.map_size,
            "model": self.model,
            "method": self.method,
            "classifier": self.classifier,
            "value": self.value,
            "elsewhere": self.elsewhere,
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
        """Whether a record's number of this metric is comparable with this one."""
        network, map_size = _network(record)
        stated = _stated(record)
        return (
            self.images.holds(record)
            and network in self.names
            and method_of(record) == self.method
            and self.classifier is None
            and self._is_judged_as(record)
            and _agrees(stated.get("size"), self.size)
            and _agrees(stated.get("resize_mode"), self.resize_mode)
            and _agrees(map_size, self.map_size)
            and all(stated.get(key) == value for key, value in self.settings.items())
        )

    def _is_judged_as(self, record: ResultRecord) -> bool:
        if self.convention is None:
            return self.is_classification
        return self.convention == convention_of(record)


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
    content = read_registry()
    numbers: list[Published] = []

    def add(block: Block | Line, images: ImageSet, model: str, **fields: Any) -> None:
        view = content.conventions.get(block.convention or "")
        numbers.append(
            Published(
                source=content.sources[block.source],
                table=block.table,
                images=images,
                convention=block.convention,
                size=None if view is None else view.size,
                resize_mode=None if view is None else view.resize_mode,
                model=model,
                names=tuple(content.names.get(model, ())),
                decimals=block.decimals,
                checked=block.checked,
                **fields,
            )
        )

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
            add(
                block,
                images,
                model,
                metric=block.metric,
                definition=block.definition,
                map_size=block.maps.get(model),
                settings=block.settings,
                method=method,
                classifier=None,
                value=value,
                elsewhere=None,
            )
    for line in content.results:
        for name, key in (("cub", "cub"), ("ilsvrc", "ilsvrc-val")):
            for metric, value in zip(_TRIPLE, getattr(line, name), strict=True):
                if math.isnan(value):
                    continue
                add(
                    line,
                    content.sets[key],
                    line.model,
                    metric=metric,
                    definition=" ".join(filter(None, (_TRIPLE_DEFINITIONS[metric], line.note))),
                    map_size=None,
                    settings={},
                    method=line.method,
                    classifier=line.classifier,
                    value=value,
                    elsewhere=line.elsewhere.get(name, {}).get(metric),
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


def convention_of(record: ResultRecord) -> str | None:
    """A record's convention, where it states one."""
    name = record.settings.get("convention")
    return None if name is None else str(name)


def method_of(record: ResultRecord) -> str:
    """How the published tables call what made a record's maps."""
    if record.cam_method != "cam":
        return "baseline" if "baseline" in record.settings else record.cam_method
    method = str(record.settings.get("training_method", "cam"))
    several = record.settings.get("mean_classes")
    return method if several is None else f"{method}, mean of {several} classes"


def _network(record: ResultRecord) -> tuple[str, int | None]:
    """What a record's network is, whatever an experiment calls it, and the side of its map.

    The registry's name has the builder's arguments in parentheses, as in `resnet50 (output
    stride 8, method acol)`; the stride says how large the map is, and the method is known.
    """
    settings = record.settings
    name = str(settings.get("baseline") or settings.get("network") or record.model)
    base, _, told = name.removesuffix(")").partition(" (")
    arguments = [argument for argument in told.split(", ") if argument]
    kept = [argument for argument in arguments if not _TOLD_ELSEWHERE.fullmatch(argument)]
    network = f"{base} ({', '.join(kept)})" if kept else base
    if record.cost is not None:
        width, height = record.cost.map_size
        return network, width if width == height else 0
    strides = [int(a.split()[-1]) for a in arguments if a.startswith("output stride ")]
    size = settings.get("size")
    if strides and isinstance(size, int):
        return network, -(-size // strides[0])
    return network, None


def _stated(record: ResultRecord) -> dict[str, Any]:
    """A record's settings, its input's size as one side where it is square."""
    stated = dict(record.settings)
    size = stated.get("size")
    if isinstance(size, list) and len(set(size)) == 1:
        stated["size"] = size[0]
    return stated


def _agrees(found: Any, wanted: Any) -> bool:
    return found is None or wanted is None or found == wanted


def _interval(record: ResultRecord, metric: str) -> tuple[float, float] | None:
    intervals = record.intervals or {}
    if not metric.endswith(_ERROR):
        return intervals.get(metric)
    ends = intervals.get(opposite(metric))
    return None if ends is None else (100 - ends[1], 100 - ends[0])
