"""Options that several commands share, and what they stand for."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsol.errors import InputError

if TYPE_CHECKING:
    from wsol.datasets.base import Dataset
    from wsol.evaluation.protocol import Protocol


class DataName(StrEnum):
    """The layouts that `--data` reads."""

    ILSVRC = "ilsvrc"
    CUB = "cub"
    PROTOCOL = "protocol"
    TINY_IMAGENET = "tiny-imagenet"
    COCO = "coco"
    SHAPES = "shapes"


class Compat(StrEnum):
    """Whose evaluation convention holds."""

    WSOLEVALUATION = "wsolevaluation"
    NONE = "none"


class ContourName(StrEnum):
    """Which components count."""

    LARGEST = "largest"
    ALL = "all"
    BOTH = "both"


class ResizeName(StrEnum):
    """How a photograph is fitted into the network's square input."""

    SQUASH = "squash"
    LETTERBOX = "letterbox"
    CENTER_CROP = "center-crop"


class PrecisionName(StrEnum):
    """Arithmetic of the forward pass."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


DataOption = Annotated[DataName, typer.Option("--data", help="Layout of the data set.")]
RootOption = Annotated[
    Path, typer.Option("--root", help="The data set's folder (protocol: the four-file folder).")
]
ImagesOption = Annotated[
    Path | None, typer.Option("--images", help="Image root, where it is not under --root.")
]
MasksOption = Annotated[
    Path | None, typer.Option("--masks", help="Mask root, where it is not the image root.")
]
SplitOption = Annotated[
    str | None, typer.Option("--split", help="Split to evaluate; each layout has its default.")
]
ExcludeOption = Annotated[
    Path | None,
    typer.Option("--exclude", help="ilsvrc: file of images to leave out (the CLS-LOC blacklist)."),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="Evaluate only the first N images.")
]
StepOption = Annotated[
    float, typer.Option("--threshold-step", help="Thresholds at 0, step, 2*step, ... below 1.")
]
IouOption = Annotated[
    str, typer.Option("--iou", help="IoU levels of the MaxBoxAcc family, separated by commas.")
]
CompatOption = Annotated[
    Compat,
    typer.Option(
        "--compat",
        help="`wsolevaluation`: the published protocol, digit for digit. "
        "`none`: tight boxes, unquantized maps, untruncated ground truth.",
    ),
]
ContoursOption = Annotated[
    ContourName, typer.Option("--contours", help="Components that the MaxBoxAcc family looks at.")
]
CurvesOption = Annotated[
    bool, typer.Option("--curves", help="Keep the correct count at every threshold in the record.")
]
PerImageOption = Annotated[
    bool,
    typer.Option(
        "--per-image",
        help="Write every image's outcome beside the record, as .outcomes.parquet.",
    ),
]
JsonOption = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", help="Write the record(s) as JSON; - is stdout."),
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="[DIR]",
        help="Results folder; alone: that of the variable WSOL_RESULTS, else wsol-results.",
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", help="Go on where an interrupted run of the same command stopped."),
]


def protocol_of(step: float, iou: str, compat: Compat, contours: ContourName) -> "Protocol":
    from wsol.evaluation.protocol import Protocol

    try:
        levels = tuple(float(level) for level in iou.replace(",", " ").split())
    except ValueError as error:
        raise InputError(f"--iou {iou}: expected numbers such as 0.3,0.5,0.7.") from error
    return Protocol(
        convention="wsolevaluation" if compat is Compat.WSOLEVALUATION else "exact",
        threshold_step=step,
        iou_levels=levels,
        contours=contours.value,
    )


def open_data(
    data: DataName,
    root: Path,
    images: Path | None,
    masks: Path | None,
    split: str | None,
    exclude: Path | None,
) -> "Dataset":
    from wsol.datasets.registry import open_dataset

    return open_dataset(data.value, root, images=images, masks=masks, split=split, exclude=exclude)


def usable_device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"--device {name}: cannot be used here ({first}).") from error
    return name


def default_workers(device: str) -> int:
    from wsol.pipeline import usable_cores

    # On a GPU the loaders are the bottleneck; on a CPU they compete with the network.
    return min(8, usable_cores()) if device.startswith("cuda") else min(4, usable_cores() // 2)
