"""What maps cost beside a bare forward pass, and beside torchcam's own loops.

Everything that a line compares is measured in the same run, in turns, and the best round of each
counts: other work on the machine only ever adds to one. wsol's side is the network as an evaluation
runs it (see `wsol.models.fast`), torchcam's is the network as torchvision makes it. For every
network:

- the bare eager forward pass in inference mode, and the network as wsol runs it;
- Grad-CAM of one class an image: wsol's, torchcam's extractor on the same batch, and the loop that
  torchcam's documentation shows, image by image;
- several methods by gradients: wsol makes them of one pass, torchcam needs a pass each.

For networks with a head for exact CAM, each method is also timed beside `cam`. How far logits are
from the bare network's and maps from torchcam's is printed besides.

    python benchmarks/methods.py                                       # CPU
    python benchmarks/methods.py --networks vgg16,vit_b_16 --rounds 3
    python benchmarks/methods.py --device cuda --batch-size 64 --rounds 20
"""

import time
from collections.abc import Callable
from typing import Annotated, Any

import torch
import torchcam.methods
import typer
from torch import Tensor

from wsol.maps.methods.localizer import Localizer
from wsol.maps.normalize import normalize
from wsol.models.classifier import Classifier
from wsol.models.fast import sped_up
from wsol.models.registry import load_classifier

_SIZE = 224
_CLOSED = ("gradcam", "gradcam++", "xgradcam", "layercam", "hirescam", "eigencam")
_BOTH = {"gradcam": "GradCAM", "layercam": "LayerCAM", "xgradcam": "XGradCAM",
         "gradcam++": "GradCAMpp"}  # fmt: skip

Runs = dict[str, Callable[[], Any]]


def tokens_on_grid(tokens: Tensor) -> Tensor:
    """What torchcam has to be told about a ViT: (B, 197, K) tokens as (B, K, 14, 14)."""
    return tokens[:, 1:].mT.unflatten(2, (14, 14))


def main(
    device: Annotated[str, typer.Option()] = "cpu",
    batch_size: Annotated[int, typer.Option()] = 8,
    rounds: Annotated[int, typer.Option()] = 7,
    networks: Annotated[
        str, typer.Option(help="Separated by commas.")
    ] = "vgg16,vit_b_16,resnet50,efficientnet_b0",
) -> None:
    """Print milliseconds and ratios."""
    torch.manual_seed(0)
    images = torch.randn(batch_size, 3, _SIZE, _SIZE, device=device)
    classes = torch.randint(0, 1000, (batch_size, 1), device=device)
    print(
        f"{device}, torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}, batches of {batch_size}, {rounds} rounds"
    )
    for name in networks.split(","):
        _measure(name, device, images, classes, rounds)


def _measure(name: str, device: str, images: Tensor, classes: Tensor, rounds: int) -> None:
    classifier = _loaded(name, device)
    fast = sped_up(classifier, _SIZE)
    localizers = {method: fast.localizer(method) for method in _BOTH}
    layer = classifier.localizer("gradcam").layer
    assert layer is not None and layer.module is not None
    options = {"reshape_transform": tokens_on_grid} if layer.layout.cells is not None else {}
    network, chosen = classifier.network, classes[:, 0].tolist()

    def bare(network: torch.nn.Module, given: Tensor) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = network(given)
        return logits

    def ours(wanted: dict[str, Localizer]) -> list[Tensor]:
        with torch.inference_mode():
            view = localizers["gradcam"].see(fast.arranged(images))
            return [localizer.maps(view, classes) for localizer in wanted.values()]

    def theirs(*methods: str) -> list[Tensor]:
        made = []
        for method in methods:  # hooks of one extractor would slow another's pass
            with getattr(torchcam.methods, method)(network, layer.module, **options) as extractor:
                made += extractor(chosen, network(images), normalized=False)
        return made

    def image_by_image() -> None:
        with torchcam.methods.GradCAM(network, layer.module, **options) as extractor:
            for image, label in zip(images, chosen, strict=True):
                extractor(label, network(image[None]), normalized=False)

    gradcam = {"gradcam": localizers["gradcam"]}
    arranged = fast.arranged(images)
    runs: Runs = {
        "bare forward pass": lambda: bare(network, images),
        "network as wsol runs it": lambda: bare(fast.network, arranged),
        "gradcam": lambda: ours(gradcam),
        "torchcam's, the same batch": lambda: theirs("GradCAM"),
        "torchcam's, image by image": image_by_image,
        f"{len(_BOTH)} methods": lambda: ours(localizers),
        "torchcam's, a pass each": lambda: theirs(*_BOTH.values()),
    }
    seconds = _best(runs, rounds, device)
    expected = bare(network, images)
    error = (bare(fast.network, arranged) - expected).abs().max() / expected.abs().max()
    apart = normalize(ours(gradcam)[0][:, 0]) - normalize(theirs("GradCAM")[0])
    print(
        f"\n{name} at {layer.name}, {'with' if _has_head(classifier) else 'without'} a linear head"
    )
    print(f"  logits within {error:.1e}, maps within {apart.abs().max():.1e} after normalization")
    beside = {
        "network as wsol runs it": "bare forward pass",
        "gradcam": "bare forward pass",
        "torchcam's, the same batch": "gradcam",
        "torchcam's, image by image": "gradcam",
        f"{len(_BOTH)} methods": "gradcam",
        "torchcam's, a pass each": f"{len(_BOTH)} methods",
    }
    for run, value in seconds.items():
        told = f"  {run:<27} {1000 * value:8.1f} ms"
        other = beside.get(run)
        print(told + (f"  {value / seconds[other]:5.2f}x {other}" if other else ""))
    if _has_head(classifier):
        _beside_cam(fast, images, classes, rounds, device)


def _beside_cam(
    fast: Classifier, images: Tensor, classes: Tensor, rounds: int, device: str
) -> None:
    def made_by(method: str) -> Callable[[], None]:
        localizer = fast.localizer(method)

        def run() -> None:
            with torch.inference_mode():
                localizer.maps(localizer.see(fast.arranged(images)), classes)

        return run

    seconds = _best({name: made_by(name) for name in ("cam", *_CLOSED)}, rounds, device)
    told = ", ".join(f"{name} {seconds[name] / seconds['cam']:.2f}x" for name in _CLOSED)
    print(f"  {'cam':<27} {1000 * seconds['cam']:8.1f} ms; {told}")


def _has_head(classifier: Classifier) -> bool:
    return not isinstance(classifier.examine().head, Exception)


def _loaded(name: str, device: str) -> Classifier:
    classifier = load_classifier(name, "none", num_classes=1000).to(torch.device(device))
    for parameter in classifier.network.parameters():
        if parameter.ndim > 1 and not parameter.detach().any():  # a head that is born zero
            torch.nn.init.normal_(parameter, std=0.02)
    return classifier


def _best(runs: Runs, rounds: int, device: str) -> dict[str, float]:
    """The fewest seconds of each, taking turns, after a round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: min(times) for name, times in seconds.items()}


if __name__ == "__main__":
    typer.run(main)
