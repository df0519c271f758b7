"""What the training loop costs beside a bare one.

Trains one network on the same JPEG files twice, in turns: by `wsol.training`, and by a loop as in
torchvision's reference script (a `Dataset` with torchvision transforms, `DataLoader`, autocast,
SGD, `loss.item()` after every step). wsol also shortens long gradients and augments by its own
code, as it does by default. Both have the same memory format, loader processes, batch and
precision. Prints the images/s of both and their ratio, and of every round, so that noise shows; and
the processor time of this process, which other work changes less (without loaders it is all).

    python benchmarks/training.py                                       # CPU
    python benchmarks/training.py --device cuda --batch-size 256 --precision bf16 --size 224 \
        --width 1 --steps 60 --workers 8
"""

import statistics
import tempfile
import time
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from wsol.datasets.base import Dataset, Sample
from wsol.models.classifier import Classifier, Preprocessing
from wsol.models.precision import autocast
from wsol.models.registry import build_classifier
from wsol.training.options import TrainingOptions
from wsol.training.train import Training

_WARM_UP = 3
_CLASSES = 100


def photographs(folder: Path, files: int, images: int, side: int, seed: int = 0) -> Dataset:
    """Noisy square photographs without boxes; `files` of them, used again and again."""
    rng = np.random.default_rng(seed)
    for number in range(files):
        coarse = Image.fromarray(rng.integers(0, 256, (14, 14, 3), dtype=np.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg")
    samples = [
        Sample(str(n), folder / f"{n % files}.jpg", n % _CLASSES, np.empty((0, 4)))
        for n in range(images)
    ]
    classes = tuple(map(str, range(_CLASSES)))
    return Dataset("noise", "train", samples, classes, classes)


class BareImages(torch.utils.data.Dataset[Any]):
    """Files through torchvision's transforms: resize, random crop, random flip, normalization."""

    def __init__(self, dataset: Dataset, preprocessing: Preprocessing) -> None:
        self._items = [(sample.path, sample.label) for sample in dataset.samples]
        side = round(preprocessing.size * 256 / 224)
        self._transform = v2.Compose(
            [
                v2.Resize((side, side)),
                v2.RandomCrop(preprocessing.size),
                v2.RandomHorizontalFlip(),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(preprocessing.mean, preprocessing.std),
            ]
        )

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        path, label = self._items[index]
        return self._transform(Image.open(path).convert("RGB")), label


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _speed(start: tuple[float, float], images: int) -> tuple[float, float]:
    seconds, used = (now - then for now, then in zip(_now(), start, strict=True))
    return images / seconds, 1000 * used / images


def bare_speed(
    classifier: Classifier, dataset: Dataset, options: TrainingOptions, steps: int
) -> tuple[float, float]:
    """Images a second of the bare loop, and ms of processor time an image."""
    device = torch.device(options.device)
    network = classifier.to(device).network.to(memory_format=torch.channels_last).train()
    loader = DataLoader(
        BareImages(dataset, classifier.preprocessing),
        batch_size=options.batch_size,
        shuffle=True,
        num_workers=options.workers,
        pin_memory=device.type == "cuda",
        drop_last=True,
    )
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=options.lr,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
        nesterov=True,
    )
    scaler = torch.amp.GradScaler(device.type, enabled=options.precision == "fp16")
    start = (0.0, 0.0)
    for step, (images, labels) in enumerate(islice(loader, _WARM_UP + steps), start=1):
        images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
        labels = labels.to(device, non_blocking=True)
        with autocast(device, options.precision):
            logits = network(images)
            loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        loss.item()
        (logits.argmax(1) == labels).sum().item()
        if step == _WARM_UP:
            start = _now()
    return _speed(start, steps * options.batch_size)


def wsol_speed(
    classifier: Classifier, dataset: Dataset, options: TrainingOptions, steps: int
) -> tuple[float, float]:
    """Images a second of `wsol.training`, and ms of processor time an image."""
    start = (0.0, 0.0)
    with closing(Training(classifier, dataset, options).run()) as reports:
        for report in islice(reports, _WARM_UP + steps):
            if report.step == _WARM_UP:
                start = _now()
        return _speed(start, steps * options.batch_size)


def main(
    model: Annotated[str, typer.Option()] = "resnet50",
    width: Annotated[float, typer.Option()] = 0.25,
    size: Annotated[int, typer.Option()] = 112,
    device: Annotated[str, typer.Option()] = "cpu",
    batch_size: Annotated[int, typer.Option()] = 32,
    precision: Annotated[str, typer.Option()] = "fp32",
    workers: Annotated[int, typer.Option()] = 0,
    steps: Annotated[int, typer.Option(help="Timed steps of a round.")] = 10,
    rounds: Annotated[int, typer.Option(min=2)] = 5,
    clip: Annotated[bool, typer.Option(help="Let wsol shorten long gradients.")] = True,
) -> None:
    """Measure both loops in turns."""
    options = TrainingOptions(
        epochs=1,
        batch_size=batch_size,
        lr=0.01,
        precision=precision,  # type: ignore[arg-type]
        device=device,
        workers=workers,
        max_gradient_norm=5.0 if clip else None,
    )
    torch.backends.cudnn.benchmark = True
    classifier = build_classifier(
        model,
        num_classes=_CLASSES,
        arguments={"width": width},
        preprocessing=Preprocessing(size=size),
    )
    speeds: dict[str, list[float]] = {"bare": [], "wsol": []}
    used: dict[str, list[float]] = {"bare": [], "wsol": []}
    with tempfile.TemporaryDirectory() as folder:
        # Loader processes run ahead, so there is more than a round takes.
        images = (_WARM_UP + steps) * batch_size
        data = photographs(Path(folder), 64, images, round(size * 4 / 3))
        bare_speed(classifier, data, options, 1)
        wsol_speed(classifier, data, options, 1)
        for number in range(rounds):
            pair = [("bare", bare_speed), ("wsol", wsol_speed)]
            for name, measure in pair if number % 2 else reversed(pair):
                speed, processor = measure(classifier, data, options, steps)
                speeds[name].append(speed)
                used[name].append(processor)
    where = device
    if device.startswith("cuda"):
        where = torch.cuda.get_device_name(torch.device(device))
    print(
        f"{where}, torch {torch.__version__}, {torch.get_num_threads()} threads: {model} of width "
        f"{width:g} at {size} pixels, batch {batch_size}, {precision}, {workers} loaders, "
        f"{rounds} rounds of {steps} steps"
    )
    for name, values in speeds.items():
        print(
            f"{name}  median {statistics.median(values):8.1f} images/s  "
            f"({', '.join(f'{value:.1f}' for value in values)}); "
            f"{min(used[name]):.1f} ms of processor time an image"
        )
    ratio = statistics.median(
        ours / bare for ours, bare in zip(speeds["wsol"], speeds["bare"], strict=True)
    )
    processor = min(used["bare"]) / min(used["wsol"])
    print(f"wsol / bare  {ratio:.3f}, by processor {processor:.3f}  (target: at least 0.97)")


if __name__ == "__main__":
    typer.run(main)
