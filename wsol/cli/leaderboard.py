"""`wsol leaderboard`."""

from pathlib import Path
from typing import Annotated

import typer

from wsol.cli.app import app
from wsol.cli.output import show_written
from wsol.progress import tell


@app.command(
    epilog="""Examples:

`wsol leaderboard results --out site`

`wsol leaderboard results submissions --out site --title "Localization without boxes"`

`wsol leaderboard results/cub --out site --photographs --images CUB_200_2011/images`

`wsol leaderboard results --out results/leaderboard --no-run-pages`
"""
)
def leaderboard(
    records: Annotated[
        list[Path],
        typer.Argument(metavar="RECORDS...", help="Record files, or folders of them."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the site.")],
    title: Annotated[
        str, typer.Option("--title", help="Heading of the first page.")
    ] = "Weakly supervised object localization",
    examples: Annotated[
        int, typer.Option("--examples", min=0, help="Images on the page of a run, at most.")
    ] = 24,
    photographs: Annotated[
        bool,
        typer.Option(
            "--photographs",
            help="Show the photographs themselves; their owners' terms are yours to keep. "
            "Without, examples are maps and boxes alone.",
        ),
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Where the photographs are, if they have moved."),
    ] = None,
    run_pages: Annotated[
        bool,
        typer.Option(
            "--run-pages/--no-run-pages",
            help="A page for each run; without, a row leads to its record file, which is found "
            "while both stay where they are to each other.",
        ),
    ] = True,
) -> None:
    """Make a site of records and published numbers: who localizes best at what size.

    Plain files that work without a server and load nothing: a table and a plot for each data set,
    and a page a run. A record with a per-image file is checked as `wsol verify` does, and refused
    where it does not follow from it.
    """
    from wsol.files import require_folder
    from wsol.results.leaderboard import LeaderboardOptions, write_leaderboard
    from wsol.results.sources import find_sources

    if images is not None:
        require_folder(images, "the folder of the photographs")
    path = write_leaderboard(
        find_sources(records),
        out,
        LeaderboardOptions(title, examples, images, photographs, run_pages),
        warn=tell,
    )
    show_written(path)
