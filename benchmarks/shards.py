"""Reading images from tar files, beside reading the files' bytes and nothing else.

Packs a folder of files as large as ImageNet's photographs into shards with `wsol datasets pack`'s
own code. Then in turns: all bytes of the shards, a MiB at a time, which is the least there is; the
shards as an evaluation reads them, which is each one's index and every image in the order of the
shards; the same files loose. All of it lies in the system's cache after the first round, so that a
disk is not measured, but what is added to it. Nothing is decoded.

    python benchmarks/shards.py
    python benchmarks/shards.py --images 20000 --shard-mb 256
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from wsol.datasets.packing import pack_folder
from wsol.datasets.shards import index_of, read_packed


def main(
    images: Annotated[int, typer.Option()] = 4000,
    kilobytes: Annotated[int, typer.Option(help="Of an image.")] = 110,
    shard_mb: Annotated[int, typer.Option()] = 64,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Measure in turns."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        (place / "loose").mkdir()
        content = np.random.default_rng(0).bytes(1000 * kilobytes)
        files = [place / "loose" / f"{number:06d}.jpg" for number in range(images)]
        for file in files:
            file.write_bytes(content)
        shards = pack_folder(place / "loose", place / "packed", shard_bytes=shard_mb * 10**6)

        def raw() -> None:
            for shard in shards:
                with shard.open("rb", buffering=0) as stream:
                    while stream.read(2**20):
                        pass

        def index() -> None:
            assert sum(len(index_of(shard).images) for shard in shards) == images

        def packed() -> None:
            seen = [packed for shard in shards for packed in index_of(shard).images]
            assert len(seen) == images
            for image in seen:
                assert len(read_packed(image)) == len(content)

        def loose() -> None:
            for file in files:
                file.read_bytes()

        cases: dict[str, Callable[[], None]] = {
            "the shards' bytes": raw,
            "index of the shards": index,
            "index and images": packed,
            "loose files": loose,
        }
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        for number in range(rounds + 1):
            for name, run in cases.items():
                start = time.perf_counter()
                run()
                if number:
                    seconds[name].append(time.perf_counter() - start)
    size = images * len(content) / 1e6
    print(
        f"{images:,} images of {kilobytes} kB in {len(shards)} shards, medians of {rounds} rounds"
    )
    for name, times in seconds.items():
        middle = statistics.median(times)
        told = "" if name == "index of the shards" else f"{size / middle:8,.0f} MB/s"
        print(f"{name:<19} {images / middle:9,.0f} images/s {told}")


if __name__ == "__main__":
    typer.run(main)
