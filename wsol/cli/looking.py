"""What commands share that have a network look at photographs of one's own."""

from typing import TYPE_CHECKING, Annotated

import typer

from wsol.options import ResizeMode
from wsol.progress import tell

if TYPE_CHECKING:
    from wsol.models.classifier import Classifier

WeightsOption = Annotated[str, typer.Option("--weights", help="`default`, `none` or a checkpoint.")]
ResizeModeOption = Annotated[
    ResizeMode, typer.Option("--resize-mode", help="How a photograph becomes the input.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, ...")]


def ready_to_look(
    model: str, weights: str, class_name: str | None, *, ema: bool, device: str
) -> "tuple[Classifier, int | None]":
    """The network on its device, having said what is to be known of it, and the class to localize:
    None for that which each photograph most probably shows.

    Raises:
        InputError: when there is no such network, weights, device or class.
    """
    import torch

    from wsol.models.device import usable_device
    from wsol.models.registry import load_classifier
    from wsol.show import find_class

    classifier = load_classifier(model, weights, ema=ema)
    for note in classifier.notes:
        tell(note)
    classifier.to(torch.device(usable_device(device)))
    return classifier, None if class_name is None else find_class(classifier, class_name)
