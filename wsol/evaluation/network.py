"""Photographs through a network, and its maps through the threads that find boxes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from wsol.boxes.one_level import largest_box_at
from wsol.datasets.base import Dataset, Sample
from wsol.datasets.reading_order import in_turns, is_packed, reading_order
from wsol.datasets.settling import Finding, NoBoxLeftError, settle
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import Classification, Outcome, judge, prepare, size_of
from wsol.evaluation.lifecycle import Seconds
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.protocol import Protocol
from wsol.evaluation.rows import outcome_row
from wsol.evaluation.settings import input_size, localizer, with_coco
from wsol.evaluation.shares import Share
from wsol.maps.files import save_score_map
from wsol.maps.foreground import foreground
from wsol.maps.framing import fit, maps_on_grid, unfinished_maps
from wsol.models.classifier import Classifier, Preprocessing, match_classes
from wsol.models.device import usable_device
from wsol.models.fast import sped_up
from wsol.models.precision import autocast
from wsol.pipeline import Pipeline, begin_worker, loader_processes, usable_cores
from wsol.records.record import SkippedImage

_PREDICTED = 5


class NetworkJudging:
    """Images through the network, their maps through the threads that find boxes.

    While the network works on one batch, loader processes decode the next and threads compare
    the previous one's maps; on a GPU the copy of a batch's maps overlaps the next batch's pass.
    """

    def __init__(
        self, classifier: Classifier, evaluator: Evaluator, options: EvaluationOptions
    ) -> None:
        dataset = evaluator.dataset
        without = next((s.image_id for s in dataset.samples if s.path is None), None)
        if without is not None:
            raise InputError(
                f"{dataset.name}: {classifier.name} needs pixels, but the data set was opened "
                f"without images (first: {without}); name the image folder with --images."
            )
        self._evaluator = evaluator
        self._options = options
        device = usable_device(options.device)
        self._device = torch.device(device)
        self._workers = loader_processes(options.workers, device)
        self._threads = options.threads or usable_cores()
        self._network = classifier.to(self._device)
        self._size = input_size(classifier, options)
        self._localizer = localizer(classifier, options)
        if self._localizer.method.needs != "network":  # which a user's own method looks at
            layers = [] if options.layer is None else options.layer.split(",")
            self._network = sped_up(classifier, self._size, [name.strip() for name in layers])
            self._localizer = localizer(self._network, options)
        self._coco = with_coco(classifier, options)
        self._subset = match_classes(
            classifier.classes,
            dataset.classes,
            classifier.num_classes,
            {sample.label for sample in dataset.samples},
        )
        self._predicted = min(_PREDICTED, int((self._subset >= 0).sum()))
        self.seconds = Seconds()

    def judged(self, share: Share) -> Iterator[Outcome | SkippedImage]:
        """Each image's outcome; see `wsol.evaluation.lifecycle.Judging`.

        All batches have one size, because with another one a network's outputs differ in their
        last digits. What fills one up is judged by whoever has it as its own, or by nobody.
        """
        options, dataset = self._options, self._evaluator.dataset
        size = min(options.batch_size, len(dataset))
        order = reading_order(dataset.samples)
        ordered = Share(share.done[order], share.processes)
        shared = [order[batch].tolist() for batch in ordered.batches(size)]
        if is_packed(dataset.samples):
            shared = in_turns(shared, self._workers)
        loader = DataLoader(
            _Photographs(dataset, self._network.preprocessing, self._size, options),
            batch_sampler=shared,
            num_workers=min(self._workers, size * len(shared)),
            collate_fn=partial(_collate, size=size),
            pin_memory=self._device.type == "cuda",
            persistent_workers=False,
            worker_init_fn=begin_worker,
        )
        batches = map(_own, loader, (share.done[batch] for batch in shared))
        with Pipeline[Outcome | SkippedImage](self._threads, 2 * options.batch_size) as pipeline:
            waiting: _MapsOnTheWay | None = None
            while True:
                start = time.perf_counter()
                batch = next(batches, None)
                self.seconds.data += time.perf_counter() - start
                arriving = None
                if batch is not None:
                    for bad in batch.bad:
                        if not (options.skip_bad_images or bad.may_skip):
                            raise InputError(bad.reason)
                        yield SkippedImage(image_id=bad.sample.image_id, reason=bad.reason)
                    if batch.samples:
                        start = time.perf_counter()
                        arriving = self._within_memory(batch)
                        self.seconds.forward += time.perf_counter() - start
                if waiting is not None:
                    start = time.perf_counter()
                    waiting.wait()
                    self.seconds.forward += time.perf_counter() - start
                    for index in waiting.batch.own:
                        yield from pipeline.submit(_job(self, waiting, index))
                waiting = arriving
                if batch is None:
                    break
            yield from pipeline.drain()
            self.seconds.localization = pipeline.busy

    def _within_memory(self, batch: "_Batch") -> "_MapsOnTheWay":
        try:
            return self._forward(batch)
        except (RuntimeError, MemoryError) as error:
            if not _is_exhausted(error):
                raise
            raise InputError(
                f"{self._network.name}: memory on {self._device} is exhausted by the maps of "
                f"{len(batch.samples)} images of {self._size} pixels at once; lower --batch-size."
            ) from error

    def _forward(self, batch: "_Batch") -> "_MapsOnTheWay":
        """Run the network and start bringing its maps to the host."""
        options, device = self._options, self._device
        pixels = batch.pixels.to(device, non_blocking=True)
        labels = torch.tensor([sample.label for sample in batch.samples], device=device)
        subset = self._subset.to(device)
        images = self._network.normalize(pixels)
        with torch.inference_mode():
            with autocast(device, options.precision):
                view = self._localizer.see(images)
            # A class that the network has not is never predicted.
            logits = functional.pad(view.logits.float(), (0, 1), value=-torch.inf)[:, subset]
            own = logits.gather(1, labels[:, None])
            ties_before = (logits == own) & (
                torch.arange(logits.shape[1], device=device) < labels[:, None]
            )
            rank = ((logits > own) | ties_before).sum(1)
            top = logits.topk(self._predicted, dim=1)
            scores = logits.softmax(1).gather(1, top.indices)
            wanted = labels[:, None]
            if self._coco:
                wanted = torch.cat([wanted, top.indices], dim=1)
            cams = self._localizer.maps(view, subset[wanted])
            finite = torch.isfinite(cams).all(-1).all(-1).all(-1)
            if self._evaluator.box_judge is not None:  # which brings maps to its own grid
                numbers = torch.full_like(wanted[:, 1:], -1)
                return _MapsOnTheWay(
                    batch, [rank, top.indices, scores, finite, cams[:, 0], cams[:0, 0], numbers],
                    device,
                )  # fmt: skip
            place = (self._size, options.resize_mode, options.protocol.grid)
            maps = maps_on_grid(cams[:, :1], batch.sizes, *place)
            # The map of a label that is predicted is there already.
            rows, columns = (wanted[:, 1:] != labels[:, None]).nonzero(as_tuple=True)
            others = unfinished_maps(
                cams[rows, 1 + columns][:, None], [batch.sizes[row] for row in rows], *place
            )
            masks = fixed_foreground(others[:, 0], options.protocol)
            numbers = torch.full_like(wanted[:, 1:], -1)
            numbers[rows, columns] = torch.arange(len(rows), device=device)
        return _MapsOnTheWay(
            batch, [rank, top.indices, scores, finite, maps[:, 0], masks, numbers], device
        )

    def judge(self, arrived: "_MapsOnTheWay", index: int) -> Outcome | SkippedImage:
        """The outcome of one image of a batch; runs on a worker thread."""
        sample, options = arrived.batch.samples[index], self._options
        rank, classes, scores, finite, maps, masks, numbers = arrived.arrays
        if not finite[index]:
            reason = (
                f"{sample.path}: the network's class map has NaN or infinite values; "
                "check the weights, or use --precision fp32."
            )
            if options.skip_bad_images:
                return SkippedImage(image_id=sample.image_id, reason=reason)
            raise InputError(reason)
        score_map = maps[index]
        if options.save_scoremaps is not None:
            save_score_map(options.save_scoremaps, sample.image_id, score_map)
        judging, size = self._evaluator.box_judge, arrived.batch.sizes[index]
        findings = arrived.batch.findings[index]
        if judging is not None:
            known = size_of(sample, size)
            answer = Classification(
                int(rank[index]), classes[index], scores[index].astype(np.float64), None
            )
            boxes_at = judging.boxes(score_map, known)
            found = judging.judge(boxes_at, sample, known, answer)
            return replace(found, findings=findings)
        prepared = prepare(score_map, options.protocol)
        outcome = judge(prepared, sample, options.protocol, size=size)
        boxes = None
        if self._coco and len(sample.boxes):
            boxes = np.stack(
                [
                    outcome.fixed_box
                    if number < 0
                    else _largest_box(masks[number], options.protocol)
                    for number in numbers[index]
                ]
            )
        answer = Classification(
            int(rank[index]), classes[index], scores[index].astype(np.float64), boxes
        )
        outcome = replace(outcome, classification=answer, findings=findings)
        if not options.per_image:
            return outcome
        dataset = self._evaluator.dataset
        row = outcome_row(prepared, outcome, sample, dataset, options.protocol)
        return replace(outcome, row=row)


def _is_exhausted(error: Exception) -> bool:
    """Whether an error says that there is no memory left, on whatever device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return any(told in str(error) for told in ("not enough memory", "can't allocate memory"))


def _job(
    run: NetworkJudging, arrived: "_MapsOnTheWay", index: int
) -> Callable[[], Outcome | SkippedImage]:
    return lambda: run.judge(arrived, index)


def fixed_foreground(maps: Tensor, protocol: Protocol) -> Tensor:
    """Where unfinished maps (..., H, W) lie above the fixed threshold, as uint8 0 or 1."""
    quantized = protocol.engine == "choe2020"
    return foreground(maps, protocol.fixed_threshold, quantized=quantized)


def _largest_box(foreground: NDArray[np.uint8], protocol: Protocol) -> NDArray[np.float64]:
    boxes = largest_box_at(foreground, 0, protocol.engine)
    return boxes[0].astype(np.float64) if len(boxes) else np.zeros(4)


class _MapsOnTheWay:
    """Tensors of one batch that are being copied to the host."""

    def __init__(self, batch: "_Batch", tensors: list[Tensor], device: torch.device) -> None:
        self.batch = batch
        self._host = [tensor.to("cpu", non_blocking=True) for tensor in tensors]
        self._event = torch.cuda.Event() if device.type == "cuda" else None
        if self._event is not None:
            self._event.record()
        self.arrays: list[NDArray[Any]] = []

    def wait(self) -> None:
        """Wait for the copies; afterwards `arrays` holds them."""
        if self._event is not None:
            self._event.synchronize()
        self.arrays = [tensor.numpy() for tensor in self._host]


@dataclass(frozen=True, slots=True)
class _Good:
    """A photograph as the network's input; its sample agrees with it."""

    sample: Sample
    size: tuple[int, int]
    pixels: Tensor
    findings: Finding


@dataclass(frozen=True, slots=True)
class _Bad:
    """A photograph that cannot be used, and whether it is left out without being asked."""

    sample: Sample
    reason: str
    may_skip: bool


@dataclass(frozen=True, slots=True)
class _Batch:
    """Photographs of a full batch, and which of its rows are to be judged."""

    samples: list[Sample]
    sizes: list[tuple[int, int]]
    pixels: Tensor
    findings: list[Finding]
    bad: list[_Bad]
    own: list[int]


class _Photographs(TorchDataset["_Good | _Bad"]):
    """Decodes and fits the photographs of a data set."""

    def __init__(
        self,
        dataset: Dataset,
        preprocessing: Preprocessing,
        size: int,
        options: EvaluationOptions,
    ) -> None:
        self._dataset = dataset
        self._preprocessing = preprocessing
        self._size = size
        self._options = options

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> _Good | _Bad:
        dataset, options = self._dataset, self._options
        sample = dataset.samples[index]
        red, green, blue = (round(255 * value) for value in self._preprocessing.mean_rgb)
        try:
            settled = settle(
                sample,
                exif=dataset.exif,
                skip_bad_annotations=dataset.skip_bad_annotations,
                look="pixels",
            )
        except InputError as error:
            return _Bad(sample, str(error), isinstance(error, NoBoxLeftError))
        assert settled.image is not None
        pixels = fit(
            settled.image,
            self._size,
            "squash-crop" if options.protocol.rules.frame == "crop" else options.resize_mode,
            self._preprocessing.interpolation,
            (red, green, blue),
        )
        tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
        return _Good(settled.sample, settled.image.size, tensor, settled.findings)


def _collate(items: list[_Good | _Bad], size: int) -> _Batch:
    """A batch of `size` rows; one without a photograph has a copy of another row's."""
    good = [item for item in items if isinstance(item, _Good)]
    rows = [item if isinstance(item, _Good) else good[0] for item in items] if good else []
    rows += good[:1] * (size - len(rows))
    return _Batch(
        samples=[item.sample for item in rows],
        sizes=[item.size for item in rows],
        pixels=torch.stack([item.pixels for item in rows]) if rows else torch.empty(0),
        findings=[item.findings for item in rows],
        bad=[item for item in items if isinstance(item, _Bad)],
        own=[row for row, item in enumerate(items) if isinstance(item, _Good)],
    )


def _own(batch: _Batch, done: NDArray[np.bool_]) -> _Batch:
    """A batch without the rows of images that have been judged before."""
    return replace(batch, own=[row for row in batch.own if not done[row]])
