"""`wsol train`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from wsol.cli.app import app
from wsol.cli.options import ResumeOption, key_values, takes
from wsol.cli.output import OUTPUT, resume_hint, tell_emulated
from wsol.datasets.options import SelectionOptions, TrainingDataOptions
from wsol.errors import InputError
from wsol.progress import print_epoch, track_training
from wsol.training.options import Recipe

if TYPE_CHECKING:
    from wsol.datasets.base import Dataset
    from wsol.records.training import TrainingRecord
    from wsol.training.selection import Selection


@app.command(
    epilog="""Examples:

`wsol train resnet50 --pretrained --data cub --root CUB_200_2011 --out cub-resnet50`

`wsol train vgg16_gap --width 0.25 --arguments batch_norm=true --data tiny-imagenet
--root tiny-imagenet-200 --size 64 --epochs 30 --lr 0.05 --out vgg`

`wsol train resnet50 --pretrained --data openimages --root metadata/OpenImages --images OpenImages
--select-data protocol --select-root metadata/OpenImages/val --select-images OpenImages
--select-metric pxap --out openimages-resnet50`

`torchrun --nproc-per-node 8 -m wsol train resnet50 --data ilsvrc --root imagenet --batch-size 256
--out imagenet-resnet50`

Afterwards: `wsol evaluate resnet50 --weights cub-resnet50/final.pt --data cub --root CUB_200_2011`

After a training with --select-data: `wsol evaluate resnet50 --weights openimages-resnet50/best.pt
--data protocol --root metadata/OpenImages/test --images OpenImages`

Where these data have boxes, their thresholds can be had too: `wsol train resnet50 --pretrained
--data cub --root CUB_200_2011 --select-data protocol --select-root metadata/CUB/val
--select-images CUBV2 --out cub-selected`, then `wsol evaluate resnet50
--weights cub-selected/best.pt --threshold-from cub-selected/train.json --data cub
--root CUB_200_2011`
"""
)
@takes(data=TrainingDataOptions, recipe=Recipe, select=SelectionOptions)
def train(
    model: Annotated[
        str, typer.Argument(help="resnet50, vgg16_gap, inception_v3, a torchvision name, timm:NAME")
    ],
    data: TrainingDataOptions,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Folder for final.pt, train.json, last.pt to go on from, and with --select-data "
            "best.pt.",
        ),
    ],
    recipe: Recipe,
    select: SelectionOptions,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="The same as --weights default.")
    ] = False,
    arguments: Annotated[
        list[str] | None,
        typer.Option("--arguments", metavar="KEY=VALUE", help="Of the builder; repeatable."),
    ] = None,
    width: Annotated[
        float, typer.Option("--width", min=0.01, help="Share of the channels (wsol's networks).")
    ] = 1.0,
    select_every: Annotated[
        int, typer.Option("--select-every", min=1, help="Epochs between two measurements.")
    ] = 1,
    select_metric: Annotated[
        str, typer.Option("--select-metric", help="Field of the record's metrics.")
    ] = "max_box_acc_v2",
    resume: ResumeOption = False,
) -> None:
    """Train a classifier from image-level labels alone; no box is read.

    Photographs are resized to a square of 256/224 of the crop, cropped and mirrored at random.
    A selection set (the protocol's train-fullsup) is the one place where boxes are seen: to
    choose the checkpoint and the threshold, never to change a weight.
    """
    import torch

    from wsol.files import require_writable_folder
    from wsol.launchers import joined
    from wsol.models.device import usable_device
    from wsol.training.methods import make_method
    from wsol.training.run import TrainingRun, no_progress
    from wsol.training.start import starting_network

    if pretrained:
        if recipe.weights != "none":
            raise InputError("--weights and --pretrained both name weights to start from; use one.")
        recipe = recipe.replaced(weights="default")
    with joined(usable_device(recipe.device), training=True) as (processes, own_device):
        processes.of_first(partial(require_writable_folder, out))
        if processes.is_first:
            tell_emulated(own_device, recipe.precision)
        torch.backends.cudnn.benchmark = True  # every batch has the same shape
        recipe = recipe.replaced(device=own_device)
        method = make_method(recipe.wsol_method, **recipe.method_options)
        dataset = processes.together(data.opened)
        selection, selected = None, processes.together(select.opened)
        if selected is not None:
            selection = _selection(
                selected, select_metric, select_every, recipe, select.pseudo_boxes
            )
        start = processes.together(
            lambda: starting_network(
                model,
                dataset,
                method,
                weights=recipe.weights,
                arguments=key_values("--arguments", arguments)
                | ({} if width == 1 else {"width": width}),
                size=recipe.size,
                seed=recipe.seed,
                head_offset=recipe.head_offset,
            )
        )
        run = TrainingRun(
            out,
            start,
            dataset,
            recipe,
            method=method,
            method_options=dict(recipe.method_options),
            selection=selection,
            processes=processes,
        )
        with resume_hint(out if processes.is_first else None):
            record = run.run(
                resume=resume,
                track=track_training if processes.is_first else no_progress,
                on_epoch=print_epoch,
            )
    if processes.is_first:
        _print_result(record, out)


def _selection(
    dataset: "Dataset", metric: str, every: int, recipe: Recipe, pseudo_boxes: bool
) -> "Selection":
    from wsol.evaluation.options import EvaluationOptions
    from wsol.training.selection import Selection

    options = EvaluationOptions(
        precision=recipe.precision,
        batch_size=recipe.batch_size,
        workers=0 if recipe.cache else recipe.workers,
        device=recipe.device,
        coco=metric.startswith("coco"),
    )
    return Selection(dataset, options, metric, every, pseudo_boxes)


def _print_result(record: "TrainingRecord", out: Path) -> None:
    from wsol.training.run import result_name

    chosen = record.chosen
    if chosen is None:
        what = "the checkpoint after the last step; without --select-data none is called best"
    else:
        what = (
            f"the checkpoint of epoch {chosen.epoch}, with the best {chosen.metric} "
            f"({chosen.value:.2f}) on {chosen.dataset} {chosen.split}"
        )
    name = result_name(chosen is not None)
    OUTPUT.print(f"  {escape(str(out / name))}  [dim]{escape(what)}[/dim]", soft_wrap=True)
    OUTPUT.print(
        f"  {escape(str(out / 'train.json'))}  [dim]settings and epochs[/dim]", soft_wrap=True
    )
