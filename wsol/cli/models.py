"""`wsol models`."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from wsol.cli.app import app
from wsol.cli.options import ShownJsonOption
from wsol.cli.output import OUTPUT, write_json
from wsol.errors import InputError
from wsol.progress import track


@app.command()
def models(
    search: Annotated[str | None, typer.Argument(help="Show only names that contain this.")] = None,
    json_file: ShownJsonOption = None,
) -> None:
    """List the networks by name: parameters, and whether class activation maps apply."""
    from wsol.models.registry import list_models, model_names

    names = [name for name in model_names() if search is None or search in name]
    if not names:
        raise InputError(f"No model's name contains {search!r}; `wsol models` lists them all.")
    with track("looking at the heads", len(names)) as advance:
        rows = list_models(names, advance=lambda: advance(1))
    if json_file is not None:
        write_json([asdict(row) for row in rows], json_file)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("Model")
    table.add_column("Params (M)", justify="right")
    table.add_column("CAM")
    table.add_column("Pretrained")
    table.add_column("Why not", style="dim")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.parameters / 1e6:.2f}",
            "yes" if row.cam else "no",
            "yes" if row.pretrained else "no",
            escape(row.reason or ""),
        )
    OUTPUT.print(table)
    OUTPUT.print(
        "[dim]Also: timm:NAME, package.module:callable, and the baselines center and full.[/dim]"
    )
