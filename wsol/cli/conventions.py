"""`wsol conventions`."""

from rich.table import Table

from wsol.cli.app import app
from wsol.cli.options import JsonOption
from wsol.cli.output import OUTPUT, write_json


@app.command(
    epilog="""Examples:

`wsol conventions`

`wsol conventions --json -`
"""
)
def conventions(json_file: JsonOption = None) -> None:
    """Print the evaluation conventions of the literature: how a map becomes a box, and is judged.

    A published accuracy is a number under a convention: the whole photograph as the box is right
    for 41 % of ILSVRC's validation images under one and for 51 % under another.
    """
    from wsol.evaluation.conventions import PRESETS, row

    rows = [row(convention) for convention in PRESETS.values()]
    if json_file is not None:
        write_json(rows, json_file)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    for made in rows:
        table.add_column(made["name"], overflow="fold")
    for part in list(rows[0])[1:]:
        table.add_row(part.replace("_", " "), *(made[part] for made in rows))
    OUTPUT.print(table)
