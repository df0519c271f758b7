"""What commands share that have a network look at photographs of one's own."""

from typing import TYPE_CHECKING

from wsol.evaluation.options import LookOptions
from wsol.progress import tell

if TYPE_CHECKING:
    from wsol.models.classifier import Classifier


def ready_to_look(model: str, options: LookOptions) -> "tuple[Classifier, int | None]":
    """The network on its device, having said what is to be known of it, and the class to localize:
    None for that which each photograph most probably shows.

    Raises:
        InputError: when there is no such network, weights, device or class.
    """
    import torch

    from wsol.models.device import usable_device
    from wsol.models.registry import load_classifier
    from wsol.show import find_class

    classifier = load_classifier(model, options.weights, ema=options.ema)
    for note in classifier.notes:
        tell(note)
    classifier.to(torch.device(usable_device(options.device)))
    named = options.class_name
    return classifier, None if named is None else find_class(classifier, named)
