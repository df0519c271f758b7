"""Evaluating one model: whoever judges its images, what they add up to becomes a record.

Under several conventions each has a record of its own, of one pass over the images.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.settling import NoBoxLeftError, settle_in
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import Outcome, PreparedMap, judge, prepare, size_of
from wsol.evaluation.lifecycle import (
    Judged,
    Judging,
    Place,
    Run,
    Seconds,
    add_all,
    ignore_progress,
    in_order,
    require_images,
)
from wsol.evaluation.network import NetworkJudging
from wsol.evaluation.one_box import PreparedBoxes
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.protocol import Protocol
from wsol.evaluation.provenance import environment, sample_files
from wsol.evaluation.rows import judged_by, outcome_row
from wsol.evaluation.settings import (
    add_chosen,
    chosen_thresholds,
    input_size,
    localizer,
    require_usable,
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

_SIDE = (224, 224)
"""Of a baseline's map where boxes are compared in photographs' own pixels."""


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
    (record,) = evaluate_each(
        model,
        dataset,
        [options],
        weights=weights,
        places=[place],
        advance=advance,
        processes=processes,
    )
    return record


def evaluate_each(
    model: Classifier | str,
    dataset: Dataset,
    each: Sequence[EvaluationOptions],
    *,
    weights: str | None = None,
    places: Sequence[Place | None],
    advance: Callable[[int], None] = ignore_progress,
    processes: Processes = ALONE,
) -> list[ResultRecord]:
    """Evaluate a model under several conventions and methods at once, see `evaluate`.

    A photograph goes through the network once for every distinct view of it. The records are those
    of an evaluation under each convention and by each method alone, but for the time that they
    took.

    Args:
        each: options with one convention and method each, and otherwise the same; of the methods,
            one view of a photograph has to be enough, see
            `wsol.maps.methods.localizer.Localizer.view_key`.
        places: where to keep the record of each.
    """
    require_images(dataset)
    options = each[0]
    if options.save_scoremaps is not None and len(each) > 1:
        raise InputError("--save-scoremaps takes one convention and method at a time.")
    network = model if isinstance(model, str) else model.backbone
    evaluators = [Evaluator(dataset, own.protocol, network) for own in each]
    require_usable(each)
    all_settings = [run_settings(model, dataset, own, weights) for own in each]
    runs = [
        Run(
            evaluator,
            settings,
            place,
            files=() if isinstance(model, str) else sample_files(dataset),
            per_image=options.per_image,
            save_every=options.save_every,
            processes=processes,
        )
        for evaluator, settings, place in zip(evaluators, all_settings, places, strict=True)
    ]

    def prepared() -> Judging:
        if isinstance(model, str):
            return _BaselineJudging(model, evaluators, options)
        return NetworkJudging(model, evaluators, each)

    skipped = add_all(runs, processes.together(prepared), advance)

    def finished() -> list[ResultRecord]:
        records: list[ResultRecord] = []
        failure: InputError | None = None
        costs = {own.method: own for own in each}
        cost = {method: model_cost(model, own) for method, own in costs.items()}
        parts = zip(runs, each, all_settings, skipped, strict=True)
        for run, own, settings, left_out in parts:
            try:
                records.append(_record(model, run, own, settings, left_out, cost[own.method]))
            except InputError as error:  # such as a method of which every map is bad
                failure = failure or error
            else:
                run.finish(records[-1])
        if failure is not None:
            raise failure
        return records

    return processes.of_first(finished)


def _record(
    model: Classifier | str,
    run: Run,
    options: EvaluationOptions,
    settings: dict[str, Any],
    skipped: list[SkippedImage],
    cost: Cost | None,
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
        cost=cost,
        curves=evaluator.curves() if options.curves and options.protocol.searches else None,
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
        plural = "" if where.threads == 1 else "s"
        threads = f", {where.threads} thread{plural}" if where.device == "cpu" else ""
        cost.latency_device = f"{where.device}{threads}, {options.precision}"
    return cost


class _BaselineJudging:
    """Compares one map, whose boxes are found once, with every image."""

    def __init__(
        self, name: str, evaluators: Sequence[Evaluator], options: EvaluationOptions
    ) -> None:
        if name not in BASELINES:
            raise InputError(f"{name}: not a baseline; there are {', '.join(BASELINES)}.")
        if name == "full" and options.save_scoremaps is not None:
            raise InputError(
                "--save-scoremaps: full is the frame's box and has no map; a constant one, saved "
                "and scored, would be a map of zeros."
            )
        self._options = options
        self._dataset = evaluators[0].dataset
        self._baselines = [_Baseline(name, evaluator, options) for evaluator in evaluators]
        self.seconds = Seconds()

    def judged(self, share: Share) -> Iterator[Judged]:
        """Each image's outcomes; see `wsol.evaluation.lifecycle.Judging`."""
        options, dataset = self._options, self._dataset
        start = time.thread_time()
        for position in share.positions():
            sample = dataset.samples[position]
            try:
                settled = settle_in(dataset, sample)
                yield tuple(
                    replace(baseline.judged(settled.sample), findings=settled.findings)
                    for baseline in self._baselines
                )
            except InputError as error:
                if not (options.skip_bad_images or isinstance(error, NoBoxLeftError)):
                    raise
                yield SkippedImage(image_id=sample.image_id, reason=str(error))
        self.seconds.localization = time.thread_time() - start


def _frame(ones: NDArray[Any], protocol: Protocol) -> PreparedMap:
    """The frame's box, which is the same at any threshold and needs none that a map chooses."""
    prepared = prepare(ones, protocol.replaced(threshold=None, also_at=()))
    box = prepared.fixed_boxes
    return replace(prepared, policy_boxes=tuple((box, box) for _ in protocol.policies))


class _Baseline:
    """A baseline under one convention."""

    def __init__(self, name: str, evaluator: Evaluator, options: EvaluationOptions) -> None:
        self._name = name
        self._evaluator = evaluator
        self._options = options
        grid = evaluator.protocol.rules.grid
        self._map = baseline_map(name, _SIDE if isinstance(grid, str) else grid)
        self._boxes: dict[tuple[int, int], PreparedBoxes] = {}
        self._prepared: PreparedMap | None = None
        if evaluator.box_judge is None:
            prepared_by = _frame if name == "full" else prepare
            self._prepared = prepared_by(self._map, evaluator.protocol)

    def judged(self, sample: Sample) -> Outcome:
        """The outcome of one image, whose map is saved where that is asked for."""
        options, protocol, prepared = self._options, self._evaluator.protocol, self._prepared
        if options.save_scoremaps is not None:
            save_score_map(options.save_scoremaps, sample.image_id, self._map)
        if prepared is None:
            return self._judge_box(sample)
        outcome = judge(prepared, sample, protocol)
        if not options.per_image:
            return outcome
        row = outcome_row(prepared, outcome, sample, self._evaluator.dataset, protocol)
        return replace(outcome, row=row)

    def _judge_box(self, sample: Sample) -> Outcome:
        """Under a convention that asks for one box: of the frame, or of the map on it."""
        judging = self._evaluator.box_judge
        assert judging is not None
        size = size_of(sample)
        grid, rows = judging.grid_of(size), self._options.per_image
        if grid not in self._boxes:
            score_map = None if self._name == "full" else self._map
            # The next one mostly is the same.
            self._boxes = {grid: judging.prepare(score_map, size, with_row=rows)}
        rows_of = self._evaluator.dataset if rows else None
        return judged_by(judging, self._boxes[grid], sample, size, rows_of=rows_of)
