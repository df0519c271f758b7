"""Several models on one data set, with finished ones kept across interruptions."""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby, repeat
from pathlib import Path
from typing import Any

from wsol.datasets.base import Dataset
from wsol.errors import InputError
from wsol.evaluation.conventions import View
from wsol.evaluation.lifecycle import Place, ignore_progress, names_of, places_of
from wsol.evaluation.loop import evaluate_each, model_cost
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.settings import localizer, run_settings
from wsol.files import exists
from wsol.maps.baselines import BASELINES
from wsol.models.classifier import Classifier
from wsol.models.registry import load_classifier
from wsol.processes import ALONE, Processes
from wsol.records.record import ResultRecord, read_records, write_order, write_record

Track = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows the progress of one model: called with its name and the number of images, it gives a
function to call with the images finished since the last call."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A model as the user names it, and what to give it.

    Attributes:
        weights: `default`, `none` or a file.
        arguments: for one of wsol's own builders.
        name: what to call it in records and tables; None takes the classifier's.
        beside: what tells its weights from those of other requests for the same network.
        ema: take averaged weights where the file has them beside raw ones.
        method: what makes its maps.
    """

    spec: str
    weights: str = "default"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    beside: str | None = None
    ema: bool = False
    method: str = "cam"


def pair_weights(
    specs: Iterable[str], weights: list[str], *, names: Sequence[str] = (), ema: bool = False
) -> list[ModelRequest]:
    """Give every model its weights: none named = defaults, one = for all, else one a network.

    One network takes any number of weights, each as a request of its own; `*` in a file's name
    stands for all the files that fit. Where a network has several, `beside` tells them apart.

    Args:
        names: what to call the networks, one each, or none.
        ema: for files that have averaged weights beside raw ones.

    Raises:
        InputError: when the numbers do not match, or no file fits a `*`.
    """
    specs = list(specs)
    weights = [file for text in weights for file in _files(text)]
    networks = [spec for spec in specs if spec not in BASELINES]
    if len(networks) == 1 and len(weights) > 1:
        place = specs.index(networks[0])
        specs[place : place + 1] = networks * len(weights)
        networks *= len(weights)
    if len(weights) <= 1:
        given = iter((weights or ["default"]) * len(networks))
    elif len(weights) == len(networks):
        given = iter(weights)
    else:
        raise InputError(
            f"{len(weights)} --weights for {len(networks)} networks ({', '.join(networks)}); "
            "give one for all of them, or one each in the same order."
        )
    if names and len(names) != len(networks):
        raise InputError(
            f"{len(names)} --name for {len(networks)} networks; give one each in the same order."
        )
    called: Iterator[str | None] = iter(names) if names else repeat(None)
    requests = [
        ModelRequest(spec)
        if spec in BASELINES
        else ModelRequest(spec, next(given), name=next(called), ema=ema)
        for spec in specs
    ]
    return [replace(request, beside=_beside(request, requests)) for request in requests]


def _files(weights: str) -> list[str]:
    """The files that a name with `*` stands for, numbers in their order; else the name itself."""
    if weights in ("default", "none") or "*" not in weights or exists(Path(weights)):
        return [weights]
    parts = Path(weights).expanduser().parts
    first = next(number for number, part in enumerate(parts) if "*" in part)
    found = [str(file) for file in Path(*parts[:first]).glob("/".join(parts[first:]))]
    if not found:
        raise InputError(f"--weights {weights}: no file fits.")
    return sorted(found, key=_numbers_in_order)


def _numbers_in_order(text: str) -> list[tuple[int, str]]:
    """What sorts epoch-9 before epoch-10."""
    parts = re.split(r"(\d+)", text)
    return [(int(part), "") if number % 2 else (0, part) for number, part in enumerate(parts)]


def _beside(request: ModelRequest, requests: Sequence[ModelRequest]) -> str | None:
    """As much of a file's path as tells it from the other weights of the same network."""
    others = {other.weights for other in requests if other.spec == request.spec}
    others.discard(request.weights)
    if not others or request.weights in ("default", "none"):
        return request.weights if others else None
    path = Path(request.weights)
    for depth in range(1, len(path.parts) + 1):
        if all(_end(Path(other), depth) != _end(path, depth) for other in others):
            return _end(path, depth)
    return str(path)


def _end(path: Path, depth: int) -> str:
    return "/".join(path.with_suffix("").parts[-depth:])


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
    tell: Callable[[str], None] = lambda text: None,
    processes: Processes = ALONE,
) -> list[ResultRecord]:
    """Evaluate each model in turn, with the methods of its requests, under each convention at once.

    Methods that can share a pass of the network do.

    Args:
        requests: of `by_method`, where the options name methods.
        folder: where each model's record, and while it runs its progress, is kept; None keeps
            nothing. Records of models that finished stay when a later one fails.
        resume: keep records in `folder` that were made with the same settings and weights, and go
            on with an unfinished model.
        tell: called with what the user should know about a model's weights, and before several
            methods of a model run, how many forward passes each needs.
        processes: that share every model's images, each of which calls this.
    """
    records = []
    names = file_names(requests)
    named = zip(requests, names, strict=True)
    for alike, group in groupby(named, lambda pair: replace(pair[0], method="cam")):
        model, runs = _loaded(alike, dataset, processes), list(group)
        if not isinstance(model, str):
            for note in model.notes:
                tell(f"{model.name}: {note}")
        if len(runs) > 1:
            for line in _passes(model, [request.method for request, _ in runs], dataset, options):
                tell(line)
        each, places = [], []
        for request, name in runs:
            each += options.replaced(method=(request.method,)).each()
            places += places_of(folder, name, options.protocol.convention, resume=resume)
        weights = weights_name(alike)
        records += _evaluated(model, weights, dataset, each, places, track, processes)
    if folder is not None and processes.is_first:
        write_order([folder / f"{name}.json" for name in record_names(requests, options)])
    return records


def record_names(requests: list[ModelRequest], options: EvaluationOptions) -> list[str]:
    """The names of all records of an evaluation, in their order."""
    conventions = options.protocol.convention
    return [own for name in file_names(requests) for own in names_of(name, conventions)]


def _evaluated(
    model: Classifier | str,
    weights: str | None,
    dataset: Dataset,
    each: Sequence[EvaluationOptions],
    places: Sequence[Place | None],
    track: Track,
    processes: Processes,
) -> list[ResultRecord]:
    """The records of a run, one a convention, of which some may have finished before."""

    def kept(options: EvaluationOptions, place: Place) -> ResultRecord | None:
        settings = run_settings(model, dataset, options, weights)
        record = _finished(place, settings, options.per_image)
        if record is not None and options.latency and not _is_timed(record):
            record.cost = model_cost(model, options)
            write_record(record, place.record)
        return record

    found: list[ResultRecord | None] = [
        processes.of_first(partial(kept, options, place))
        if place is not None and place.resume
        else None
        for options, place in zip(each, places, strict=True)
    ]
    left = [number for number, record in enumerate(found) if record is None]
    made: Iterator[ResultRecord] = iter(())
    if left:
        made = iter(
            evaluate_model(
                model,
                weights,
                dataset,
                [each[number] for number in left],
                places=[places[number] for number in left],
                track=track,
                processes=processes,
            )
        )
    return [record or next(made) for record in found]


def _loaded(request: ModelRequest, dataset: Dataset, processes: Processes) -> Classifier | str:
    return processes.together(partial(load_model, request, dataset))


def expected_passes(
    requests: list[ModelRequest], dataset: Dataset, options: EvaluationOptions
) -> Iterator[str]:
    """A line for each model, and for its methods that share a pass, that says how many forward
    passes their maps need."""
    for alike, group in groupby(requests, lambda request: replace(request, method="cam")):
        model = load_model(alike, dataset)
        yield from _passes(model, [request.method for request in group], dataset, options)


def _passes(
    model: Classifier | str, methods: Sequence[str], dataset: Dataset, options: EvaluationOptions
) -> Iterator[str]:
    if isinstance(model, str):
        yield f"{model}: no forward pass"
        return
    each = [options.replaced(method=(method,)) for method in methods]
    for together in of_one_pass(model, each):
        told = ", ".join(dict.fromkeys(each[number].map_method for number in together))
        conventions = [own for number in together for own in each[number].each()]
        passes = passes_of(model, dataset, conventions)
        yield f"{model.name}, {told}: {passes_told(passes, len(dataset))}"


def of_one_pass(model: Classifier | str, each: Sequence[EvaluationOptions]) -> list[list[int]]:
    """The numbers of those of `each` whose maps are made of the same passes, together."""
    groups: dict[Hashable, list[int]] = {}
    for number, own in enumerate(each):
        key = None if isinstance(model, str) else localizer(model, own).view_key
        groups.setdefault(key, []).append(number)
    return list(groups.values())


def passes_of(
    model: Classifier | str, dataset: Dataset, each: Sequence[EvaluationOptions]
) -> int | None:
    """How many forward passes an image the maps of a run need; None: nobody knows.

    Args:
        each: options with one convention and method each, of which one pass is enough.
    """
    if isinstance(model, str):
        return 0
    more: dict[tuple[View, str], int] = {}
    for own in each:
        count = localizer(model, own).passes
        if count is None:
            return None
        more[own.protocol.frame_view, own.map_method] = count - 1
    frames = {frame for frame, _ in more}
    views = {own.protocol.view_for(dataset.name) for own in each}
    passes = len(frames) + sum(more.values())
    return passes + sum(10 if view == "ten-crop" else 1 for view in views - frames)


def passes_told(passes: int | None, images: int) -> str:
    """Forward passes an image in words, and in all."""
    if passes is None:
        return "as many forward passes as the method makes"
    if passes == 0:
        return "no forward pass"
    told = "1 forward pass" if passes == 1 else f"{passes:,} forward passes"
    return f"{told} an image, {passes * images:,} in all"


def evaluate_model(
    model: Classifier | str,
    weights: str | None,
    dataset: Dataset,
    each: Sequence[EvaluationOptions],
    *,
    places: Sequence[Place | None],
    track: Track,
    processes: Processes = ALONE,
) -> list[ResultRecord]:
    """Evaluate one model, with its progress shown; see `evaluate_each`, `evaluate_models`.

    Args:
        each: options with one convention and method each.
    """
    groups = of_one_pass(model, each)
    records: dict[int, ResultRecord] = {}
    name = model if isinstance(model, str) else model.name
    with track(name, len(groups) * len(dataset)) as advance:
        for group in groups:
            made = evaluate_each(
                model,
                dataset,
                [each[number] for number in group],
                weights=weights,
                places=[places[number] for number in group],
                advance=advance,
                processes=processes,
            )
            records |= zip(group, made, strict=True)
    return [records[number] for number in range(len(each))]


def load_model(request: ModelRequest, dataset: Dataset) -> Classifier | str:
    """A request's classifier, or the name of its baseline."""
    if request.spec in BASELINES:
        return request.spec
    num_classes = len(dataset.classes) if request.weights == "none" else None
    classifier = load_classifier(
        request.spec,
        request.weights,
        num_classes=num_classes,
        arguments=dict(request.arguments),
        ema=request.ema,
    )
    if request.name is not None:
        classifier.name = request.name
    elif request.beside is not None:
        plain = classifier.name
        told = f"{plain[:-1]}, " if plain.endswith(")") else f"{plain} ("
        classifier.name = f"{told}{request.beside})"
    return classifier


def weights_name(request: ModelRequest) -> str | None:
    """Weights as a record names them: a file by its name alone, wherever it lay."""
    if request.spec in BASELINES:
        return None
    if request.weights in ("default", "none"):
        return request.weights
    return Path(request.weights).name + (" (EMA)" if request.ema else "")


def _finished(place: Place, settings: dict[str, object], per_image: bool) -> ResultRecord | None:
    if not exists(place.record) or (per_image and not exists(place.outcomes)):
        return None
    record = read_records(place.record)[0]
    return record if record.settings == settings else None


def _is_timed(record: ResultRecord) -> bool:
    return record.cost is not None and record.cost.latency_ms is not None


def file_names(requests: list[ModelRequest]) -> list[str]:
    """A file name for each request, unique and free of characters that mean something."""
    names: list[str] = []
    for request in requests:
        stem = _plain(request.name or request.spec) or "model"
        if request.name is None and request.weights not in ("default", "none"):
            stem += "-" + _plain(request.beside or Path(request.weights).stem)
        stem += tail_of_method(request.method)
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names.append(name)
    return names


def tail_of_method(method: str) -> str:
    """What a file name says of a map method: nothing of CAM, and the `+` of Grad-CAM++."""
    return "" if method == "cam" else "-" + re.sub(r"[^A-Za-z0-9_.+-]+", "-", method)


def _plain(text: str) -> str:
    # Short enough for what is written behind it.
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:120].strip("-.")
