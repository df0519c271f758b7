"""A training run in a folder: its state, its checkpoints and its record.

- `last.pt`: the state to go on from; replaced after every epoch and every few minutes;
- `best.pt`: the checkpoint that was chosen on the selection set; absent without one;
- `final.pt`: the checkpoint after the last step;
- `epoch-01.pt` and so on, where asked for: the checkpoint after every epoch;
- `train.json`: settings, epochs and the choice.
"""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from wsol.datasets.base import Dataset
from wsol.errors import InputError
from wsol.evaluation.provenance import (
    dataset_fingerprint,
    environment,
    fingerprint,
    weights_fingerprint,
)
from wsol.files import exists
from wsol.models.checkpoint import read_torch_file, save_checkpoint, write_torch_file
from wsol.models.device import usable_device
from wsol.processes import Processes
from wsol.reading import reading
from wsol.records.training import (
    Chosen,
    Epoch,
    TrainingRecord,
    read_training_record,
    write_training_record,
)
from wsol.signals import unbroken
from wsol.training.methods import Method
from wsol.training.options import TrainingOptions
from wsol.training.selection import Selection
from wsol.training.start import Start
from wsol.training.train import EpochResult, NotFiniteError, Training

_FORMAT = 1
_FILES = ("last.pt", "best.pt", "final.pt", "train.json")
# Options that change nothing about the weights.
_INDIFFERENT = ("device", "workers", "cache", "save_every", "keep_epochs")
# Settings in which repetitions of a training differ.
_OF_A_SEED = ("seed", "weights", "weights_fingerprint")
# Records call these by the names that they had when the first were written.
_RECORDED = {
    "lr": "learning_rate",
    "lr_decay_every": "decay_every",
    "lr_decay_first": "decay_first",
    "new_layer_lr": "new_layer_rate",
}

Track = Callable[[str, int, int], AbstractContextManager[Callable[[int, str], None]]]
"""Shows progress: called with the network's name, the number of images and how many of them are
done, it gives a function to call with the images since the last call and a note on them."""

OnEpoch = Callable[[Epoch, bool], None]
"""Called after every epoch, with whether its checkpoint is the best so far."""


def no_progress(
    name: str, total: int, done: int
) -> AbstractContextManager[Callable[[int, str], None]]:
    """A `Track` that shows nothing."""
    return nullcontext(lambda images, note: None)


def ignore_epoch(epoch: Epoch, chosen: bool) -> None:
    """The default callback for epochs."""


def result_name(selected: bool) -> str:
    """The checkpoint that a run is for: without a selection set none was found to be the best."""
    return "best.pt" if selected else "final.pt"


class TrainingRun:
    """Joins training, selection and files."""

    def __init__(
        self,
        folder: Path,
        start: Start,
        dataset: Dataset,
        options: TrainingOptions,
        *,
        method: Method,
        method_options: dict[str, Any] | None = None,
        selection: Selection | None = None,
        processes: Processes | None = None,
    ) -> None:
        """Prepare a run; nothing is written yet.

        Args:
            method_options: what the method was made with, for the record.

        Raises:
            InputError: when data sets, network and options do not fit each other, or processes do
                not agree about them.
        """
        self._folder = Path(folder)
        self._start = start
        self._processes = processes or Processes()
        self._selection = selection
        self._save_every = options.save_every
        if selection is not None:
            self._processes.together(partial(selection.check, start.classifier, dataset))
        settings = _settings(start, dataset, options, selection) | {
            "method": method.name,
            "method_options": method_options or {},
            "processes": self._processes.count,
        }
        made_with = environment(usable_device(options.device))
        self._processes.require_same(
            made_with.versions | {"commit": made_with.commit, "method": method.name} | settings
        )
        self._training = Training(
            start.classifier,
            dataset,
            options,
            method=method,
            new_parameters=start.new_parameters,
            processes=self._processes,
        )
        self._record = TrainingRecord(
            model=start.classifier.name,
            parameters=start.classifier.parameters,
            method=method.name,
            dataset=dataset.name,
            split=dataset.split,
            num_images=len(dataset),
            settings=json.loads(json.dumps(settings)),
            environment=made_with,
            notes=list(dataset.notes),
        )
        self._saved = time.monotonic()

    def run(
        self,
        *,
        resume: bool = False,
        track: Track = no_progress,
        on_epoch: OnEpoch = ignore_epoch,
    ) -> TrainingRecord:
        """Train to the end.

        Args:
            resume: go on from `last.pt` if there is one, else start anew.

        Raises:
            InputError: when the folder holds a run and `resume` is not set, or holds a run with
                other settings; then nothing is changed. When the loss stops being finite; then
                the files of the last save stay.
        """
        self._processes.require_shared(self._folder)
        # None writes until all have read.
        self._processes.together(self._load if resume else self._require_new)
        training, batch = self._training, self._training.options.batch_size
        try:
            self._finish_epochs(on_epoch)
            with (
                track(self._record.model, training.steps * batch, training.step * batch) as show,
                closing(training.run()) as reports,
            ):
                for report in reports:
                    show(batch, f"loss {report.loss:.3f}, accuracy {report.accuracy:.1f} %")
                    if report.epoch is not None:
                        self._finish_epochs(on_epoch)
                    elif time.monotonic() - self._saved >= self._save_every:
                        self._save()
        except KeyboardInterrupt:
            with unbroken():
                self._save()
            raise
        except NotFiniteError as error:
            last = self._folder / "last.pt"
            kept = f" {last} holds the last good state." if exists(last) else ""
            raise InputError(f"{error}{kept}") from error
        self._finish()
        return self._record

    @property
    def training(self) -> Training:
        """The steps, loader and optimizer of the run."""
        return self._training

    @property
    def images(self) -> int:
        """The number of images in all steps of the run."""
        return self._training.steps * self._training.options.batch_size

    def is_finished(self) -> bool:
        """Whether the folder holds this very run, finished, with its chosen checkpoint.

        Raises:
            InputError: when the folder holds a run with other settings, or a damaged record.
        """
        path = self._folder / "train.json"
        if not exists(path):
            return False
        record = read_training_record(path)
        settings = record.settings
        if record.finished:  # by how many processes is of interest only to those that go on
            settings = settings | {"processes": self._processes.count}
        self._require_same(path, settings)
        return record.finished and exists(self._folder / self.result)

    @property
    def result(self) -> str:
        """The name of the checkpoint that the run is for: the chosen one, else the last."""
        return result_name(self._selection is not None)

    def _require_new(self) -> None:
        found = [name for name in _FILES if exists(self._folder / name)]
        # Those of a longer run would be taken for epochs of this one.
        found += sorted(path.name for path in self._folder.glob("epoch-*.pt"))[:1]
        if found:
            raise InputError(
                f"{self._folder}: holds a training run already ({', '.join(found)}); go on with "
                "it by --resume, or name another folder."
            )

    def _load(self) -> None:
        path = self._folder / "last.pt"
        if not exists(path):
            self._require_new()
            return
        saved = _read_state(path)
        with reading(path, "the state of a training run of this version", "name another folder"):
            settings = dict(json.loads(saved["settings"]))
            self._record.epochs = [Epoch(**epoch) for epoch in json.loads(saved["epochs"])]
            chosen = json.loads(saved["chosen"])
            self._record.chosen = None if chosen is None else Chosen(**chosen)
        self._require_same(path, settings)
        with reading(path, "the state of this training run", "name another folder"):
            self._training.load_state(saved["training"])

    def _require_same(self, path: Path, then: dict[str, Any]) -> None:
        now = self._record.settings
        differing = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
        if differing:
            told = "; ".join(
                f"{key} was {json.dumps(then.get(key))}, now {json.dumps(now.get(key))}"
                for key in differing[:4]
            )
            raise InputError(
                f"{path}: is of a run with other settings ({told}); repeat that command, or name "
                "another folder."
            )

    def _finish_epochs(self, on_epoch: OnEpoch) -> None:
        """Select and save after an epoch, unless that was done before an interruption."""
        if len(self._record.epochs) == len(self._training.history):
            return
        epoch = _epoch(self._training.history[-1])
        is_best = False
        if self._processes.is_first:
            selection = self._selection
            if selection is not None and selection.due(epoch.epoch, self._training.options.epochs):
                found = selection.measure(self._start.classifier, epoch.epoch)
                epoch.selection = found.value
                before = self._record.chosen
                if before is None or found.value > before.value:
                    is_best = True
                    self._record.chosen = found
                    self._write_checkpoint("best.pt", epoch.epoch)
            if self._training.options.keep_epochs:
                places = len(str(self._training.options.epochs))
                self._write_checkpoint(f"epoch-{epoch.epoch:0{places}}.pt", epoch.epoch)
        self._record.epochs.append(epoch)
        self._save()
        if self._processes.is_first:
            on_epoch(epoch, is_best)
        self._processes.wait()

    def _save(self) -> None:
        """Write the state and the record."""
        if self._processes.is_first:
            chosen = self._record.chosen
            content = {
                "wsol_training": _FORMAT,
                "settings": json.dumps(self._record.settings),
                "epochs": json.dumps([epoch.model_dump() for epoch in self._record.epochs]),
                "chosen": json.dumps(None if chosen is None else chosen.model_dump()),
                "training": self._training.state(),
            }
            write_torch_file(content, self._folder / "last.pt")
            write_training_record(self._record, self._folder / "train.json")
        self._saved = time.monotonic()

    def _finish(self) -> None:
        if self._processes.is_first:
            self._record.finished = True
            epochs = len(self._record.epochs)
            self._write_checkpoint("final.pt", epochs)
            write_training_record(self._record, self._folder / "train.json")
        self._processes.wait()

    def _write_checkpoint(self, name: str, epoch: int) -> None:
        chosen = self._record.chosen
        training: dict[str, Any] = {
            "method": self._record.method,
            "dataset": self._record.dataset,
            "split": self._record.split,
            "epoch": epoch,
            "seed": self._record.settings["seed"],
            # Equal in trainings that differ in nothing but the seed.
            "recipe": fingerprint(
                {k: v for k, v in self._record.settings.items() if k not in _OF_A_SEED}
            ),
        }
        if chosen is not None and chosen.epoch == epoch:
            training["chosen"] = chosen.model_dump(mode="json")
        save_checkpoint(
            self._start.classifier,
            self._folder / name,
            spec=self._start.spec,
            arguments=self._start.arguments,
            training=training,
        )


def _settings(
    start: Start, dataset: Dataset, options: TrainingOptions, selection: Selection | None
) -> dict[str, Any]:
    """Everything that decides the weights, in JSON values."""
    network = start.classifier.network
    return {
        "model": start.spec,
        "arguments": start.arguments,
        "weights": start.weights,
        "new_parameters": sorted(start.new_parameters),
        "weights_fingerprint": weights_fingerprint(network.state_dict().items()),
        "preprocessing": start.classifier.preprocessing.model_dump(mode="json"),
        "dataset_fingerprint": dataset_fingerprint(dataset),
        "classes": len(dataset.classes),
        "selection": None if selection is None else selection.settings(),
        # What changes nothing is not told, so that runs of before this option can go on.
        **({"head_offset": start.head_offset} if start.head_offset else {}),
    } | {
        _RECORDED.get(name, name): getattr(options, name)
        for name in TrainingOptions.model_fields
        if name not in _INDIFFERENT and (name != "plain_layers" or options.plain_layers)
    }


def _epoch(result: EpochResult) -> Epoch:
    return Epoch(
        epoch=result.epoch + 1,
        loss=result.loss,
        accuracy=result.accuracy,
        seconds=round(result.seconds, 3),
    )


def _read_state(path: Path) -> dict[str, Any]:
    try:
        content = read_torch_file(path)
    except InputError as error:
        told = str(error).removeprefix(f"{path}: ")
        raise InputError(
            f"{path}: the state of the run is damaged (it {told}) Name another folder."
        ) from error
    if not isinstance(content, dict) or content.get("wsol_training") != _FORMAT:
        raise InputError(f"{path}: is not the state of a training run of this version.")
    return content
