"""`wsol published`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from wsol.cli.app import app
from wsol.cli.options import ShownJsonOption
from wsol.cli.output import OUTPUT, write_json
from wsol.errors import InputError

_HEADINGS = ("Images", "Metric", "Model", "Method", "Convention", "Value", "Checked", "Where")


@app.command(
    epilog="""Examples:

`wsol published`

`wsol published --dataset CUB --metric max_box_acc_v2`

`wsol published --metric top1_loc_error --json published.json`

`wsol published --dataset CUB --bib wsol.bib`
"""
)
def published(
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="ILSVRC, CUB, OpenImages, Tiny ImageNet.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="top1_loc_error, max_box_acc_v2, pxap, ...")
    ] = None,
    bib: Annotated[
        Path | None, typer.Option("--bib", help="Write the sources as BibTeX to this file.")
    ] = None,
    json_file: ShownJsonOption = None,
) -> None:
    """List the published numbers that `wsol table` compares with or sets in its tables."""
    from wsol.files import write_text
    from wsol.results.published import published_numbers
    from wsol.results.published_file import bibliography

    everything = published_numbers()
    numbers = [
        number
        for number in everything
        if (dataset is None or number.images.dataset.lower() == dataset.lower())
        and (metric is None or number.metric == metric)
    ]
    if not numbers:
        sets = ", ".join(dict.fromkeys(number.images.dataset for number in everything))
        metrics = ", ".join(dict.fromkeys(number.metric for number in everything))
        raise InputError(f"No published number matches. Data sets: {sets}. Metrics: {metrics}.")
    sources = list(dict.fromkeys(number.source for number in numbers))
    if bib is not None:
        write_text(bib, bibliography(sources))
    if json_file is not None:
        write_json([number.as_json() for number in numbers], json_file)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right" if heading == "Value" else "left")
    for number in numbers:
        table.add_row(
            f"{number.images.dataset} {number.images.split}",
            number.metric,
            Text(number.model),
            number.method,
            number.convention or "–",
            number.printed,
            "yes" if number.checked else "no",
            f"{number.source.short}, {number.table}",
        )
    OUTPUT.print(table)
    OUTPUT.print()
    for what, definition in dict.fromkeys((n.metric, n.definition) for n in numbers):
        OUTPUT.print(Text.assemble((f"{what}: ", "bold"), definition))
    for source in sources:
        OUTPUT.print(Text(f"{source.citation}, {source.url}", "dim"), soft_wrap=True)
