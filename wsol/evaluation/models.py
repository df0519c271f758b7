"""Several models on one data set, with finished ones kept across interruptions."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wsol.datasets.base import Dataset
from wsol.errors import InputError
from wsol.evaluation.loop import Options, evaluate, ignore_progress, model_cost, run_settings
from wsol.maps.baselines import BASELINES
from wsol.models.classifier import Classifier
from wsol.models.registry import load_classifier
from wsol.records.outcomes import OUTCOMES_SUFFIX
from wsol.records.record import ResultRecord, read_records, write_order, write_record

Track = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows the progress of one model: called with its name and the number of images, it gives a
function to call with the images finished since the last call."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A model as the user names it, its weights (`default`, `none` or a file), and arguments for
    one of wsol's own builders."""

    spec: str
    weights: str = "default"
    arguments: Mapping[str, Any] = field(default_factory=dict)


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


def no_progress(name: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """A `Track` that shows nothing."""
    return nullcontext(ignore_progress)


def evaluate_models(
    requests: list[ModelRequest],
    dataset: Dataset,
    options: Options,
    *,
    folder: Path | None = None,
    resume: bool = False,
    per_image: bool = False,
    track: Track = no_progress,
) -> list[ResultRecord]:
    """Evaluate each model in turn.

    Args:
        folder: where each model's record, and while it runs its progress, is kept; None keeps
            nothing. Records of models that finished stay when a later one fails.
        resume: keep records in `folder` that were made with the same settings and weights, and go
            on with an unfinished model.
        per_image: write `<name>.outcomes.parquet` beside each record; needs a folder.
    """
    records = []
    for request, name in zip(requests, file_names(requests), strict=True):
        model = load_model(request, dataset)
        record = None
        if resume and folder is not None:
            settings = run_settings(model, dataset, options, weights_name(request))
            record = _finished(folder, name, settings, per_image)
            if record is not None and options.latency and not _is_timed(record):
                record.cost = model_cost(model, options)
                write_record(record, folder / f"{name}.json")
        if record is None:
            record = evaluate_model(
                model,
                weights_name(request),
                dataset,
                options,
                folder=folder,
                name=name,
                resume=resume,
                per_image=per_image,
                track=track,
            )
        records.append(record)
    if folder is not None:
        write_order([folder / f"{name}.json" for name in file_names(requests)])
    return records


def evaluate_model(
    model: Classifier | str,
    weights: str | None,
    dataset: Dataset,
    options: Options,
    *,
    folder: Path | None,
    name: str,
    resume: bool,
    per_image: bool,
    track: Track,
) -> ResultRecord:
    """Evaluate one model, with its record as `name` in `folder`; see `evaluate_models`."""
    if folder is not None and per_image:
        options = replace(options, outcomes=folder / f"{name}{OUTCOMES_SUFFIX}")
    with track(model if isinstance(model, str) else model.name, len(dataset)) as advance:
        record = evaluate(
            model,
            dataset,
            options,
            weights=weights,
            progress_file=None if folder is None else folder / f".{name}.progress.npz",
            resume=resume,
            advance=advance,
        )
    if folder is not None:
        if not per_image:  # those of an earlier run tell other numbers
            (folder / f"{name}{OUTCOMES_SUFFIX}").unlink(missing_ok=True)
        write_record(record, folder / f"{name}.json")
    return record


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


def _finished(
    folder: Path, name: str, settings: dict[str, object], per_image: bool
) -> ResultRecord | None:
    path = folder / f"{name}.json"
    if not path.exists() or (per_image and not (folder / f"{name}{OUTCOMES_SUFFIX}").exists()):
        return None
    record = read_records(path)[0]
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
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names.append(name)
    return names
