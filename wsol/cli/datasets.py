"""`wsol datasets`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from wsol.cli.app import app
from wsol.cli.options import ShownJsonOption, takes
from wsol.cli.output import OUTPUT, require_targets, show_line, write_json
from wsol.datasets.options import DataOptions
from wsol.datasets.registry import DATASETS, LAYOUTS, require_data_name
from wsol.errors import InputError
from wsol.progress import track

datasets_app = typer.Typer(
    help="Check, download and describe data sets.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(datasets_app, name="datasets")


@datasets_app.command("check")
@takes(place=DataOptions)
def check(
    data: Annotated[
        str,
        typer.Argument(metavar="NAME", help=f"{', '.join(DATASETS)}, or package.module:callable."),
    ],
    place: DataOptions,
    decode: Annotated[
        bool, typer.Option(help="Decode every image fully; else only its header is read.")
    ] = True,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Threads; default: all cores.")
    ] = None,
    json_file: ShownJsonOption = None,
) -> None:
    """Verify a copy: counts, missing or undecodable images, everything wrong with annotations.

    Exits with 1 when something is wrong, after saying what would fix it.
    """
    from wsol.datasets.base import limited
    from wsol.datasets.check import check_dataset
    from wsol.datasets.parsing import Problems
    from wsol.pipeline import usable_cores

    require_targets(None, json_file, None)
    problems = Problems()
    dataset = limited(place.whole(problems), place.limit)
    with track(f"checking {dataset.name}", len(dataset)) as advance:
        report = check_dataset(
            dataset,
            problems,
            decode=decode,
            workers=workers or usable_cores(),
            advance=advance,
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
    from wsol.datasets.download import download_cub

    if name != "cub":
        layout = LAYOUTS.get(require_data_name(name))
        where = f"get it from {layout.source}" if layout else "it is one of your own"
        raise InputError(f"{name}: not downloaded by this command; {where}.")
    folder = download_cub(root)
    show_line(f"CUB-200-2011 is at {folder}. Next:")
    show_line(f"  wsol datasets check cub --root {folder}")


@datasets_app.command("pack")
def pack(
    folder: Annotated[Path, typer.Argument(help="Folder whose images to pack.")],
    out: Annotated[Path, typer.Option("--out", help="New folder for the shards.")],
    shard_size: Annotated[
        int, typer.Option("--shard-size", min=1, help="Most megabytes (MiB) of a shard.")
    ] = 512,
    gzip: Annotated[
        bool, typer.Option("--gzip", help="Compress them; each is then read from its beginning.")
    ] = False,
) -> None:
    """Pack a folder's images into tar shards, which file systems of clusters prefer.

    `--images` of other commands takes the shards in place of the folder.
    """
    from wsol.datasets.packing import images_below, pack_folder, pattern_of

    with track(f"packing {folder.name}", len(images_below(folder))) as advance:
        shards = pack_folder(
            folder, out, shard_bytes=shard_size * 2**20, zipped=gzip, advance=advance
        )
    show_line(f"{len(shards):,} shards. Use them with:")
    show_line(f"  --images {pattern_of(shards)!r}")


@datasets_app.command("sources")
def sources() -> None:
    """Where each data set comes from."""
    for layout in LAYOUTS.values():
        OUTPUT.print(f"[bold]{layout.name}[/bold]: {escape(layout.source)}", soft_wrap=True)
