"""The record of one evaluation: the only thing that tables, plots and reports read."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wsol.errors import InputError
from wsol.files import exists, is_folder, json_text, write_text
from wsol.reading import read_json

SCHEMA = "wsol.record/2"
ORDER = "order.json"
"""Beside record files: their names in the order of the command or experiment that made them."""


Percentage = Annotated[float, Field(ge=0, le=100 + 1e-6)]  # a sum may be off by its last digit
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Threshold = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Metrics(_Part):
    """Percentages; None where a metric does not apply (no classifier, no boxes, no masks).

    `box_acc` maps an IoU level ("0.5") to the best accuracy over thresholds with every component
    counted (the parts of MaxBoxAccV2); `box_acc_largest` does so for the largest component
    (its "0.5" is MaxBoxAcc). `best_threshold` and `best_threshold_largest` say where.
    `max_box_acc_chosen` and `max_box_acc_v2_chosen` are the same accuracies at thresholds that
    were chosen on another split, as `threshold_policy` in the settings says; so are
    `top1_loc_chosen` and `top5_loc_chosen`, at the one of `max_box_acc_chosen`. `loc_threshold` is
    the threshold of GT-known and Top-k Loc where a convention takes the best of several.
    `..._class_mean` are
    means over classes of their accuracies, as PSOL and BAS print them. `loc_at` has accuracies
    at further thresholds: by the policy by which each map chose its own without boxes (`otsu`,
    ...), or `best`, the threshold of MaxBoxAcc, and then by the names of the fields here.
    """

    top1_cls: Percentage | None = None
    top5_cls: Percentage | None = None
    top1_loc: Percentage | None = None
    top5_loc: Percentage | None = None
    gt_known_loc: Percentage | None = None
    top1_loc_class_mean: Percentage | None = None
    top5_loc_class_mean: Percentage | None = None
    gt_known_loc_class_mean: Percentage | None = None
    max_box_acc: Percentage | None = None
    max_box_acc_v2: Percentage | None = None
    max_box_acc_chosen: Percentage | None = None
    max_box_acc_v2_chosen: Percentage | None = None
    top1_loc_chosen: Percentage | None = None
    top5_loc_chosen: Percentage | None = None
    box_acc: dict[str, Percentage] | None = None
    best_threshold: dict[str, Threshold] | None = None
    box_acc_largest: dict[str, Percentage] | None = None
    best_threshold_largest: dict[str, Threshold] | None = None
    loc_threshold: Threshold | None = None
    loc_at: dict[str, dict[str, Percentage]] | None = None
    pxap: Percentage | None = None
    coco_ap: Percentage | None = None
    coco_ap50: Percentage | None = None
    coco_ar: Percentage | None = None

    # Those of `wsol.metrics.catalog` that were asked for, each under its name.
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Percentage] = Field(init=False)

    @classmethod
    def single_numbers(cls) -> list[str]:
        """The fields that are one percentage, not one an IoU level."""
        return [
            name
            for name, field in cls.model_fields.items()
            if "dict" not in str(field) and not name.endswith("threshold")
        ]


class Timing(_Part):
    """Seconds. The parts overlap where they run beside each other; `total` is the wall clock."""

    data: Seconds
    forward: Seconds
    localization: Seconds
    total: Seconds


class Cost(_Part):
    """What one forward pass of a network costs, at the evaluation's input size.

    `flops` counts floating-point operations, two for every multiply-accumulate, of one image in
    convolutions and matrix products; `map_size` is (width, height) of the class activation map
    before it is scaled up. `latency_ms` is the median time of a pass of one image, measured on
    `latency_device` where it was asked for.
    """

    flops: Count
    map_size: tuple[Count, Count]
    latency_ms: Seconds | None = None
    latency_device: str | None = None


class Environment(_Part):
    """Where a record was made."""

    python: str
    platform: str
    device: str
    threads: int
    date: str = Field(description="UTC, ISO 8601")
    commit: str | None = Field(default=None, description="of the wsol checkout, if it is one")
    versions: dict[str, str]


class Curves(_Part):
    """Correct images at every threshold; counts, so that curves of shards add up."""

    thresholds: list[Threshold]
    largest: dict[str, list[Count]] | None = None
    all: dict[str, list[Count]] | None = None

    @model_validator(mode="after")
    def _one_a_threshold(self) -> "Curves":
        for counts in [*(self.largest or {}).values(), *(self.all or {}).values()]:
            if len(counts) != len(self.thresholds):
                raise ValueError(f"{len(counts)} counts for {len(self.thresholds)} thresholds")
        return self


class SkippedImage(_Part):
    """An image left out, and why."""

    image_id: str
    reason: str


_OPTIONAL = ("cost", "intervals", "curves", "plugin_metrics")
_OPTIONAL_METRICS = (
    "max_box_acc_chosen",
    "max_box_acc_v2_chosen",
    "top1_loc_chosen",
    "top5_loc_chosen",
    "loc_threshold",
    "top1_loc_class_mean",
    "top5_loc_class_mean",
    "gt_known_loc_class_mean",
    "loc_at",
)


class ResultRecord(_Part):
    """One model on one split of one data set.

    `parameters` counts the network's parameters; None for score maps of unknown origin.
    `settings` holds every option that can change a number, among them `convention`,
    `threshold_policy`, `threshold_step`, `iou_levels`, `size` and `resize_mode`. `cost` is None
    for baselines and for score maps of unknown origin. `intervals` maps names of `Metrics` to the
    ends of a 95 % confidence interval, in the metric's own percentages. `plugin_metrics` maps
    `module:callable` to the percentage of a metric that is not the package's.
    """

    schema_: str = Field(default=SCHEMA, alias="schema")
    model: str
    parameters: Count | None
    dataset: str
    split: str
    num_images: Count
    cam_method: str
    metrics: Metrics
    settings: dict[str, Any]
    environment: Environment
    timing: Timing
    skipped: list[SkippedImage] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    cost: Cost | None = None
    intervals: dict[str, tuple[Percentage, Percentage]] | None = None
    curves: Curves | None = None
    plugin_metrics: dict[str, Percentage] | None = None

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)

    def _repr_html_(self) -> str:
        """What a notebook shows: the numbers that there are, as a small table."""
        numbers = {
            "Params (M)": None if not self.parameters else self.parameters / 1e6,
            **{name: value for name, value in self.metrics if isinstance(value, float)},
            **(self.metrics.model_extra or {}),
            **(self.plugin_metrics or {}),
        }
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{value:.2f}</td></tr>"
            for name, value in numbers.items()
            if value is not None
        )
        title = f"{self.model}, {self.dataset} {self.split}, {self.num_images:,} images"
        return f"<table><caption>{escape(title)}</caption>{rows}</table>"

    def to_json(self) -> str:
        """Indented JSON with a final newline; absent optional parts are left out."""
        exclude: dict[str, Any] = {part: True for part in _OPTIONAL if getattr(self, part) is None}
        exclude["metrics"] = {
            name for name in _OPTIONAL_METRICS if getattr(self.metrics, name) is None
        }
        return json_text(self.model_dump(mode="json", exclude=exclude))


def _from_1(item: dict[str, Any]) -> dict[str, Any]:
    """Version 2 added `cost` and `intervals`, which a record of version 1 does not have."""
    return item | {"schema": SCHEMA}


_MIGRATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"wsol.record/1": _from_1}
"""What turns a record of an older schema into one of this version."""


def write_record(record: ResultRecord, path: Path) -> None:
    """Write one record as JSON, atomically."""
    write_text(path, record.to_json())


def read_records(path: Path) -> list[ResultRecord]:
    """Read the record, or list of records, of a JSON file; older schemas are brought up to date.

    Raises:
        InputError: naming the file and, within it, the field that is wrong.
    """
    data = _read_json(path)
    records = []
    for number, item in enumerate(data if isinstance(data, list) else [data]):
        schema = item.get("schema") if isinstance(item, dict) else None
        if schema not in (SCHEMA, *_MIGRATIONS):
            raise InputError(
                f"{path}: record {number} has the schema {schema!r}, this version reads {SCHEMA!r} "
                "and older ones."
            )
        if schema != SCHEMA:
            item = _MIGRATIONS[schema](item)
        try:
            records.append(_renamed(ResultRecord.model_validate(item)))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise InputError(f"{path}: record {number}, field {field}: {first['msg']}.") from error
    return records


def _renamed(record: ResultRecord) -> ResultRecord:
    """The record with what conventions were called at first by today's name, and a note of it."""
    if record.settings.get("convention") == "wsolevaluation":
        record.settings["convention"] = "choe2020"
        record.notes.append("Its convention is written as wsolevaluation, as choe2020 was called.")
    return record


def find_records(paths: Iterable[Path]) -> list[ResultRecord]:
    """Read the records of `record_files`.

    Raises:
        InputError: for a file that cannot be read, or where there is no record at all.
    """
    return [record for file in record_files(paths) for record in read_records(file)]


def record_files(paths: Iterable[Path]) -> list[Path]:
    """The files named, and all JSON files in and below the folders named.

    In a folder, hidden files and JSON files that are no records are passed over; each file comes
    once, in the order named, and within a folder as its `order.json` says, else by name.

    Raises:
        InputError: for a file that cannot be read, or a folder without any record.
    """
    files: dict[Path, Path] = {}  # by where they really are, so that none is read twice
    named = list(map(Path, paths))
    for path in named:
        found = [path]
        if path.name == ORDER and len(named) > 1:
            found = []  # a shell's `*.json` names it too
        elif is_folder(path):
            found = [file for file in _json_files(path) if _holds_records(file)]
            if not found:
                raise InputError(f"{path}: has no record in it; expected JSON files of wsol.")
        for file in found:
            files.setdefault(file.resolve(), file)
    return list(files.values())


def write_order(files: Sequence[Path]) -> None:
    """Write down in which order the record files of one folder are to be read.

    Files that were in the order before, are still there and are none of these, stay in it, before
    these.
    """
    folder, names = files[0].parent, [file.name for file in files]
    before = [name for name in order_of(folder) if exists(folder / name)]
    if set(names) < set(before):
        return
    order = [*(name for name in before if name not in names), *names]
    write_text(folder / ORDER, json_text(order))


def order_of(folder: Path) -> list[str]:
    """The names that `write_order` wrote down in a folder; none where it did not."""
    path = folder / ORDER
    names = _read_json(path) if exists(path) else []
    names = list(map(str, names)) if isinstance(names, list) else []
    return [name for name in names if name == Path(name).name]  # nothing outside of the folder


def _json_files(folder: Path) -> list[Path]:
    files = [
        file
        for file in folder.rglob("*.json")
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]
    places = {
        order.with_name(name): place
        for order in files
        if order.name == ORDER
        for place, name in enumerate(order_of(order.parent))
    }
    # Folders by name; what their order leaves out comes last.
    return sorted(files, key=lambda file: (file.parent, places.get(file, len(places)), file.name))


def _holds_records(path: Path) -> bool:
    data = _read_json(path)
    first = data[0] if isinstance(data, list) and data else data
    return isinstance(first, dict) and str(first.get("schema")).startswith("wsol.record/")


def _read_json(path: Path) -> Any:
    return read_json(path, "a record, a JSON file of wsol")
