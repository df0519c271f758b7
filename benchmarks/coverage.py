"""How often intervals contain what they are about, and how often tests see what is not there.

A large pool of images is the population: its accuracies at its own best thresholds are the truth.
Samples of some size are drawn from it, with replacement, and `wsol stats` makes their 95 %
intervals. Pools are of the real ILSVRC annotations (50,000 images), with the centre baseline's map,
maps that are wrong in a random way about the largest object ("object"), and smooth noise; with
`--outcomes` also those of a real run. Tests compare two "object" runs that were exchanged for each
other image by image, so that the population's difference is zero, and differences between unlike
runs, whose intervals should contain the true one.

    python benchmarks/coverage.py path/to/metadata/ILSVRC/test
"""

if __name__ == "coverage":
    # numba looks for the package of this name, and a script's folder comes first.
    raise ImportError("This is a benchmark, not the package coverage.")

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from numpy.typing import NDArray

from wsol.datasets.base import Sample
from wsol.datasets.protocol import read_protocol
from wsol.evaluation.judging import judge, prepare
from wsol.evaluation.protocol import Protocol
from wsol.maps.baselines import center_map
from wsol.records.outcomes import switches_of
from wsol.results.image_facts import (
    ImageFacts,
    best_thresholds,
    contributions,
    facts_of,
    read_facts,
)
from wsol.results.optimism import Bootstrap
from wsol.results.statistics import compare_runs, intervals

PROTOCOL = Protocol(grid=(56, 56))
KEYS = tuple(f"{kind}@{level:g}" for kind in PROTOCOL.contour_kinds for level in (0.3, 0.5, 0.7))
TOP1, TOP5 = 0.72, 0.9

Drawer = Callable[[Sample, np.random.Generator], NDArray[np.float32]]


def object_map(sample: Sample, rng: np.random.Generator) -> NDArray[np.float32]:
    """A blob about the largest box, displaced and of the wrong size, on a smooth background."""
    assert sample.size is not None
    boxes = sample.boxes * (np.array(PROTOCOL.map_grid * 2) / np.array(sample.size * 2))
    x0, y0, x1, y1 = max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
    centre = np.array([x0 + x1, y0 + y1]) / 2
    sides = np.array([x1 - x0, y1 - y0]) + 1
    middle = centre + rng.normal(0, 0.15, 2) * sides
    spread = 0.45 * sides * np.exp(rng.normal(0, 0.25))
    y, x = np.mgrid[: PROTOCOL.map_grid[1], : PROTOCOL.map_grid[0]]
    blob = np.exp(-(((x - middle[0]) / spread[0]) ** 2 + ((y - middle[1]) / spread[1]) ** 2) / 2)
    return _scaled(blob + 0.25 * _field(rng))


def noise_map(sample: Sample, rng: np.random.Generator) -> NDArray[np.float32]:
    """A smooth field that knows nothing of the image."""
    return _scaled(_field(rng))


def _field(rng: np.random.Generator) -> NDArray[np.float64]:
    coarse = torch.from_numpy(rng.random((1, 1, 7, 7)))
    return F.interpolate(coarse, PROTOCOL.map_grid[::-1], mode="bicubic")[0, 0].numpy()


def _scaled(score_map: NDArray[np.float64]) -> NDArray[np.float32]:
    low, high = score_map.min(), score_map.max()
    return ((score_map - low) / (high - low)).astype(np.float32)


def pool_of(samples: Sequence[Sample], drawer: Drawer | None, seed: int) -> ImageFacts:
    """Facts of drawn maps, or of the centre baseline's, with a classifier that errs at random."""
    rng = np.random.default_rng(seed)
    images = len(samples)
    prepared = prepare(center_map(PROTOCOL.map_grid), PROTOCOL)
    switches: list[list[NDArray[np.uint16]]] = [[] for _ in KEYS]
    localized = np.zeros(images, dtype=bool)
    for number, sample in enumerate(samples):
        if drawer is not None:
            prepared = prepare(drawer(sample, rng), PROTOCOL)
        outcome = judge(prepared, sample, PROTOCOL)
        assert outcome.fixed_iou is not None
        localized[number] = outcome.fixed_iou >= 0.5
        for parts, key in zip(switches, KEYS, strict=True):
            kind, level = key.split("@")
            parts.append(switches_of(outcome.best_iou[kind] >= float(level)))  # type: ignore[index]
    drawn = rng.random(images)
    top1, top5 = drawn < TOP1, drawn < TOP5
    every = np.ones(images, dtype=bool)
    bits = (every, top1, top5, every, localized, localized & top1, localized & top5)
    lengths = np.array([[len(part) for part in parts] for parts in switches])
    ends = lengths.ravel().cumsum().reshape(lengths.shape)
    facts = ImageFacts(
        image_ids=np.array([sample.image_id for sample in samples], dtype=object),
        labels=np.zeros(images, dtype=np.int64),
        class_names=np.full(images, "", dtype=object),
        area=np.full(images, np.nan),
        codes=(np.stack(bits, axis=1) << np.arange(len(bits))).sum(axis=1).astype(np.uint8),
        keys=KEYS,
        starts=np.concatenate([ends[:, :1] - lengths[:, :1], ends], axis=1),
        switches=np.concatenate([part for parts in switches for part in parts]),
        thresholds=PROTOCOL.thresholds,
        chosen=np.full(len(KEYS), -1),
    )
    # Thresholds that were chosen elsewhere: a little beside the best.
    return replace(facts, chosen=(best_thresholds(facts) * 0.9).astype(np.int64))


def taken(facts: ImageFacts, images: NDArray[np.int64]) -> ImageFacts:
    """The facts of some images of a pool, which may come more than once."""
    lengths = np.diff(facts.starts)[:, images]
    ends = lengths.ravel().cumsum().reshape(lengths.shape)
    first = facts.starts[:, images]
    shift = np.repeat((first - (ends - lengths)).ravel(), lengths.ravel())
    return ImageFacts(
        image_ids=facts.image_ids[images],
        labels=facts.labels[images],
        class_names=facts.class_names[images],
        area=facts.area[images],
        codes=facts.codes[images],
        keys=facts.keys,
        starts=np.concatenate([ends[:, :1] - lengths[:, :1], ends], axis=1),
        switches=facts.switches[np.arange(len(shift)) + shift],
        thresholds=facts.thresholds,
        chosen=facts.chosen,
    )


def joined(first: ImageFacts, second: ImageFacts) -> ImageFacts:
    """Two pools one after the other."""
    counts = np.concatenate([np.diff(first.starts), np.diff(second.starts)], axis=1)
    ends = counts.ravel().cumsum().reshape(counts.shape)
    parts = []
    for key in range(len(first.keys)):
        for facts in (first, second):
            parts.append(facts.switches[facts.starts[key, 0] : facts.starts[key, -1]])
    names = ("image_ids", "labels", "class_names", "area", "codes")
    columns = {n: np.concatenate([getattr(first, n), getattr(second, n)]) for n in names}
    return replace(
        first,
        **columns,
        starts=np.concatenate([ends[:, :1] - counts[:, :1], ends], axis=1),
        switches=np.concatenate(parts),
    )


def values(facts: ImageFacts) -> dict[str, float]:
    """The metrics of all images."""
    return {name: found.percent for name, found in contributions(facts).items()}


def coverage(
    pool: ImageFacts, images: int, samples: int, resamples: int, seed: int
) -> dict[str, float]:
    """Percent of samples whose intervals contain the pool's own value."""
    truth = values(pool)
    hits = dict.fromkeys(truth, 0)
    rng = np.random.default_rng([images, seed])
    for number in range(samples):
        drawn = taken(pool, rng.integers(0, len(pool), images))
        for name, found in intervals(drawn, Bootstrap(resamples, seed=number), threads=1).items():
            hits[name] += found.low <= truth[name] <= found.high
    return {name: 100 * count / samples for name, count in hits.items()}


def tests(
    one: ImageFacts,
    two: ImageFacts,
    exchanged: bool,
    images: int,
    samples: int,
    resamples: int,
    seed: int,
) -> tuple[dict[str, float], dict[str, float]]:
    """Percent of samples with p < 0.05, and whose intervals contain the pools' difference.

    With `exchanged`, each image's two outcomes change places at random, so that the truth is 0.
    """
    pool = len(one)
    first, second = values(one), values(two)
    truth = {name: 0.0 if exchanged else first[name] - second[name] for name in first}
    both = joined(one, two)
    rejected, hits = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    rng = np.random.default_rng([images, seed])
    for number in range(samples):
        drawn = rng.integers(0, pool, images)
        if exchanged:
            swap = pool * rng.integers(0, 2, images)
            pair = [taken(both, drawn + swap), taken(both, drawn + (pool - swap))]
        else:
            pair = [taken(one, drawn), taken(two, drawn)]
        found = compare_runs(pair[0], pair[1], Bootstrap(resamples, seed=number), threads=1)
        for name, difference in found.items():
            rejected[name] += difference.p < 0.05
            hits[name] += difference.low <= truth[name] <= difference.high
    return tuple(
        {name: 100 * count / samples for name, count in counts.items()}
        for counts in (rejected, hits)
    )  # type: ignore[return-value]


def main(
    metadata: Annotated[Path, typer.Argument(help="The protocol's four-file folder of ILSVRC.")],
    outcomes: Annotated[
        list[Path] | None,
        typer.Option(help="Per-image outcomes of real runs over the same images, as more pools."),
    ] = None,
    drawn: Annotated[int, typer.Option(help="Images with drawn maps.")] = 20_000,
    samples: Annotated[int, typer.Option(help="A quarter of 5,000 images and more.")] = 2000,
    resamples: Annotated[int, typer.Option(help="Of each sample.")] = 100,
    sizes: Annotated[str, typer.Option(help="Images a sample.")] = "100,200,500,1000,5000",
) -> None:
    """Simulate and print a row for each pool and size."""
    start = time.perf_counter()
    everything = read_protocol(metadata).samples
    rng = np.random.default_rng(0)
    some = [everything[n] for n in rng.permutation(len(everything))[:drawn]]
    drawn_pools = {
        "centre": pool_of(everything, None, 1),
        "object": pool_of(some, object_map, 2),
        "noise": pool_of(some, noise_map, 3),
    }
    again = replace(pool_of(some, object_map, 4), chosen=drawn_pools["object"].chosen)
    real = {path.name.split(".")[0]: facts_of(*read_facts(path)) for path in outcomes or ()}
    pairs = [("object, exchanged", drawn_pools["object"], again, True)]
    pairs.append(("object - noise", drawn_pools["object"], drawn_pools["noise"], False))
    for (one, first), (two, second) in pairwise(real.items()):
        pairs.append((f"{one} - {two}", first, second, False))
    print(f"pools in {time.perf_counter() - start:.0f} s; {samples} samples, {resamples} resamples")

    def each_size() -> Iterator[tuple[int, int]]:
        for images in map(int, sizes.split(",")):
            yield images, samples if images < 5000 else samples // 4

    print("\nIntervals that contain the truth (%)")
    for seed, (name, pool) in enumerate((drawn_pools | real).items()):
        truth = values(pool)
        print(_row(name, "images", list(truth)))
        print(_row("", "truth", [f"{value:.1f}" for value in truth.values()]))
        for images, repeated in each_size():
            found = coverage(pool, images, repeated, resamples, seed)
            print(_row("", f"{images:,}", [f"{v:.1f}" for v in found.values()]), flush=True)
    print("\np < 0.05 / intervals that contain the true difference (%)")
    for seed, (name, first, second, exchanged) in enumerate(pairs):
        print(_row(name, "images", list(values(first))))
        for images, repeated in each_size():
            rejected, hits = tests(
                first, second, exchanged, images, repeated, resamples, 100 + seed
            )
            cells = [f"{rejected[n]:.1f}/{hits[n]:.1f}" for n in rejected]
            print(_row("", f"{images:,}", cells), flush=True)
    print(f"{time.perf_counter() - start:.0f} s")


def _row(first: str, second: str, cells: Sequence[str]) -> str:
    short = {"max_box_acc": "MBA", "box_acc_largest_": "L@", "box_acc_": "@", "_chosen": "_c"}
    for old, new in short.items():
        cells = [cell.replace(old, new) for cell in cells]
    return f"{first:18}{second:>7}" + "".join(f"{cell:>13}" for cell in cells)


if __name__ == "__main__":
    typer.run(main)
