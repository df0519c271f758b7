"""`wsol evaluate`."""

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
    PrecisionName,
    ResizeName,
    ResumeOption,
    RootOption,
    SplitOption,
    StepOption,
    StoreOption,
    default_workers,
    open_data,
    protocol_of,
    usable_device,
)
from wsol.cli.output import (
    add_to_store,
    clear,
    deliver,
    progress_folder,
    resume_hint,
    settle_outcomes,
)
from wsol.errors import InputError
from wsol.progress import track


@app.command(
    epilog="""Examples:

`wsol evaluate resnet50 densenet161 center full --data ilsvrc --root /data/imagenet`

`wsol evaluate center --data protocol --root wsol-metadata/CUB/test --threshold-step 0.001`

`wsol evaluate resnet50 --weights cub.pt --data cub --root CUB_200_2011 --json resnet50.json`

`wsol evaluate resnet50 --weights run/best.pt --data cub --root CUB_200_2011
--threshold-from run/train.json`
"""
)
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="resnet50, vgg16_gap, a torchvision name, timm:NAME, package.module:callable, "
            "or a baseline: center, full.",
        ),
    ],
    data: DataOption,
    root: RootOption,
    images: ImagesOption = None,
    masks: MasksOption = None,
    split: SplitOption = None,
    exclude: ExcludeOption = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights",
            help="`default` (the library's), `none` (random) or a checkpoint; once for all "
            "networks, or once each in their order.",
        ),
    ] = None,
    limit: LimitOption = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            min=16,
            help="Side of the network's input in pixels; default: as it was trained or published.",
        ),
    ] = None,
    threshold_from: Annotated[
        Path | None,
        typer.Option(
            "--threshold-from",
            metavar="RECORD",
            help="Also report at the thresholds that a record of another split, or the train.json "
            "of these weights, found best.",
        ),
    ] = None,
    resize_mode: Annotated[
        ResizeName, typer.Option("--resize-mode", help="How a photograph becomes the input.")
    ] = ResizeName.SQUASH,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1)] = 32,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that decode images.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    precision: Annotated[PrecisionName, typer.Option("--precision")] = PrecisionName.FP32,
    threshold_step: StepOption = 0.001,
    iou: IouOption = "0.3,0.5,0.7",
    compat: CompatOption = Compat.WSOLEVALUATION,
    contours: ContoursOption = ContourName.BOTH,
    coco: Annotated[
        bool, typer.Option(help="Also COCO AP/AR from the boxes of the top-5 classes.")
    ] = True,
    curves: CurvesOption = False,
    per_image: PerImageOption = False,
    latency: Annotated[
        bool, typer.Option("--latency", help="Also time the forward pass of a single image.")
    ] = False,
    skip_bad_images: Annotated[
        bool,
        typer.Option("--skip-bad-images", help="Leave unreadable images out and list them."),
    ] = False,
    save_scoremaps: Annotated[
        Path | None,
        typer.Option("--save-scoremaps", help="Write every map for `wsol score` (one model)."),
    ] = None,
    json_file: JsonOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for a record a model and the table.")
    ] = None,
    store: StoreOption = None,
    resume: ResumeOption = False,
) -> None:
    """Evaluate classifiers and baselines on a data set: localization beside parameters.

    Boxes come from class activation maps of the ground-truth class; see the README for what each
    column means. Nothing is trained, and no box is seen by the network.
    """
    from wsol.evaluation.loop import Options, limited
    from wsol.evaluation.models import evaluate_models, file_names, pair_weights
    from wsol.records.outcomes import OUTCOMES_SUFFIX
    from wsol.records.thresholds import read_thresholds

    if save_scoremaps is not None and len(models) > 1:
        raise InputError("--save-scoremaps takes one model at a time; evaluate them in turn.")
    device = usable_device(device)
    protocol = protocol_of(threshold_step, iou, compat, contours)
    requests = pair_weights(models, weights or [])
    folder = progress_folder(out, json_file, resume, per_image)
    dataset = limited(open_data(data, root, images, masks, split, exclude), limit)
    options = Options(
        protocol=protocol,
        size=size,
        resize_mode=resize_mode.value,
        precision=precision.value,
        coco=coco,
        batch_size=batch_size,
        workers=default_workers(device) if workers is None else workers,
        device=device,
        skip_bad_images=skip_bad_images,
        save_maps=save_scoremaps,
        curves=curves,
        latency=latency,
        thresholds={} if threshold_from is None else read_thresholds(threshold_from),
    )
    with resume_hint(folder):
        records = evaluate_models(
            requests,
            dataset,
            options,
            folder=folder,
            resume=resume,
            per_image=per_image,
            track=track,
        )
    deliver(records, json_file, out)
    outcomes = None
    if per_image and folder is not None:
        outcomes = [folder / f"{name}{OUTCOMES_SUFFIX}" for name in file_names(requests)]
    add_to_store(records, outcomes, store)
    if out is None and folder is not None and json_file is not None:
        settle_outcomes(folder, file_names(requests), json_file, per_image)
        clear(folder)
