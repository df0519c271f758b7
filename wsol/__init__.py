"""wsol: how well does a classifier that never saw a box localize objects, and at what size?

    import wsol
    record = wsol.evaluate("resnet50", data="cub", root="CUB_200_2011", weights="cub.pt")
    wsol.table([record, *wsol.read_records("results")])

Names are imported when they are first used, so that `import wsol` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsol.api import evaluate, load_model, read_records, score, table
    from wsol.datasets.base import Dataset, MaskFiles, Sample
    from wsol.datasets.registry import open_dataset
    from wsol.errors import InputError
    from wsol.evaluation.evaluator import Evaluator
    from wsol.evaluation.judging import Classification
    from wsol.evaluation.options import EvaluationOptions, ScoreOptions
    from wsol.evaluation.protocol import Protocol
    from wsol.metrics.image_mean import AnnotatedMap
    from wsol.models.classifier import Classifier
    from wsol.records.record import Metrics, ResultRecord

    __version__: str

_HOMES = {
    "AnnotatedMap": "wsol.metrics.image_mean",
    "Classification": "wsol.evaluation.judging",
    "Classifier": "wsol.models.classifier",
    "Dataset": "wsol.datasets.base",
    "EvaluationOptions": "wsol.evaluation.options",
    "Evaluator": "wsol.evaluation.evaluator",
    "InputError": "wsol.errors",
    "MaskFiles": "wsol.datasets.base",
    "Metrics": "wsol.records.record",
    "Protocol": "wsol.evaluation.protocol",
    "ResultRecord": "wsol.records.record",
    "Sample": "wsol.datasets.base",
    "ScoreOptions": "wsol.evaluation.options",
    "evaluate": "wsol.api",
    "load_model": "wsol.api",
    "open_dataset": "wsol.datasets.registry",
    "read_records": "wsol.api",
    "score": "wsol.api",
    "table": "wsol.api",
}

__all__ = [
    "AnnotatedMap",
    "Classification",
    "Classifier",
    "Dataset",
    "EvaluationOptions",
    "Evaluator",
    "InputError",
    "MaskFiles",
    "Metrics",
    "Protocol",
    "ResultRecord",
    "Sample",
    "ScoreOptions",
    "__version__",
    "evaluate",
    "load_model",
    "open_dataset",
    "read_records",
    "score",
    "table",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module 'wsol' has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def _version() -> str:
    """That of the installed package."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("wsol")
    except PackageNotFoundError:  # a checkout that is on the path but not installed
        return "unknown"


def __dir__() -> list[str]:
    return sorted(__all__)
