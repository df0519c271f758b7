"""Which data set, and how much of it: options of every job that reads one."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from wsol.datasets.registry import (
    DATASETS,
    TRAINING_SETS,
    open_dataset,
    require_data_name,
    require_training_name,
)
from wsol.errors import InputError
from wsol.options import Options, Place

if TYPE_CHECKING:
    from wsol.datasets.base import Dataset
    from wsol.datasets.parsing import Problems

_OR_OWN = "or package.module:callable, which runs code of the current folder"

if TYPE_CHECKING:
    from wsol.datasets.base import Dataset


class _Named(Options):
    @model_validator(mode="before")
    @classmethod
    def _called(cls, values: Any) -> Any:
        """In an experiment file the layout is called `name`, as in `{name: cub, root: ...}`."""
        if isinstance(values, dict) and "name" in values and "data" not in values:
            values = dict(values)
            values["data"] = values.pop("name")
        return values


class DataOptions(_Named):
    """A data set on disk."""

    data: str = Field(description=f"Layout of the data set: {', '.join(DATASETS)}; {_OR_OWN}.")
    root: Place | None = Field(
        default=None, description="The data set's folder (protocol: the four-file folder)."
    )
    images: Place | None = Field(
        default=None, description="Image root, where it is not under --root."
    )
    masks: Place | None = Field(
        default=None, description="Mask root, where it is not the image root."
    )
    split: str | None = Field(
        default=None, description="Split to use; each layout has its default."
    )
    exclude: Place | None = Field(
        default=None,
        description="File of images to leave out, a name or number a line (the CLS-LOC blacklist).",
    )
    exif: Literal["auto", "apply", "ignore"] = Field(
        default="auto",
        description="Turn photographs by their EXIF orientation: where the annotated size says so "
        "(auto), always (boxes are on upright pictures), or never.",
    )
    skip_bad_annotations: bool = Field(
        default=False,
        description="Leave out boxes, lines and files that are wrong about single images, and "
        "count them in the record's notes.",
    )
    limit: int | None = Field(
        default=None, ge=1, description="Use only N images, spread evenly over the classes."
    )

    @field_validator("data")
    @classmethod
    def _is_known(cls, data: str) -> str:
        return _checked(require_data_name, data)

    def whole(self, problems: "Problems | None" = None) -> "Dataset":
        """Open all of it.

        Args:
            problems: gathers what is wrong about single images, instead of refusing it.

        Raises:
            InputError: for anything wrong with it.
        """
        return open_dataset(
            self.data,
            self.root,
            images=self.images,
            masks=self.masks,
            split=self.split,
            exclude=self.exclude,
            exif=self.exif,
            skip_bad_annotations=self.skip_bad_annotations,
            problems=problems,
        )


class SelectionOptions(Options):
    """A data set to choose thresholds or checkpoints on, which is not reported on."""

    select_data: str | None = Field(
        default=None, description="Layout of a set to choose thresholds (and checkpoints) on."
    )
    select_root: Place | None = Field(default=None, description="Its folder.")
    select_images: Place | None = Field(default=None, description="Its image root.")
    select_masks: Place | None = Field(default=None, description="Its mask root.")
    select_split: str | None = Field(default=None, description="Its split; default: the layout's.")
    select_skip_bad_annotations: bool = Field(
        default=False, description="Leave boxes out that are wrong, as for a test."
    )
    pseudo_boxes: bool = Field(
        default=False,
        description="Its boxes are machine-made, so that no true box has a part in the choice; "
        "records say so.",
    )

    def opened(self) -> "Dataset | None":
        """Open it; None where none is named.

        Raises:
            InputError: when only a part of its options is there, or for anything wrong with it.
        """
        if self.select_data is None and self.select_root is None:
            if self.pseudo_boxes:
                raise InputError("--pseudo-boxes: is about a selection set; name --select-data.")
            return None
        if self.select_data is None or self.select_root is None:
            raise InputError("A selection set needs both --select-data and --select-root.")
        return DataOptions(
            data=self.select_data,
            root=self.select_root,
            images=self.select_images,
            masks=self.select_masks,
            split=self.select_split,
            skip_bad_annotations=self.select_skip_bad_annotations,
        ).whole()


class TrainingDataOptions(_Named):
    """Images and labels to train on."""

    data: str = Field(
        description=f"Layout of the training set: {', '.join(TRAINING_SETS)}; {_OR_OWN}."
    )
    root: Place | None = Field(
        default=None,
        description="Its folder (protocol: the four-file folder; openimages: that of its splits).",
    )
    images: Place | None = Field(
        default=None, description="Image root, where it is not under --root."
    )
    split: str | None = Field(default=None, description="Split to train on.")
    limit: int | None = Field(
        default=None, ge=1, description="Train on N images, spread evenly over the classes."
    )

    @field_validator("data")
    @classmethod
    def _is_known(cls, data: str) -> str:
        return _checked(require_training_name, data)

    def opened(self) -> "Dataset":
        """Open it.

        Raises:
            InputError: for anything wrong with it.
        """
        from wsol.datasets.weak import open_training_set

        return open_training_set(
            self.data, self.root, images=self.images, split=self.split, limit=self.limit
        )


def _checked(require: Callable[[str], str], name: str) -> str:
    """What `require` returns; what it refuses is the field's mistake, told with its place."""
    try:
        return require(name)
    except InputError as error:
        raise ValueError(str(error)) from error
