"""Evaluates score maps or boxes that were computed elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.settling import NoBoxLeftError, settle_in
from wsol.errors import InputError
from wsol.evaluation.box_reading import is_box_file
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.given import Given
from wsol.evaluation.given_boxes import BoxesGiven
from wsol.evaluation.given_maps import MapsGiven
from wsol.evaluation.lifecycle import (
    Judged,
    Place,
    Run,
    Seconds,
    add_all,
    ignore_progress,
    require_images,
)
from wsol.evaluation.options import ScoreOptions
from wsol.evaluation.predictions import Predictions, read_predictions
from wsol.evaluation.provenance import environment
from wsol.evaluation.settings import box_settings, data_settings, require_usable
from wsol.evaluation.shares import Share
from wsol.pipeline import Pipeline, usable_cores
from wsol.processes import ALONE, Processes
from wsol.records.record import ResultRecord, SkippedImage

_FRAMES = {"squash": "squashed photograph", "center": "central crop"}


def score(
    path: Path,
    dataset: Dataset,
    options: ScoreOptions | None = None,
    *,
    evaluated: Dataset | None = None,
    place: Place | None = None,
    advance: Callable[[int], None] = ignore_progress,
    processes: Processes = ALONE,
) -> ResultRecord:
    """Evaluate the score maps under `path`, in any layout of `wsol.maps.files`, or its boxes, in
    one of `wsol.evaluation.box_reading`.

    Args:
        dataset: the annotations that the maps belong to.
        evaluated: a part of `dataset` to evaluate alone; None evaluates all of it.
        place: where to keep the record, and progress until then; None keeps nothing.
        advance: called with the number of images that have been finished since the last call.
        processes: that share the images, each of which calls this and gets the record.

    Raises:
        InputError: for a missing, extra or bad map or box (unless `skip_bad`), naming its file;
            for predictions that are missing or bad.
    """
    options = options or ScoreOptions()
    (record,) = score_each(
        path,
        dataset,
        [options],
        evaluated=evaluated,
        places=[place],
        advance=advance,
        processes=processes,
    )
    return record


def score_each(
    path: Path,
    dataset: Dataset,
    each: Sequence[ScoreOptions],
    *,
    evaluated: Dataset | None = None,
    places: Sequence[Place | None],
    advance: Callable[[int], None] = ignore_progress,
    processes: Processes = ALONE,
) -> list[ResultRecord]:
    """Evaluate maps or boxes under several conventions at once, see `score`; each is read once.

    Args:
        each: options with one convention each, and otherwise the same.
        places: where to keep the record of each.

    Raises:
        InputError: also when the conventions' maps do not lie on the same frame.
    """
    options, part = each[0], evaluated or dataset
    require_images(part)
    are_boxes = is_box_file(path)
    _require_sense(each, one_frame=not are_boxes)
    opened = partial(_opened, path, dataset, part, options)
    given, left_out, predictions = processes.together(opened)
    gone = {item.image_id for item in left_out}
    require_usable(each)
    evaluators = [Evaluator(part, given.protocol(own.protocol), options.network) for own in each]
    all_settings = [_settings(evaluator, given, options) for evaluator in evaluators]
    runs = [
        Run(
            evaluator,
            settings,
            place,
            files=_files(given, part, options),
            per_image=options.per_image,
            save_every=options.save_every,
            processes=processes,
        )
        for evaluator, settings, place in zip(evaluators, all_settings, places, strict=True)
    ]
    judging = _GivenJudging(given, evaluators, gone, predictions, options)
    skipped = add_all(runs, judging, advance)

    def made(run: Run, settings: dict[str, Any], bad: list[SkippedImage]) -> ResultRecord:
        evaluator, skipped = run.evaluator, left_out + bad
        if evaluator.num_images == 0:
            raise InputError(f"{path}: every {given.what} was skipped; first: {skipped[0].reason}")
        metrics, notes = given.finished(evaluator.compute())
        record = ResultRecord(
            model=options.name or Path(path).resolve().stem,
            parameters=options.parameters,
            dataset=dataset.name,
            split=dataset.split,
            num_images=evaluator.num_images,
            cam_method="precomputed",
            metrics=metrics,
            settings=settings,
            environment=environment("cpu"),
            timing=run.timing(),
            skipped=sorted(skipped, key=lambda item: item.image_id),
            notes=[*part.notes, *evaluator.notes(), *notes],
            curves=evaluator.curves() if options.curves and evaluator.protocol.searches else None,
            plugin_metrics=evaluator.plugin_metrics() or None,
        )
        run.finish(record)
        return record

    return processes.of_first(
        lambda: [made(*each) for each in zip(runs, all_settings, skipped, strict=True)]
    )


def _opened(
    path: Path, dataset: Dataset, part: Dataset, options: ScoreOptions
) -> tuple[Given, list[SkippedImage], Predictions | None]:
    """What is given, with what of it is left out of `part`, and what a classifier said."""
    kind = BoxesGiven if is_box_file(path) else MapsGiven
    given: Given = kind(Path(path), dataset, options)
    left_out = given.account_for(part, options.skip_bad)
    gone = {item.image_id for item in left_out}
    predictions = None
    if options.predictions is not None:
        predictions = read_predictions(options.predictions, dataset, skip_bad=options.skip_bad)
        wanted = [s.image_id for s in part.samples if s.image_id not in gone]
        if options.skip_bad:
            unsaid = [image_id for image_id in wanted if image_id not in predictions.of]
            left_out += [SkippedImage(image_id=name, reason="no prediction") for name in unsaid]
        else:
            predictions.require(wanted)
    return given, left_out, predictions


def _require_sense(each: Sequence[ScoreOptions], *, one_frame: bool) -> None:
    """Refuse conventions whose maps cannot be the same, and views without a network.

    Args:
        one_frame: maps have only one; boxes come onto any.
    """
    first, *others = (options.protocol for options in each)
    if first.views is not None:
        raise InputError("--views: is what a network classifies, and there is none; leave it out.")
    for other in others:
        if one_frame and other.frame_view != first.frame_view:
            raise InputError(
                f"convention: maps of {first.rules.name} lie on the {_FRAMES[first.frame_view]}, "
                f"those of {other.rules.name} on the {_FRAMES[other.frame_view]}; score them apart."
            )


def _settings(evaluator: Evaluator, given: Given, options: ScoreOptions) -> dict[str, Any]:
    """Everything that decides the numbers under one convention, in JSON values."""
    settings = evaluator.protocol.settings()
    if evaluator.box_judge is not None:
        settings |= box_settings(evaluator.box_judge)
    settings = given.told(settings) | data_settings(evaluator.dataset) | given.settings
    if options.predictions is not None:
        settings["predictions"] = options.predictions.name
    if options.network is not None:
        settings["network"] = options.network
    return settings | {"skip_bad_images": options.skip_bad}


def _files(given: Given, part: Dataset, options: ScoreOptions) -> Iterator[tuple[str, Path]]:
    yield from given.files(part)
    if options.predictions is not None:
        yield "predictions", options.predictions


class _GivenJudging:
    """Reads what is given for each image and compares it, on threads."""

    def __init__(
        self,
        given: Given,
        evaluators: Sequence[Evaluator],
        left_out: set[str],
        predictions: Predictions | None,
        options: ScoreOptions,
    ) -> None:
        self._given = given
        self._predictions = predictions
        self._evaluators = evaluators
        self._dataset = evaluators[0].dataset
        self._left_out = left_out
        self._options = options
        self.seconds = Seconds()

    def judged(self, share: Share) -> Iterator[Judged]:
        """Each image's outcomes; see `wsol.evaluation.lifecycle.Judging`."""
        threads = self._options.threads or usable_cores()
        samples = self._dataset.samples
        with Pipeline[Judged](threads) as pipeline:
            for position in share.positions():
                if samples[position].image_id not in self._left_out:
                    yield from pipeline.submit(self._job(samples[position]))
            yield from pipeline.drain()
            self.seconds.localization = pipeline.busy

    def _job(self, sample: Sample) -> Callable[[], Judged]:
        return lambda: self._judge(sample)

    def _judge(self, sample: Sample) -> Judged:
        dataset = self._dataset
        try:
            settled = settle_in(dataset, sample)
            read = self._given.read(settled.sample)
            said = None
            if self._predictions is not None:
                said = self._predictions.of[sample.image_id]
            per_image = self._options.per_image
            outcomes = [
                self._given.outcome(evaluator, read, settled.sample, said, per_image)
                for evaluator in self._evaluators
            ]
            return tuple(replace(outcome, findings=settled.findings) for outcome in outcomes)
        except InputError as error:
            if not (self._options.skip_bad or isinstance(error, NoBoxLeftError)):
                raise
            return SkippedImage(image_id=sample.image_id, reason=str(error))
