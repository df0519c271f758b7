"""`wsol models`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from wsol.cli.app import app
from wsol.cli.options import ShownJsonOption
from wsol.cli.output import OUTPUT, show_line, show_written, write_json
from wsol.errors import InputError

if TYPE_CHECKING:
    from wsol.models.facts import LayerFacts, ModelFacts


@app.command(
    epilog="""Examples:

`wsol models`

`wsol models resnet --method cam --max-parameters 30`

`wsol models vgg16`

`wsol models timm:convnext_tiny`

`wsol models vgg16 vgg16_gap resnet50 --parts`

`wsol models vgg16 vgg16_gap resnet50 --out parts.md --out parts.svg`
"""
)
def models(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="A network, to see its layers and its parameters by part; timm:NAME and "
            "package.module:callable too. A part of a name lists the names that contain it. "
            "Several networks are listed.",
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
    parts: Annotated[
        bool,
        typer.Option(
            "--parts",
            help="List parameters by what they belong to: convolutions, dense layers, head, and "
            "all else.",
        ),
    ] = False,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            help="Write the parameters by part: a table as .md or .csv, stacked bars as .svg, "
            ".pdf or .png; repeatable.",
        ),
    ] = None,
    json_file: ShownJsonOption = None,
) -> None:
    """List the networks by name, or show one: parameters by part, layers, methods that apply."""
    from wsol.models.facts import known_models

    for path in out or ():
        _require_form(path)
    known = known_models()
    filters = (method, min_parameters, max_parameters)
    filtered = any(value is not None for value in filters)
    several = len(names or ()) > 1
    search = names[0] if names and not several else None
    exact = search is not None and (":" in search or (search in known and not filtered))
    if (several or exact) and filtered:
        raise InputError("The filters choose among names; leave them out to see networks by name.")
    if exact or several:
        found = [_known_or_built(name) for name in dict.fromkeys(names or ())]
    else:
        found = _search(search, method, min_parameters, max_parameters, filtered)
    if out:
        for path in out:
            _write_parts(found, path)
    elif json_file is not None:
        write_json([model.to_json() for model in found], json_file)
    elif parts:
        OUTPUT.print(_parts_table(found))
    elif exact:
        _show(found[0])
    else:
        OUTPUT.print(_table(found))
        OUTPUT.print(
            "[dim]Also: timm:NAME, package.module:callable, and the baselines center and full. "
            "wsol models NAME shows one's layers.[/dim]"
        )


def _search(
    search: str | None,
    method: str | None,
    min_parameters: float | None,
    max_parameters: float | None,
    filtered: bool,
) -> "list[ModelFacts]":
    """Networks by a part of their name, and by what they have."""
    from wsol.maps.methods.catalog import find_method
    from wsol.models.facts import known_models

    needs = None if method is None else find_method(method).needs
    found = [
        model
        for model in known_models().values()
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
    return found


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


_FORMS = (".md", ".csv", ".svg", ".pdf", ".png")


def _require_form(path: Path) -> None:
    from wsol.files import require_writable

    if path.suffix.lower() not in _FORMS:
        raise InputError(f"--out {path}: its name must end in one of {', '.join(_FORMS)}.")
    require_writable(path)


def _parts(found: "Sequence[ModelFacts]") -> dict[str, dict[str, int]]:
    from wsol.results.parameter_parts import PARTS

    return {model.name: {part: getattr(model, part) for part in PARTS} for model in found}


def _parts_table(found: "Sequence[ModelFacts]") -> Table:
    from wsol.results.parameter_parts import part_rows

    headings, *rows = part_rows(_parts(found))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _write_parts(found: "Sequence[ModelFacts]", path: Path) -> None:
    from wsol.files import write_text
    from wsol.results.figures import save_figure
    from wsol.results.parameter_parts import parts_csv, parts_figure, parts_markdown

    if path.suffix.lower() in (".md", ".csv"):
        write = parts_markdown if path.suffix.lower() == ".md" else parts_csv
        write_text(path, write(_parts(found)))
    else:
        save_figure(parts_figure(_parts(found)), path)
    show_written(path)


def _show(model: "ModelFacts") -> None:
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
