"""`wsol report`."""

from pathlib import Path
from typing import Annotated

import typer

from wsol.cli.app import app
from wsol.cli.output import show_written
from wsol.progress import tell


@app.command(
    epilog="""Examples:

`wsol report results/cub/*.json --out report`

`wsol report results/cub --out report --examples 100 --title "CUB, four networks"`

`wsol report results/ilsvrc --out report --images /data/imagenet/val`
"""
)
def report(
    records: Annotated[
        list[Path],
        typer.Argument(metavar="RECORDS...", help="Record files, or folders of them."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for index.html.")],
    examples: Annotated[
        int, typer.Option("--examples", min=0, help="Images in the gallery, at most.")
    ] = 200,
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Where the photographs are, if they have moved."),
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="Heading of the page.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the choice of images.")] = 0,
) -> None:
    """Make one self-contained page of a table, plots, and examples with a threshold slider.

    The examples need per-image outcomes beside the records: `wsol evaluate ... --per-image
    --out DIR`.
    """
    from wsol.files import require_folder, require_writable_folder
    from wsol.results.report import ReportOptions, write_report
    from wsol.results.sources import read_sources

    if images is not None:
        require_folder(images, "the folder of the photographs")
    require_writable_folder(out)
    path = write_report(
        read_sources(records, conventions=True),
        out,
        ReportOptions(title=title, examples=examples, images=images, seed=seed),
        warn=lambda message: tell(message, "wsol:"),
        tell=tell,
    )
    size = path.stat().st_size / 1e6
    show_written(path, f" ({size:.1f} MB)")
