"""Training a classifier from image-level labels alone."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from wsol.datasets.base import Dataset
from wsol.errors import InputError
from wsol.models.classifier import Classifier
from wsol.training.images import ShuffledBatches, TrainingImages
from wsol.training.schedule import cosine_rate


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How to train: SGD with Nesterov momentum and a cosine schedule.

    Attributes:
        learning_rate: the highest of the schedule, see `wsol.training.schedule.cosine_rate`.
        warmup_epochs: epochs of rising learning rate; may be a fraction.
        max_gradient_norm: longer gradients are shortened to this; networks without batch
            normalization need it.
        seed: decides crops, flips, order and dropout; the weights to start from are the caller's.
        workers: processes that decode images; 0 decodes in the main process.
        cache: keep decoded images in memory, for sets that fit; needs `workers` = 0.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup_epochs: float = 0.0
    max_gradient_norm: float = 5.0
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
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise InputError(f"The learning rate {self.learning_rate} is not a positive number.")
        if self.cache and self.workers:
            raise InputError("Decoded images are kept by one process: use workers = 0 with cache.")


@dataclass(frozen=True, slots=True)
class EpochResult:
    """Means over one epoch's batches, measured while the weights were changing.

    `accuracy` is in percent; `seconds` is wall-clock time.
    """

    epoch: int
    loss: float
    accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class StepReport:
    """Where a training run is: the number of finished steps, and their epoch's means so far."""

    step: int
    steps: int
    loss: float
    accuracy: float


def ignore_step(report: StepReport) -> None:
    """The default progress callback."""


def train_classifier(
    classifier: Classifier,
    dataset: Dataset,
    options: TrainingOptions,
    *,
    progress: Callable[[StepReport], None] = ignore_step,
) -> list[EpochResult]:
    """Train a classifier in place, by cross-entropy on the labels of a data set's images.

    Nothing but the path and the label of a sample is read. On a CPU the same weights, data,
    options and number of threads end in the same weights. Afterwards the network is in
    evaluation mode and on the device of the options.

    Args:
        progress: called after every step.

    Returns:
        One result an epoch.

    Raises:
        InputError: when the classes do not match, an image cannot be read, the data set is
            smaller than a batch, or the loss stops being finite: the weights are then those
            before the step that the message names.
    """
    if classifier.num_classes != len(dataset.classes):
        raise InputError(
            f"{classifier.name} has {classifier.num_classes} outputs, but {dataset.name} has "
            f"{len(dataset.classes)} classes; build the network with that number."
        )
    images = TrainingImages(
        dataset,
        size=classifier.preprocessing.size,
        interpolation=classifier.preprocessing.interpolation,
        seed=options.seed,
        cache=options.cache,
    )
    batches = ShuffledBatches(
        len(images), batch_size=options.batch_size, epochs=options.epochs, seed=options.seed
    )
    if len(batches) == 0:
        raise InputError(
            f"{dataset.name}, split {dataset.split}: has {len(images)} images, fewer than one "
            f"batch of {options.batch_size}; use a smaller batch."
        )
    device = torch.device(options.device)
    loader: DataLoader[Any] = DataLoader(
        images,
        batch_sampler=batches,
        num_workers=options.workers,
        pin_memory=device.type == "cuda",
    )
    network = classifier.to(device).network
    network.to(memory_format=torch.channels_last)
    network.train()
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=options.learning_rate,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
        nesterov=options.momentum > 0,
    )
    warmup = round(options.warmup_epochs * batches.steps_per_epoch)
    history: list[EpochResult] = []
    stream = iter(loader)
    step = 0
    cuda = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(options.seed)
            for epoch in range(options.epochs):
                start = time.perf_counter()
                loss_sum = correct = 0.0
                epoch_batches = islice(stream, batches.steps_per_epoch)
                for done, (pixels, labels) in enumerate(epoch_batches, start=1):
                    for group in optimizer.param_groups:
                        group["lr"] = options.learning_rate * cosine_rate(
                            step, len(batches), warmup
                        )
                    loss, right = _step(classifier, optimizer, pixels, labels, options)
                    step += 1
                    if not math.isfinite(loss):
                        raise InputError(
                            f"{classifier.name}: the loss became {loss} at step {step} of "
                            f"{len(batches)} (epoch {epoch + 1}); use a lower learning rate than "
                            f"{options.learning_rate:g} or a longer warm-up."
                        )
                    loss_sum += loss
                    correct += right
                    accuracy = 100 * correct / (done * options.batch_size)
                    progress(StepReport(step, len(batches), loss_sum / done, accuracy))
                history.append(
                    EpochResult(epoch, loss_sum / done, accuracy, time.perf_counter() - start)
                )
    finally:
        network.eval()
    return history


def _step(
    classifier: Classifier,
    optimizer: torch.optim.Optimizer,
    pixels: Tensor,
    labels: Tensor,
    options: TrainingOptions,
) -> tuple[float, int]:
    """One optimization step; its loss and its number of right answers.

    The weights stay as they are where the loss is not finite.
    """
    device = torch.device(options.device)
    pixels = pixels.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
    labels = labels.to(device, non_blocking=True)
    logits = classifier.network(classifier.normalize(pixels))
    loss = F.cross_entropy(logits, labels)
    value = float(loss.detach())
    if math.isfinite(value):
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(classifier.network.parameters(), options.max_gradient_norm)
        optimizer.step()
    return value, int((logits.argmax(1) == labels).sum())
