"""How sure a number is: intervals over images, and comparisons of runs.

The network stays as it is: intervals say nothing about another training run. What they are about
is the number that the run would have on all images of the kind that were evaluated, for a best
threshold the population's accuracy at its own, see `wsol.results.optimism`.

An interval is Wilson's (JASA 1927) around that estimate, with the number of images that has the
metric's variance: the images themselves for a share of right images, more for a mean of several IoU
levels (the effective sample size of Korn and Graubard, Survey Methodology 1998).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.stats import binomtest, norm

from wsol.errors import InputError
from wsol.results.image_facts import (
    FIXED_METRICS,
    Contribution,
    ImageFacts,
    contributions,
    level_metric,
)
from wsol.results.optimism import Bootstrap, corrected_accuracies, corrected_candidates


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric in percent, the same without the optimism of its best threshold, and its interval.

    `corrected` is `value` where no threshold was chosen on these images.
    """

    value: float
    corrected: float
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

    `corrected`, `low` and `high` are about the difference without the optimism of best thresholds;
    `p` is two-sided and below 1 - level where the interval leaves zero out. `mcnemar` is None for
    metrics that choose their threshold.
    """

    first: float
    second: float
    difference: float
    corrected: float
    low: float
    high: float
    p: float
    mcnemar: McNemar | None


def intervals(
    facts: ImageFacts, bootstrap: Bootstrap, threads: int | None = None
) -> dict[str, Estimate]:
    """Every metric of `metric_names` with its interval."""
    quantile = float(norm.ppf((1 + bootstrap.level) / 2))
    corrected = _corrected(facts, bootstrap, threads)
    result = {}
    for name, found in contributions(facts).items():
        low, high = wilson(corrected[name] / 100, _effective_images(found), quantile)
        result[name] = Estimate(found.percent, corrected[name], 100 * low, 100 * high)
    return result


def wilson(share: float, images: float, quantile: float) -> tuple[float, float]:
    """The interval of shares from which the given one is `quantile` standard errors or less away.

    Args:
        images: how many, which need not be whole.
    """
    unit = quantile**2 / images
    centre = (share + unit / 2) / (1 + unit)
    half = np.sqrt(unit * share * (1 - share) + unit**2 / 4) / (1 + unit)
    return float(centre - half), float(centre + half)


def _effective_images(found: Contribution) -> float:
    """How many images give a share of right ones the variance that a metric has."""
    right = found.right[found.counts]
    mean, variance = float(right.mean()), float(right.var())
    return len(right) * mean * (1 - mean) / variance if variance > 0 else len(right)


def _corrected(facts: ImageFacts, bootstrap: Bootstrap, threads: int | None) -> dict[str, float]:
    """Every metric in percent, without optimism."""
    values = {name: found.percent for name, found in contributions(facts).items()}
    levels = 100 * corrected_accuracies(facts, bootstrap, threads)
    known = dict(zip(map(level_metric, facts.keys), levels.tolist(), strict=True))
    every = [v for key, v in zip(facts.keys, levels, strict=True) if key.startswith("all@")]
    known["max_box_acc"] = known.get(level_metric("largest@0.5"), np.nan)
    known["max_box_acc_v2"] = float(np.mean(every)) if every else np.nan
    known |= {name: 100 * value for name, value in corrected_candidates(facts, bootstrap).items()}
    return {name: known.get(name, value) for name, value in values.items()}


def compare_runs(
    first: ImageFacts, second: ImageFacts, bootstrap: Bootstrap, threads: int | None = None
) -> dict[str, Difference]:
    """The difference of every metric that both runs have; images as `shared_images` pairs them.

    The interval is that of a mean of paired differences with two more of them, one for either run
    (Bonett and Price, Journal of Educational and Behavioral Statistics 2012).
    """
    quantile = float(norm.ppf((1 + bootstrap.level) / 2))
    corrected = [_corrected(facts, bootstrap, threads) for facts in (first, second)]
    one, two = contributions(first), contributions(second)
    result = {}
    for name in one:
        if name not in two:
            continue
        difference = corrected[0][name] - corrected[1][name]
        centre, error = _paired(one[name], two[name], difference / 100)
        result[name] = Difference(
            first=one[name].percent,
            second=two[name].percent,
            difference=one[name].percent - two[name].percent,
            corrected=difference,
            low=100 * (centre - quantile * error),
            high=100 * (centre + quantile * error),
            p=float(2 * norm.sf(abs(centre) / error)),
            mcnemar=mcnemar(first, second, name) if name in FIXED_METRICS else None,
        )
    return result


def _paired(one: Contribution, two: Contribution, difference: float) -> tuple[float, float]:
    """Centre and standard error of a difference of shares, with two more images."""
    both = one.counts & two.counts
    each = one.right[both] - two.right[both]
    images = len(each) + 2
    centre = len(each) * difference / images
    variance = (float(((each - each.mean()) ** 2).sum()) + len(each) * difference**2 + 2) / images
    return centre, float(np.sqrt((variance - centre**2) / images))


def mcnemar(first: ImageFacts, second: ImageFacts, metric: str) -> McNemar:
    """The exact test of one of `FIXED_METRICS` over the images that count in both runs."""
    right, among = FIXED_METRICS[metric]
    both = first.has(among) & second.has(among)
    one, two = first.has(right) & both, second.has(right) & both
    only_first, only_second = int((one & ~two).sum()), int((two & ~one).sum())
    discordant = only_first + only_second
    p = float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
    return McNemar(only_first, only_second, p)


def holm(values: Sequence[float]) -> list[float]:
    """p-values of several tests, such that a false one is below a level as rarely as one alone.

    Holm, Scandinavian Journal of Statistics 1979: the smallest times their number, the next times
    one less, and so on, none below one before it.
    """
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(np.asarray(values)[order] * factors), 1)
    return adjusted.tolist()


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
