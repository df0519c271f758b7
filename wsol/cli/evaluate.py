"""`wsol evaluate`."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from wsol.cli.app import app
from wsol.cli.options import EmaOption, JsonOption, OutOption, ResumeOption, StoreOption, takes
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
    tell,
    tell_emulated,
)
from wsol.datasets.options import DataOptions, SelectionOptions
from wsol.errors import InputError
from wsol.evaluation.options import EvaluationOptions
from wsol.progress import logged, track


@app.command(
    epilog="""Examples:

`wsol evaluate resnet50 densenet161 center full --data ilsvrc --root /data/imagenet`

`wsol evaluate center --data protocol --root wsol-metadata/CUB/test --threshold-step 0.001`

`wsol evaluate resnet50 --weights cub.pt --data cub --root CUB_200_2011 --json resnet50.json`

`wsol evaluate vgg16 vit_b_16 --method gradcam,layercam --data ilsvrc --root /data/imagenet`

`wsol evaluate resnet50 --convention choe2020,psol,sat --threshold 0.3 --data ilsvrc
--root /data/imagenet`

`wsol evaluate resnet50 --weights run/best.pt --data cub --root CUB_200_2011
--threshold-from run/train.json`

`wsol evaluate resnet50 --weights cub.pt --data cub --root CUB_200_2011 --also-at otsu,best
--select-data protocol --select-root pseudo/CUB/val --select-images CUBV2 --pseudo-boxes`

`wsol evaluate resnet50 --weights run/epoch-*.pt --data cub --root CUB_200_2011 --out epochs`
"""
)
@takes(data=DataOptions, options=EvaluationOptions, select=SelectionOptions)
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="resnet50, vgg16_gap, a torchvision name, timm:NAME, package.module:callable, "
            "or a baseline: center, full.",
        ),
    ],
    data: DataOptions,
    options: EvaluationOptions,
    select: SelectionOptions,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights",
            help="`default` (the library's), `none` (random) or a checkpoint; once for all "
            "networks, once each in their order, or several for one network: a row each.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            help="What to call the run in records and tables; once a network, in their order.",
        ),
    ] = None,
    ema: EmaOption = False,
    json_file: JsonOption = None,
    out: OutOption = None,
    store: StoreOption = None,
    resume: ResumeOption = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say how many forward passes the maps would need."),
    ] = False,
) -> None:
    """Evaluate classifiers and baselines on a data set: localization beside parameters.

    Boxes come from maps of the ground-truth class, class activation maps unless --method says
    otherwise; see the README for what each column means. Nothing is trained, and no box is seen
    by the network.
    """
    from wsol.datasets.base import limited
    from wsol.evaluation.models import (
        by_method,
        evaluate_models,
        expected_passes,
        pair_weights,
        record_names,
    )
    from wsol.evaluation.transferred import with_chosen
    from wsol.launchers import joined
    from wsol.models.device import usable_device
    from wsol.records.outcomes import OUTCOMES_SUFFIX

    paired = pair_weights(models, weights or [], names=name or (), ema=ema)
    requests = by_method(paired, options)
    if options.save_scoremaps is not None and len(requests) > 1:
        raise InputError(
            "--save-scoremaps takes one model and method at a time; evaluate them in turn."
        )
    folder = progress_folder(out, json_file, resume, options.per_image)
    if dry_run:
        for line in expected_passes(requests, limited(data.whole(), data.limit), options):
            tell(line)
        return
    with (
        TemporaryDirectory() as temporary,
        joined(usable_device(options.device)) as (processes, own_device),
        resume_hint(folder if processes.is_first else None),
    ):
        targets = partial(require_targets, out, json_file, folder, store, options.save_scoremaps)
        beside = outcome_files(json_file, record_names(requests, options))
        processes.of_first(partial(targets, outcomes=beside))
        if processes.is_first:
            tell_emulated(own_device, options.precision)
        if processes.count > 1:
            options = options.replaced(device=own_device)
        dataset = processes.together(lambda: limited(data.whole(), data.limit))
        selected = processes.together(select.opened)
        run = partial(
            evaluate_models,
            requests,
            resume=resume,
            track=track if processes.is_first else logged(processes.rank),
            tell=tell if processes.is_first else _say_nothing,
            processes=processes,
        )
        if selected is not None:
            # Hidden, for these records are of another split; kept for --resume.
            place = None if folder is None else folder / ".selection"
            options = with_chosen(
                options,
                lambda own: run(selected, own, folder=place),
                Path(temporary) / "thresholds.json",
                pseudo_boxes=select.pseudo_boxes,
            )
        records = run(dataset, options, folder=folder)
        if not processes.is_first:
            return
        deliver(records, json_file, out)
        outcomes, names = None, record_names(requests, options)
        if options.per_image and folder is not None:
            outcomes = [folder / f"{name}{OUTCOMES_SUFFIX}" for name in names]
        add_to_store(records, outcomes, store)
        if out is None and folder is not None and json_file is not None:
            settle_outcomes(folder, names, json_file, options.per_image)
            clear(folder)
        print_records(records, json_file)


def _say_nothing(text: str) -> None:
    """What one of several processes says that the first says already."""
