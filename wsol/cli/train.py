"""`wsol train`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from wsol.cli.app import app
from wsol.cli.options import DataName, PrecisionName, default_workers, open_data, usable_device
from wsol.cli.output import OUTPUT
from wsol.errors import InputError
from wsol.progress import MESSAGES, print_epoch, track_training

if TYPE_CHECKING:
    from wsol.records.training import TrainingRecord
    from wsol.training.selection import Selection


class TrainingData(StrEnum):
    """The layouts that `wsol train --data` reads."""

    ILSVRC = "ilsvrc"
    CUB = "cub"
    OPENIMAGES = "openimages"
    PROTOCOL = "protocol"
    TINY_IMAGENET = "tiny-imagenet"
    SHAPES = "shapes"


class ScheduleName(StrEnum):
    """How the learning rate falls."""

    STEP = "step"
    COSINE = "cosine"


@app.command(
    epilog="""Examples:

`wsol train resnet50 --pretrained --data cub --root CUB_200_2011 --out cub-resnet50`

`wsol train vgg16_gap --width 0.25 --model-option batch_norm=true --data tiny-imagenet
--root tiny-imagenet-200 --size 64 --epochs 30 --lr 0.05 --out vgg`

`wsol train resnet50 --pretrained --data openimages --root metadata/OpenImages --images OpenImages
--select-data protocol --select-root metadata/OpenImages/val --select-images OpenImages
--select-metric pxap --out openimages-resnet50`

`torchrun --nproc-per-node 8 -m wsol train resnet50 --data ilsvrc --root imagenet --batch-size 256
--out imagenet-resnet50`

Afterwards: `wsol evaluate resnet50 --weights cub-resnet50/best.pt --data cub --root CUB_200_2011
--threshold-from cub-resnet50/train.json`
"""
)
def train(
    model: Annotated[
        str, typer.Argument(help="resnet50, vgg16_gap, inception_v3, a torchvision name, timm:NAME")
    ],
    data: Annotated[TrainingData, typer.Option("--data", help="Layout of the training set.")],
    root: Annotated[
        Path,
        typer.Option("--root", help="Its folder (protocol: four files; openimages: its splits)."),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for last.pt, best.pt, final.pt and train.json.")
    ],
    images: Annotated[
        Path | None, typer.Option("--images", help="Image root, where it is not under --root.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Split to train on.")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Train on N images of all classes.")
    ] = None,
    method: Annotated[
        str, typer.Option("--method", help="cam, has, acol, spg, adl or cutmix.")
    ] = "cam",
    method_option: Annotated[
        list[str] | None,
        typer.Option("--method-option", metavar="KEY=VALUE", help="Of the method; repeatable."),
    ] = None,
    pretrained: Annotated[
        bool,
        typer.Option(
            "--pretrained/--no-pretrained", help="Start from the library's trained weights."
        ),
    ] = False,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Start from a checkpoint's weights.")
    ] = None,
    width: Annotated[
        float, typer.Option("--width", min=0.01, help="Share of the channels (wsol's networks).")
    ] = 1.0,
    model_option: Annotated[
        list[str] | None,
        typer.Option("--model-option", metavar="KEY=VALUE", help="Of the builder; repeatable."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--size", min=16, help="Side of the crops; default: the weights' own, or 224."
        ),
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1)] = 10,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Images a step, of all processes together.")
    ] = 32,
    lr: Annotated[float, typer.Option("--lr", help="Highest learning rate.")] = 0.01,
    new_layer_lr: Annotated[
        float,
        typer.Option("--new-layer-lr", help="Times the rate, for layers without trained weights."),
    ] = 10.0,
    fast_layer: Annotated[
        list[str] | None,
        typer.Option("--fast-layer", help="Gets the rate of new layers, as layer4; repeatable."),
    ] = None,
    head_offset: Annotated[
        float,
        typer.Option(
            "--head-offset",
            help="Added to the last layer's first weights: no probability changes by it, every "
            "class's map gets that much of the sum of all features.",
        ),
    ] = 0.0,
    schedule: Annotated[ScheduleName, typer.Option("--schedule")] = ScheduleName.COSINE,
    lr_decay_every: Annotated[
        int | None,
        typer.Option("--lr-decay-every", min=1, help="step: epochs until a tenth of the rate."),
    ] = None,
    lr_decay_first: Annotated[
        int | None,
        typer.Option("--lr-decay-first", min=1, help="step: until the first one, if other."),
    ] = None,
    warmup_epochs: Annotated[
        float, typer.Option("--warmup-epochs", min=0, help="Epochs of rising rate.")
    ] = 0.0,
    momentum: Annotated[float, typer.Option("--momentum")] = 0.9,
    weight_decay: Annotated[float, typer.Option("--weight-decay")] = 1e-4,
    max_gradient_norm: Annotated[
        float,
        typer.Option("--max-gradient-norm", min=0, help="Shorten longer gradients; 0: never."),
    ] = 5.0,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    precision: Annotated[PrecisionName, typer.Option("--precision")] = PrecisionName.FP32,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that decode images.")
    ] = None,
    cache: Annotated[
        bool, typer.Option("--cache", help="Keep decoded images in memory (takes no workers).")
    ] = False,
    select_data: Annotated[
        DataName | None,
        typer.Option(
            "--select-data", help="Layout of a set to choose checkpoint and threshold on."
        ),
    ] = None,
    select_root: Annotated[Path | None, typer.Option("--select-root", help="Its folder.")] = None,
    select_images: Annotated[
        Path | None, typer.Option("--select-images", help="Its image root.")
    ] = None,
    select_masks: Annotated[
        Path | None, typer.Option("--select-masks", help="Its mask root.")
    ] = None,
    select_split: Annotated[str | None, typer.Option("--select-split")] = None,
    select_every: Annotated[
        int, typer.Option("--select-every", min=1, help="Epochs between two measurements.")
    ] = 1,
    select_metric: Annotated[
        str, typer.Option("--select-metric", help="Field of the record's metrics.")
    ] = "max_box_acc_v2",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a run of the same command stopped.")
    ] = False,
) -> None:
    """Train a classifier from image-level labels alone; no box is read.

    Photographs are resized to a square of 256/224 of the crop, cropped and mirrored at random.
    A selection set (the protocol's train-fullsup) is the one place where boxes are seen: to
    choose the checkpoint and the threshold, never to change a weight.
    """
    import torch

    from wsol.datasets.weak import open_training_set
    from wsol.training.methods import make_method
    from wsol.training.options import TrainingOptions
    from wsol.training.processes import joined
    from wsol.training.run import TrainingRun, no_progress
    from wsol.training.start import starting_network

    if pretrained and weights is not None:
        raise InputError("--weights and --pretrained both name weights to start from; use one.")
    with joined(usable_device(device)) as (processes, own_device):
        torch.backends.cudnn.benchmark = True  # every batch has the same shape
        if workers is None:
            workers = 0 if cache else default_workers(own_device)
        options = TrainingOptions(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            schedule=schedule.value,
            decay_every=lr_decay_every,
            decay_first=lr_decay_first,
            warmup_epochs=warmup_epochs,
            new_layer_rate=new_layer_lr,
            fast_layers=tuple(fast_layer or ()),
            max_gradient_norm=max_gradient_norm or None,
            precision=precision.value,
            seed=seed,
            device=own_device,
            workers=workers,
            cache=cache,
        )
        method_options = _options("--method-option", method_option)
        made = make_method(method, **method_options)
        dataset = open_training_set(data.value, root, images=images, split=split, limit=limit)
        selection = _selection(
            select_data, select_root, select_images, select_masks, select_split,
            select_metric, select_every, options,
        )  # fmt: skip
        start = starting_network(
            model,
            dataset,
            made,
            weights="default" if pretrained else "none" if weights is None else str(weights),
            arguments=_options("--model-option", model_option)
            | ({} if width == 1 else {"width": width}),
            size=size,
            seed=seed,
            head_offset=head_offset,
        )
        run = TrainingRun(
            out,
            start,
            dataset,
            options,
            method=made,
            method_options=method_options,
            selection=selection,
            processes=processes,
        )
        try:
            record = run.run(
                resume=resume,
                track=track_training if processes.is_first else no_progress,
                on_epoch=print_epoch,
            )
        except KeyboardInterrupt:
            if processes.is_first:
                MESSAGES.print(
                    f"The run is kept in {escape(str(out))}; "
                    "repeat the command with --resume to go on.",
                    soft_wrap=True,
                )
            raise
    if processes.is_first:
        _print_result(record, out)


def _options(option: str, texts: list[str] | None) -> dict[str, Any]:
    """Keys and values; a value is JSON (`0.5`, `true`, `[1, 2]`), or else text."""
    options: dict[str, Any] = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(f"{option} {text}: expected KEY=VALUE.")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def _selection(
    data: DataName | None,
    root: Path | None,
    images: Path | None,
    masks: Path | None,
    split: str | None,
    metric: str,
    every: int,
    training: Any,
) -> "Selection | None":
    from wsol.evaluation.loop import Options
    from wsol.training.selection import Selection

    if data is None or root is None:
        if data is not None or root is not None:
            raise InputError("A selection set needs both --select-data and --select-root.")
        return None
    options = Options(
        precision=training.precision,
        batch_size=training.batch_size,
        workers=training.workers,
        device=training.device,
        coco=metric.startswith("coco"),
    )
    return Selection(open_data(data, root, images, masks, split, None), options, metric, every)


def _print_result(record: "TrainingRecord", out: Path) -> None:
    chosen = record.chosen
    if chosen is None:
        what = "the checkpoint after the last step"
    else:
        what = (
            f"the checkpoint of epoch {chosen.epoch}, with the best {chosen.metric} "
            f"({chosen.value:.2f}) on {chosen.dataset} {chosen.split}"
        )
    OUTPUT.print(f"  {escape(str(out / 'best.pt'))}  [dim]{escape(what)}[/dim]", soft_wrap=True)
    OUTPUT.print(
        f"  {escape(str(out / 'train.json'))}  [dim]settings and epochs[/dim]", soft_wrap=True
    )
