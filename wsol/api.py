"""What a notebook needs: each function is one command, with the command's options as arguments."""

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar, overload

from wsol.datasets.base import Dataset, limited
from wsol.datasets.options import DataOptions, SelectionOptions
from wsol.errors import InputError
from wsol.evaluation.options import EvaluationOptions, ScoreOptions
from wsol.evaluation.protocol import Protocol
from wsol.options import Options
from wsol.records.record import ResultRecord, find_records

_Job = TypeVar("_Job", bound=Options)

if TYPE_CHECKING:
    import pandas as pd

    from wsol.models.classifier import Classifier


@overload
def evaluate(
    model: "str | Classifier",
    data: "str | Dataset",
    root: "str | Path | None" = ...,
    **options: Any,
) -> ResultRecord: ...
@overload
def evaluate(
    model: "Sequence[str | Classifier]",
    data: "str | Dataset",
    root: "str | Path | None" = ...,
    **options: Any,
) -> list[ResultRecord]: ...
def evaluate(
    model: "str | Classifier | Sequence[str | Classifier]",
    data: "str | Dataset",
    root: "str | Path | None" = None,
    *,
    weights: "str | Path | Sequence[str | Path]" = "default",
    out: "str | Path | None" = None,
    resume: bool = False,
    **options: Any,
) -> ResultRecord | list[ResultRecord]:
    """Evaluate networks or baselines on a data set, as `wsol evaluate` does.

    Args:
        model: a name as `wsol evaluate` takes it (`resnet50`, `timm:NAME`, `module:callable`,
            `center`, `full`) or a `Classifier`; or a list of them.
        data: a layout (`wsol datasets sources` lists them), with its `root`, or a `Dataset`.
        root: the data set's folder.
        weights: `default`, `none` or a checkpoint; for several networks one for all, or one each.
        out: a folder to keep each record in, and progress until then; None keeps nothing.
        resume: go on in `out` where an interrupted call stopped.
        options: every option of the command under its own name, such as `batch_size=64`,
            `method="gradcam"`, `threshold_step=0.01`, `images=...`, `limit=100`: the fields of
            `EvaluationOptions`, `Protocol`, `DataOptions` and `SelectionOptions`.

    Returns:
        A record for one model, method and convention; a list for several of any of them.

    Raises:
        InputError: for anything wrong with models, data or options.
    """
    from wsol.evaluation.lifecycle import places_of
    from wsol.evaluation.models import (
        ModelRequest,
        by_method,
        evaluate_model,
        evaluate_models,
        file_names,
        no_progress,
        pair_weights,
    )
    from wsol.evaluation.transferred import with_chosen

    dataset, _, rest = _opened(data, root, options)
    chosen_on = {name: rest.pop(name) for name in SelectionOptions.model_fields if name in rest}
    select = SelectionOptions(**chosen_on)
    selected = select.opened()
    made = _options(EvaluationOptions, rest)
    folder = None if out is None else Path(out)
    several = isinstance(model, list | tuple)
    several = several or len(made.method) > 1 or len(made.protocol.convention) > 1
    models: list[Any] = list(model) if isinstance(model, list | tuple) else [model]
    if not models:
        raise InputError("There is no model to evaluate.")
    for item in models:
        _require_model(item)
    named = [item for item in models if isinstance(item, str)]
    paired = pair_weights(named, _names_of(weights))

    def run(evaluated: Dataset, made: EvaluationOptions, folder: Path | None) -> list[ResultRecord]:
        requests, records = iter(paired), []
        for number, item in enumerate(models):
            if isinstance(item, str):
                request: ModelRequest = next(requests)
                each = by_method([request], made)
                records += evaluate_models(each, evaluated, made, folder=folder, resume=resume)
                continue
            own, places = [], []
            for method in made.method:
                name = file_names([ModelRequest(item.name, method=method)])[0]
                name = f"{name}-{number}" if number else name
                own += made.replaced(method=(method,)).each()
                places += places_of(folder, name, made.protocol.convention, resume=resume)
            records += evaluate_model(item, None, evaluated, own, places=places, track=no_progress)
        return records

    with TemporaryDirectory() as temporary:
        if selected is not None:
            made = with_chosen(
                made,
                lambda own: run(selected, own, None if folder is None else folder / ".selection"),
                Path(temporary) / "thresholds.json",
                pseudo_boxes=select.pseudo_boxes,
            )
        records = run(dataset, made, folder)
    return records if several else records[0]


def score(
    maps: "str | Path",
    data: "str | Dataset",
    root: "str | Path | None" = None,
    **options: Any,
) -> ResultRecord | list[ResultRecord]:
    """Evaluate score maps or boxes that were computed elsewhere, as `wsol score` does.

    Args:
        maps: a folder of `<image id>.npy` files, or an `.npz`, `.h5` or `.npy` stack; or boxes,
            COCO results (`.json`) or CSV.
        data: a layout with its `root`, or a `Dataset`.
        root: the data set's folder.
        options: every option of the command under its own name: the fields of `ScoreOptions`,
            `Protocol` and `DataOptions`.

    Returns:
        A record; a list for several conventions.

    Raises:
        InputError: for a missing, extra or bad map or box, or anything wrong with data or options.
    """
    from wsol.evaluation.precomputed import score_each

    part, whole, rest = _opened(data, root, options)
    each = _options(ScoreOptions, rest).each()
    records = score_each(Path(maps), whole, each, evaluated=part, places=[None] * len(each))
    return records if len(records) > 1 else records[0]


def load_model(
    name: str, weights: str = "default", *, num_classes: int | None = None, **arguments: Any
) -> "Classifier":
    """A network by name, with weights; see `wsol.models.registry.load_classifier`.

    Args:
        name: a torchvision name, `vgg16_gap`, `timm:NAME` or `module:callable`.
        weights: `default` for the library's, `none` for random ones, or a checkpoint.
        num_classes: of a network with random weights; otherwise the weights decide.
        arguments: of wsol's own builders, such as `width=0.25`.

    Raises:
        InputError: for an unknown name, or weights that do not fit or cannot be had.
    """
    from wsol.models.registry import load_classifier

    return load_classifier(name, str(weights), num_classes=num_classes, arguments=arguments)


def read_records(*places: "str | Path") -> list[ResultRecord]:
    """The records in files and folders (`results` alone if none is named).

    Raises:
        InputError: for a file that cannot be read, or a folder without any record.
    """
    return find_records(map(Path, places or ("results",)))


def table(records: Iterable[ResultRecord]) -> "pd.DataFrame":
    """Every number of every record as a pandas DataFrame, a row a record.

    Columns that no record has a value for are left out; what does not apply is NaN. `wsol table`
    prints the same numbers for papers.
    """
    from wsol.results.columns import frame

    records = list(records)
    if not records:
        raise InputError("There is no record to make a table of.")
    return frame(records).dropna(axis="columns", how="all")


def _require_model(model: Any) -> None:
    if isinstance(model, str):
        return
    from wsol.models.classifier import Classifier

    if not isinstance(model, Classifier):
        kind = type(model).__name__
        raise InputError(
            f"model: should be a name or a wsol.Classifier, not the type {kind}; of a module of "
            "your own, wsol.Classifier('its name', module) makes one."
        )


def _names_of(weights: Any) -> list[str]:
    """Each name of weights, of one or of several."""
    given = weights if isinstance(weights, list | tuple) else [weights]
    for name in given:
        if not isinstance(name, str | PathLike):
            raise InputError(
                f"weights: should be 'default', 'none' or a checkpoint, or a list of them, not "
                f"{name!r}; 'none' means random ones."
            )
    return [str(name) for name in given]


def _opened(
    data: "str | Dataset", root: "str | Path | None", options: dict[str, Any]
) -> tuple[Dataset, Dataset, dict[str, Any]]:
    """The part of a data set to evaluate, all of it, and the options that are left."""
    rest = dict(options)
    own = {name: rest.pop(name) for name in DataOptions.model_fields if name in rest}
    if isinstance(data, Dataset):
        limit = own.pop("limit", None)
        if own or root is not None:
            raise InputError(
                f"{', '.join(['root'] * (root is not None) + list(own))}: the data set is open "
                "already."
            )
        return limited(data, limit), data, rest
    if not isinstance(data, str):
        kind = type(data).__name__
        raise InputError(f"data: should be a layout's name or a wsol.Dataset, not the type {kind}.")
    if root is None:
        raise InputError(f"{data}: name its folder, root=...")
    opened = DataOptions(data=data, root=Path(root), **own)
    whole = opened.whole()
    return limited(whole, opened.limit), whole, rest


def _options(job: type[_Job], options: dict[str, Any]) -> _Job:
    """A job's options, with those of the protocol among them by their own names."""
    protocol = {name: options.pop(name) for name in Protocol.model_fields if name in options}
    if protocol:
        if "protocol" in options:
            raise InputError("Options of the protocol stand in `protocol` or beside it, not both.")
        options["protocol"] = Protocol(**protocol)
    return job(**options)
