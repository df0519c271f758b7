"""`wsol plot`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from wsol.cli.app import app
from wsol.cli.output import OUTPUT, tell_left_out

if TYPE_CHECKING:
    from wsol.results.sources import Source


class PlotKind(StrEnum):
    """What a plot shows."""

    PARAMETERS = "parameters"
    THRESHOLDS = "thresholds"
    SIZES = "sizes"
    IOU = "iou"
    RELIABILITY = "reliability"
    GRID = "grid"


class AxisName(StrEnum):
    """What localization is plotted against."""

    PARAMETERS = "parameters"
    FLOPS = "flops"
    LATENCY = "latency"
    MAP_SIZE = "map-size"


class OrderName(StrEnum):
    """Which examples a grid shows."""

    BEST = "best"
    WORST = "worst"
    RANDOM = "random"
    CLASS = "class"


@app.command(
    epilog="""Examples:

`wsol plot results/cub --kind parameters --metric max_box_acc_v2 --out parameters.pdf`

`wsol plot results/cub --kind parameters --against flops --out flops.pdf`

`wsol plot results/cub --kind sizes --out sizes.svg`

`wsol plot results/cub --kind iou --out iou.svg`

`wsol plot results/cub/resnet50.json --kind grid --order worst --examples 12 --out worst.png`
"""
)
def plot(
    records: Annotated[
        list[Path],
        typer.Argument(metavar="RECORDS...", help="Record files, or folders of them."),
    ],
    kind: Annotated[
        PlotKind,
        typer.Option(
            "--kind",
            help="Localization against parameters (or another cost, --against); accuracy against "
            "thresholds; by object sizes; distribution of iou; reliability: localization where "
            "the class is right, wrong, and by confidence; grid of examples.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="A .svg, .pdf or .png file.")],
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            help="parameters, sizes: which one; a wrong name lists them. Default: MaxBoxAccV2, "
            "and of sizes the share localized at IoU 0.5.",
        ),
    ] = None,
    against: Annotated[
        AxisName,
        typer.Option("--against", help="parameters: what is on the other axis."),
    ] = AxisName.PARAMETERS,
    order: Annotated[OrderName, typer.Option("--order", help="grid.")] = OrderName.RANDOM,
    examples: Annotated[int, typer.Option("--examples", min=1, help="grid: how many.")] = 12,
    class_name: Annotated[
        str | None, typer.Option("--class", help="grid: only images of this class.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", min=0, max=1, help="grid: of the boxes; default: the fixed."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option("--images", help="grid: where the photographs are, if they have moved."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="grid: of random choices.")] = 0,
) -> None:
    """Draw records for a paper, in colours that any eye tells apart.

    sizes, iou, reliability and grid need per-image outcomes beside the records: `wsol evaluate ...
    --per-image --out DIR`. Whiskers are 95 % intervals (`wsol stats --update` writes them into
    records), or the standard deviation over seeds.
    """
    from wsol.files import require_folder, require_writable
    from wsol.results import image_plots
    from wsol.results.example_grid import GridOptions, grid_figure
    from wsol.results.figures import require_format, save_figure
    from wsol.results.plots import cost_figure
    from wsol.results.sources import read_sources
    from wsol.results.threshold_plot import threshold_figure

    require_format(out)
    require_writable(out)
    if images is not None:
        require_folder(images, "the folder of the photographs")
    sources = read_sources(records)
    found = [source.record for source in sources]
    if kind not in (PlotKind.PARAMETERS, PlotKind.THRESHOLDS):
        sources = _with_outcomes(sources, records)
    if kind is PlotKind.PARAMETERS:
        figure = cost_figure(found, metric, against.value)
    elif kind is PlotKind.THRESHOLDS:
        figure = threshold_figure(found)
    elif kind is PlotKind.SIZES:
        figure = image_plots.size_figure(sources, metric)
    elif kind is PlotKind.IOU:
        figure = image_plots.iou_figure(sources)
    elif kind is PlotKind.RELIABILITY:
        figure = image_plots.reliability_figure(sources)
    else:
        grid = GridOptions(order.value, examples, class_name, threshold, images, seed)
        figure = grid_figure(sources, grid)
    save_figure(figure, out)
    OUTPUT.print(f"Written to {escape(str(out))}", soft_wrap=True)


def _with_outcomes(sources: "list[Source]", named: list[Path]) -> "list[Source]":
    """Those that have per-image outcomes; files that were named alone stay, and are refused."""
    kept = [source for source in sources if source.outcomes is not None or source.path in named]
    if not kept:
        return sources
    tell_left_out([source.path for source in sources if source not in kept])
    return kept
