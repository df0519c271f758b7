"""`wsol plot`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from wsol.cli.app import app
from wsol.cli.output import OUTPUT


class PlotKind(StrEnum):
    """What a plot shows."""

    PARAMETERS = "parameters"
    THRESHOLDS = "thresholds"
    IOU = "iou"
    RELIABILITY = "reliability"
    GRID = "grid"


class OrderName(StrEnum):
    """Which examples a grid shows."""

    BEST = "best"
    WORST = "worst"
    RANDOM = "random"
    CLASS = "class"


@app.command(
    epilog="""Examples:

`wsol plot results/cub --kind parameters --metric max_box_acc_v2 --out parameters.pdf`

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
            help="Localization against parameters; accuracy against thresholds; distribution of "
            "iou; reliability: localization where the class is right, wrong, and by confidence; "
            "grid of examples.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="A .svg, .pdf or .png file.")],
    metric: Annotated[
        str, typer.Option("--metric", help="parameters: any metric of a record.")
    ] = "max_box_acc_v2",
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

    iou, reliability and grid need per-image outcomes beside the records: `wsol evaluate ...
    --per-image --out DIR`.
    """
    from wsol.files import require_folder, require_writable
    from wsol.results.example_grid import GridOptions, plot_examples
    from wsol.results.image_plots import plot_iou, plot_reliability
    from wsol.results.plots import plot_parameters, plot_threshold_curves
    from wsol.results.sources import read_sources

    require_writable(out)
    sources = read_sources(records)
    if images is not None:
        require_folder(images, "the folder of the photographs")
    if kind is PlotKind.PARAMETERS:
        plot_parameters([source.record for source in sources], out, metric)
    elif kind is PlotKind.THRESHOLDS:
        plot_threshold_curves([source.record for source in sources], out)
    elif kind is PlotKind.IOU:
        plot_iou(sources, out)
    elif kind is PlotKind.RELIABILITY:
        plot_reliability(sources, out)
    else:
        grid = GridOptions(order.value, examples, class_name, threshold, images, seed)
        plot_examples(sources, out, grid)
    OUTPUT.print(f"Written to {escape(str(out))}", soft_wrap=True)
