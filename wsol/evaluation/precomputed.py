"""Evaluates score maps that were computed elsewhere."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsol.datasets.base import Dataset, Sample
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.protocol import Outcome, Protocol
from wsol.evaluation.provenance import dataset_fingerprint, environment, fingerprint
from wsol.evaluation.rows import OutcomeFile, image_outcome, save_progress
from wsol.maps.files import ScoreMaps
from wsol.pipeline import Pipeline, usable_cores
from wsol.records.outcomes import ImageOutcome
from wsol.records.record import ResultRecord, SkippedImage, Timing
from wsol.resume import SavedProgress, unbroken

_Scored = tuple[Outcome, ImageOutcome | None]


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """How to evaluate precomputed maps.

    Attributes:
        threads: threads that read maps and compare them.
        skip_bad: leave out images whose map is missing or bad, and maps without an image.
        curves: keep the correct count at every threshold in the record.
        outcomes: Parquet file for every image's outcome, see `wsol.records.outcomes`.
        name: what the record calls the maps; None takes the folder's or file's name.
        parameters: of the network behind the maps, for tables; None if unknown.
        save_every: seconds between saves of progress.
    """

    protocol: Protocol = field(default_factory=Protocol)
    threads: int = field(default_factory=usable_cores)
    skip_bad: bool = False
    curves: bool = False
    outcomes: Path | None = None
    name: str | None = None
    parameters: int | None = None
    save_every: float = 30.0


def score(
    path: Path,
    dataset: Dataset,
    options: ScoreOptions | None = None,
    *,
    evaluated: Dataset | None = None,
    progress_file: Path | None = None,
    resume: bool = False,
    advance: Callable[[int], None] = lambda images: None,
) -> ResultRecord:
    """Evaluate the score maps under `path`, in any layout of `wsol.maps.files`.

    Args:
        dataset: the annotations that the maps belong to.
        evaluated: a part of `dataset` to evaluate alone; None evaluates all of it.
        progress_file: where to keep progress; deleted at the end. None keeps none.
        resume: go on from `progress_file` if it exists, else start anew.
        advance: called with the number of images that have been finished since the last call.

    Raises:
        InputError: for a missing, extra or bad map (unless `skip_bad`), naming its file.
    """
    options = options or ScoreOptions()
    start = time.perf_counter()
    part = evaluated or dataset
    if len(part) == 0:
        raise InputError(f"{dataset.name}, split {dataset.split}: there is no image to evaluate.")
    maps = ScoreMaps(path, (sample.image_id for sample in dataset.samples))
    skipped = _account_for_maps(maps, part, options.skip_bad)
    evaluator = Evaluator(part, options.protocol)
    settings: dict[str, Any] = options.protocol.settings() | {
        "score_maps": Path(path).resolve().name,
        "num_images": len(part),
        "dataset_fingerprint": dataset_fingerprint(part),
        "skip_bad_images": options.skip_bad,
    }
    saved = None
    if progress_file is not None:
        run = fingerprint(settings, str(Path(path).resolve()))
        saved = SavedProgress(progress_file, run, options.save_every)
        state = saved.load() if resume else None
        if state is not None:
            evaluator.load_state(state)
            advance(evaluator.num_images)
    rows = None
    if options.outcomes is not None:
        rows = OutcomeFile(options.outcomes, part, options.protocol)
        rows.begin(evaluator.evaluated())
    left_out = {item.image_id for item in skipped}
    with Pipeline[_Scored | SkippedImage](options.threads) as pipeline:
        try:
            for sample, item in _outcomes(pipeline, evaluator, maps, left_out, options):
                if isinstance(item, SkippedImage):
                    skipped.append(item)
                else:
                    outcome, row = item
                    with unbroken():
                        evaluator.add(sample.image_id, outcome)
                        if rows is not None and row is not None:
                            rows.add(row)
                advance(1)
                if saved is not None and saved.due():
                    save_progress(saved, evaluator, rows)
        except BaseException:
            if saved is not None and evaluator.num_images:
                save_progress(saved, evaluator, rows)
            raise
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
        timing=Timing(
            data=0.0,
            forward=0.0,
            localization=round(pipeline.busy, 3),
            total=round(time.perf_counter() - start, 3),
        ),
        skipped=sorted(skipped, key=lambda item: item.image_id),
        notes=list(part.notes),
        curves=evaluator.curves() if options.curves else None,
    )
    if rows is not None:
        rows.join(evaluator.evaluated())
    if saved is not None:
        saved.remove()
    if rows is not None:
        rows.discard_parts()
    return record


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


def _outcomes(
    pipeline: Pipeline[_Scored | SkippedImage],
    evaluator: Evaluator,
    maps: ScoreMaps,
    left_out: set[str],
    options: ScoreOptions,
) -> Iterator[tuple[Sample, _Scored | SkippedImage]]:
    """Every pending image with its outcome, in the data set's order."""
    dataset, protocol = evaluator.dataset, options.protocol

    def job(sample: Sample) -> Callable[[], _Scored | SkippedImage]:
        def run() -> _Scored | SkippedImage:
            try:
                prepared = evaluator.prepare(maps.read(sample.image_id), sample, maps.where)
                outcome = evaluator.judge_prepared(prepared, sample)
            except InputError as error:
                if not options.skip_bad:
                    raise
                return SkippedImage(image_id=sample.image_id, reason=str(error))
            if options.outcomes is None:
                return outcome, None
            return outcome, image_outcome(prepared, outcome, None, sample, dataset, protocol)

        return run

    samples = [dataset.samples[position] for position in evaluator.pending()]
    samples = [sample for sample in samples if sample.image_id not in left_out]
    finished = iter(samples)
    for sample in samples:
        for item in pipeline.submit(job(sample)):
            yield next(finished), item
    for item in pipeline.drain():
        yield next(finished), item
