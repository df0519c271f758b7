"""Best thresholds of bootstrap samples of 50,000 images, against plain numpy.

Both sides resample with the same weights and choose the best of the 1,000 thresholds again in each
resample. The plain side picks the drawn rows of an images x thresholds matrix for each of the six
contour kinds and IoU levels; it is timed on a few resamples, whose numbers must be equal.

    python benchmarks/bootstrap.py
"""

import time
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from wsol.pipeline import usable_cores
from wsol.results.image_facts import ANSWERED, BOXED, ImageFacts, best_thresholds, right_counts
from wsol.results.optimism import Bootstrap, resample_weights, resampled_best

THRESHOLDS = 1000
KEYS = tuple(f"{kind}@{level}" for kind in ("largest", "all") for level in (0.3, 0.5, 0.7))


def generated(images: int, seed: int) -> tuple[ImageFacts, list[NDArray[np.bool_]]]:
    """Facts of images that are right between two thresholds, some of them in two stretches.

    Returns:
        The facts, and for each of `KEYS` the (images, THRESHOLDS) correctness that they stand for.
    """
    rng = np.random.default_rng(seed)
    starts = np.zeros((len(KEYS), images + 1), dtype=np.int64)
    switches, matrices, total = [], [], 0
    for key in range(len(KEYS)):
        ends = np.sort(rng.integers(0, THRESHOLDS, (images, 4)), axis=1)
        correct = np.zeros((images, THRESHOLDS + 1), dtype=bool)
        rows = np.arange(images)
        twice = rng.random(images) < 0.3
        for column in range(4):
            correct[rows, ends[:, column]] ^= twice | (column % 3 == 0)
        flips = correct[:, :THRESHOLDS]
        row, position = np.nonzero(flips)
        starts[key] = total + np.concatenate([[0], np.bincount(row, minlength=images).cumsum()])
        switches.append(position.astype(np.uint16))
        matrices.append(np.logical_xor.accumulate(flips, axis=1))
        total += len(position)
    facts = ImageFacts(
        image_ids=np.arange(images).astype(str).astype(object),
        labels=np.zeros(images, dtype=np.int64),
        class_names=np.full(images, "object", dtype=object),
        area=rng.random(images),
        codes=(rng.integers(0, 128, images) | 1 << ANSWERED | 1 << BOXED).astype(np.uint8),
        keys=KEYS,
        starts=starts,
        switches=np.concatenate(switches),
        thresholds=np.arange(THRESHOLDS) / THRESHOLDS,
        chosen=np.full(len(KEYS), -1),
    )
    return facts, matrices


def plain_numpy(
    matrices: list[NDArray[np.bool_]], weights: NDArray[np.int64], usual: NDArray[np.int64]
) -> list[tuple[float, int]]:
    """The best accuracy of one resample above that at `usual`, and where, from repeated rows."""
    drawn = np.repeat(np.arange(len(weights)), weights)
    counts = [matrix[drawn].sum(axis=0) for matrix in matrices]
    return [
        (int(count.max() - count[at]) / len(drawn), int(count.argmax()))
        for count, at in zip(counts, usual, strict=True)
    ]


def main(
    images: Annotated[int, typer.Option()] = 50_000,
    resamples: Annotated[int, typer.Option()] = 1000,
    plain: Annotated[int, typer.Option(help="Resamples of the plain side.")] = 5,
    threads: Annotated[int, typer.Option()] = usable_cores(),
) -> None:
    """Measure one run of each."""
    facts, matrices = generated(images, seed=0)
    right_counts(facts, np.ones(images, dtype=np.int64))  # compiles
    start = time.perf_counter()
    lift, best = resampled_best(facts, Bootstrap(resamples, seed=0), threads)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    usual = best_thresholds(facts)
    expected = [plain_numpy(matrices, resample_weights(images, 0, r), usual) for r in range(plain)]
    plain_seconds = time.perf_counter() - start
    for number, row in enumerate(expected):
        assert list(zip(lift[number], best[number], strict=True)) == row
    print(
        f"{images:,} images, {THRESHOLDS:,} thresholds, {len(KEYS)} contour kinds and IoU levels, "
        f"{len(facts.switches):,} switches, {threads} threads"
    )
    print(f"wsol         {seconds:8.2f} s for {resamples:,} resamples")
    print(
        f"plain numpy  {plain_seconds / plain * resamples:8.2f} s "
        f"(from {plain} resamples in {plain_seconds:.2f} s, one thread; all numbers equal)"
    )
    print(f"ratio        {plain_seconds / plain / (seconds / resamples):8.0f}")


if __name__ == "__main__":
    typer.run(main)
