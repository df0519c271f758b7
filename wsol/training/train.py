"""Training a classifier from image-level labels alone."""

import math
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from wsol.datasets.base import Dataset
from wsol.errors import InputError, within_memory
from wsol.maps.drawing import seed_torch
from wsol.models.classifier import Classifier
from wsol.models.device import usable_device
from wsol.models.fast import memory_format
from wsol.models.precision import autocast
from wsol.pipeline import begin_worker, loader_processes
from wsol.processes import Processes
from wsol.signals import Terminated, unbroken
from wsol.training.images import ShuffledBatches, TrainingImages
from wsol.training.methods import Method, make_method
from wsol.training.options import TrainingOptions


@dataclass(frozen=True, slots=True)
class EpochResult:
    """Means over one epoch's batches, measured while the weights were changing.

    `accuracy` is in percent; `seconds` is the wall-clock time of loading and steps.
    """

    epoch: int
    loss: float
    accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class StepReport:
    """Where a training run is: the number of finished steps, and their epoch's means so far.

    `epoch` is there after the last step of one.
    """

    step: int
    steps: int
    loss: float
    accuracy: float
    epoch: EpochResult | None = None


class NotFiniteError(InputError):
    """The loss or the weights stopped being finite."""


def ignore_step(report: StepReport) -> None:
    """The default progress callback."""


def train_classifier(
    classifier: Classifier,
    dataset: Dataset,
    options: TrainingOptions,
    *,
    progress: Callable[[StepReport], None] = ignore_step,
) -> list[EpochResult]:
    """Train a classifier in place by cross-entropy; see `Training`.

    Args:
        progress: called after every step.

    Returns:
        One result an epoch.
    """
    training = Training(classifier, dataset, options)
    with closing(training.run()) as reports:
        for report in reports:
            progress(report)
    return training.history


class Training:
    """One training run, which can stop after any step and go on in another process.

    Nothing but the path and the label of a sample is read. On a CPU the same weights, data,
    options and number of threads end in the same weights, however often the run was interrupted:
    seed, process and step decide all that is random, so there is no random state to save.

    Attributes:
        step: the number of finished steps.
        history: one result a finished epoch.
        optimizer: its groups have `rate_factor`, what the schedule's rate is multiplied by.
    """

    def __init__(
        self,
        classifier: Classifier,
        dataset: Dataset,
        options: TrainingOptions,
        *,
        method: Method | None = None,
        new_parameters: frozenset[str] = frozenset(),
        processes: Processes | None = None,
    ) -> None:
        """Prepare the first step; the classifier is trained in place.

        Args:
            method: None trains by cross-entropy alone (`cam`).
            new_parameters: names of those that start from random weights, where others do not.

        Raises:
            InputError: when the classes do not match, or the data set is smaller than a batch.
        """
        if classifier.num_classes != len(dataset.classes):
            raise InputError(
                f"{classifier.name} has {classifier.num_classes} outputs, but {dataset.name} has "
                f"{len(dataset.classes)} classes; build the network with that number."
            )
        self._processes = processes or Processes()
        if options.batch_size % self._processes.count:
            raise InputError(
                f"A batch of {options.batch_size} images does not divide among "
                f"{self._processes.count} processes; use a multiple of their number."
            )
        self._images = TrainingImages(
            dataset,
            size=classifier.preprocessing.size,
            interpolation=classifier.preprocessing.interpolation,
            seed=options.seed,
            cache=options.cache,
        )
        self.steps_per_epoch = len(self._images) // options.batch_size
        if self.steps_per_epoch == 0:
            raise InputError(
                f"{dataset.name}, split {dataset.split}: has {len(self._images)} images, fewer "
                f"than one batch of {options.batch_size}; use a smaller batch."
            )
        self.classifier = classifier
        self.options = options
        self.step = 0
        self.history: list[EpochResult] = []
        self._epoch = _Sums()
        self._held: list[int] = []
        self._interrupt: KeyboardInterrupt | None = None
        self._is_told_to_end = False
        self._method = method or make_method("cam")
        device = usable_device(options.device)
        self._device = torch.device(device)
        self._workers = 0 if options.cache else loader_processes(options.workers, device)
        self._generator = torch.Generator()
        network = classifier.to(self._device).network
        self._memory_format = memory_format(network, self._device)
        network.to(memory_format=self._memory_format)
        self.optimizer = torch.optim.SGD(
            _parameter_groups(
                network,
                (new_parameters | _named(network, options.fast_layers))
                - _named(network, options.plain_layers),
                options,
            ),
            lr=options.lr,
            momentum=options.momentum,
            weight_decay=options.weight_decay,
            nesterov=options.momentum > 0,
        )
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=options.precision == "fp16")
        self._network: nn.Module = network
        if self._processes.count > 1:
            # Of a CPU there is only one, which is named by None.
            devices = [self._device] if self._device.type == "cuda" else None
            self._network = DistributedDataParallel(network, device_ids=devices)

    @property
    def steps(self) -> int:
        """The number of steps of the whole run."""
        return self.steps_per_epoch * self.options.epochs

    def run(self) -> Generator[StepReport, None, None]:
        """Do the steps that are left, each when its report is asked for.

        Between two steps the caller may save the state, or evaluate the network in evaluation
        mode. At the end, and when closed, the network is in evaluation mode and torch's random
        state is the caller's again.

        Raises:
            NotFiniteError: when the loss stops being finite: the weights are then those before the
                step that the message names.
            Terminated: in all of several processes after the same step, when one was told to end.
            InputError: when an image cannot be read.
        """
        options = self.options
        batches = ShuffledBatches(
            len(self._images),
            batch_size=options.batch_size,
            epochs=options.epochs,
            seed=options.seed,
            first=self.step,
            processes=self._processes,
        )
        loader: DataLoader[Any] = DataLoader(
            self._images,
            batch_sampler=batches,
            num_workers=self._workers,
            pin_memory=self._device.type == "cuda",
            worker_init_fn=begin_worker,
        )
        cuda = [self._device] if self._device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=cuda):
                stream = iter(loader)
                while self.step < self.steps:
                    yield self._step(stream)
        finally:
            self.classifier.network.eval()

    def _step(self, stream: Iterator[Any]) -> StepReport:
        """Wait for a batch and do its step, unless an interrupt comes while waiting.

        Of several processes all have to do the step that one is at. There an interrupt waits, and
        in the next step all learn of it and stop after the same one.
        """
        start = time.perf_counter()
        if self._processes.count == 1:
            pixels, labels = next(stream)
            with unbroken():
                return self._advance(pixels, labels, start)
        report = None
        try:
            with unbroken() as self._held:
                pixels, labels = next(stream)
                report = self._advance(pixels, labels, start)
        except KeyboardInterrupt as interrupt:
            self._interrupt = interrupt
            if report is None:
                raise
        if self._is_told_to_end:
            raise self._interrupt or Terminated(signal.SIGTERM)
        return report

    def _advance(self, pixels: Tensor, labels: Tensor, start: float) -> StepReport:
        """One optimization step and its place in the history."""
        options = self.options
        if not self._network.training:
            self._network.train()
        self._seed_step()
        rate = options.rate(self.step, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate_factor"]
        with within_memory(
            f"Memory on {self._device} is exhausted by a step of {len(labels)} images; lower "
            "--batch-size."
        ):
            loss, right = self._update(pixels, labels)
        self.step += 1
        sums = self._epoch
        sums.steps += 1
        sums.loss += loss
        sums.right += right
        sums.seconds += time.perf_counter() - start
        mean = sums.loss / sums.steps
        accuracy = 100 * sums.right / (sums.steps * options.batch_size)
        epoch = None
        if self.step % self.steps_per_epoch == 0:
            epoch = EpochResult(len(self.history), mean, accuracy, sums.seconds)
            self.history.append(epoch)
            self._epoch = _Sums()
        return StepReport(self.step, self.steps, mean, accuracy, epoch)

    def _seed_step(self) -> None:
        entropy = [self.options.seed, self._processes.rank, self.step]
        first, second = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
        seed_torch(int(first), self._device)
        self._generator.manual_seed(int(second))

    def _update(self, pixels: Tensor, labels: Tensor) -> tuple[float, float]:
        """Change the weights by one batch; its loss and its number of right answers."""
        device, options = self._device, self.options
        pixels = pixels.to(device, non_blocking=True)
        pixels = pixels.contiguous(memory_format=self._memory_format)
        labels = labels.to(device, non_blocking=True)
        images = self.classifier.normalize(pixels)
        with autocast(device, options.precision):
            output = self._method.loss(self._network, images, labels, self._generator)
        right = (output.logits.detach().argmax(1) == labels).sum()
        # Of all processes together, so that they all stop where one of them has no finite loss, or
        # was told to end: a process that is left alone in a step could save nothing after it.
        is_told = bool(self._held) or self._interrupt is not None
        told = torch.tensor(float(is_told), device=device)
        sums = torch.stack([output.loss.detach().float(), right.float(), told])
        loss_sum, right_sum, told_sum = self._processes.total(sums).tolist()
        self._is_told_to_end = told_sum > 0
        if not math.isfinite(loss_sum):
            raise NotFiniteError(
                f"{self.classifier.name}: the loss became {loss_sum} at step {self.step + 1} of "
                f"{self.steps} (epoch {len(self.history) + 1}); use a lower learning rate than "
                f"{options.lr:g} or a longer warm-up."
            )
        self.optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(output.loss).backward()
        if options.max_gradient_norm is not None:
            self._scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(
                self.classifier.network.parameters(), options.max_gradient_norm
            )
        self._scaler.step(self.optimizer)
        self._scaler.update()
        return loss_sum / self._processes.count, right_sum

    def state(self) -> dict[str, Any]:
        """All that the steps so far have changed, in tensors and plain values.

        Raises:
            NotFiniteError: when a weight is not finite, which the next step's loss would not be.
        """
        network = self.classifier.network
        for name, values in network.state_dict().items():
            if not torch.isfinite(values).all():
                raise NotFiniteError(
                    f"{self.classifier.name}: {name} is not finite after step {self.step} of "
                    f"{self.steps}; use a lower learning rate than "
                    f"{self.options.lr:g} or a longer warm-up."
                )
        return {
            "step": self.step,
            "epoch": asdict(self._epoch),
            "history": [asdict(result) for result in self.history],
            "network": network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned in a run of the same network, data and options."""
        self.step = state["step"]
        self._epoch = _Sums(**state["epoch"])
        self.history = [EpochResult(**result) for result in state["history"]]
        self.classifier.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])


@dataclass(slots=True)
class _Sums:
    """Over the finished steps of an unfinished epoch."""

    steps: int = 0
    loss: float = 0.0
    right: float = 0.0
    seconds: float = 0.0


def _named(network: nn.Module, layers: tuple[str, ...]) -> frozenset[str]:
    """The names of the parameters of some layers.

    Raises:
        InputError: when the network has no such layer.
    """
    names = [name for name, _ in network.named_parameters()]
    found: set[str] = set()
    for layer in layers:
        own = {name for name in names if name.startswith(f"{layer}.")}
        if not own:
            there = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
            raise InputError(f"{layer}: the network has no such layer; there are {there}.")
        found |= own
    return frozenset(found)


def _parameter_groups(
    network: nn.Module, new: frozenset[str], options: TrainingOptions
) -> list[dict[str, Any]]:
    """The parameters with their share of the learning rate; all alike where all are new."""
    named = dict(network.named_parameters())
    unknown = new - named.keys()
    assert not unknown, unknown
    old = [parameter for name, parameter in named.items() if name not in new]
    if not old or not new:
        return [{"params": list(named.values()), "rate_factor": 1.0}]
    fresh = [parameter for name, parameter in named.items() if name in new]
    return [
        {"params": old, "rate_factor": 1.0},
        {"params": fresh, "rate_factor": options.new_layer_lr},
    ]
