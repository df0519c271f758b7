"""The record of one evaluation: the only thing that tables, plots and reports read."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wsol.errors import InputError
from wsol.files import write_text

SCHEMA = "wsol.record/1"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Metrics(_Part):
    """Percentages; None where a metric does not apply (no classifier, no boxes, no masks).

    `box_acc` maps an IoU level ("0.5") to the best accuracy over thresholds with every component
    counted (the parts of MaxBoxAccV2); `box_acc_largest` does so for the largest component
    (its "0.5" is MaxBoxAcc). `best_threshold` and `best_threshold_largest` say where.
    """

    top1_cls: float | None = None
    top5_cls: float | None = None
    top1_loc: float | None = None
    top5_loc: float | None = None
    gt_known_loc: float | None = None
    max_box_acc: float | None = None
    max_box_acc_v2: float | None = None
    box_acc: dict[str, float] | None = None
    best_threshold: dict[str, float] | None = None
    box_acc_largest: dict[str, float] | None = None
    best_threshold_largest: dict[str, float] | None = None
    pxap: float | None = None
    coco_ap: float | None = None
    coco_ap50: float | None = None
    coco_ar: float | None = None


class Timing(_Part):
    """Seconds. The parts overlap where they run beside each other; `total` is the wall clock."""

    data: float
    forward: float
    localization: float
    total: float


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

    thresholds: list[float]
    largest: dict[str, list[int]] | None = None
    all: dict[str, list[int]] | None = None


class SkippedImage(_Part):
    """An image left out, and why."""

    image_id: str
    reason: str


class ResultRecord(_Part):
    """One model on one split of one data set.

    `parameters` counts the network's parameters; None for score maps of unknown origin.
    `settings` holds every option that can change a number, among them `convention`,
    `threshold_policy`, `threshold_step`, `iou_levels`, `size` and `resize_mode`.
    """

    schema_: str = Field(default=SCHEMA, alias="schema")
    model: str
    parameters: int | None
    dataset: str
    split: str
    num_images: int
    cam_method: str
    metrics: Metrics
    settings: dict[str, Any]
    environment: Environment
    timing: Timing
    skipped: list[SkippedImage] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    curves: Curves | None = None

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)

    def to_json(self) -> str:
        """Indented JSON with a final newline; absent curves are left out."""
        exclude = {"curves"} if self.curves is None else None
        return json.dumps(self.model_dump(mode="json", exclude=exclude), indent=2) + "\n"


def write_record(record: ResultRecord, path: Path) -> None:
    """Write one record as JSON, atomically."""
    write_text(path, record.to_json())


def read_records(path: Path) -> list[ResultRecord]:
    """Read the record, or list of records, of a JSON file.

    Raises:
        InputError: naming the file and, within it, the field that is wrong.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error}).") from error
    records = []
    for number, item in enumerate(data if isinstance(data, list) else [data]):
        schema = item.get("schema") if isinstance(item, dict) else None
        if schema != SCHEMA:
            raise InputError(
                f"{path}: record {number} has the schema {schema!r}, this version reads {SCHEMA!r}."
            )
        try:
            records.append(ResultRecord.model_validate(item))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise InputError(f"{path}: record {number}, field {field}: {first['msg']}.") from error
    return records
