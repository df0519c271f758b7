"""The columns of tables: what is told about a run, and the metrics of `wsol.metrics.catalog`."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from wsol.errors import InputError
from wsol.metrics.catalog import HEADLINE, IMAGE_METRICS, METRICS, heading
from wsol.plugin import is_plugin
from wsol.records.record import ResultRecord

Shown = Literal["filled", "differing", "asked"]
"""When a table has a column: wherever any record has a value, where values differ, or only by
name."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is printed.

    Attributes:
        better: which numbers are best; None is not ranked.
        scale: what a number is divided by before it is printed.
        digits: after the point; None leaves it to the layout, and marks a percentage.
        trivial: a value that tells nothing where all rows have it, like none.
    """

    name: str
    heading: str
    better: Literal["high", "low"] | None = None
    scale: float = 1
    digits: int | None = None
    is_text: bool = False
    shown: Shown = "filled"
    trivial: float | None = None

    def is_filled(self, values: Sequence[Any]) -> bool:
        """Whether any of a column's values tells something."""
        return any(value is not None and value != self.trivial for value in values)

    @property
    def is_metric(self) -> bool:
        """Whether its numbers are percentages that another training or other images would move."""
        return self.better is not None and self.digits is None


_ABOUT = (
    Column("model", "Model", is_text=True),
    Column("dataset", "Data set", is_text=True, shown="asked"),
    Column("split", "Split", is_text=True, shown="asked"),
    Column("method", "Method", is_text=True, shown="differing"),
    Column("cam_method", "Maps", is_text=True, shown="asked"),
    Column("weights", "Weights", is_text=True, shown="differing"),
    Column("seeds", "Seeds", digits=0, trivial=1),
    Column("convention", "Convention", is_text=True, shown="asked"),
    Column("source", "Source", is_text=True, shown="asked"),
    Column("num_images", "Images", digits=0, shown="asked"),
    Column("parameters", "Params (M)", scale=1e6, digits=2),
    Column("flops", "GFLOPs", "low", scale=1e9, digits=2),
    Column("map_size", "Map", is_text=True),
    Column("latency_ms", "Latency (ms)", "low", digits=1),
    Column("loc_threshold", "t Loc", digits=3, shown="asked"),
)
_MEASURED = tuple(
    Column(metric.name, metric.heading, metric.better, shown="asked" if metric.asked else "filled")
    for metric in METRICS
)
_ERRORS = tuple(
    Column(f"{metric.name}_error", f"{metric.heading} err.", "low", shown="asked")
    for metric in METRICS
    if metric.error
)
COLUMNS = (*_ABOUT, *_MEASURED, *_ERRORS)
"""In the order of the printed tables; the columns of IoU levels follow MaxBoxAccV2."""

PRESETS: dict[str, tuple[str, ...] | None] = {
    "paper": (
        "model", "method", "seeds", "parameters",
        "top1_loc", "gt_known_loc", "max_box_acc", "max_box_acc_v2",
    ),
    "all": None,
}  # fmt: skip
"""Columns by name; None: all that are `shown`."""

_METHODS = {
    "cam": "CAM", "has": "HaS", "acol": "ACoL", "spg": "SPG", "adl": "ADL", "cutmix": "CutMix",
    "bagcams": "BagCAMs", "bas": "BAS", "bas-extension": "BAS (extended)", "c2am": "C2AM",
    "cream": "CREAM", "da-wsol": "DA-WSOL", "da-wsol, one stage": "DA-WSOL, one stage",
    "fam": "FAM", "gc-net": "GC-Net", "genpromp": "GenPromp", "i2c": "I2C", "isic": "ISIC",
    "lctr": "LCTR", "ornet": "ORNet", "psol": "PSOL", "sat": "SAT", "scm": "SCM",
    "slt-net": "SLT-Net", "spa": "SPA", "spol": "SPOL", "ts-cam": "TS-CAM",
    # What makes maps.
    "gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++", "smoothgradcam++": "Smooth Grad-CAM++",
    "xgradcam": "XGrad-CAM", "layercam": "LayerCAM", "hirescam": "HiResCAM",
    "eigencam": "Eigen-CAM", "scorecam": "Score-CAM", "rollout": "Attention rollout",
    "attention": "Class attention", "legrad": "LeGrad",
}  # fmt: skip


def frame(records: Sequence[ResultRecord]) -> pd.DataFrame:
    """Every number of every record as columns: the machine's table.

    Metrics by IoU level become columns such as `box_acc_0.5`, those at further thresholds columns
    such as `gt_known_loc@otsu`; what does not apply is NaN.
    """
    rows = []
    for record in records:
        cost, settings = record.cost, record.settings
        row: dict[str, object] = {
            "model": record.model,
            "parameters": record.parameters,
            "dataset": record.dataset,
            "split": record.split,
            "num_images": record.num_images,
            "cam_method": record.cam_method,
            "method": _method(record),
            "weights": settings.get("weights"),
            "seeds": _seeds(record),
            "convention": settings.get("convention"),
            "source": settings.get("published", {}).get("source"),
            "flops": cost and cost.flops,
            "map_size": cost and "x".join(map(str, cost.map_size)),
            "latency_ms": cost and cost.latency_ms,
            "latency_device": cost and cost.latency_device,
        }
        for name, value in record.metrics.model_dump().items():
            if name == "loc_at":
                for at, found in (value or {}).items():
                    row |= {f"{metric}@{at}": number for metric, number in found.items()}
            elif isinstance(value, dict):
                row |= {f"{name}_{level}": number for level, number in value.items()}
            elif not name.startswith(("box_acc", "best_threshold")):
                row[name] = value
        rows.append(row | (record.plugin_metrics or {}))
    # Whole numbers stay whole beside missing ones.
    return pd.DataFrame(rows).astype({"parameters": "Int64", "flops": "Int64", "seeds": "Int64"})


def columns_of(data: pd.DataFrame) -> dict[str, Column]:
    """Every column that can be printed of `frame`'s records, by name."""
    columns: dict[str, Column] = {}
    for column in COLUMNS:
        columns[column.name] = column
        if column.name == "max_box_acc_v2":
            for name in data.columns:
                if re.match(r"box_acc_\d", name):
                    columns[name] = Column(name, f"@{name.removeprefix('box_acc_')}", "high")
    for name in data.columns:
        metric, _, at = name.partition("@")
        if at and metric in columns:
            columns[name] = Column(
                name, f"{columns[metric].heading} at {at}", "high", shown="asked"
            )
        if name in IMAGE_METRICS or is_plugin(name):
            columns[name] = Column(name, heading(name), "high")
        kind, _, level = name.rpartition("_")
        if kind == "box_acc_largest":
            columns[name] = Column(name, f"@{level} largest", "high", shown="asked")
        elif kind.startswith("best_threshold"):
            largest = " largest" if kind.endswith("largest") else ""
            columns[name] = Column(name, f"t@{level}{largest}", digits=3, shown="asked")
    return columns


def column_values(data: pd.DataFrame, name: str) -> list[Any]:
    """A column's values, None where a record has none; errors are 100 minus the accuracy."""
    if name.endswith("_error"):
        values = (100 - data[name.removesuffix("_error")].astype(float)).tolist()
    else:
        values = data[name].tolist()
    return [None if pd.isna(value) else value for value in values]


def require_columns(names: Sequence[str], columns: dict[str, Column]) -> None:
    """Refuse names that no record of the table has a column for."""
    for name in names:
        if name not in columns:
            near = difflib.get_close_matches(name, columns, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise InputError(f"There is no column {name!r}; {hint}There are {', '.join(columns)}.")


def metric_columns(records: Sequence[ResultRecord]) -> dict[str, Column]:
    """The metrics that any of the records has a number for, `HEADLINE` first."""
    data = frame(records)
    found = {
        name: column
        for name, column in columns_of(data).items()
        if column.is_metric
        and name in data
        and column.shown != "asked"
        and any(value is not None for value in column_values(data, name))
    }
    first = [name for name in HEADLINE if name in found]
    return {name: found[name] for name in (*first, *(n for n in found if n not in first))}


def _method(record: ResultRecord) -> str | None:
    """How the field calls the way to the maps: what trained the network, and what made the map."""
    if "baseline" in record.settings:
        return None
    trained = record.settings.get("training_method")
    made = [] if trained in (None, "cam") and record.cam_method != "cam" else [trained or "cam"]
    made += [] if record.cam_method == "cam" else [record.cam_method]
    several = record.settings.get("mean_classes")
    made += [] if several is None else [f"mean of {several} classes"]
    return ", ".join(method_heading(str(name)) for name in made)


def method_heading(name: str) -> str:
    """How the field writes a method's name; names that are not known stay as they are."""
    return _METHODS.get(name, name)


def _seeds(record: ResultRecord) -> int | None:
    """How many trainings a number is the mean of; None where that is unknown."""
    seed = record.settings.get("training_seed")
    return None if seed is None else len(str(seed).split(","))
