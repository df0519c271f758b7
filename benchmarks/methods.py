"""What maps cost beside a bare forward pass, and beside torchcam's own loop.

For networks without a head for exact CAM, Grad-CAM of one class an image is timed against the
network alone, and against torchcam's extractor on the same batches; for a network with one, the
methods by gradients are timed against `cam`. Rounds take turns, so that a busy machine slows all
alike, and medians are compared.

    python benchmarks/methods.py                                       # CPU
    python benchmarks/methods.py --device cuda --batch-size 64 --rounds 20
"""

import statistics
import time
from collections.abc import Callable
from typing import Annotated

import torch
import torchcam.methods
import typer
from torch import Tensor

from wsol.models.classifier import Classifier
from wsol.models.registry import load_classifier

_SIZE = 224
_CLOSED = ("gradcam", "gradcam++", "xgradcam", "layercam", "hirescam", "eigencam")


def tokens_on_grid(tokens: Tensor) -> Tensor:
    """What torchcam has to be told about a ViT: (B, 197, K) tokens as (B, K, 14, 14)."""
    return tokens[:, 1:].mT.unflatten(2, (14, 14))


def main(
    device: Annotated[str, typer.Option()] = "cpu",
    batch_size: Annotated[int, typer.Option()] = 8,
    rounds: Annotated[int, typer.Option()] = 7,
    networks: Annotated[str, typer.Option(help="Separated by commas.")] = "vgg16,vit_b_16",
    with_head: Annotated[str, typer.Option(help="A network that CAM applies to.")] = "resnet50",
) -> None:
    """Print medians and ratios."""
    torch.manual_seed(0)
    images = torch.randn(batch_size, 3, _SIZE, _SIZE, device=device)
    classes = torch.randint(0, 1000, (batch_size, 1), device=device)
    print(f"{device}, {torch.get_num_threads()} threads, batches of {batch_size}, {rounds} rounds")
    for name in networks.split(","):
        _against_torchcam(name, device, images, classes, rounds)
    _against_cam(with_head, device, images, classes, rounds)


def _against_torchcam(name: str, device: str, images: Tensor, classes: Tensor, rounds: int) -> None:
    classifier = _loaded(name, device)
    localizer = classifier.localizer("gradcam")
    assert localizer.layer is not None and localizer.layer.module is not None
    network, chosen = classifier.network, classes[:, 0].tolist()
    options = (
        {"reshape_transform": tokens_on_grid} if localizer.layer.layout.cells is not None else {}
    )

    def bare() -> None:
        with torch.inference_mode():
            network(images)

    def ours() -> None:
        with torch.inference_mode():
            localizer.maps(localizer.see(images), classes)

    with torchcam.methods.GradCAM(network, localizer.layer.module, **options) as extractor:

        def theirs() -> None:
            extractor(chosen, network(images), normalized=False)

        seconds = _medians([bare, theirs], rounds, device)
    extra = _medians([bare, ours], rounds, device)
    print(
        f"{name} at {localizer.layer.name}: bare {1000 * extra[0]:.0f} ms, gradcam "
        f"{1000 * extra[1]:.0f} ms ({extra[1] / extra[0]:.2f}x the bare pass), torchcam "
        f"{1000 * seconds[1]:.0f} ms ({seconds[1] / extra[1]:.2f}x gradcam)"
    )


def _against_cam(name: str, device: str, images: Tensor, classes: Tensor, rounds: int) -> None:
    classifier = _loaded(name, device)

    def made_by(method: str) -> Callable[[], None]:
        localizer = classifier.localizer(method)

        def run() -> None:
            with torch.inference_mode():
                localizer.maps(localizer.see(images), classes)

        return run

    cam, *others = _medians([made_by(method) for method in ("cam", *_CLOSED)], rounds, device)
    told = ", ".join(
        f"{method} {other / cam:.2f}x" for method, other in zip(_CLOSED, others, strict=True)
    )
    print(f"{name}: cam {1000 * cam:.0f} ms; {told}")


def _loaded(name: str, device: str) -> Classifier:
    classifier = load_classifier(name, "none", num_classes=1000).to(torch.device(device))
    for parameter in classifier.network.parameters():
        if parameter.ndim > 1 and not parameter.detach().any():  # a head that is born zero
            torch.nn.init.normal_(parameter, std=0.02)
    return classifier


def _medians(runs: list[Callable[[], None]], rounds: int, device: str) -> list[float]:
    """Median seconds of each, taking turns, after a round to warm up."""
    seconds: list[list[float]] = [[] for _ in runs]
    for number in range(rounds + 1):
        for place, run in enumerate(runs):
            start = time.perf_counter()
            run()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            if number:
                seconds[place].append(time.perf_counter() - start)
    return [statistics.median(times) for times in seconds]


if __name__ == "__main__":
    typer.run(main)
