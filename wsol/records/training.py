"""The record of one training run."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wsol.errors import InputError
from wsol.files import write_text
from wsol.reading import read_json
from wsol.records.record import Environment

TRAINING_SCHEMA = "wsol.training/1"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Epoch(_Part):
    """Means over the epoch's batches while weights changed; `accuracy` in percent.

    `selection` is the selection metric after the epoch, where it was measured.
    """

    epoch: int = Field(description="from 1")
    loss: float
    accuracy: float
    seconds: float
    selection: float | None = None


class Chosen(_Part):
    """What was chosen on another split than the one to report on.

    `thresholds` and `thresholds_largest` map an IoU level ("0.5") to the threshold with the best
    accuracy there, for all components and for the largest one. `pseudo_boxes` says that the boxes
    it was chosen on were machine-made.
    """

    dataset: str
    split: str
    num_images: int
    metric: str
    value: float
    weights_fingerprint: str
    epoch: int = Field(description="whose checkpoint is best.pt, from 1")
    thresholds: dict[str, float] | None = None
    thresholds_largest: dict[str, float] | None = None
    pseudo_boxes: bool = False


class TrainingRecord(_Part):
    """One network, trained on image-level labels.

    `settings` holds everything that decides the weights.
    """

    schema_: str = Field(default=TRAINING_SCHEMA, alias="schema")
    model: str
    parameters: int
    method: str
    dataset: str
    split: str
    num_images: int
    settings: dict[str, Any]
    epochs: list[Epoch] = Field(default_factory=list)
    finished: bool = False
    chosen: Chosen | None = Field(default=None, description="None without a selection set")
    environment: Environment
    notes: list[str] = Field(default_factory=list)

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)

    def to_json(self) -> str:
        """Indented JSON with a final newline."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"


def write_training_record(record: TrainingRecord, path: Path) -> None:
    """Write one record as JSON, atomically."""
    write_text(path, record.to_json())


def read_training_record(path: Path) -> TrainingRecord:
    """Read what `write_training_record` wrote.

    Raises:
        InputError: naming the file and, within it, the field that is wrong.
    """
    try:
        return TrainingRecord.model_validate(read_json(path, "a record of a training run"))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "(the whole)"
        raise InputError(
            f"{path}: is no record of a training run; field {field}: {first['msg']}."
        ) from error
