"""Evaluates score maps that were computed elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.settling import NoBoxLeftError, settle
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import Outcome, judge, prepare_map
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
from wsol.evaluation.provenance import environment, mask_files, photograph_file
from wsol.evaluation.rows import outcome_row
from wsol.evaluation.settings import box_settings, data_settings, require_usable
from wsol.evaluation.shares import Share
from wsol.maps.files import ScoreMaps
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
    """Evaluate the score maps under `path`, in any layout of `wsol.maps.files`.

    Args:
        dataset: the annotations that the maps belong to.
        evaluated: a part of `dataset` to evaluate alone; None evaluates all of it.
        place: where to keep the record, and progress until then; None keeps nothing.
        advance: called with the number of images that have been finished since the last call.
        processes: that share the images, each of which calls this and gets the record.

    Raises:
        InputError: for a missing, extra or bad map (unless `skip_bad`), naming its file.
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
    """Evaluate score maps under several conventions at once, see `score`; each map is read once.

    Args:
        each: options with one convention each, and otherwise the same.
        places: where to keep the record of each.

    Raises:
        InputError: also when the conventions' maps do not lie on the same frame.
    """
    options, part = each[0], evaluated or dataset
    require_images(part)
    _require_one_frame(each)
    maps = ScoreMaps(path, (sample.image_id for sample in dataset.samples))
    left_out = _account_for_maps(maps, part, options.skip_bad)
    evaluators = [Evaluator(part, own.protocol, options.name or "these maps") for own in each]
    require_usable(each)
    all_settings = [_settings(evaluator, Path(path), options) for evaluator in evaluators]
    runs = [
        Run(
            evaluator,
            settings,
            place,
            files=_files(maps, part),
            per_image=options.per_image,
            save_every=options.save_every,
            processes=processes,
        )
        for evaluator, settings, place in zip(evaluators, all_settings, places, strict=True)
    ]
    judging = _MapJudging(maps, evaluators, {item.image_id for item in left_out}, options)
    skipped = left_out + add_all(runs, judging, advance)

    def made(run: Run, settings: dict[str, Any]) -> ResultRecord:
        evaluator = run.evaluator
        if evaluator.num_images == 0:
            raise InputError(f"{path}: every map was skipped; first: {skipped[0].reason}")
        record = ResultRecord(
            model=options.name or Path(path).resolve().stem,
            parameters=options.parameters,
            dataset=dataset.name,
            split=dataset.split,
            num_images=evaluator.num_images,
            cam_method="precomputed",
            metrics=evaluator.compute(),
            settings=settings,
            environment=environment("cpu"),
            timing=run.timing(),
            skipped=sorted(skipped, key=lambda item: item.image_id),
            notes=[*part.notes, *evaluator.notes()],
            curves=evaluator.curves() if options.curves and evaluator.box_judge is None else None,
            plugin_metrics=evaluator.plugin_metrics() or None,
        )
        run.finish(record)
        return record

    return processes.of_first(
        lambda: [made(run, settings) for run, settings in zip(runs, all_settings, strict=True)]
    )


def _require_one_frame(each: Sequence[ScoreOptions]) -> None:
    """Refuse conventions whose maps cannot be the same."""
    first, *others = (options.protocol for options in each)
    for other in others:
        if other.frame_view != first.frame_view:
            raise InputError(
                f"convention: maps of {first.rules.name} lie on the {_FRAMES[first.frame_view]}, "
                f"those of {other.rules.name} on the {_FRAMES[other.frame_view]}; score them apart."
            )


def _settings(evaluator: Evaluator, path: Path, options: ScoreOptions) -> dict[str, Any]:
    """Everything that decides the numbers under one convention, in JSON values."""
    settings = evaluator.protocol.settings() | data_settings(evaluator.dataset)
    settings |= {"score_maps": path.resolve().name, "skip_bad_images": options.skip_bad}
    if evaluator.box_judge is not None:
        settings |= box_settings(evaluator.box_judge, classified=False)
    return settings


def _files(maps: ScoreMaps, part: Dataset) -> Iterator[tuple[str, Path]]:
    """Everything that is read: the maps, the masks that they are compared with, and photographs
    that say which size boxes are in."""
    yield from maps.files
    for sample in part.samples:
        yield from mask_files(sample)
        if sample.size is None:
            yield from photograph_file(sample)


class _MapJudging:
    """Reads maps and compares them, on threads."""

    def __init__(
        self,
        maps: ScoreMaps,
        evaluators: Sequence[Evaluator],
        left_out: set[str],
        options: ScoreOptions,
    ) -> None:
        self._maps = maps
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
            settled = settle(
                sample, exif=dataset.exif, skip_bad_annotations=dataset.skip_bad_annotations
            )
            score_map = self._maps.read(sample.image_id)
            return tuple(
                replace(self._outcome(evaluator, score_map, settled.sample),
                        findings=settled.findings)
                for evaluator in self._evaluators
            )  # fmt: skip
        except InputError as error:
            if not (self._options.skip_bad or isinstance(error, NoBoxLeftError)):
                raise
            return SkippedImage(image_id=sample.image_id, reason=str(error))

    def _outcome(self, evaluator: Evaluator, score_map: NDArray[Any], sample: Sample) -> Outcome:
        """The outcome of one image under one convention."""
        judging, protocol, where = evaluator.box_judge, evaluator.protocol, self._maps.where
        if judging is not None:
            return judging.judge_map(score_map, sample, where=where)
        prepared = prepare_map(score_map, sample.image_id, protocol, where)
        outcome = judge(prepared, sample, protocol)
        if not self._options.per_image:
            return outcome
        return replace(outcome, row=outcome_row(prepared, outcome, sample, self._dataset, protocol))


def _account_for_maps(maps: ScoreMaps, part: Dataset, skip_bad: bool) -> list[SkippedImage]:
    """Refuse missing and extra maps before any work is done, or list them."""
    wanted = {sample.image_id for sample in part.samples}
    missing = [image_id for image_id in maps.missing if image_id in wanted]
    if not skip_bad:
        if missing:
            raise InputError(
                f"{maps.where(missing[0])}: no score map for {missing[0]} "
                f"({len(missing)} of {len(wanted)} images have none); "
                "write them, or leave them out with --skip-bad."
            )
        if maps.extra:
            raise InputError(
                f"{maps.path}: the score map {maps.extra[0]!r} belongs to no image of the data "
                f"set ({len(maps.extra)} such maps); "
                "remove them, choose the right split, or pass over them with --skip-bad."
            )
        return []
    listed = [SkippedImage(image_id=name, reason="no score map") for name in missing]
    return listed + [
        SkippedImage(image_id=name, reason="a score map without annotation") for name in maps.extra
    ]
