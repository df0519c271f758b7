"""What a network costs to run: operations, map size and time of one forward pass."""

import statistics
import time

import torch

from wsol.models.classifier import Classifier
from wsol.models.operations import OperationCounter

_WARM_UP = 5
_REPEATS = 30
_SECONDS = 10.0  # after which fewer repeats have to do


def forward_cost(
    classifier: Classifier,
    size: int,
    device: str = "cpu",
    method: str = "cam",
    layer: str | None = None,
) -> tuple[int, tuple[int, int]]:
    """Operations and map size of one image of `size` x `size` pixels.

    Args:
        method, layer: what makes the maps, see `Classifier.localizer`.

    Returns:
        Floating-point operations of convolutions and matrix products (what torch's own counter
        counts: two for every multiply-accumulate, so twice the "multiply-adds" that some papers
        print under the same name) of one forward pass, and (width, height) of the maps.

    Raises:
        InputError: when the network cannot have the method.
    """
    map_size = classifier.localizer(method, layer, size).map_size
    image = classifier.normalize(torch.zeros(1, 3, size, size, device=device))
    with OperationCounter() as counter, torch.no_grad():
        classifier.network(image)
    return counter.total, map_size


def median_latency(
    classifier: Classifier, size: int, device: str = "cpu", autocast: torch.dtype | None = None
) -> float:
    """Median milliseconds of the network's forward pass of one image, after warm-up.

    Args:
        autocast: type of mixed precision; None for float32.
    """
    image = classifier.normalize(torch.zeros(1, 3, size, size, device=device))
    where = torch.device(device)
    seconds = []
    with (
        torch.inference_mode(),
        torch.autocast(where.type, dtype=autocast, enabled=autocast is not None),
    ):
        begin = time.perf_counter()
        for number in range(_WARM_UP + _REPEATS):
            if number >= 2 * _WARM_UP and time.perf_counter() - begin > _SECONDS:
                break
            _wait(where)
            start = time.perf_counter()
            classifier.network(image)
            _wait(where)
            seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds[_WARM_UP:])


def _wait(device: torch.device) -> None:
    """A GPU works on after a call has returned."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
