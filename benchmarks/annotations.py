"""How long big annotation files take to open, beside the least that any reader does.

Writes four-file folders of the protocol and opens each in a process of its own: the seconds from
the call to the data set, by the clock and by the processor (which other work on the machine changes
less), and the memory that the process has gained at its peak. The reference
splits the same `localization.txt` at its commas and makes numbers of them, line by line, checking
nothing. Classes are compared over the same number of images: few against 20,000, opened and
evaluated with the centre's box.

    python benchmarks/annotations.py
    python benchmarks/annotations.py --lines 100000 --classes 1000
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from wsol.datasets.registry import open_dataset

_FEW = 20


def write(folder: Path, images: int, boxes: int, classes: int) -> None:
    """A data set of so many images, each with some boxes, whose labels go round."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    ids = [f"val/ILSVRC2012_val_{number:08d}.JPEG" for number in range(images)]
    near = rng.integers(0, 200, (images * boxes, 2))
    corners = np.hstack([near, near + rng.integers(20, 170, near.shape)]).tolist()
    rows = zip((name for name in ids for _ in range(boxes)), corners, strict=True)
    files = {
        "image_ids": ids,
        "class_labels": [f"{name},{number % classes}" for number, name in enumerate(ids)],
        "image_sizes": [f"{name},500,375" for name in ids],
        "localization": [",".join([name, *map(str, box)]) for name, box in rows],
    }
    for name, lines in files.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")


def plain(folder: Path) -> None:
    """The reference: numbers of one file's lines, and nothing else."""
    found: dict[str, list[list[float]]] = {}
    with (folder / "localization.txt").open() as lines:
        for line in lines:
            name, *numbers = line.split(",")
            found.setdefault(name, []).append([float(number) for number in numbers])


def measure(folder: Path, what: str) -> None:
    """Print the seconds and MB that one thing takes in this process."""
    from wsol.evaluation.loop import evaluate

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, used = time.perf_counter(), time.process_time()
    if what == "plain":
        plain(folder)
    else:
        data = open_dataset("protocol", folder)
        if what == "evaluated":
            evaluate("center", data)
    seconds, processor = time.perf_counter() - start, time.process_time() - used
    gained = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps([seconds, processor, gained]))


def measured(folder: Path, what: str) -> tuple[float, float, float]:
    """Seconds by the clock and the processor, and MB, of one thing in a process of its own."""
    command = [sys.executable, __file__, "--of", str(folder), "--what", what]
    seconds, processor, megabytes = json.loads(subprocess.check_output(command))
    return seconds, processor, megabytes


def main(
    lines: Annotated[int, typer.Option()] = 1_000_000,
    classes: Annotated[int, typer.Option()] = 20_000,
    images: Annotated[int, typer.Option(help="With which classes are compared.")] = 50_000,
    of: Annotated[Path | None, typer.Option(hidden=True)] = None,
    what: Annotated[str, typer.Option(hidden=True)] = "opened",
) -> None:
    """Write, open, and print."""
    if of is not None:
        measure(of, what)
        return
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        for boxes in (1, 20):
            folder = place / f"{boxes}-a-line"
            write(folder, lines // boxes, boxes, 1000)
            least, seconds = measured(folder, "plain"), measured(folder, "opened")
            print(
                f"{lines:,} lines of {lines // boxes:,} images open in {seconds[0]:.1f} s "
                f"(processor {seconds[1]:.1f}; target: 5) and {seconds[2]:.0f} MB; splitting the "
                f"lines alone takes {least[0]:.1f} s (processor {least[1]:.1f})"
            )
        times = {}
        for number in (_FEW, classes):
            write(place / str(number), images, 1, number)
            times[number] = measured(place / str(number), "evaluated")[1]
            print(f"{images:,} images of {number:,} classes, centre: {times[number]:.1f} s")
        print(f"{classes:,} classes / {_FEW}: {times[classes] / times[_FEW]:.2f}")


if __name__ == "__main__":
    typer.run(main)
