"""The one loop that joins the rooms: images, network, maps, boxes, metrics, record."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from wsol.boxes.one_level import largest_box_at
from wsol.datasets.base import Dataset, Sample
from wsol.datasets.loading import open_image
from wsol.errors import InputError
from wsol.evaluation.evaluator import Classification, Evaluator
from wsol.evaluation.protocol import Outcome, PreparedMap, Protocol, prepare
from wsol.evaluation.provenance import (
    dataset_fingerprint,
    environment,
    fingerprint,
    weights_fingerprint,
)
from wsol.evaluation.rows import OutcomeFile, image_outcome, save_progress
from wsol.maps.baselines import BASELINES, baseline_map
from wsol.maps.files import save_score_map
from wsol.maps.framing import ResizeMode, fit, maps_on_grid
from wsol.models.classifier import Classifier, Preprocessing, match_classes
from wsol.models.cost import forward_cost, median_latency
from wsol.models.precision import AUTOCAST, Precision, autocast
from wsol.pipeline import Pipeline, usable_cores
from wsol.records.outcomes import ImageOutcome
from wsol.records.record import Cost, Metrics, ResultRecord, SkippedImage, Timing
from wsol.records.thresholds import ChosenThresholds, identity, positions
from wsol.resume import SavedProgress, unbroken

_PREDICTED = 5


@dataclass(frozen=True, slots=True)
class Options:
    """How to evaluate; everything in `protocol` and the first four fields can change a number.

    Attributes:
        size: side of the network's square input in pixels; None takes what the network was
            trained or published with.
        resize_mode: how a photograph is fitted into it, see `wsol.maps.framing`.
        precision: arithmetic of the forward pass; maps are always made in float32.
        coco: also measure COCO AP, which needs the maps of five predicted classes an image.
        workers: processes that decode images; 0 decodes in the main process.
        threads: threads that turn maps into boxes.
        skip_bad_images: leave unreadable images out and list them, instead of stopping.
        save_maps: folder for every image's score map of its label, as `wsol score` reads them.
        curves: keep the correct count at every threshold in the record.
        outcomes: Parquet file for every image's outcome, see `wsol.records.outcomes`.
        latency: also measure how long a forward pass of one image takes.
        thresholds: chosen on another split, by `wsol.records.thresholds.identity`.
    """

    protocol: Protocol = field(default_factory=Protocol)
    size: int | None = None
    resize_mode: ResizeMode = "squash"
    precision: Precision = "fp32"
    coco: bool = True
    batch_size: int = 32
    workers: int = 0
    threads: int = field(default_factory=usable_cores)
    device: str = "cpu"
    skip_bad_images: bool = False
    save_maps: Path | None = None
    curves: bool = False
    outcomes: Path | None = None
    latency: bool = False
    thresholds: dict[str, ChosenThresholds] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Judged:
    sample: Sample
    outcome: Outcome
    classification: Classification | None
    row: ImageOutcome | None


def input_size(classifier: Classifier, options: Options) -> int:
    """The side of the network's input in pixels."""
    return options.size or classifier.preprocessing.size


def ignore_progress(images: int) -> None:
    """The default progress callback."""


def evaluate(
    model: Classifier | str,
    dataset: Dataset,
    options: Options | None = None,
    *,
    weights: str | None = None,
    progress_file: Path | None = None,
    resume: bool = False,
    advance: Callable[[int], None] = ignore_progress,
) -> ResultRecord:
    """Evaluate a classifier, or a baseline by its name, on a data set.

    Args:
        model: a `Classifier`, or one of `wsol.maps.baselines.BASELINES`.
        weights: where the weights come from, for the record.
        progress_file: where to keep progress; deleted at the end. None keeps none.
        resume: go on from `progress_file` if it exists, else start anew.
        advance: called with the number of images that have been finished since the last call.

    Raises:
        InputError: for anything wrong with the data set, an image or the model's classes.
    """
    options = options or Options()
    if len(dataset) == 0:
        raise InputError(f"{dataset.name}, split {dataset.split}: there is no image to evaluate.")
    start = time.perf_counter()
    evaluator = Evaluator(dataset, options.protocol)
    settings = run_settings(model, dataset, options, weights)
    saved = None
    if progress_file is not None:
        saved = SavedProgress(progress_file, fingerprint(settings))
        state = saved.load() if resume else None
        if state is not None:
            evaluator.load_state(state)
            advance(evaluator.num_images)
    rows = None
    if options.outcomes is not None:
        rows = OutcomeFile(options.outcomes, dataset, options.protocol)
        rows.begin(evaluator.evaluated())
    run: _BaselineRun | _ClassifierRun
    if isinstance(model, str):
        run = _BaselineRun(model, evaluator, options)
    else:
        run = _ClassifierRun(model, evaluator, options)
    skipped: list[SkippedImage] = []
    try:
        for item in run:
            if isinstance(item, SkippedImage):
                skipped.append(item)
            else:
                with unbroken():
                    evaluator.add(item.sample.image_id, item.outcome, item.classification)
                    if rows is not None and item.row is not None:
                        rows.add(item.row)
            advance(1)
            if saved is not None and saved.due():
                save_progress(saved, evaluator, rows)
    except BaseException:
        if saved is not None and evaluator.num_images:
            save_progress(saved, evaluator, rows)
        raise
    if evaluator.num_images == 0:
        raise InputError(f"{dataset.name}: every image was skipped; first: {skipped[0].reason}")
    record = _record(model, dataset, options, settings, evaluator, skipped)
    record.timing = Timing(
        data=round(run.data_seconds, 3),
        forward=round(run.forward_seconds, 3),
        localization=round(run.localization_seconds, 3),
        total=round(time.perf_counter() - start, 3),
    )
    if rows is not None:
        rows.join(evaluator.evaluated())
    record.cost = model_cost(model, options)
    if saved is not None:
        saved.remove()
    if rows is not None:
        rows.discard_parts()
    return record


def _judged(
    prepared: PreparedMap,
    outcome: Outcome,
    classification: Classification | None,
    sample: Sample,
    dataset: Dataset,
    options: Options,
) -> _Judged:
    row = None
    if options.outcomes is not None:
        row = image_outcome(prepared, outcome, classification, sample, dataset, options.protocol)
    return _Judged(sample, outcome, classification, row)


def model_cost(model: Classifier | str, options: Options) -> Cost | None:
    """What the record says about a network's cost; None for a baseline."""
    if isinstance(model, str):
        return None
    model.to(torch.device(options.device))
    size = input_size(model, options)
    flops, map_size = forward_cost(model, size, options.device)
    cost = Cost(flops=flops, map_size=map_size)
    if options.latency:
        dtype = AUTOCAST.get(options.precision)
        cost.latency_ms = round(median_latency(model, size, options.device, dtype), 3)
        where = environment(options.device)
        threads = f", {where.threads} threads" if where.device == "cpu" else ""
        cost.latency_device = f"{where.device}{threads}, {options.precision}"
    return cost


class _BaselineRun:
    """Compares one map, whose boxes are found once, with every image."""

    data_seconds = 0.0
    forward_seconds = 0.0

    def __init__(self, name: str, evaluator: Evaluator, options: Options) -> None:
        if name not in BASELINES:
            raise InputError(f"{name}: not a baseline; there are {', '.join(BASELINES)}.")
        self._map = baseline_map(name, options.protocol.grid)
        self._evaluator = evaluator
        self._options = options
        self.localization_seconds = 0.0

    def __iter__(self) -> Iterator[_Judged | SkippedImage]:
        samples = self._evaluator.dataset.samples
        prepared = prepare(self._map, self._options.protocol)
        start = time.thread_time()
        for position in self._evaluator.pending():
            sample = samples[position]
            try:
                outcome = self._evaluator.judge_prepared(prepared, sample)
            except InputError as error:
                if not self._options.skip_bad_images:
                    raise
                yield SkippedImage(image_id=sample.image_id, reason=str(error))
                continue
            if self._options.save_maps is not None:
                save_score_map(self._options.save_maps, sample.image_id, self._map)
            yield _judged(prepared, outcome, None, sample, self._evaluator.dataset, self._options)
        self.localization_seconds = time.thread_time() - start


class _ClassifierRun:
    """Images through the network, their maps through the threads that find boxes.

    While the network works on one batch, loader processes decode the next and threads compare
    the previous one's maps; on a GPU the copy of a batch's maps overlaps the next batch's pass.
    """

    def __init__(self, classifier: Classifier, evaluator: Evaluator, options: Options) -> None:
        dataset = evaluator.dataset
        without = next((s.image_id for s in dataset.samples if s.path is None), None)
        if without is not None:
            raise InputError(
                f"{dataset.name}: {classifier.name} needs pixels, but the data set was opened "
                f"without images (first: {without}); name the image folder with --images."
            )
        self._evaluator = evaluator
        self._options = options
        self._device = torch.device(options.device)
        self._network = classifier.to(self._device)
        self._size = input_size(classifier, options)
        self._subset = match_classes(classifier.classes, dataset.classes, classifier.num_classes)
        self.data_seconds = 0.0
        self.forward_seconds = 0.0
        self.localization_seconds = 0.0

    def __iter__(self) -> Iterator[_Judged | SkippedImage]:
        options = self._options
        pending = self._evaluator.pending()
        photographs = _Photographs(
            [self._evaluator.dataset.samples[p] for p in pending],
            self._network.preprocessing,
            self._size,
            options,
        )
        loader = DataLoader(
            photographs,
            batch_size=options.batch_size,
            num_workers=min(options.workers, len(photographs)),
            collate_fn=_collate,
            pin_memory=self._device.type == "cuda",
            persistent_workers=False,
        )
        batches = iter(loader)
        with Pipeline[_Judged | SkippedImage](options.threads, 2 * options.batch_size) as pipeline:
            waiting: _MapsOnTheWay | None = None
            while True:
                start = time.perf_counter()
                batch = next(batches, None)
                self.data_seconds += time.perf_counter() - start
                arriving = None
                if batch is not None:
                    for sample, reason in batch.bad:
                        if not options.skip_bad_images:
                            raise InputError(reason)
                        yield SkippedImage(image_id=sample.image_id, reason=reason)
                    if batch.samples:
                        start = time.perf_counter()
                        arriving = self._forward(batch)
                        self.forward_seconds += time.perf_counter() - start
                if waiting is not None:
                    start = time.perf_counter()
                    waiting.wait()
                    self.forward_seconds += time.perf_counter() - start
                    for index in range(len(waiting.batch.samples)):
                        yield from pipeline.submit(_job(self, waiting, index))
                waiting = arriving
                if batch is None:
                    break
            yield from pipeline.drain()
            self.localization_seconds = pipeline.busy

    def _forward(self, batch: "_Batch") -> "_MapsOnTheWay":
        """Run the network and start bringing its maps to the host."""
        options, device = self._options, self._device
        pixels = batch.pixels.to(device, non_blocking=True)
        labels = torch.tensor([sample.label for sample in batch.samples], device=device)
        subset = self._subset.to(device)
        with torch.inference_mode():
            with autocast(device, options.precision):
                logits, features = self._network.forward(self._network.normalize(pixels))
            logits = logits.float()[:, subset]
            own = logits.gather(1, labels[:, None])
            ties_before = (logits == own) & (
                torch.arange(logits.shape[1], device=device) < labels[:, None]
            )
            rank = ((logits > own) | ties_before).sum(1)
            top = logits.topk(min(_PREDICTED, logits.shape[1]), dim=1)
            scores = logits.softmax(1).gather(1, top.indices)
            wanted = labels[:, None]
            if options.coco:
                wanted = torch.cat([wanted, top.indices], dim=1)
            cams = self._network.class_maps(features, subset[wanted])
            finite = torch.isfinite(cams).all(-1).all(-1).all(-1)
            maps = maps_on_grid(
                cams, batch.sizes, self._size, options.resize_mode, options.protocol.grid
            )
            foreground = fixed_foreground(maps[:, 1:], options.protocol)
        return _MapsOnTheWay(
            batch, [rank, top.indices, scores, finite, maps[:, 0], foreground], device
        )

    def judge(self, arrived: "_MapsOnTheWay", index: int) -> _Judged | SkippedImage:
        """The outcome of one image of a batch; runs on a worker thread."""
        sample, options = arrived.batch.samples[index], self._options
        rank, classes, scores, finite, maps, foreground = arrived.arrays
        if not finite[index]:
            reason = (
                f"{sample.path}: the network's class map has NaN or infinite values; "
                "check the weights, or use --precision fp32."
            )
            if options.skip_bad_images:
                return SkippedImage(image_id=sample.image_id, reason=reason)
            raise InputError(reason)
        score_map = maps[index]
        if options.save_maps is not None:
            save_score_map(options.save_maps, sample.image_id, score_map)
        prepared = prepare(score_map, options.protocol)
        outcome = self._evaluator.judge_prepared(prepared, sample, arrived.batch.sizes[index])
        boxes = None
        if options.coco and len(sample.boxes):
            boxes = np.stack(
                [
                    outcome.fixed_box
                    if label == sample.label
                    else _largest_box(mask, options.protocol)
                    for label, mask in zip(classes[index], foreground[index], strict=True)
                ]
            )
        answer = Classification(
            int(rank[index]), classes[index], scores[index].astype(np.float64), boxes
        )
        return _judged(prepared, outcome, answer, sample, self._evaluator.dataset, options)


def _job(
    run: _ClassifierRun, arrived: "_MapsOnTheWay", index: int
) -> Callable[[], _Judged | SkippedImage]:
    return lambda: run.judge(arrived, index)


def fixed_foreground(maps: Tensor, protocol: Protocol) -> Tensor:
    """Where finished maps (..., H, W) lie above the fixed threshold, as uint8 0 or 1.

    Says the same as `wsol.evaluation.protocol.prepare`, for maps of which nothing else is wanted.
    """
    values = maps.double()
    if protocol.convention == "wsolevaluation":
        levels = (values * 255).floor()
        return (
            levels > (protocol.fixed_threshold * levels.amax((-2, -1), keepdim=True)).floor()
        ).to(torch.uint8)
    return (values >= protocol.fixed_threshold * values.amax((-2, -1), keepdim=True)).to(
        torch.uint8
    )


def _largest_box(foreground: NDArray[np.uint8], protocol: Protocol) -> NDArray[np.float64]:
    boxes = largest_box_at(foreground, 0, protocol.convention)
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
class _Batch:
    samples: list[Sample]
    sizes: list[tuple[int, int]]
    pixels: Tensor
    bad: list[tuple[Sample, str]]


class _Photographs(TorchDataset[tuple[Sample, tuple[int, int], Tensor | str]]):
    """Decodes and fits photographs; an unreadable one yields its error message as text."""

    def __init__(
        self, samples: list[Sample], preprocessing: Preprocessing, size: int, options: Options
    ) -> None:
        self._samples = samples
        self._preprocessing = preprocessing
        self._size = size
        self._options = options

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Sample, tuple[int, int], Tensor | str]:
        sample, options = self._samples[index], self._options
        assert sample.path is not None
        red, green, blue = (round(255 * value) for value in self._preprocessing.mean_rgb)
        try:
            with open_image(sample.path) as image:
                pixels = fit(
                    image,
                    self._size,
                    options.resize_mode,
                    self._preprocessing.interpolation,
                    (red, green, blue),
                )
                size = image.size
        except InputError as error:
            return sample, (0, 0), str(error)
        return sample, size, torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def _collate(items: list[tuple[Sample, tuple[int, int], Tensor | str]]) -> _Batch:
    good = [item for item in items if isinstance(item[2], Tensor)]
    pixels = [pixels for _, _, pixels in good if isinstance(pixels, Tensor)]
    return _Batch(
        samples=[sample for sample, _, _ in good],
        sizes=[size for _, size, _ in good],
        pixels=torch.stack(pixels) if pixels else torch.empty(0),
        bad=[(sample, reason) for sample, _, reason in items if isinstance(reason, str)],
    )


def run_settings(
    model: Classifier | str, dataset: Dataset, options: Options, weights: str | None
) -> dict[str, Any]:
    """Everything that decides the numbers, in JSON values."""
    settings = options.protocol.settings()
    settings |= {
        "num_images": len(dataset),
        "dataset_fingerprint": dataset_fingerprint(dataset),
        "skip_bad_images": options.skip_bad_images,
    }
    if isinstance(model, str):
        settings |= {"baseline": model}
        return settings | _threshold_policy(settings, options)
    settings |= {
        "size": input_size(model, options),
        "resize_mode": options.resize_mode,
        "precision": options.precision,
        "batch_size": options.batch_size,
        "coco": options.coco,
        "preprocessing": model.preprocessing.as_settings(),
        "model_classes": model.num_classes,
        "dataset_classes": len(dataset.classes),
        "weights": weights,
        "weights_fingerprint": weights_fingerprint(model.network.state_dict().items()),
    }
    if model.training_method is not None:
        settings["training_method"] = model.training_method
    if model.training_seed is not None:
        settings["training_seed"] = model.training_seed
        settings["training_recipe"] = model.training_recipe
    return settings | _threshold_policy(settings, options)


def _threshold_policy(settings: dict[str, Any], options: Options) -> dict[str, Any]:
    """What the settings of a model say where thresholds of another split were given.

    Raises:
        InputError: when there are none for this network, or they are not among the evaluated.
    """
    chosen = options.thresholds.get(identity(settings))
    if chosen is None:
        if options.thresholds and "baseline" not in settings:
            raise InputError(
                f"{settings['weights']}: no thresholds were chosen for these weights; evaluate "
                "them on the other split, and name that record with --threshold-from."
            )
        return {}
    levels = [f"{level:g}" for level in options.protocol.iou_levels]
    for thresholds in (chosen.all, chosen.largest):
        if thresholds is not None:
            positions(thresholds, options.protocol.thresholds, levels)
    return {
        "threshold_policy": settings["threshold_policy"]
        | {"max_box_acc_chosen": f"chosen on {chosen.where}"},
        "chosen_thresholds": {"all": chosen.all, "largest": chosen.largest},
    }


def _add_chosen(metrics: Metrics, evaluator: Evaluator, chosen: ChosenThresholds) -> None:
    """Add the accuracies at thresholds of another split."""
    curves = evaluator.curves()
    thresholds = evaluator.protocol.thresholds

    def accuracy(counts: dict[str, list[int]], at: dict[str, float]) -> dict[str, float]:
        return {
            level: 100.0 * counts[level][place] / evaluator.num_boxed_images
            for level, place in positions(at, thresholds, counts).items()
        }

    if curves.all is not None and chosen.all is not None:
        by_level = accuracy(curves.all, chosen.all)
        metrics.max_box_acc_v2_chosen = sum(by_level.values()) / len(by_level)
    if curves.largest is not None and chosen.largest is not None:
        metrics.max_box_acc_chosen = accuracy(curves.largest, chosen.largest).get("0.5")


def _record(
    model: Classifier | str,
    dataset: Dataset,
    options: Options,
    settings: dict[str, Any],
    evaluator: Evaluator,
    skipped: list[SkippedImage],
) -> ResultRecord:
    is_baseline = isinstance(model, str)
    metrics: Metrics = evaluator.compute()
    chosen = options.thresholds.get(identity(settings))
    if chosen is not None:
        _add_chosen(metrics, evaluator, chosen)
    return ResultRecord(
        model=model if isinstance(model, str) else model.name,
        parameters=0 if isinstance(model, str) else model.parameters,
        dataset=dataset.name,
        split=dataset.split,
        num_images=evaluator.num_images,
        cam_method="none (baseline)" if is_baseline else "cam",
        metrics=metrics,
        settings=settings,
        environment=environment(options.device),
        timing=Timing(data=0, forward=0, localization=0, total=0),
        skipped=skipped,
        notes=list(dataset.notes),
        curves=evaluator.curves() if options.curves else None,
    )


def limited(dataset: Dataset, limit: int | None) -> Dataset:
    """The first `limit` images of a data set, or all of them."""
    if limit is None or limit >= len(dataset):
        return dataset
    return replace(
        dataset,
        samples=dataset.samples[:limit],
        notes=(*dataset.notes, f"Only the first {limit} of {len(dataset)} images."),
    )
