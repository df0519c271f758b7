"""`wsol score`."""

from pathlib import Path
from typing import Annotated

import typer

from wsol.cli.app import app
from wsol.cli.options import (
    Compat,
    CompatOption,
    ContourName,
    ContoursOption,
    CurvesOption,
    DataOption,
    ExcludeOption,
    ImagesOption,
    IouOption,
    JsonOption,
    LimitOption,
    MasksOption,
    PerImageOption,
    ResumeOption,
    RootOption,
    SplitOption,
    StepOption,
    StoreOption,
    open_data,
    protocol_of,
)
from wsol.cli.output import (
    add_to_store,
    clear,
    deliver,
    progress_folder,
    resume_hint,
    settle_outcomes,
)
from wsol.progress import track


@app.command(
    epilog="""Examples:

`wsol score scoremaps/ --data protocol --root wsol-metadata/CUB/test --json cub.json`

`wsol score maps.h5 --data ilsvrc --root /data/imagenet --contours all --curves --json maps.json`

`wsol score scoremaps/ --data protocol --root wsol-metadata/OpenImages/test --masks masks/`
"""
)
def score(
    scoremaps: Annotated[
        Path,
        typer.Argument(
            help="Folder of <image id>.npy files; or an .npz, .h5, or .npy stack of all maps."
        ),
    ],
    data: DataOption,
    root: RootOption,
    images: ImagesOption = None,
    masks: MasksOption = None,
    split: SplitOption = None,
    exclude: ExcludeOption = None,
    contours: ContoursOption = ContourName.BOTH,
    threshold_step: StepOption = 0.001,
    iou: IouOption = "0.3,0.5,0.7",
    compat: CompatOption = Compat.WSOLEVALUATION,
    limit: LimitOption = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Threads; default: all cores.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What to call the maps; default: their folder.")
    ] = None,
    parameters: Annotated[
        int | None, typer.Option("--parameters", min=0, help="Of the network behind the maps.")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave bad, missing and extra maps out, list them.")
    ] = False,
    curves: CurvesOption = False,
    per_image: PerImageOption = False,
    json_file: JsonOption = None,
    store: StoreOption = None,
    resume: ResumeOption = False,
    save_every: Annotated[
        float,
        typer.Option("--save-every", min=0, help="Seconds between saves of progress (--json)."),
    ] = 30.0,
) -> None:
    """Evaluate score maps that your own method wrote.

    Maps are float16/32/64 within [0, 1], or uint8. A map of another size than 224x224 is resized
    bicubically and min-max normalized again.
    """
    from wsol.evaluation.loop import limited
    from wsol.evaluation.precomputed import ScoreOptions
    from wsol.evaluation.precomputed import score as score_maps
    from wsol.pipeline import usable_cores
    from wsol.records.outcomes import OUTCOMES_SUFFIX

    folder = progress_folder(None, json_file, resume, per_image)
    options = ScoreOptions(
        protocol=protocol_of(threshold_step, iou, compat, contours),
        threads=workers or usable_cores(),
        skip_bad=skip_bad,
        curves=curves,
        outcomes=folder / f"score{OUTCOMES_SUFFIX}" if per_image and folder else None,
        name=name,
        parameters=parameters,
        save_every=save_every,
    )
    dataset = open_data(data, root, images, masks, split, exclude)
    part = limited(dataset, limit)
    with resume_hint(folder), track(name or scoremaps.name, len(part)) as advance:
        record = score_maps(
            scoremaps,
            dataset,
            options,
            evaluated=part,
            progress_file=None if folder is None else folder / "score.progress.npz",
            resume=resume,
            advance=advance,
        )
    deliver([record], json_file, None)
    add_to_store([record], None if options.outcomes is None else [options.outcomes], store)
    if folder is not None and json_file is not None:
        settle_outcomes(folder, ["score"], json_file, per_image)
        clear(folder)
