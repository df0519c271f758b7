"""`wsol datasets`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from wsol.cli.app import datasets_app
from wsol.cli.options import JsonOption, takes
from wsol.cli.output import OUTPUT, write_json
from wsol.datasets.options import DataOptions
from wsol.errors import InputError
from wsol.progress import track


@datasets_app.command("check")
@takes(place=DataOptions)
def check(
    data: Annotated[str, typer.Argument(metavar="NAME", help="Layout of the data set.")],
    place: DataOptions,
    decode: Annotated[
        bool, typer.Option(help="Decode every image fully; else only its header is read.")
    ] = True,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Threads; default: all cores.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Verify a copy: counts, missing or undecodable images, boxes outside images.

    Exits with 1 when something is wrong, after saying what would fix it.
    """
    from wsol.datasets.base import limited
    from wsol.datasets.check import check_dataset
    from wsol.pipeline import usable_cores

    dataset = limited(place.whole(), place.limit)
    with track(f"checking {dataset.name}", len(dataset)) as advance:
        report = check_dataset(
            dataset, decode=decode, workers=workers or usable_cores(), advance=advance
        )
    if json_file is not None:
        write_json(report.as_json(), json_file)
    else:
        OUTPUT.print(report.text(), markup=False, highlight=False)
    if report.problems:
        raise typer.Exit(1)


@datasets_app.command("download")
def download(
    name: Annotated[str, typer.Argument(help="cub is the one that may be fetched directly.")],
    root: Annotated[Path, typer.Option("--root", help="Folder to put it in.")] = Path("data"),
) -> None:
    """Fetch CUB-200-2011 and verify it by checksum."""
    from wsol.datasets.download import SOURCES, download_cub

    if name != "cub":
        known = SOURCES.get(name)
        where = f"get it from {known}" if known else f"known are cub, {', '.join(SOURCES)}"
        raise InputError(f"{name}: not downloaded by this command; {where}.")
    folder = download_cub(root)
    OUTPUT.print(f"CUB-200-2011 is at {escape(str(folder))}. Next:", soft_wrap=True)
    OUTPUT.print(f"  wsol datasets check cub --root {escape(str(folder))}", soft_wrap=True)


@datasets_app.command("sources")
def sources() -> None:
    """Where each data set comes from."""
    from wsol.datasets.download import SOURCES

    for name, source in SOURCES.items():
        OUTPUT.print(f"[bold]{name}[/bold]: {escape(source)}", soft_wrap=True)
