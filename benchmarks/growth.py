"""How the cost of an evaluation grows with processes, images, methods and classes.

ResNet-18 with random weights on small photographs, so that what is beside the network shows. One
thread a process everywhere. Several processes are started by torchrun, as users start them, and
timed by the clock: a machine with two cores has nothing to gain from four. Everything else is timed
by the processor, which other work on the machine changes less. Then what many processes do besides:
how long up to 64 of them take to meet and to hand partial results to the first, the bytes of such a
result, the milliseconds that adding it takes, and the photographs whose times are looked up a
second, so that a run goes on with no others, for 50,000 images.

    python benchmarks/growth.py
    python benchmarks/growth.py --only processes --images 4096
"""

import json
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.distributed as dist
import typer
from evaluate import photographs

from wsol.datasets.base import Dataset, Sample
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.lifecycle import add_states
from wsol.evaluation.loop import evaluate
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.provenance import files_fingerprint, sample_files
from wsol.models.registry import load_classifier

_MODEL, _SIZE, _BATCH = "resnet18", 112, 32
_OPTIONS = EvaluationOptions(
    device="cpu", batch_size=_BATCH, workers=0, threads=1, size=_SIZE, coco=False
)


def written(folder: Path, images: int) -> Path:
    """A four-file folder of the protocol, of photographs that are used again and again."""
    data = photographs(folder, images)
    ids = [f"{number}.jpg" for number in range(images)]
    for number in range(16, images):
        (folder / ids[number]).hardlink_to(folder / ids[number % 16])
    labels = [sample.label for sample in data.samples]
    boxes = [",".join(str(int(value)) for value in sample.boxes[0]) for sample in data.samples]
    files = {
        "image_ids": ids,
        "class_labels": [f"{i},{label}" for i, label in zip(ids, labels, strict=True)],
        "image_sizes": [f"{i},224,224" for i in ids],
        "localization": [f"{i},{box}" for i, box in zip(ids, boxes, strict=True)],
    }
    annotations = folder / "test"
    annotations.mkdir()
    for name, lines in files.items():
        (annotations / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return annotations


def processes(images: int) -> None:
    """The same command in 1, 2 and 4 processes."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        annotations = written(place, images)
        print(f"\nprocesses   evaluation   images/s   faster   whole command   ({images} images)")
        alone = None
        for count in (1, 2, 4):
            record = place / f"{count}.json"
            command = [
                sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
                str(count), "-m", "wsol", "evaluate", _MODEL, "--weights", "none", "--data",
                "protocol", "--root", annotations, "--images", place, "--size", str(_SIZE),
                "--batch-size", str(_BATCH), "--workers", "0", "--threads", "1", "--no-coco",
                "--device", "cpu", "--json", record,
            ]  # fmt: skip
            start = time.perf_counter()
            subprocess.run(
                command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
            )
            whole = time.perf_counter() - start
            found = json.loads(record.read_text())
            seconds = found["timing"]["total"]
            alone = alone or found | {"seconds": seconds}
            assert found["metrics"] == alone["metrics"], "processes changed the numbers"
            print(
                f"{count:>9} {seconds:>10.1f} s {images / seconds:>10.1f} "
                f"{alone['seconds'] / seconds:>7.2f}x {whole:>13.1f} s"
            )


def milliseconds(run: Callable[[int], object], few: int, many: int) -> float:
    """Processor time of one image more: what a run begins with, such as a look at the network, does
    not count."""
    run(few)
    start = time.process_time()
    run(few)
    between = time.process_time()
    run(many)
    return 1000 * (time.process_time() - between - (between - start)) / (many - few)


def images(largest: int) -> None:
    """More and more images of one network, and of a baseline."""
    classifier = load_classifier(_MODEL, "none", num_classes=1000)
    print("\n   images   ResNet-18, ms an image   centre, us an image")
    with tempfile.TemporaryDirectory() as temporary:
        for number in (largest // 16, largest // 4, largest):
            data = photographs(Path(temporary), number)
            start = time.process_time()
            evaluate(classifier, data, _OPTIONS)
            network = 1e3 * (time.process_time() - start) / number
            many = photographs(Path(temporary), 25 * number)
            start = time.process_time()
            evaluate("center", many, _OPTIONS)
            centre = 1e6 * (time.process_time() - start) / (25 * number)
            print(f"{number:>9,} {network:>16.1f} {centre:>26.0f}  (of {25 * number:,})")


def methods(number: int) -> None:
    """Methods by what they need: a pass, a pass backwards, a pass a channel."""
    classifier = load_classifier(_MODEL, "none", num_classes=1000)
    print("\nmethod            ms an image   beside cam")
    with tempfile.TemporaryDirectory() as temporary:
        place, cam = Path(temporary), 0.0
        for method in ("cam", "gradcam", "layercam", "eigencam", "smoothgradcam++", "scorecam"):
            options = _OPTIONS.replaced(method=(method,))
            few, many = (1, 3) if method == "scorecam" else (_BATCH, number)
            if method == "scorecam":
                options = options.replaced(batch_size=1)

            def run(count: int, options: EvaluationOptions = options) -> None:
                evaluate(classifier, photographs(place, count), options)

            found = milliseconds(run, few, many)
            cam = cam or found
            print(f"{method:<17} {found:>10.1f} {found / cam:>11.1f}x")


def classes(number: int) -> None:
    """Heads and data sets of few and many classes."""
    print("\n classes   ms an image   COCO AP too")
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        for count in (10, 100, 1000, 20_000):
            of = partial(with_classes, place, count)
            print(
                f"{count:>8,} {milliseconds(of(coco=False), _BATCH, number):>13.1f} "
                f"{milliseconds(of(coco=True), _BATCH, number):>13.1f}"
            )


def with_classes(place: Path, count: int, *, coco: bool) -> Callable[[int], object]:
    """An evaluation of so many images by a network of `count` classes."""
    classifier = load_classifier(_MODEL, "none", num_classes=count)
    names = tuple(map(str, range(count)))

    def run(images: int) -> object:
        data = photographs(place, images)
        samples = [replace(sample, label=sample.label % count) for sample in data.samples]
        return evaluate(
            classifier,
            Dataset("noise", "test", samples, names, names),
            _OPTIONS.replaced(coco=coco),
        )

    return run


def meeting(size: int = 270_000) -> None:
    """Processes without work of their own meet, and hand as much as a partial result over."""
    print("\nprocesses   to meet   to hand over")
    context = multiprocessing.get_context("fork")  # of this process, which has torch already
    for count in (4, 16, 64):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        results: multiprocessing.Queue[tuple[float, float]] = context.Queue()
        ranks = [
            context.Process(target=_meet, args=(rank, count, port, size, results))
            for rank in range(count)
        ]
        for rank in ranks:
            rank.start()
        times = [results.get() for _ in ranks]
        for rank in ranks:
            rank.join()
        met, handed = (max(column) for column in zip(*times, strict=True))
        print(f"{count:>9} {met:>7.2f} s {handed:>12.2f} s")
    store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    start = time.perf_counter()
    for _ in range(5000):
        store.add("images", 1)
    print(
        f"numbers added to the shared count: {5000 / (time.perf_counter() - start):,.0f} a second"
    )


def _meet(rank: int, count: int, port: int, size: int, results: Any) -> None:
    torch.set_num_threads(1)
    start = time.perf_counter()
    where = f"tcp://localhost:{port}"
    dist.init_process_group("gloo", init_method=where, rank=rank, world_size=count)
    dist.barrier()
    met = time.perf_counter()
    dist.gather_object(bytes(size), [None] * count if rank == 0 else None)
    dist.barrier()
    results.put((met - start, time.perf_counter() - met))
    dist.destroy_process_group()


def merging(number: int = 50_000, parts: int = 20, count: int = 1000) -> None:
    """What the first of many processes has to take up, and to look at before."""
    box = np.array([[10.0, 10.0, 100.0, 100.0]])
    names = tuple(map(str, range(1000)))
    samples = [Sample(str(i), None, i % 1000, box, (224, 224)) for i in range(number)]
    data = Dataset("noise", "test", samples, names, names)
    score_map, share, states = np.eye(14), number // count, []
    for part in range(parts):
        evaluator = Evaluator(data)
        for position in range(part * share, (part + 1) * share):
            evaluator.update(score_map, str(position))
        states.append(evaluator.state())
    size = len(pickle.dumps(states[0], protocol=5))
    first = Evaluator(data)
    start = time.process_time()
    add_states(first, states)
    each = (time.process_time() - start) / parts
    print(
        f"\na partial result of {number:,} images: {size / 1e6:.2f} MB; added to the first "
        f"process's in {1000 * each:.1f} ms; of {count:,} processes {count * size / 1e9:.2f} GB "
        f"and {count * each:.1f} s"
    )
    with tempfile.TemporaryDirectory() as temporary:
        files = sample_files(photographs(Path(temporary), number))
        start = time.perf_counter()
        files_fingerprint(files)
        print(f"times of files: {number / (time.perf_counter() - start):,.0f} a second")


def main(
    number: Annotated[int, typer.Option("--images", help="Of the largest run.")] = 1024,
    only: Annotated[
        str | None, typer.Option(help="processes, images, methods, classes, meeting, ...")
    ] = None,
) -> None:
    """Print a table of each."""
    torch.set_num_threads(1)
    print(f"{_MODEL} at {_SIZE} pixels, batch {_BATCH}, torch {torch.__version__}, one thread")
    parts: dict[str, Callable[[], None]] = {
        "processes": lambda: processes(number),
        "images": lambda: images(number),
        "methods": lambda: methods(number // 8),
        "classes": lambda: classes(number // 8),
        "meeting": meeting,
        "merging": merging,
    }
    for name, part in parts.items():
        if only in (None, name):
            part()


if __name__ == "__main__":
    typer.run(main)
