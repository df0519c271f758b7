"""`wsol table`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wsol.cli.app import app
from wsol.cli.options import takes
from wsol.errors import InputError
from wsol.progress import tell
from wsol.results.options import Layout

if TYPE_CHECKING:
    from wsol.records.record import ResultRecord


TableFormat = Literal["terminal", "markdown", "latex", "csv", "html"]

_SUFFIXES: dict[str, TableFormat] = {
    ".md": "markdown",
    ".tex": "latex",
    ".csv": "csv",
    ".html": "html",
}


@app.command(
    epilog="""Examples:

`wsol table results/tiny-imagenet-lite --sort max_box_acc_v2`

`wsol table results/ --group-by dataset --format latex --digits 1 --out table.tex`

`wsol table results/cub --preset paper --intervals --out table.md`

`wsol table results/ --group-by dataset --columns model,parameters,flops,max_box_acc_v2`

`wsol table cub.json ilsvrc.json --group-by dataset --against published`

`wsol table results/cub --with-published --preset paper --out table.tex --bib table.bib`
"""
)
@takes(layout=Layout)
def table(
    records: Annotated[
        list[Path],
        typer.Argument(metavar="RECORDS...", help="JSON files of records, or folders of them."),
    ],
    layout: Layout,
    table_format: Annotated[
        TableFormat | None,
        typer.Option("--format", help="Default: as the suffix of --out says, else terminal."),
    ] = None,
    with_published: Annotated[
        bool,
        typer.Option(
            "--with-published",
            help="Add the published numbers of the same images and convention as rows, each marked "
            "and cited in a footnote; with --group-by convention, also those of the others.",
        ),
    ] = False,
    bib: Annotated[
        Path | None,
        typer.Option("--bib", help="Write the sources of --with-published as BibTeX to this file."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write instead of printing.")
    ] = None,
) -> None:
    """Make a table of records: localization beside parameters, operations, map size and time.

    Records of different data sets, splits, conventions or numbers of images are refused in one
    table, and get a section each with --group-by. Rows stand in the order of the command, and
    within a folder in that of the experiment that made it; a run found twice is one row, and so
    are repeated trainings, with the standard deviation over their seeds. `wsol published` lists
    the published numbers.
    """
    from wsol.cli.output import OUTPUT
    from wsol.files import write_text
    from wsol.results import table as tables
    from wsol.results.published_file import bibliography
    from wsol.results.published_rows import cited_sources
    from wsol.results.sources import find_sources

    if table_format is None:
        table_format = "terminal"
        if out is not None:
            if out.suffix not in _SUFFIXES:
                raise InputError(
                    f"--out {out}: its suffix names no format ({', '.join(_SUFFIXES)}); "
                    "add --format."
                )
            table_format = _SUFFIXES[out.suffix]
    found = [source.record for source in find_sources(records)]
    if with_published:
        found += _published(found, layout)
    if bib is not None:
        if not with_published:
            raise InputError("--bib: add --with-published, whose sources it writes.")
        write_text(bib, bibliography(cited_sources(found)))
    if table_format == "terminal":
        shown = tables.terminal_table(found, layout)
        if out is None:
            OUTPUT.print(shown)
            return
        with OUTPUT.capture() as capture:
            OUTPUT.print(shown)
        text = capture.get()
    else:
        write = {
            "markdown": tables.to_markdown,
            "latex": tables.to_latex,
            "csv": tables.to_csv,
            "html": tables.to_html,
        }[table_format]
        text = write(found, layout)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(out, text)


def _published(records: "list[ResultRecord]", layout: Layout) -> "list[ResultRecord]":
    """The published rows of the images of some records; says what is left out."""
    from wsol.results.published_rows import published_rows

    rows = published_rows(records, every_convention="convention" in layout.group_by)
    if rows.left_out:
        told = (
            f"{rows.left_out} published rows are of another convention, or of one that nobody "
            "states; --group-by convention shows them."
        )
    elif not rows.records:
        told = "No published number is of these images; `wsol published` lists them all."
    else:
        return rows.records
    tell(told)
    return rows.records
