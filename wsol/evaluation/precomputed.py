"""Evaluates score maps that were computed elsewhere."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.settling import NoBoxLeftError, settle
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import Outcome, judge, prepare_map
from wsol.evaluation.lifecycle import Place, Run, Seconds, ignore_progress, require_images
from wsol.evaluation.options import ScoreOptions
from wsol.evaluation.provenance import environment, mask_files
from wsol.evaluation.rows import outcome_row
from wsol.evaluation.settings import box_settings, data_settings, require_one_box
from wsol.evaluation.shares import Share
from wsol.maps.files import ScoreMaps
from wsol.pipeline import Pipeline, usable_cores
from wsol.processes import ALONE, Processes
from wsol.records.record import ResultRecord, SkippedImage


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
    part = evaluated or dataset
    require_images(part)
    maps = ScoreMaps(path, (sample.image_id for sample in dataset.samples))
    left_out = _account_for_maps(maps, part, options.skip_bad)
    evaluator = Evaluator(part, options.protocol, options.name or "these maps")
    if evaluator.box_judge is not None:
        require_one_box(options)
    settings: dict[str, Any] = options.protocol.settings() | data_settings(part)
    settings |= {
        "score_maps": Path(path).resolve().name,
        "skip_bad_images": options.skip_bad,
    }
    if evaluator.box_judge is not None:
        settings |= box_settings(evaluator.box_judge, classified=False)
    run = Run(
        evaluator,
        settings,
        place,
        files=_files(maps, part),
        per_image=options.per_image,
        save_every=options.save_every,
        processes=processes,
    )
    judging = _MapJudging(maps, evaluator, {item.image_id for item in left_out}, options)
    skipped = left_out + run.add_all(judging, advance)

    def finished() -> ResultRecord:
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
            curves=evaluator.curves() if options.curves else None,
            plugin_metrics=evaluator.plugin_metrics() or None,
        )
        run.finish(record)
        return record

    return processes.of_first(finished)


def _files(maps: ScoreMaps, part: Dataset) -> Iterator[tuple[str, Path]]:
    """Everything that is read: the maps, and the masks that they are compared with."""
    yield from maps.files
    for sample in part.samples:
        yield from mask_files(sample)


class _MapJudging:
    """Reads maps and compares them, on threads."""

    def __init__(
        self, maps: ScoreMaps, evaluator: Evaluator, left_out: set[str], options: ScoreOptions
    ) -> None:
        self._maps = maps
        self._evaluator = evaluator
        self._left_out = left_out
        self._options = options
        self.seconds = Seconds()

    def judged(self, share: Share) -> Iterator[Outcome | SkippedImage]:
        """Each image's outcome; see `wsol.evaluation.lifecycle.Judging`."""
        threads = self._options.threads or usable_cores()
        samples = self._evaluator.dataset.samples
        with Pipeline[Outcome | SkippedImage](threads) as pipeline:
            for position in share.positions():
                if samples[position].image_id not in self._left_out:
                    yield from pipeline.submit(self._job(samples[position]))
            yield from pipeline.drain()
            self.seconds.localization = pipeline.busy

    def _job(self, sample: Sample) -> Callable[[], Outcome | SkippedImage]:
        return lambda: self._judge(sample)

    def _judge(self, sample: Sample) -> Outcome | SkippedImage:
        options, maps = self._options, self._maps
        dataset, judging = self._evaluator.dataset, self._evaluator.box_judge
        try:
            settled = settle(
                sample, exif=dataset.exif, skip_bad_annotations=dataset.skip_bad_annotations
            )
            sample = settled.sample
            score_map = maps.read(sample.image_id)
            if judging is not None:
                outcome = judging.judge_map(score_map, sample, where=maps.where)
            else:
                prepared = prepare_map(score_map, sample.image_id, options.protocol, maps.where)
                outcome = judge(prepared, sample, options.protocol)
            outcome = replace(outcome, findings=settled.findings)
        except InputError as error:
            if not (options.skip_bad or isinstance(error, NoBoxLeftError)):
                raise
            return SkippedImage(image_id=sample.image_id, reason=str(error))
        if not options.per_image:
            return outcome
        row = outcome_row(prepared, outcome, sample, dataset, options.protocol)
        return replace(outcome, row=row)


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
