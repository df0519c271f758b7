"""How to train: the options of `wsol train`, and of the trainings of experiment files."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from wsol.options import Options, Precision, placed
from wsol.training.schedule import cosine_rate, step_rate

Schedule = Literal["cosine", "step"]


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    return value


def placed_weights(value: Any, info: ValidationInfo) -> Any:
    """`default` and `none` are words; anything else is a file."""
    return value if value in ("default", "none") else str(placed(value, info))


Weights = Annotated[str, BeforeValidator(placed_weights)]
Rate = Annotated[float, Field(gt=0), AfterValidator(_finite)]


class TrainingOptions(Options):
    """SGD with Nesterov momentum; what is not about speed decides the weights."""

    epochs: int = Field(default=10, ge=1, description="Passes over the training set.")
    batch_size: int = Field(
        default=32, ge=1, description="Images a step, of all processes together."
    )
    lr: Rate = Field(default=0.01, description="Highest learning rate.")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Nesterov's.")
    weight_decay: float = Field(default=1e-4, ge=0, lt=1, description="Of all weights.")
    schedule: Schedule = Field(default="cosine", description="How the learning rate falls.")
    lr_decay_every: int | None = Field(
        default=None, ge=1, description="step: epochs until a tenth of the rate."
    )
    lr_decay_first: int | None = Field(
        default=None, ge=1, description="step: until the first one, if other."
    )
    warmup_epochs: float = Field(
        default=0.0, ge=0, description="Epochs of rising rate; may be a fraction."
    )
    new_layer_lr: Rate = Field(
        default=10.0,
        description="Times the rate, for layers that start from random weights in a network "
        "whose others do not.",
    )
    fast_layers: tuple[str, ...] = Field(
        default=(),
        description="Further layers with the rate of new ones, as layer4.",
    )
    plain_layers: tuple[str, ...] = Field(
        default=(),
        description="Layers with the plain rate, although they are new, as acol.",
    )
    max_gradient_norm: Annotated[float | None, BeforeValidator(lambda value: value or None)] = (
        Field(
            default=5.0,
            gt=0,
            description="Longer gradients are shortened to this, which networks without batch "
            "normalization need; 0: never.",
        )
    )
    precision: Precision = Field(
        default="fp32",
        description="Arithmetic of the forward pass; weights are float32, and gradients of fp16 "
        "are scaled.",
    )
    seed: int = Field(default=0, ge=0, description="Decides crops, flips, order and dropout.")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, ...")
    workers: int | None = Field(
        default=None,
        ge=0,
        description="Processes that decode images; default: some of the cores. 0: none.",
    )
    cache: bool = Field(
        default=False,
        description="Keep decoded images in memory, for sets that fit; takes no workers.",
    )
    save_every: float = Field(
        default=120.0, ge=0, description="Seconds between two saves within an epoch."
    )
    keep_epochs: bool = Field(
        default=False, description="Keep a checkpoint of every epoch, as epoch-01.pt."
    )

    @model_validator(mode="after")
    def _fit_each_other(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"a warm-up of {self.warmup_epochs:g} epochs does not fit into {self.epochs}"
            )
        if self.schedule == "step" and self.lr_decay_every is None:
            raise ValueError("a step schedule needs the epochs between two steps, --lr-decay-every")
        if self.lr_decay_first is not None and self.schedule != "step":
            raise ValueError("the epochs before the first step belong to a step schedule")
        if self.cache and self.workers:
            raise ValueError("decoded images are kept by one process: cache goes with 0 workers")
        return self

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of step `step` (from 0) in layers that are not new."""
        warmup = round(self.warmup_epochs * steps_per_epoch)
        if self.schedule == "step":
            assert self.lr_decay_every is not None
            first = self.lr_decay_first or self.lr_decay_every
            share = step_rate(
                step, first * steps_per_epoch, self.lr_decay_every * steps_per_epoch, warmup
            )
        else:
            share = cosine_rate(step, self.epochs * steps_per_epoch, warmup)
        return self.lr * share


class Recipe(TrainingOptions):
    """How a network becomes a trained one: the options of training, and what it starts from."""

    wsol_method: Literal["cam", "has", "acol", "spg", "adl", "cutmix"] = Field(
        default="cam",
        description="Training method of weakly supervised localization, see "
        "`wsol.training.methods`.",
    )
    method_options: dict[str, int | float] = Field(
        default={},
        description="Of the method, KEY=VALUE; repeatable.",
    )
    weights: Weights = Field(
        default="none",
        description="What to start from: `default` (the library's), `none` (random) or a "
        "checkpoint.",
    )
    size: int | None = Field(
        default=None, ge=16, description="Side of the crops; default: the weights' own, or 224."
    )
    head_offset: float = Field(
        default=0.0,
        description="Added to the last layer's first weights: no probability changes by it, every "
        "class's map gets that much of the sum of all features.",
    )

    @model_validator(mode="before")
    @classmethod
    def _method_is_the_maps(cls, values: Any) -> Any:
        if isinstance(values, dict) and "method" in values:
            raise ValueError("`method` is that of maps; how to train is called `wsol_method`")
        return values
