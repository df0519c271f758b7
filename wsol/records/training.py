"""The record of one training run."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wsol.errors import InputError
from wsol.files import json_text, write_text
from wsol.reading import read_json
from wsol.records.record import Count, Environment, Percentage, Seconds, Threshold

TRAINING_SCHEMA = "wsol.training/1"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Epoch(_Part):
    """Means over the epoch's batches while weights changed; `accuracy` in percent.

    `selection` is the selection metric after the epoch, where it was measured.
    """

    epoch: Annotated[int, Field(ge=1, description="from 1")]
    loss: Annotated[float, Field(allow_inf_nan=False)]
    accuracy: Percentage
    seconds: Seconds
    selection: float | None = None


class Chosen(_Part):
    """What was chosen on another split than the one to report on.

    `thresholds` and `thresholds_largest` map an IoU level ("0.5") to the threshold with the best
    accuracy there, for all components and for the largest one. `pseudo_boxes` says that the boxes
    it was chosen on were machine-made.
    """

    dataset: str
    split: str
    num_images: Count
    metric: str
    value: Percentage
    weights_fingerprint: str
    epoch: Annotated[int, Field(ge=1, description="whose checkpoint is best.pt, from 1")]
    thresholds: dict[str, Threshold] | None = None
    thresholds_largest: dict[str, Threshold] | None = None
    pseudo_boxes: bool = False


class TrainingRecord(_Part):
    """One network, trained on image-level labels.

    `settings` holds everything that decides the weights.
    """

    schema_: str = Field(default=TRAINING_SCHEMA, alias="schema")
    model: str
    parameters: Count
    method: str
    dataset: str
    split: str
    num_images: Count
    settings: dict[str, Any]
    epochs: list[Epoch] = Field(default_factory=list)
    finished: bool = False
    chosen: Chosen | None = Field(default=None, description="None without a selection set")
    environment: Environment
    notes: list[str] = Field(default_factory=list)

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)

    def to_json(self) -> str:
        """Indented JSON with a final newline."""
        return json_text(self.model_dump(mode="json"))


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
