"""How sure a number is: bootstrap intervals over images, and comparisons of two runs.

Images are drawn with replacement, as many as there are (Efron and Tibshirani, An Introduction to
the Bootstrap, 1993). What an evaluation chooses on the data, its best threshold at each IoU level,
is chosen again in every resample, so that an interval contains the uncertainty of that choice. The
network stays as it is: intervals say nothing about another training run.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import binomtest

from wsol.errors import InputError
from wsol.pipeline import usable_cores
from wsol.results.image_facts import FIXED_METRICS, ImageFacts, metric_names, metric_values


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
        if self.resamples * (1 - self.level) < 2:
            raise InputError(
                f"{self.resamples} resamples are too few for {self.level:.4g} intervals; "
                f"use {int(np.ceil(2 / (1 - self.level)))} or more, better thousands."
            )
        if self.seed < 0:
            raise InputError(f"The seed {self.seed} is negative; use 0 or more.")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric in percent and its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class McNemar:
    """Images that only one of two runs gets right, and the exact test of whether that is chance.

    Under the null hypothesis such an image is as likely one run's as the other's; `p` is the
    two-sided binomial test (McNemar, Psychometrika 1947; the exact form).
    """

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of two runs on the same images, in percent, and first minus second.

    `low` and `high` bound the difference; `p` is two-sided: twice the smaller share of resamples
    in which the difference is at most, or at least, zero, one added to both counts (Davison and
    Hinkley, Bootstrap Methods and their Application, 1997). `mcnemar` is None for metrics that
    choose their threshold.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    mcnemar: McNemar | None


def resample_weights(images: int, seed: int, number: int) -> NDArray[np.int64]:
    """How often each of `images` occurs in one resample; a function of its arguments alone."""
    generator = np.random.default_rng([seed, number])
    return np.bincount(generator.integers(0, images, images), minlength=images)


def resampled_metrics(
    runs: Sequence[ImageFacts], bootstrap: Bootstrap, threads: int | None = None
) -> list[NDArray[np.float64]]:
    """Metrics of every resample: (resamples, metrics of the run) float64 for each run.

    Runs are over the same images in the same order and share each resample's weights. The result
    does not depend on the number of threads (default: all cores).
    """

    def one(number: int) -> list[NDArray[np.float64]]:
        weights = resample_weights(len(runs[0]), bootstrap.seed, number)
        return [metric_values(facts, weights) for facts in runs]

    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        rows = list(pool.map(one, range(bootstrap.resamples)))
    return [np.stack(columns) for columns in zip(*rows, strict=True)]


def intervals(
    facts: ImageFacts, bootstrap: Bootstrap, threads: int | None = None
) -> dict[str, Estimate]:
    """Every metric of `metric_names` with its percentile interval.

    The bounds are the quantiles (1 - level) / 2 and (1 + level) / 2 of the resampled values.
    """
    (samples,) = resampled_metrics([facts], bootstrap, threads)
    values = metric_values(facts, np.ones(len(facts), dtype=np.int64))
    low, high = _bounds(samples, bootstrap.level)
    return {
        name: Estimate(float(values[i]), float(low[i]), float(high[i]))
        for i, name in enumerate(metric_names(facts))
    }


def compare_runs(
    first: ImageFacts, second: ImageFacts, bootstrap: Bootstrap, threads: int | None = None
) -> dict[str, Difference]:
    """The difference of every metric that both runs have; images as `shared_images` pairs them."""
    samples = resampled_metrics([first, second], bootstrap, threads)
    ones = np.ones(len(first), dtype=np.int64)
    values = [
        dict(zip(metric_names(facts), metric_values(facts, ones).tolist(), strict=True))
        for facts in (first, second)
    ]
    position = [{name: i for i, name in enumerate(metric_names(f))} for f in (first, second)]
    result = {}
    for name in metric_names(first):
        if name not in position[1]:
            continue
        one, two = (s[:, p[name]] for s, p in zip(samples, position, strict=True))
        differences = one - two
        low, high = _bounds(differences, bootstrap.level)
        result[name] = Difference(
            first=values[0][name],
            second=values[1][name],
            difference=values[0][name] - values[1][name],
            low=float(low),
            high=float(high),
            p=_two_sided_p(differences),
            mcnemar=mcnemar(first, second, name) if name in FIXED_METRICS else None,
        )
    return result


def mcnemar(first: ImageFacts, second: ImageFacts, metric: str) -> McNemar:
    """The exact test of one of `FIXED_METRICS` over the images that count in both runs."""
    right, among = FIXED_METRICS[metric]
    both = first.has(among) & second.has(among)
    one, two = first.has(right) & both, second.has(right) & both
    only_first, only_second = int((one & ~two).sum()), int((two & ~one).sum())
    discordant = only_first + only_second
    p = float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
    return McNemar(only_first, only_second, p)


def shared_images(
    first: pa.Table, second: pa.Table, common: bool = False
) -> tuple[pa.Table, pa.Table]:
    """The rows of two tables of outcomes, paired by image in the order of the first.

    Args:
        common: leave out images that only one of the tables has.

    Raises:
        InputError: without `common`, when the images differ, saying how many; and when none is
            shared.
    """
    ids = [table["image_id"].to_pylist() for table in (first, second)]
    position = {image_id: i for i, image_id in enumerate(ids[1])}
    pairs = [(i, position[name]) for i, name in enumerate(ids[0]) if name in position]
    only = [len(part) - len(pairs) for part in ids]
    if not pairs:
        raise InputError("The two runs share no image: they are of different data.")
    if any(only) and not common:
        raise InputError(
            f"The two runs are not over the same images: {only[0]} are only in the first and "
            f"{only[1]} only in the second. --common compares the {len(pairs)} that both have."
        )
    rows = np.array(pairs)
    return first.take(rows[:, 0]), second.take(rows[:, 1])


def _bounds(
    samples: NDArray[np.float64], level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The percentile interval along the first axis.

    A resample in which no image counts for a metric (NaN) has no say in it.
    """
    low, high = np.nanquantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _two_sided_p(differences: NDArray[np.float64]) -> float:
    # Rounded, because equal sums of counts may differ in their last bit.
    known = differences[~np.isnan(differences)].round(9)
    fewest = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (fewest + 1) / (len(known) + 1))
