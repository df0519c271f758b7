"""Evaluating one model: whoever judges its images, what they add up to becomes a record."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.settling import NoBoxLeftError, settle
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import Outcome, judge, prepare, size_of
from wsol.evaluation.lifecycle import (
    Judging,
    Place,
    Run,
    Seconds,
    ignore_progress,
    in_order,
    require_images,
)
from wsol.evaluation.network import NetworkJudging
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.provenance import environment, sample_files
from wsol.evaluation.rows import outcome_row
from wsol.evaluation.settings import (
    add_chosen,
    chosen_thresholds,
    input_size,
    localizer,
    require_one_box,
    run_settings,
)
from wsol.evaluation.shares import Share
from wsol.maps.baselines import BASELINES, baseline_map
from wsol.maps.files import save_score_map
from wsol.models.classifier import Classifier
from wsol.models.cost import forward_cost, median_latency
from wsol.models.device import usable_device
from wsol.models.precision import AUTOCAST
from wsol.processes import ALONE, Processes
from wsol.records.record import Cost, ResultRecord, SkippedImage


def evaluate(
    model: Classifier | str,
    dataset: Dataset,
    options: EvaluationOptions | None = None,
    *,
    weights: str | None = None,
    place: Place | None = None,
    advance: Callable[[int], None] = ignore_progress,
    processes: Processes = ALONE,
) -> ResultRecord:
    """Evaluate a classifier, or a baseline by its name, on a data set.

    Args:
        model: a `Classifier`, or one of `wsol.maps.baselines.BASELINES`.
        weights: where the weights come from, for the record.
        place: where to keep the record, and progress until then; None keeps nothing.
        advance: called with the number of images that have been finished since the last call.
        processes: that share the images, each of which calls this and gets the record.

    Raises:
        InputError: for anything wrong with the data set, an image or the model's classes.
    """
    options = options or EvaluationOptions()
    require_images(dataset)
    network = model if isinstance(model, str) else model.name
    evaluator = Evaluator(dataset, options.protocol, network)
    if evaluator.box_judge is not None:
        require_one_box(options)
    settings = run_settings(model, dataset, options, weights)
    run = Run(
        evaluator,
        settings,
        place,
        files=() if isinstance(model, str) else sample_files(dataset),
        per_image=options.per_image,
        save_every=options.save_every,
        processes=processes,
    )
    judging: Judging
    if isinstance(model, str):
        judging = _BaselineJudging(model, evaluator, options)
    else:
        judging = NetworkJudging(model, evaluator, options)
    skipped = run.add_all(judging, advance)

    def finished() -> ResultRecord:
        record = _record(model, run, options, settings, skipped)
        run.finish(record)
        return record

    return processes.of_first(finished)


def _record(
    model: Classifier | str,
    run: Run,
    options: EvaluationOptions,
    settings: dict[str, Any],
    skipped: list[SkippedImage],
) -> ResultRecord:
    evaluator, dataset = run.evaluator, run.evaluator.dataset
    if evaluator.num_images == 0:
        raise InputError(f"{dataset.name}: every image was skipped; first: {skipped[0].reason}")
    metrics = evaluator.compute()
    chosen = chosen_thresholds(settings, options)
    if chosen is not None:
        add_chosen(metrics, evaluator, chosen)
    return ResultRecord(
        model=model if isinstance(model, str) else model.name,
        parameters=0 if isinstance(model, str) else model.parameters,
        dataset=dataset.name,
        split=dataset.split,
        num_images=evaluator.num_images,
        cam_method=(
            "none (baseline)" if isinstance(model, str) else localizer(model, options).method.name
        ),
        metrics=metrics,
        settings=settings,
        environment=environment(usable_device(options.device)),
        timing=run.timing(),
        skipped=in_order(skipped, dataset),
        notes=[
            *dataset.notes,
            *evaluator.notes(),
            *(() if isinstance(model, str) else model.notes),
        ],
        cost=model_cost(model, options),
        curves=evaluator.curves() if options.curves else None,
        plugin_metrics=evaluator.plugin_metrics() or None,
    )


def model_cost(model: Classifier | str, options: EvaluationOptions) -> Cost | None:
    """What the record says about a network's cost; None for a baseline."""
    if isinstance(model, str):
        return None
    device = usable_device(options.device)
    model.to(torch.device(device))
    size = input_size(model, options)
    flops, map_size = forward_cost(model, size, device, options.map_method, options.layer)
    cost = Cost(flops=flops, map_size=map_size)
    if options.latency:
        dtype = AUTOCAST.get(options.precision)
        cost.latency_ms = round(median_latency(model, size, device, dtype), 3)
        where = environment(device)
        threads = f", {where.threads} threads" if where.device == "cpu" else ""
        cost.latency_device = f"{where.device}{threads}, {options.precision}"
    return cost


class _BaselineJudging:
    """Compares one map, whose boxes are found once, with every image."""

    def __init__(self, name: str, evaluator: Evaluator, options: EvaluationOptions) -> None:
        if name not in BASELINES:
            raise InputError(f"{name}: not a baseline; there are {', '.join(BASELINES)}.")
        self._name = name
        self._map = baseline_map(name, options.protocol.grid)
        self._boxes: dict[tuple[int, int], NDArray[np.float64]] = {}
        self._evaluator = evaluator
        self._options = options
        self.seconds = Seconds()

    def judged(self, share: Share) -> Iterator[Outcome | SkippedImage]:
        """Each image's outcome; see `wsol.evaluation.lifecycle.Judging`."""
        options, dataset = self._options, self._evaluator.dataset
        prepared = None
        if self._evaluator.box_judge is None:
            prepared = prepare(self._map, options.protocol)
        start = time.thread_time()
        for position in share.positions():
            sample = dataset.samples[position]
            try:
                settled = settle(
                    sample,
                    exif=dataset.exif,
                    skip_bad_annotations=dataset.skip_bad_annotations,
                )
                sample = settled.sample
                if prepared is None:
                    outcome = self._judge_box(sample)
                else:
                    outcome = judge(prepared, sample, options.protocol)
                outcome = replace(outcome, findings=settled.findings)
            except InputError as error:
                if not (options.skip_bad_images or isinstance(error, NoBoxLeftError)):
                    raise
                yield SkippedImage(image_id=sample.image_id, reason=str(error))
                continue
            if options.save_scoremaps is not None:
                save_score_map(options.save_scoremaps, sample.image_id, self._map)
            if options.per_image and prepared is not None:
                row = outcome_row(prepared, outcome, sample, dataset, options.protocol)
                outcome = replace(outcome, row=row)
            yield outcome
        self.seconds.localization = time.thread_time() - start

    def _judge_box(self, sample: Sample) -> Outcome:
        """Under a convention that asks for one box: of the frame, or of the map on it."""
        judging = self._evaluator.box_judge
        assert judging is not None
        size = size_of(sample)
        grid = judging.grid_of(size)
        if grid not in self._boxes:
            score_map = None if self._name == "full" else self._map
            self._boxes = {grid: judging.boxes(score_map, size)}  # the next one mostly is the same
        return judging.judge(self._boxes[grid], sample, size)
