"""How records are shown: the options of `wsol table` and `wsol plot`."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from wsol.options import Options


class Layout(Options):
    """How a table is laid out."""

    columns: tuple[str, ...] | None = Field(
        default=None,
        description="Names separated by commas, instead of a preset; a wrong one lists them all.",
    )
    preset: Literal["paper", "all"] | None = Field(
        default=None,
        description="paper: model, method, parameters, Top-1 Loc, GT-known Loc, MaxBoxAcc and "
        "MaxBoxAccV2, which fits one column of a two-column article; all: every column with a "
        "value. Default: paper for latex, else all.",
    )
    sort: str | None = Field(
        default=None,
        description="COLUMN, or COLUMN:asc or COLUMN:desc. Without a direction the best come "
        "first: text by the alphabet, of parameters the smallest. Default: the records' order.",
    )
    group_by: tuple[str, ...] = Field(
        default=(),
        description="dataset, convention, images, or several separated by commas: a section each.",
    )
    best: Literal["bold", "none"] = Field(
        default="bold", description="bold: best bold, second best underlined."
    )
    digits: int = Field(default=2, ge=0, le=6, description="After the point of percentages.")
    against: Literal["published"] | None = Field(
        default=None, description="Add a column of differences to published numbers."
    )
    intervals: bool = Field(
        default=False,
        description="Half of the 95 % interval behind each number, of records that have them "
        "(`wsol stats --update`); a footnote says how far its middle is from the number, and CSV "
        "has both ends.",
    )


class GridOptions(Options):
    """Which examples a figure of them shows."""

    order: Literal["best", "worst", "random", "class"] = Field(
        default="random",
        description="grid: best and worst by the first model's IoU, random, or an image of each "
        "class by name.",
    )
    examples: int = Field(default=12, ge=1, description="grid: how many.")
    class_name: str | None = Field(
        default=None,
        description="grid: only images of this class.",
        json_schema_extra={"flag": "--class"},
    )
    threshold: float | None = Field(
        default=None, ge=0, le=1, description="grid: of the boxes; default: the fixed."
    )
    images: Path | None = Field(
        default=None, description="grid: where the photographs are, if they have moved."
    )
    seed: int = Field(default=0, ge=0, description="grid: of random choices.")


class PlotOptions(Options):
    """What a plot of records shows."""

    kind: Literal["parameters", "thresholds", "sizes", "iou", "reliability", "grid"] = Field(
        description="Localization against parameters (or another cost, --axis); accuracy against "
        "thresholds; by object sizes; distribution of iou; reliability: localization where the "
        "class is right, wrong, and by confidence; grid of examples."
    )
    metric: str | None = Field(
        default=None,
        description="parameters, sizes: which one; a wrong name lists them. Default: MaxBoxAccV2, "
        "and of sizes the share localized at IoU 0.5.",
    )
    axis: Literal["parameters", "flops", "latency", "map-size"] = Field(
        default="parameters", description="parameters: what is on the other axis."
    )
    grid: GridOptions = GridOptions()
