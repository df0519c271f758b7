"""`wsol published`."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from wsol.cli.app import app
from wsol.cli.options import JsonOption
from wsol.cli.output import OUTPUT, write_json
from wsol.errors import InputError


@app.command(
    epilog="""Examples:

`wsol published`

`wsol published --dataset CUB --metric max_box_acc_v2`

`wsol published --metric top1_loc_error --json published.json`
"""
)
def published(
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="ILSVRC, CUB, OpenImages, Tiny ImageNet.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="top1_loc_error, max_box_acc_v2, pxap, ...")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """List the published numbers that `wsol table --against published` compares with."""
    from wsol.results.published import published_numbers

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
    if json_file is not None:
        write_json([number.as_json() for number in numbers], json_file)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("Images", "Metric", "Model", "Method", "Value", "Checked", "Where"):
        table.add_column(heading, justify="right" if heading == "Value" else "left")
    for number in numbers:
        table.add_row(
            f"{number.images.dataset} {number.images.split}",
            number.metric,
            Text(number.model),
            number.method,
            f"{number.value:.{number.decimals}f}",
            "yes" if number.checked else "no",
            f"{number.source.short}, {number.table}",
        )
    OUTPUT.print(table)
    notes = {(number.images.dataset, number.metric): number.definition for number in numbers}
    OUTPUT.print()
    for (name, what), definition in notes.items():
        OUTPUT.print(Text.assemble((f"{name}, {what}: ", "bold"), definition))
    for source in dict.fromkeys(number.source for number in numbers):
        OUTPUT.print(Text(f"{source.citation}, {source.url}", "dim"), soft_wrap=True)
