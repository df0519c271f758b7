"""`wsol models`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from wsol.cli.app import app
from wsol.cli.options import ShownJsonOption
from wsol.cli.output import OUTPUT, show_line, write_json
from wsol.errors import InputError

if TYPE_CHECKING:
    from wsol.models.facts import LayerFacts, ModelFacts


@app.command(
    epilog="""Examples:

`wsol models`

`wsol models resnet --method cam --max-parameters 30`

`wsol models vgg16`

`wsol models timm:convnext_tiny`
"""
)
def models(
    search: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A network, to see its layers and its parameters by part; timm:NAME and "
            "package.module:callable too. A part of a name lists the names that contain it.",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help="Only networks that have the maps of a method."),
    ] = None,
    min_parameters: Annotated[
        float | None,
        typer.Option("--min-parameters", min=0, help="Only networks of so many millions."),
    ] = None,
    max_parameters: Annotated[
        float | None,
        typer.Option("--max-parameters", min=0, help="Only networks of so many millions."),
    ] = None,
    json_file: ShownJsonOption = None,
) -> None:
    """List the networks by name, or show one: parameters by part, layers, methods that apply."""
    from wsol.maps.methods.catalog import find_method
    from wsol.models.facts import known_models

    known = known_models()
    filters = (method, min_parameters, max_parameters)
    filtered = any(value is not None for value in filters)
    if search is not None and (":" in search or (search in known and not filtered)):
        if filtered:
            raise InputError("The filters choose among names; leave them out to see one network.")
        _show(_known_or_built(search), json_file)
        return
    needs = None if method is None else find_method(method).needs
    found = [
        model
        for model in known.values()
        if (search is None or search in model.name)
        and (needs is None or model.applies(needs))
        and (min_parameters is None or model.parameters >= 1e6 * min_parameters)
        and (max_parameters is None or model.parameters <= 1e6 * max_parameters)
    ]
    if not found:
        named = "" if search is None else f" whose name contains {search!r}"
        raise InputError(
            f"There is no model{named}{' and that fits the filters' if filtered else ''}; "
            "`wsol models` lists them all."
        )
    if json_file is not None:
        write_json([model.to_json() for model in found], json_file)
    else:
        OUTPUT.print(_table(found))
        OUTPUT.print(
            "[dim]Also: timm:NAME, package.module:callable, and the baselines center and full. "
            "wsol models NAME shows one's layers.[/dim]"
        )


def _known_or_built(name: str) -> "ModelFacts":
    from wsol.models.facts import known_models

    known = known_models().get(name)
    if known is not None:
        return known
    from wsol.models.look import look_at

    return look_at(name)


def _table(found: "Sequence[ModelFacts]") -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("Model")
    table.add_column("Params (M)", justify="right")
    table.add_column("Map")
    table.add_column("CAM")
    table.add_column("Pretrained")
    table.add_column("Why no CAM", style="dim")
    for model in found:
        table.add_row(
            model.name,
            f"{model.parameters / 1e6:.2f}",
            "–" if model.layer is None else _size(model.layer),
            "yes" if model.cam else "no",
            "yes" if model.pretrained else "no",
            escape(model.reason or ""),
        )
    return table


def _show(model: "ModelFacts", json_file: str | None) -> None:
    if json_file is not None:
        write_json([model.to_json()], json_file)
        return
    total = model.parameters
    OUTPUT.print(f"[bold]{escape(model.name)}[/bold], {model.size} pixels", highlight=False)
    parts = Table(box=None, show_header=False, pad_edge=False)
    parts.add_column("Part")
    parts.add_column("Parameters", justify="right")
    parts.add_column("Share", justify="right", style="dim")
    for part, count in (
        ("parameters", total),
        ("  convolutions", model.convolutions),
        ("  dense layers", model.dense),
        ("  head", model.head),
        ("  other", model.other),
    ):
        parts.add_row(part, f"{count:,}", f"{100 * count / max(total, 1):.1f} %")
    OUTPUT.print(parts)
    layers = Table(box=None, header_style="bold", pad_edge=False)
    layers.add_column("Layer")
    layers.add_column("Map")
    layers.add_column("Channels", justify="right")
    layers.add_column("", style="dim")
    for layer in model.layers:
        layers.add_row(
            escape(layer.name),
            _size(layer),
            str(layer.channels),
            "maps are made here, unless --layer says otherwise" if layer == model.layer else "",
        )
    OUTPUT.print(layers)
    show_line(f"Methods: {', '.join(model.methods) or 'none'}")
    if model.reason is not None:
        show_line(f"No CAM: {model.reason}.")
    if not model.pretrained:
        show_line("No weights of its library's; give a checkpoint.")


def _size(layer: "LayerFacts") -> str:
    return f"{layer.map[0]}x{layer.map[1]}"
