"""How to train."""

import math
from dataclasses import dataclass
from typing import Literal

from wsol.errors import InputError
from wsol.models.precision import Precision
from wsol.training.schedule import cosine_rate, step_rate

Schedule = Literal["cosine", "step"]


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How to train by SGD with Nesterov momentum.

    Attributes:
        batch_size: images a step, in all processes together.
        learning_rate: the highest of the schedule.
        schedule: `cosine`, or `step`: a tenth after the first `decay_first` epochs (None: as many
            as `decay_every`), and again after every `decay_every`.
        warmup_epochs: epochs of rising learning rate; may be a fraction.
        new_layer_rate: how many times the learning rate layers get that start from random
            weights in a network whose other layers do not.
        fast_layers: names of further layers that get the rate of new ones, such as `layer4`.
        max_gradient_norm: longer gradients are shortened to this; networks without batch
            normalization need it. None leaves them as they are.
        precision: arithmetic of the forward pass; weights are float32, and gradients of `fp16`
            are scaled.
        seed: decides crops, flips, order and dropout; the weights to start from are the caller's.
        workers: processes that decode images; 0 decodes in the main process.
        cache: keep decoded images in memory, for sets that fit; needs `workers` = 0.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: Schedule = "cosine"
    decay_every: int | None = None
    decay_first: int | None = None
    warmup_epochs: float = 0.0
    new_layer_rate: float = 10.0
    fast_layers: tuple[str, ...] = ()
    max_gradient_norm: float | None = 5.0
    precision: Precision = "fp32"
    seed: int = 0
    device: str = "cpu"
    workers: int = 0
    cache: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise InputError("Training needs at least one epoch and one image a batch.")
        if not 0 <= self.warmup_epochs < self.epochs:
            raise InputError(
                f"A warm-up of {self.warmup_epochs:g} epochs does not fit into {self.epochs}."
            )
        for name, value in (
            ("learning rate", self.learning_rate),
            ("learning rate of new layers", self.new_layer_rate),
            ("greatest gradient norm", self.max_gradient_norm or 1.0),
        ):
            if not (value > 0 and math.isfinite(value)):
                raise InputError(f"The {name} {value} is not a positive number.")
        if not 0 <= self.momentum < 1 or not 0 <= self.weight_decay < 1:
            raise InputError("Momentum and weight decay lie between 0 and 1, without 1.")
        if self.schedule == "step" and (self.decay_every is None or self.decay_every < 1):
            raise InputError("A step schedule needs the number of epochs between two steps.")
        if self.decay_first is not None and (self.schedule != "step" or self.decay_first < 1):
            raise InputError("The epochs before the first step belong to a step schedule.")
        if self.cache and self.workers:
            raise InputError("Decoded images are kept by one process: use workers = 0 with cache.")

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of step `step` (from 0) in layers that are not new."""
        warmup = round(self.warmup_epochs * steps_per_epoch)
        if self.schedule == "step":
            assert self.decay_every is not None
            first = self.decay_first or self.decay_every
            share = step_rate(
                step, first * steps_per_epoch, self.decay_every * steps_per_epoch, warmup
            )
        else:
            share = cosine_rate(step, self.epochs * steps_per_epoch, warmup)
        return self.learning_rate * share
