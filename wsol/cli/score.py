"""`wsol score`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from wsol.cli.app import app
from wsol.cli.options import JsonOption, OutOption, ResumeOption, StoreOption, takes
from wsol.cli.output import (
    add_to_store,
    clear,
    deliver,
    outcome_files,
    print_records,
    progress_folder,
    require_targets,
    resume_hint,
    settle_outcomes,
)
from wsol.datasets.options import DataOptions
from wsol.evaluation.options import ScoreOptions
from wsol.progress import logged, track


@app.command(
    epilog="""Examples:

`wsol score scoremaps/ --data protocol --root wsol-metadata/CUB/test --json cub.json`

`wsol score maps.h5 --data ilsvrc --root /data/imagenet --contours all --curves --json maps.json`

`wsol score crops/ --convention psol,bas,sat --threshold 0.3 --data ilsvrc --root /data/imagenet`

`wsol score scoremaps/ --data protocol --root wsol-metadata/OpenImages/test --masks masks/`

`wsol score scoremaps/ --name "My method" --data cub --root CUB_200_2011 --per-image --out cub`

`wsol score boxes.csv --predictions classifier.csv --data cub --root CUB_200_2011 --per-image
--json boxes-record.json`
"""
)
@takes(data=DataOptions, options=ScoreOptions)
def score(
    scoremaps: Annotated[
        Path,
        typer.Argument(
            metavar="MAPS|BOXES",
            help="Folder of <image id>.npy files; or an .npz, .h5, or .npy stack of all maps. Or "
            "boxes: COCO results (.json), or CSV with the header "
            "image_id,x0,y0,x1,y1[,score[,class]].",
        ),
    ],
    data: DataOptions,
    options: ScoreOptions,
    json_file: JsonOption = None,
    out: OutOption = None,
    store: StoreOption = None,
    resume: ResumeOption = False,
) -> None:
    """Evaluate score maps or boxes that your own method wrote.

    Maps are float16/32/64 within [0, 1], or uint8. A map of another size than 224x224 is resized
    bicubically and min-max normalized again.

    Boxes are in pixels of the photographs, and in CSV both corners are pixels of the box, unless
    --box-pixels and --box-corners say otherwise. The box of an image's label with the highest score
    counts; boxes without a class are of any.
    """
    from wsol.datasets.base import limited
    from wsol.evaluation.lifecycle import places_of
    from wsol.evaluation.precomputed import score_each
    from wsol.files import plain
    from wsol.launchers import joined
    from wsol.records.record import write_order

    name = options.name or scoremaps.name
    folder = progress_folder(out, json_file, resume, options.per_image)
    stem = plain(name) if out else "score"
    places = places_of(folder, stem, options.protocol.convention, resume=resume)
    kept = [place for place in places if place is not None]
    with joined("cpu") as (processes, _), resume_hint(folder if processes.is_first else None):
        beside = outcome_files(json_file, [place.name for place in kept])
        targets = partial(require_targets, out, json_file, folder, store, outcomes=beside)
        processes.of_first(targets)
        dataset = processes.together(data.whole)
        part = limited(dataset, data.limit)
        shown = track if processes.is_first else logged(processes.rank)
        with shown(name, len(part)) as advance:
            records = score_each(
                scoremaps,
                dataset,
                options.each(),
                evaluated=part,
                places=places,
                advance=advance,
                processes=processes,
            )
        if not processes.is_first:
            return
        deliver(records, json_file, out)
        if out is not None:
            write_order([place.record for place in kept])
        outcomes = [place.outcomes for place in kept] if options.per_image else None
        add_to_store(records, outcomes, store)
        if out is None and folder is not None and json_file is not None:
            settle_outcomes(folder, [place.name for place in kept], json_file, options.per_image)
            clear(folder)
        print_records(records, json_file)
