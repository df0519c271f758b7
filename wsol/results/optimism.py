"""How much of a best threshold's accuracy is luck: bootstrap over images, and what is left.

The accuracy at the threshold that is best on the evaluated images is above the one that the best
threshold has on the population they come from, the more so the fewer they are: the maximum of a
noisy curve is above the curve's own maximum. A percentile interval adds the same optimism once
more. Images are therefore drawn with replacement, as many as there are (Efron and Tibshirani, An
Introduction to the Bootstrap, 1993), the best threshold t* of each resample is found, and two
means over resamples are compared: the accuracy A* of t* on its own resample, and its accuracy A
on the images. A* - A is the bootstrap's optimism (Efron, JASA 1983), and

    A* - 4/3 (A* - A)

estimates the accuracy that the population has at its own best threshold. Why 4/3: where noise of
strength a lifts a maximum by c a^p, a resample has the strength sqrt(2), so that A* is lifted by
c 2^(p/2) and the optimism A* - A is c p 2^(p/2 - 1). Taking 2/p times it away leaves nothing. p is
1 for a flat curve, 4/3 where many images switch at a peak (the cube-root asymptotics of Kim and
Pollard, Annals of Statistics 1990), and 2 for a smooth peak, where the lift vanishes fastest; 3/2
is between. Means over resamples have less noise than the maximum itself (Efron, JASA 2014).
`benchmarks/coverage.py` measures what is left.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsol.errors import InputError
from wsol.pipeline import usable_cores
from wsol.results.image_facts import (
    BOXED,
    FIXED_METRICS,
    LOCALIZED,
    TOP1_LOC,
    ImageFacts,
    best_thresholds,
    right_counts,
)

_SHARE = 4 / 3  # of the optimism that is taken away


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How to resample: how often, from which seed, and the confidence level of intervals.

    Raises:
        InputError: when there is no interval with these choices.
    """

    resamples: int = 2000
    seed: int = 0
    level: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise InputError(f"The confidence level {self.level:g} is not between 0 and 1.")
        if self.resamples < _FEWEST:
            raise InputError(
                f"{self.resamples} resamples are too few; use {_FEWEST} or more, better thousands."
            )
        if self.seed < 0:
            raise InputError(f"The seed {self.seed} is negative; use 0 or more.")


_FEWEST = 40  # resamples


def resample_weights(images: int, seed: int, number: int) -> NDArray[np.int64]:
    """How often each of `images` occurs in one resample; a function of its arguments alone."""
    generator = np.random.default_rng([seed, number])
    return np.bincount(generator.integers(0, images, images), minlength=images)


def resampled_best(
    facts: ImageFacts, bootstrap: Bootstrap, threads: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The best threshold of every key in every resample.

    The result does not depend on the number of threads (default: all cores).

    Returns:
        (resamples, K) by how much the resample's accuracy (a fraction) is higher there than at the
        threshold that is best on the images, NaN in a resample without a box; and the best
        thresholds' indices.
    """
    boxed = facts.has(BOXED)
    usual = best_thresholds(facts)
    keys = np.arange(len(facts.keys))

    def one(number: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        weights = resample_weights(len(facts), bootstrap.seed, number)
        counts = right_counts(facts, weights)
        among = int(weights[boxed].sum())
        best = counts.argmax(axis=1)
        return (counts[keys, best] - counts[keys, usual]) / (among or np.nan), best

    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        found = list(pool.map(one, range(bootstrap.resamples)))
    return np.stack([lift for lift, _ in found]), np.stack([best for _, best in found])


def corrected_accuracies(
    facts: ImageFacts, bootstrap: Bootstrap, threads: int | None = None
) -> NDArray[np.float64]:
    """(K,) the accuracy of each key at its best threshold without optimism, as a fraction."""
    if not facts.keys:
        return np.zeros(0)
    lift, best = resampled_best(facts, bootstrap, threads)
    on_images = right_counts(facts, np.ones(len(facts), dtype=np.int64)) / facts.has(BOXED).sum()
    own = on_images.max(axis=1)
    honest = on_images[np.arange(len(facts.keys)), best].mean(axis=0)
    # The mean over all resamples of their accuracy at one threshold is that on the images, so
    # that only what is chosen is simulated.
    lucky = own + np.nanmean(lift, axis=0)
    return np.maximum(lucky - _SHARE * (lucky - honest), 0.0)


def corrected_candidates(facts: ImageFacts, bootstrap: Bootstrap) -> dict[str, float]:
    """GT-known and Top-k Loc at the best of a convention's few thresholds without optimism, as
    fractions by name; nothing where it does not take the best of several.

    The best is that of most images right for GT-known Loc and for Top-1 Loc, added up.
    """
    if not len(facts.candidates):
        return {}
    codes, boxed = facts.candidates.astype(np.int64), facts.has(BOXED)
    counted = (codes >> LOCALIZED & 1) + (codes >> TOP1_LOC & 1)
    bits = {name: bit for name, (bit, among) in FIXED_METRICS.items() if among == BOXED}
    lifts: dict[str, list[float]] = {name: [] for name in bits}
    honest: dict[str, list[float]] = {name: [] for name in bits}
    for number in range(bootstrap.resamples):
        weights = resample_weights(len(facts), bootstrap.seed, number)
        best, among = int((counted @ weights).argmax()), int(weights[boxed].sum())
        for name, bit in bits.items():
            right = codes[best] >> bit & 1
            gained = int((right - facts.has(bit)) @ weights)
            lifts[name].append(gained / (among or np.nan))
            honest[name].append(right.sum() / boxed.sum())
    found = {}
    for name, bit in bits.items():
        lucky = facts.has(bit).sum() / boxed.sum() + np.nanmean(lifts[name])
        found[name] = max(float(lucky - _SHARE * (lucky - np.mean(honest[name]))), 0.0)
    return found
