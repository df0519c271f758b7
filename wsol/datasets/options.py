"""Which data set, and how much of it: options of every job that reads one."""

from typing import Any

from pydantic import Field, field_validator, model_validator

from wsol.datasets.base import Dataset
from wsol.options import Options, Place, one_of


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

    data: str = Field(description="Layout of the data set.")
    root: Place = Field(description="The data set's folder (protocol: the four-file folder).")
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
        default=None, description="File of images to leave out (the CLS-LOC blacklist)."
    )
    limit: int | None = Field(default=None, ge=1, description="Use only the first N images.")

    @field_validator("data")
    @classmethod
    def _is_a_layout(cls, data: str) -> str:
        from wsol.datasets.registry import DATASETS

        return one_of(data, DATASETS)

    def whole(self) -> Dataset:
        """Open all of it.

        Raises:
            InputError: for anything wrong with it.
        """
        from wsol.datasets.registry import open_dataset

        return open_dataset(
            self.data,
            self.root,
            images=self.images,
            masks=self.masks,
            split=self.split,
            exclude=self.exclude,
        )


class TrainingDataOptions(_Named):
    """Images and labels to train on."""

    data: str = Field(description="Layout of the training set.")
    root: Place = Field(
        description="Its folder (protocol: the four-file folder; openimages: that of its splits)."
    )
    images: Place | None = Field(
        default=None, description="Image root, where it is not under --root."
    )
    split: str | None = Field(default=None, description="Split to train on.")
    limit: int | None = Field(
        default=None, ge=1, description="Train on N images, spread over all classes."
    )

    @field_validator("data")
    @classmethod
    def _is_a_layout(cls, data: str) -> str:
        from wsol.datasets.weak import TRAINING_SETS

        return one_of(data, TRAINING_SETS)

    def opened(self) -> Dataset:
        """Open it.

        Raises:
            InputError: for anything wrong with it.
        """
        from wsol.datasets.weak import open_training_set

        return open_training_set(
            self.data, self.root, images=self.images, split=self.split, limit=self.limit
        )
