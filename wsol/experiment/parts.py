"""What may stand in an experiment file; `wsol.experiment.file` reads one."""

import os
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from wsol.errors import InputError
from wsol.evaluation.protocol import Protocol

_SEED = "{seed}"
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def _place(value: Any, info: ValidationInfo) -> Any:
    """A path as written: variables filled in, counted from the experiment file's folder."""
    if not isinstance(value, str):
        return value

    def filled(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):
            raise ValueError(f"the variable {name} is not set; set it, or write the path")
        return os.environ[name]

    folder = Path((info.context or {})["folder"])
    return Path(os.path.normpath(folder / Path(_VARIABLE.sub(filled, value)).expanduser()))


def _weights(value: Any, info: ValidationInfo) -> Any:
    return value if value in ("default", "none") else str(_place(value, info))


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


def _model(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


Place = Annotated[Path, BeforeValidator(_place)]
IouLevel = Annotated[float, Field(gt=0, le=1)]


class Part(BaseModel):
    """Fields that are all known, of an object that stays as it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProtocolPart(Part):
    """How maps become numbers; see `wsol.evaluation.protocol.Protocol`."""

    threshold_step: float = Field(default=0.001, ge=1e-4, le=0.5)
    iou: tuple[IouLevel, ...] = Field(default=(0.3, 0.5, 0.7), min_length=1)
    compat: Literal["wsolevaluation", "none"] = "wsolevaluation"
    contours: Literal["largest", "all", "both"] = "both"

    def protocol(self) -> Protocol:
        """The protocol that is meant."""
        return Protocol(
            convention="wsolevaluation" if self.compat == "wsolevaluation" else "exact",
            threshold_step=self.threshold_step,
            iou_levels=self.iou,
            contours=self.contours,
        )


class DataPart(Part):
    """A data set; `protocol` replaces parts of the experiment's."""

    name: Literal["ilsvrc", "cub", "protocol", "tiny-imagenet", "coco", "shapes"]
    root: Place
    images: Place | None = None
    masks: Place | None = None
    split: str | None = None
    exclude: Place | None = None
    protocol: ProtocolPart = ProtocolPart()


class RecipePart(Part):
    """How to train; see `wsol.training.options.TrainingOptions`.

    `weights` are those to start from; `size` is the side of the crops, which without it is that
    of the weights, or 224; `method_options` are of the method; `head_offset` is added to the last
    layer's weights, see `wsol.models.classifier.Classifier.shift_head`. `seeds` repeats the whole
    training from each of them; `{seed}` in `weights` stands for it.
    """

    method: Literal["cam", "has", "acol", "spg", "adl", "cutmix"] = "cam"
    method_options: dict[str, int | float] = {}
    weights: Annotated[str, BeforeValidator(_weights)] = "none"
    size: int | None = Field(default=None, ge=16)
    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=32, ge=1)
    lr: float = Field(default=0.01, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0, lt=1)
    schedule: Literal["cosine", "step"] = "cosine"
    lr_decay_every: int | None = Field(default=None, ge=1)
    lr_decay_first: int | None = Field(default=None, ge=1)
    warmup_epochs: float = Field(default=0.0, ge=0)
    new_layer_lr: float = Field(default=10.0, gt=0)
    fast_layers: tuple[str, ...] = ()
    head_offset: float = 0.0
    max_gradient_norm: float | None = Field(default=5.0, gt=0)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    seed: int = Field(default=0, ge=0)
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = ()

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("names a seed twice; each is trained once")
        return seeds

    @model_validator(mode="after")
    def _seed_or_seeds(self) -> "RecipePart":
        if {"seed", "seeds"} <= self.model_fields_set:
            raise ValueError("has both seed and seeds; keep one of them")
        return self

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """What to train from, one after the other."""
        return self.seeds or (self.seed,)

    def with_seed(self, seed: int) -> "RecipePart":
        """The recipe of one of several trainings, with its place in the weights filled in."""
        weights = self.weights.replace(_SEED, str(seed))
        return self.model_copy(update={"seed": seed, "seeds": (), "weights": weights})


class TrainingDataPart(Part):
    """Images and labels to train on; `limit` takes so many of them, spread over the classes."""

    name: Literal["ilsvrc", "cub", "openimages", "protocol", "tiny-imagenet", "shapes"]
    root: Place
    images: Place | None = None
    split: str | None = None
    limit: int | None = Field(default=None, ge=1)


class SelectPart(Part):
    """The set to choose checkpoint and thresholds on; measured after every `every` epochs."""

    data: DataPart
    metric: str = "max_box_acc_v2"
    every: int = Field(default=1, ge=1)


class TrainingPart(RecipePart):
    """How the models with a `train` are trained, as far as that says nothing else.

    `out` is the folder for checkpoints; without it, `runs/` and the experiment's name.
    """

    data: TrainingDataPart
    select: SelectPart | None = None
    out: Place | None = None
    workers: int | None = Field(default=None, ge=0)
    cache: bool = False


class ModelPart(Part):
    """A network or baseline. `name` is what tables call it; `arguments` are of wsol's builders.

    `train` asks for training first, with what it replaces of the experiment's `training`.
    """

    model: str = Field(min_length=1)
    weights: Annotated[str, BeforeValidator(_weights)] = "default"
    name: str | None = Field(default=None, min_length=1)
    arguments: dict[str, bool | int | float | str] = {}
    size: int | None = Field(default=None, ge=16)
    train: RecipePart | None = None

    @property
    def label(self) -> str:
        """What tells it from the experiment's other models."""
        given = [f"{name} {value}" for name, value in self.arguments.items()]
        if self.train is not None and "method" in self.train.model_fields_set:
            given.append(self.train.method)
        return self.name or self.model + (f" ({', '.join(given)})" if given else "")

    @model_validator(mode="after")
    def _trained_or_given(self) -> "ModelPart":
        if self.train is not None and "weights" in self.model_fields_set:
            raise ValueError("has both weights and train; weights to start from belong into train")
        return self


class OptionsPart(Part):
    """How to evaluate; see `wsol.evaluation.loop.Options`. `limit` takes the first images only."""

    size: int | None = Field(default=None, ge=16)
    resize_mode: Literal["squash", "letterbox", "center-crop"] = "squash"
    batch_size: int = Field(default=32, ge=1)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: str = "auto"
    workers: int | None = Field(default=None, ge=0)
    coco: bool = True
    curves: bool = False
    per_image: bool = False
    latency: bool = False
    skip_bad_images: bool = False
    limit: int | None = Field(default=None, ge=1)


class OutputsPart(Part):
    """What is written, beside a record a run: tables and plots in these formats, and a page."""

    out: Place | None = None
    tables: tuple[Literal["markdown", "csv", "latex", "html"], ...] = ("markdown", "csv", "latex")
    plots: tuple[Literal["png", "svg", "pdf"], ...] = ("png",)
    report: bool = False
    examples: int = Field(default=200, ge=0)


class Experiment(Part):
    """One experiment file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str | None = None
    data: Annotated[tuple[DataPart, ...], BeforeValidator(_listed)] = Field(min_length=1)
    models: tuple[Annotated[ModelPart, BeforeValidator(_model)], ...] = Field(min_length=1)
    protocol: ProtocolPart = ProtocolPart()
    options: OptionsPart = OptionsPart()
    outputs: OutputsPart = OutputsPart()
    training: TrainingPart | None = None

    @model_validator(mode="after")
    def _labels_differ(self) -> "Experiment":
        labels = [model.label for model in self.models]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two models are called {label!r}; give one of them a `name`")
        return self

    @model_validator(mode="after")
    def _training_is_told(self) -> "Experiment":
        for model in self.models:
            if model.train is not None and self.training is None:
                raise ValueError(f"{model.label} has a `train`; say in `training` on which data")
        return self

    def with_only(self, wanted: Iterable[str]) -> "Experiment":
        """The same with fewer models: those whose label is one of `wanted`, or matches its `*`.

        Raises:
            InputError: when one of them is nobody's.
        """
        chosen: set[str] = set()
        labels = [model.label for model in self.models]
        for pattern in wanted:
            found = {label for label in labels if label == pattern or fnmatchcase(label, pattern)}
            if not found:
                raise InputError(
                    f"{pattern}: no model is called so; there are {', '.join(labels)}."
                )
            chosen |= found
        models = tuple(model for model in self.models if model.label in chosen)
        return self.model_copy(update={"models": models})

    def recipe_of(self, model: ModelPart) -> RecipePart:
        """How a model with a `train` is trained."""
        assert self.training is not None and model.train is not None
        replaced = model.train.model_dump(exclude_unset=True)
        if "seed" in replaced:
            replaced["seeds"] = ()
        return self.training.model_copy(update=replaced)

    def seeds_of(self, model: ModelPart) -> tuple[int | None, ...]:
        """What a model is trained from, one after the other; None alone where it is not trained."""
        return (None,) if model.train is None else self.recipe_of(model).all_seeds

    def protocol_on(self, data: DataPart) -> Protocol:
        """The experiment's protocol with what the data set replaces of it."""
        replaced = data.protocol.model_dump(exclude_unset=True)
        return self.protocol.model_copy(update=replaced).protocol()
