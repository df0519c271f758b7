"""Several models on one data set, with finished ones kept across interruptions."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from wsol.datasets.base import Dataset
from wsol.errors import InputError
from wsol.evaluation.lifecycle import Place, ignore_progress
from wsol.evaluation.loop import evaluate, model_cost
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.settings import localizer, run_settings, with_coco
from wsol.maps.baselines import BASELINES
from wsol.models.classifier import Classifier
from wsol.models.registry import load_classifier
from wsol.records.record import ResultRecord, read_records, write_record

Track = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows the progress of one model: called with its name and the number of images, it gives a
function to call with the images finished since the last call."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A model as the user names it, its weights (`default`, `none` or a file), arguments for one
    of wsol's own builders, and the method that makes its maps."""

    spec: str
    weights: str = "default"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    method: str = "cam"


def pair_weights(specs: Iterable[str], weights: list[str]) -> list[ModelRequest]:
    """Give every model its weights: none named = defaults, one = for all, else one a network.

    Raises:
        InputError: when the numbers do not match.
    """
    specs = list(specs)
    networks = [spec for spec in specs if spec not in BASELINES]
    if len(weights) <= 1:
        given = iter((weights or ["default"]) * len(networks))
    elif len(weights) == len(networks):
        given = iter(weights)
    else:
        raise InputError(
            f"{len(weights)} --weights for {len(networks)} networks ({', '.join(networks)}); "
            "give one for all of them, or one each in the same order."
        )
    return [
        ModelRequest(spec) if spec in BASELINES else ModelRequest(spec, next(given))
        for spec in specs
    ]


def by_method(requests: Iterable[ModelRequest], options: EvaluationOptions) -> list[ModelRequest]:
    """A request for each model and method; baselines have none and come once."""
    return [
        replace(request, method=method)
        for request in requests
        for method in (("cam",) if request.spec in BASELINES else options.method)
    ]


def no_progress(name: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """A `Track` that shows nothing."""
    return nullcontext(ignore_progress)


def evaluate_models(
    requests: list[ModelRequest],
    dataset: Dataset,
    options: EvaluationOptions,
    *,
    folder: Path | None = None,
    resume: bool = False,
    track: Track = no_progress,
    tell: Callable[[str], None] = lambda line: None,
) -> list[ResultRecord]:
    """Evaluate each model in turn, with the method of its request.

    Args:
        requests: of `by_method`, where the options name methods.
        folder: where each model's record, and while it runs its progress, is kept; None keeps
            nothing. Records of models that finished stay when a later one fails.
        resume: keep records in `folder` that were made with the same settings and weights, and go
            on with an unfinished model.
        tell: called with a line for each method of a model that has several, before they run: how
            many forward passes to expect.
    """
    records = []
    named = zip(requests, file_names(requests), strict=True)
    for alike, group in groupby(named, lambda pair: replace(pair[0], method="cam")):
        model, runs = load_model(alike, dataset), list(group)
        if len(runs) > 1:
            for request, _ in runs:
                tell(_passes(model, request, dataset, options))
        for request, name in runs:
            records.append(
                _evaluated(model, request, name, dataset, options, folder, resume, track)
            )
    return records


def _evaluated(
    model: Classifier | str,
    request: ModelRequest,
    name: str,
    dataset: Dataset,
    options: EvaluationOptions,
    folder: Path | None,
    resume: bool,
    track: Track,
) -> ResultRecord:
    options = options.replaced(method=(request.method,))
    place = None if folder is None else Place(folder, name, resume)
    if resume and place is not None:
        settings = run_settings(model, dataset, options, weights_name(request))
        record = _finished(place, settings, options.per_image)
        if record is not None:
            if options.latency and not _is_timed(record):
                record.cost = model_cost(model, options)
                write_record(record, place.record)
            return record
    return evaluate_model(model, weights_name(request), dataset, options, place=place, track=track)


def expected_passes(
    requests: list[ModelRequest], dataset: Dataset, options: EvaluationOptions
) -> Iterator[str]:
    """A line for each request that says how many forward passes its maps need."""
    for alike, group in groupby(requests, lambda request: replace(request, method="cam")):
        model = load_model(alike, dataset)
        for request in group:
            yield _passes(model, request, dataset, options)


def _passes(
    model: Classifier | str, request: ModelRequest, dataset: Dataset, options: EvaluationOptions
) -> str:
    if isinstance(model, str):
        return f"{model}: no forward pass"
    options = options.replaced(method=(request.method,))
    return f"{model.name}, {request.method}: {passes_of(model, dataset, options)}"


def passes_of(model: Classifier, dataset: Dataset, options: EvaluationOptions) -> str:
    """How many forward passes the maps of a run need, in words."""
    classes = 1 + (min(5, len(dataset.classes)) if with_coco(model, options) else 0)
    count = localizer(model, options).passes(classes)
    if count is None:
        return "as many forward passes as the method makes"
    each = "1 forward pass" if count == 1 else f"{count:,} forward passes"
    return f"{each} an image, {count * len(dataset):,} in all"


def evaluate_model(
    model: Classifier | str,
    weights: str | None,
    dataset: Dataset,
    options: EvaluationOptions,
    *,
    place: Place | None,
    track: Track,
) -> ResultRecord:
    """Evaluate one model, with its progress shown; see `evaluate_models`."""
    with track(model if isinstance(model, str) else model.name, len(dataset)) as advance:
        return evaluate(model, dataset, options, weights=weights, place=place, advance=advance)


def load_model(request: ModelRequest, dataset: Dataset) -> Classifier | str:
    """A request's classifier, or the name of its baseline."""
    if request.spec in BASELINES:
        return request.spec
    num_classes = len(dataset.classes) if request.weights == "none" else None
    return load_classifier(
        request.spec,
        request.weights,
        num_classes=num_classes,
        arguments=dict(request.arguments),
    )


def weights_name(request: ModelRequest) -> str | None:
    """Weights as a record names them: a file by its name alone, wherever it lay."""
    if request.spec in BASELINES:
        return None
    named = request.weights in ("default", "none")
    return request.weights if named else Path(request.weights).name


def _finished(place: Place, settings: dict[str, object], per_image: bool) -> ResultRecord | None:
    if not place.record.exists() or (per_image and not place.outcomes.exists()):
        return None
    record = read_records(place.record)[0]
    return record if record.settings == settings else None


def _is_timed(record: ResultRecord) -> bool:
    return record.cost is not None and record.cost.latency_ms is not None


def file_names(requests: list[ModelRequest]) -> list[str]:
    """A file name for each request, unique and free of characters that mean something."""
    names: list[str] = []
    for request in requests:
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", request.spec).strip("-.") or "model"
        if request.weights not in ("default", "none"):
            stem += "-" + re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(request.weights).stem).strip("-.")
        if request.method != "cam":
            stem += "-" + re.sub(r"[^A-Za-z0-9_.+-]+", "-", request.method)
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names.append(name)
    return names
