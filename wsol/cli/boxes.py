"""`wsol boxes`."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wsol.cli.app import app
from wsol.cli.looking import ready_to_look
from wsol.cli.options import takes
from wsol.errors import InputError
from wsol.evaluation.options import LookOptions
from wsol.progress import tell

if TYPE_CHECKING:
    from PIL.Image import Image

    from wsol.evaluation.box_writing import FoundBoxes
    from wsol.models.classifier import Classifier
    from wsol.show import Shown

_MAP_FILES = (".npy", ".npz", ".h5", ".hdf5")


@app.command(
    epilog="""Examples:

`wsol boxes photographs/ --model resnet50 --out boxes.csv`

`wsol boxes cat.jpg dog.jpg --model timm:convnext_tiny --method gradcam --threshold otsu
--format voc --out boxes`

`wsol boxes scoremaps/ --images photographs/ --threshold 0.35 --format coco --out boxes.json`

`wsol boxes scoremaps/ --box-pixels fractions --out boxes.csv`
"""
)
@takes(options=LookOptions)
def boxes(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGES|MAPS...",
            help="A folder of photographs, or photographs; or score maps in any layout that "
            "`wsol score` takes.",
        ),
    ],
    options: LookOptions,
    model: Annotated[
        str | None,
        typer.Option("--model", help="What looks at photographs; as `wsol evaluate` takes it."),
    ] = None,
    contours: Annotated[
        Literal["largest", "all"],
        typer.Option("--contours", help="One box, of the largest component, or one of each."),
    ] = "largest",
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            help="With score maps: the folder of their photographs, in whose pixels boxes are "
            "then; without, in pixels of the maps.",
        ),
    ] = None,
    file_format: Annotated[
        Literal["csv", "coco", "voc"],
        typer.Option("--format", help="csv, coco (a results file), or voc (an XML file an image)."),
    ] = "csv",
    box_pixels: Annotated[
        Literal["photograph", "fractions"],
        typer.Option(
            "--box-pixels",
            help="Of CSV: pixels of the photograph, or fractions of its sides to the outer edges, "
            "which hold for a copy of another size.",
        ),
    ] = "photograph",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The file, of voc the folder; default: the terminal."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave unreadable photographs out, and say so.")
    ] = False,
) -> None:
    """Write the boxes of photographs or score maps: COCO results, CSV or Pascal VOC.

    CSV has the corners x0, y0, x1, y1, all of them pixels of the box, counted from 0; COCO has x,
    y, width and height to the outer edges; VOC has corners counted from 1. A component is what
    reaches the threshold and touches, also at corners; its score is the map's mean inside of its
    box times the class's probability, where a network says one.
    """
    from wsol.files import require_writable, require_writable_folder

    fractions = box_pixels == "fractions"
    if fractions and file_format != "csv":
        raise InputError(f"--box-pixels fractions: {file_format} has none; use --format csv.")
    if out is None and file_format == "voc":
        raise InputError("--format voc writes a file an image; name their folder with --out.")
    if out is not None:
        (require_writable_folder if file_format == "voc" else require_writable)(out)
    if _are_maps(sources):
        if model is not None:
            raise InputError(f"{sources[0]}: has score maps, for which --model has nothing to do.")
        if len(sources) > 1:
            raise InputError(f"{sources[1]}: score maps are of one folder or file at a time.")
        from wsol.evaluation.found_boxes import boxes_of_maps

        found = list(
            boxes_of_maps(sources[0], images, options.threshold, contours, at_least_grid=fractions)
        )
    else:
        if images is not None:
            raise InputError("--images: goes with score maps; these are photographs themselves.")
        if model is None:
            raise InputError(
                f"{sources[0]}: photographs need a network that looks at them; name it with "
                "--model. (Score maps are .npy, .npz or .h5 files.)"
            )
        options = options.replaced(method=options.map_method)
        photographs = _photographs(sources)
        classifier, label = ready_to_look(model, options)
        from wsol.show import look

        looking = partial(look, classifier, options=options, label=label, top=1)
        found = list(
            _looked_at(photographs, classifier, looking, options.threshold, contours, skip_bad)
        )
    _write(found, "fractions" if fractions else file_format, out)


def _are_maps(sources: list[Path]) -> bool:
    first = sources[0]
    if not first.is_dir():
        return first.suffix.lower() in _MAP_FILES
    return next(first.rglob("*.npy"), None) is not None


def _photographs(sources: list[Path]) -> list[tuple[str, Path]]:
    """Photographs by what they are called in the file: by their paths below a folder that was
    named, or by their own names.

    Raises:
        InputError: where two would be called the same.
    """
    from wsol.evaluation.found_boxes import photographs_below

    found: dict[str, Path] = {}
    for source in sources:
        names = [source.name]
        if source.is_dir():
            names = sorted(set(photographs_below(source).values()))
        for name in names:
            path = source / name if source.is_dir() else source
            if name in found:
                raise InputError(f"{path}: is called like {found[name]}; name their folder.")
            found[name] = path
    return list(found.items())


def _looked_at(
    photographs: list[tuple[str, Path]],
    classifier: "Classifier",
    looking: "Callable[[Image], Shown]",
    threshold: float | str,
    contours: Literal["largest", "all"],
    skip_bad: bool,
) -> "Iterator[FoundBoxes]":
    """Each photograph's boxes."""
    from dataclasses import replace

    from wsol.datasets.loading import open_image
    from wsol.evaluation.found_boxes import found_in
    from wsol.progress import track

    with track(classifier.name, len(photographs)) as advance:
        for image_id, path in photographs:
            try:
                photograph = open_image(path, upright=True)
            except InputError as error:
                if not skip_bad:
                    raise
                tell(f"Left out: {error}")
                advance(1)
                continue
            shown = looking(photograph)
            found = found_in(
                image_id,
                shown.score_map,
                photograph.size,
                threshold,
                contours,
                score=shown.probability,
            )
            key = None if classifier.classes is None else classifier.classes[shown.label]
            yield replace(found, label=shown.label, key=key, name=shown.class_name)
            advance(1)


def _write(found: "list[FoundBoxes]", file_format: str, out: Path | None) -> None:
    import sys
    import tempfile

    from wsol.evaluation.box_writing import WRITERS

    if out is None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "boxes")
            WRITERS[file_format](found, file)
            sys.stdout.write(file.read_text(encoding="utf-8"))
    else:
        WRITERS[file_format](found, out)
    count = sum(len(item.boxes) for item in found)
    without = [item.image_id for item in found if not len(item.boxes)]
    told = f"{count:,} {'box' if count == 1 else 'boxes'} of {len(found):,} images"
    if out is not None:
        told += f" written to {out}"
    if without:
        told += (
            f"; {len(without):,} without a box, because their maps are the same everywhere "
            f"(first: {without[0]})"
        )
    tell(f"{told}.")
