"""`wsol show`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from wsol.cli.app import app
from wsol.cli.looking import ready_to_look
from wsol.cli.options import takes
from wsol.cli.output import OUTPUT, show_line, show_written
from wsol.errors import InputError
from wsol.evaluation.options import LookOptions
from wsol.results.escaping import printable

if TYPE_CHECKING:
    from wsol.show import Shown

_SUFFIXES = (".png", ".svg", ".pdf")


@app.command(
    epilog="""Examples:

`wsol show cat.jpg --model resnet50`

`wsol show cat.jpg dog.jpg --model timm:convnext_tiny --method gradcam --out pictures`

`wsol show dog.jpg --model resnet50 --method cam,gradcam++,layercam`: a picture each

`wsol show street.jpg --model resnet50 --class "traffic light" --threshold 0.3 --out light.pdf`
"""
)
@takes(options=LookOptions)
def show(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Photographs.")],
    model: Annotated[
        str, typer.Option("--model", help="A model as `wsol evaluate` takes it, no baseline.")
    ],
    options: LookOptions,
    top: Annotated[int, typer.Option("--top", min=1, help="How many predictions.")] = 5,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="A .png, .svg or .pdf file for one image, else a folder; default: "
            "<name>-cam.png here.",
        ),
    ] = None,
) -> None:
    """See what a network sees in your own photograph: classes, activation map and box.

    Several methods stand beside each other, a row a photograph and a column a method.
    """
    targets = _targets(images, out)
    from wsol.datasets.loading import open_image
    from wsol.results.overlay_picture import Panel, write_overlay
    from wsol.show import look

    photographs = [open_image(image, upright=True) for image in images]
    classifier, label = ready_to_look(model, options)
    for image, photograph, target in zip(images, photographs, targets, strict=True):
        each = [
            look(classifier, photograph, options=o, label=label, top=top) for o in options.each()
        ]
        several, shown = len(each) > 1, each[0]
        panels = [
            Panel(method if several else "", own.score_map, own.box)
            for method, own in zip(options.method, each, strict=True)
        ]
        maps = "" if several or options.method == ("cam",) else f", {options.method[0]}"
        title = f"{shown.class_name}, {classifier.name}{maps}, threshold {options.threshold}"
        write_overlay(target, shown.image, panels, shown.class_name, title, shown.predictions)
        show_line(printable(str(image)), "bold")
        OUTPUT.print(_table(shown))
        for method, own in zip(options.method, each, strict=True):
            show_line(f"{printable(method)}: {_where(own)}" if several else _where(own))
        show_written(target, "\n")


def _targets(images: list[Path], out: Path | None) -> list[Path]:
    """A file for each picture; images of the same name are told apart by number."""
    if out is not None and out.suffix.lower() in _SUFFIXES:
        if len(images) > 1:
            raise InputError(f"--out {out}: is one file for {len(images)} images; name a folder.")
        return [out]
    folder = Path() if out is None else out
    targets: list[Path] = []
    for image in images:
        target, number = folder / f"{image.stem}-cam.png", 2
        while target in targets:
            target, number = folder / f"{image.stem}-cam-{number}.png", number + 1
        targets.append(target)
    return targets


def _table(shown: "Shown") -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column("Class")
    table.add_column("Probability", justify="right")
    for name, probability in shown.predictions:
        table.add_row(Text(printable(name)), f"{100 * probability:.1f} %")
    return table


def _where(shown: "Shown") -> str:
    if shown.box is None:
        where = "no box, its map is the same everywhere"
    else:
        where = "box x0, y0, x1, y1 = " + ", ".join(f"{value:.0f}" for value in shown.box)
    return f"{printable(shown.class_name)} ({100 * shown.probability:.1f} %): {where}"
