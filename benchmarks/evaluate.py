"""What localization costs beside a bare forward pass of ResNet-50.

Runs the network alone, then the whole evaluation of the same images on the same device in the
same process, and prints images/s of both, their ratio, and the share of the localization threads.

    python benchmarks/evaluate.py                                    # CPU
    python benchmarks/evaluate.py --device cuda --batch-size 256 --precision bf16 --images 5120
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image

from wsol.datasets.base import Dataset, Sample
from wsol.evaluation.loop import evaluate
from wsol.evaluation.options import EvaluationOptions
from wsol.models.registry import load_classifier

_AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def photographs(folder: Path, count: int, seed: int = 0) -> Dataset:
    """Noisy 224x224 photographs with one random box each; 16 files, used again and again."""
    rng = np.random.default_rng(seed)
    for number in range(16):
        coarse = Image.fromarray(rng.integers(0, 256, (14, 14, 3), dtype=np.uint8))
        coarse.resize((224, 224), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg")
    samples = []
    for number in range(count):
        low = rng.integers(0, 120, 2)
        box = np.array([[*low, *(low + rng.integers(30, 100, 2))]], dtype=float)
        path = folder / f"{number % 16}.jpg"
        samples.append(Sample(str(number), path, number % 1000, box, (224, 224)))
    classes = tuple(map(str, range(1000)))
    return Dataset("noise", "test", samples, classes, classes)


def main(
    device: Annotated[str, typer.Option()] = "cpu",
    images: Annotated[int, typer.Option()] = 192,
    batch_size: Annotated[int, typer.Option()] = 32,
    precision: Annotated[str, typer.Option()] = "fp32",
    workers: Annotated[int, typer.Option()] = 0,
) -> None:
    """Measure once after a warm-up."""
    classifier = load_classifier("resnet50", "none", num_classes=1000).to(torch.device(device))
    dtype = _AUTOCAST[precision]
    pixels = torch.rand(batch_size, 3, 224, 224, device=device)

    def forward_alone(batches: int) -> float:
        with torch.inference_mode(), torch.autocast(device, dtype=dtype, enabled=dtype is not None):
            start = time.perf_counter()
            for _ in range(batches):
                classifier.network(pixels)
            if device == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder:
        options = EvaluationOptions(
            device=device,
            batch_size=batch_size,
            precision=precision,  # type: ignore[arg-type]
            workers=workers,
            coco=False,
        )
        data = photographs(Path(folder), images)
        forward_alone(2)
        evaluate(classifier, photographs(Path(folder), 2 * batch_size), options)
        batches = images // batch_size
        bare = forward_alone(batches)
        record = evaluate(classifier, data, options)
        with_coco = evaluate(classifier, data, options.replaced(coco=True))
    print(f"device {device}, {precision}, batch {batch_size}, {images} images")
    print(f"bare forward pass     {batches * batch_size / bare:8.1f} images/s")
    for name, result in (("evaluation", record), ("evaluation with COCO AP", with_coco)):
        timing = result.timing
        print(
            f"{name:<24}{images / timing.total:5.1f} images/s "
            f"({bare / batches / batch_size * images / timing.total:.2f} of bare); "
            f"data {timing.data:.2f} s, forward and maps {timing.forward:.2f} s, "
            f"localization threads {timing.localization:.2f} s "
            f"= {100 * timing.localization / bare * batches * batch_size / images:.1f} % of bare"
        )


if __name__ == "__main__":
    typer.run(main)
