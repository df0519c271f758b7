"""`wsol import-weights`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from wsol.cli.app import app
from wsol.cli.output import show_line
from wsol.errors import InputError


@app.command(
    name="import-weights",
    epilog="""Examples:

`wsol import-weights vgg16CAM_train_iter_90000.caffemodel --as vgg16_gap --out vgg16cam.pt`

`wsol import-weights adl.pth.tar --as resnet50 --wsol-method adl --map-size 28 --out adl.pt`

`wsol evaluate vgg16_gap --weights vgg16cam.pt --data ilsvrc --root /data/imagenet`
""",
)
def import_weights(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="VGG16-CAM of the CAM paper (.caffemodel; needs the extra `caffe`), or a "
            "checkpoint of the wsolevaluation repository.",
        ),
    ],
    network: Annotated[
        Literal["vgg16_gap", "resnet50", "inception_v3"],
        typer.Option("--as", help="The network that FILE holds."),
    ],
    out: Annotated[Path, typer.Option("--out", help="The wsol checkpoint to write.")],
    method: Annotated[
        Literal["cam", "has", "acol", "spg", "adl", "cutmix"],
        typer.Option("--wsol-method", help="What the network was trained with."),
    ] = "cam",
    map_size: Annotated[
        int | None,
        typer.Option(
            "--map-size",
            help="14 or 28, the side of its class activation maps at 224 pixels: its stride, "
            "which a wsolevaluation checkpoint mostly does not tell. 28 unless the file says 14.",
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            help="What its logits stand for: `ilsvrc` (sorted WordNet ids; taken by itself where "
            "there are 1,000), or a text file with a class key a line. Without it, other "
            "classes are numbered as the data set's are.",
        ),
    ] = None,
    acol_threshold: Annotated[
        float | None,
        typer.Option(
            "--acol-threshold",
            help="acol: what it was trained with, on which its maps depend; default: 0.7, the "
            "released one.",
        ),
    ] = None,
) -> None:
    """Turn published weights into a checkpoint that `wsol evaluate MODEL --weights` takes.

    Every tensor has to fit; otherwise the missing, unexpected and wrongly shaped ones are listed
    and nothing is written. Preprocessing and class order go into the checkpoint.
    """
    from wsol.models.importers.importing import import_weights as convert
    from wsol.models.importers.importing import map_shape

    if map_size not in (None, 14, 28):
        raise InputError(f"--map-size {map_size}: published networks have maps of 14 or 28.")
    classifier = convert(
        file,
        out,
        spec=network,
        method=method,
        map_size=map_size,  # type: ignore[arg-type]
        classes=None if classes is None else _class_keys(classes),
        acol_threshold=acol_threshold,
    )
    side = classifier.preprocessing.size
    height, width = map_shape(classifier)
    named = "unnamed classes" if classifier.classes is None else "named classes"
    show_line(
        f"{out}: {classifier.name}, {classifier.parameters / 1e6:.2f} M parameters, "
        f"{classifier.num_classes} {named}, {height}x{width} maps at {side} pixels."
    )


def _class_keys(given: str) -> list[str]:
    from wsol.datasets.classes import imagenet_classes
    from wsol.reading import read_lines

    if given == "ilsvrc":
        return [wnid for wnid, _ in imagenet_classes()]
    lines = read_lines(Path(given), "`ilsvrc`, or a text file with a class key a line")
    return [line.strip() for line, _ in lines]
