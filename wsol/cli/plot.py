"""`wsol plot`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsol.cli.app import app
from wsol.cli.options import takes
from wsol.cli.output import show_written, tell_left_out
from wsol.results.options import PlotOptions

if TYPE_CHECKING:
    from wsol.results.sources import Source


@app.command(
    epilog="""Examples:

`wsol plot results/cub --kind parameters --metric max_box_acc_v2 --out parameters.pdf`

`wsol plot results/cub --kind parameters --axis flops --out flops.pdf`

`wsol plot results/cub --kind sizes --out sizes.svg`

`wsol plot results/cub --kind iou --out iou.svg`

`wsol plot results/cub/resnet50.json --kind grid --order worst --examples 12 --out worst.png`
"""
)
@takes(options=PlotOptions)
def plot(
    records: Annotated[
        list[Path],
        typer.Argument(metavar="RECORDS...", help="Record files, or folders of them."),
    ],
    out: Annotated[Path, typer.Option("--out", help="A .svg, .pdf or .png file.")],
    options: PlotOptions,
) -> None:
    """Draw records for a paper, in colours that any eye tells apart.

    sizes, iou, reliability and grid need per-image outcomes beside the records: `wsol evaluate ...
    --per-image --out DIR`. Whiskers are 95 % intervals (`wsol stats --update` writes them into
    records), or the standard deviation over seeds.
    """
    from wsol.files import require_folder, require_writable
    from wsol.results import image_plots
    from wsol.results.example_grid import grid_figure
    from wsol.results.figures import require_format, save_figure
    from wsol.results.plots import cost_figure
    from wsol.results.sources import read_sources
    from wsol.results.threshold_plot import threshold_figure

    require_format(out)
    require_writable(out)
    if options.grid.images is not None:
        require_folder(options.grid.images, "the folder of the photographs")
    sources = read_sources(records)
    found = [source.record for source in sources]
    if options.kind not in ("parameters", "thresholds"):
        sources = _with_outcomes(sources, records)
    if options.kind == "parameters":
        figure = cost_figure(found, options.metric, options.axis)
    elif options.kind == "thresholds":
        figure = threshold_figure(found)
    elif options.kind == "sizes":
        figure = image_plots.size_figure(sources, options.metric)
    elif options.kind == "iou":
        figure = image_plots.iou_figure(sources)
    elif options.kind == "reliability":
        figure = image_plots.reliability_figure(sources)
    else:
        figure = grid_figure(sources, options.grid)
    save_figure(figure, out)
    show_written(out)


def _with_outcomes(sources: "list[Source]", named: list[Path]) -> "list[Source]":
    """Those that have per-image outcomes; files that were named alone stay, and are refused."""
    kept = [source for source in sources if source.outcomes is not None or source.path in named]
    if not kept:
        return sources
    tell_left_out([source.path for source in sources if source not in kept])
    return kept
