"""How much faster an evaluation on a CPU is than a bare forward pass of torchvision's network.

Measures in turns, in one process and with one number of threads: the network as torchvision makes
it, called in eager mode on tensors that are there already; the network as wsol runs it (channels
last, batch normalization folded away); and the whole evaluation, decoding, maps, boxes and metrics
included, in float32 without and with COCO AP, and in bfloat16. The bare passes are over a quarter
of the images. Prints the images/s of each and the
ratios that are promised, and the processor time an image, which other work on the machine changes
less.

    python benchmarks/network.py
    python benchmarks/network.py --model resnet18 --rounds 5 --images 256
    python benchmarks/network.py --model densenet121 --size 112 --no-bf16
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import torchvision
import typer
from evaluate import photographs

from wsol.evaluation.loop import evaluate
from wsol.evaluation.options import EvaluationOptions
from wsol.models.fast import sped_up
from wsol.models.precision import emulated
from wsol.models.registry import load_classifier


def main(
    model: Annotated[str, typer.Option(help="A name of torchvision's.")] = "resnet50",
    images: Annotated[int, typer.Option()] = 256,
    batch_size: Annotated[int, typer.Option()] = 32,
    size: Annotated[int, typer.Option()] = 224,
    workers: Annotated[int, typer.Option()] = 0,
    threads: Annotated[int | None, typer.Option(help="Default: torch's.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    bf16: Annotated[bool, typer.Option(help="Also measure bfloat16.")] = True,
) -> None:
    """Measure in turns."""
    if threads is not None:
        torch.set_num_threads(threads)
    bare = torchvision.models.get_model(model, weights=None).eval()
    classifier = load_classifier(model, "none", num_classes=1000)
    fast = sped_up(classifier, size)
    pixels = torch.rand(batch_size, 3, size, size)
    with tempfile.TemporaryDirectory() as folder:
        data = photographs(Path(folder), images)
        options = EvaluationOptions(
            device="cpu", batch_size=batch_size, workers=workers, coco=False, size=size
        )

        def forward(network: torch.nn.Module, inputs: torch.Tensor) -> int:
            batches = max(1, images // batch_size // 4)
            with torch.inference_mode():
                for _ in range(batches):
                    network(inputs)
            return batches * batch_size

        def evaluation(options: EvaluationOptions) -> int:
            evaluate(classifier, data, options)
            return images

        cases: dict[str, Callable[[], int]] = {
            "bare forward pass": lambda: forward(bare, pixels),
            "network as wsol runs it": lambda: forward(fast.network, fast.arranged(pixels)),
            "evaluation": lambda: evaluation(options),
            "evaluation with COCO AP": lambda: evaluation(options.replaced(coco=True)),
        }
        if bf16:
            half = options.replaced(precision="bf16")
            cases["evaluation in bf16"] = lambda: evaluation(half)
        speeds: dict[str, list[float]] = {name: [] for name in cases}
        processor: dict[str, list[float]] = {name: [] for name in cases}
        for number in range(rounds + 1):  # the first warms up
            for name, run in cases.items():
                start, used = time.perf_counter(), time.process_time()
                seen = run()
                if number:
                    speeds[name].append(seen / (time.perf_counter() - start))
                    processor[name].append(1000 * (time.process_time() - used) / seen)
    print(
        f"{model} at {size} pixels, batch {batch_size}, {images} images, {rounds} rounds, torch "
        f"{torch.__version__}, {torch.get_num_threads()} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}"
    )
    for name, values in speeds.items():
        told = ", ".join(f"{value:.2f}" for value in values)
        print(
            f"{name:<24} median {statistics.median(values):7.2f} images/s ({told}); "
            f"{min(processor[name]):.1f} ms of processor time an image"
        )

    def compare(name: str, beside: str, target: str) -> None:
        pairs = zip(speeds[name], speeds[beside], strict=True)
        wall = statistics.median(value / other for value, other in pairs)
        used = min(processor[beside]) / min(processor[name])
        print(f"{name} / {beside}: {wall:.2f}, by processor time {used:.2f}  (target: {target})")

    compare("evaluation", "bare forward pass", "1.5")
    compare("evaluation with COCO AP", "evaluation", "0.97")
    if bf16:
        slow = emulated("cpu", "bf16")
        compare("evaluation in bf16", "bare forward pass", "none here: " + slow if slow else "2")


if __name__ == "__main__":
    typer.run(main)
