"""`wsol demo`."""

from pathlib import Path
from typing import Annotated

import typer

from wsol.cli.app import app
from wsol.cli.output import OUTPUT


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything it makes.")] = Path(
        "wsol-demo"
    ),
    seed: Annotated[int, typer.Option("--seed", help="Of the data and the training.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """See the whole thing work, offline: make data, train, evaluate, tabulate, draw.

    Takes a few minutes on two cores. Run again, it goes on where it stopped.
    """
    from wsol.demo import run_demo
    from wsol.models.device import usable_device

    run_demo(out, seed=seed, device=usable_device(device), console=OUTPUT)
