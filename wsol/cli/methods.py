"""`wsol methods`."""

from rich.table import Table

from wsol.cli.app import app
from wsol.cli.options import ShownJsonOption
from wsol.cli.output import OUTPUT, write_json

_NEEDS = {
    "head": "logits that are a linear map of a spatial mean",
    "features": "a spatial activation",
    "gradients": "a spatial activation",
    "attention": "attention over all positions",
}


@app.command(
    epilog="""Examples:

`wsol methods`

`wsol evaluate vgg16 --method gradcam,layercam --data ilsvrc --root /data/imagenet`
"""
)
def methods(json_file: ShownJsonOption = None) -> None:
    """List the methods that make maps: paper, what each needs of a network, and what it costs."""
    from wsol.maps.methods.catalog import METHODS

    if json_file is not None:
        rows = [
            {
                "name": method.name,
                "title": method.title,
                "paper": method.paper,
                "needs": _NEEDS[method.needs],
                "passes": method.passes,
                "by_class": method.by_class,
            }
            for method in METHODS.values()
        ]
        write_json(rows, json_file)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("Method", "Name", "Paper", "Needs", "Passes an image", "Map of a class"):
        table.add_column(heading)
    for method in METHODS.values():
        table.add_row(
            method.name,
            method.title,
            method.paper,
            _NEEDS[method.needs],
            method.passes,
            "yes" if method.by_class else "no, of the image",
        )
    OUTPUT.print(table)
    OUTPUT.print(
        "[dim]K is the number of the layer's channels. Methods by gradients go backwards from the "
        "logits to the layer alone,\nonce a class; where cam applies they need not. Also: "
        "torchcam:NAME, any other method of torchcam, and package.module:callable.[/dim]"
    )
