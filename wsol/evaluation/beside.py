"""Accuracies at further thresholds than the one that GT-known and Top-k Loc are read at.

Beside the oracle, which needs boxes of the evaluated images, stand the policies by which each map
chooses a threshold of its own; and Top-k Loc is also read at the oracle's, and at thresholds that
were chosen on another set.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from wsol.evaluation.protocol import BEST, Protocol
from wsol.metrics.box_accuracy import BoxAccuracy
from wsol.metrics.classification import LocalizationCounts

if TYPE_CHECKING:
    from wsol.evaluation.judging import Outcome

_RIGHT = 0.5
_NAMES = ("gt_known_loc", "top1_loc", "top5_loc")


class AlsoAt:
    """What `Protocol.also_at` asks for, added up; and GT-known and Top-k Loc at all thresholds.

    The counts of GT-known and Top-k Loc at each policy are an evaluator's own, one for each of its
    thresholds; here is what those do not hold.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        one = np.zeros(1)
        self._every = {
            name: BoxAccuracy(one, protocol.iou, above=protocol.rules.hit == "above")
            for name in protocol.policies
            if "all" in protocol.searched_kinds
        }
        # Right for GT-known, Top-1 and Top-5 Loc at each of all thresholds.
        rules, self._best = protocol.rules, list[BoxAccuracy]()
        if "largest" in protocol.searched_kinds:
            asked = (rules.hit, rules.hit_top_k, rules.hit_top_k)
            self._best = [
                BoxAccuracy(protocol.thresholds, (_RIGHT,), above=hit == "above") for hit in asked
            ]
        self._answered = BoxAccuracy(one, (_RIGHT,))

    def update(self, outcome: "Outcome") -> None:
        """Add an image that has true boxes."""
        for metric, iou in zip(self._every.values(), outcome.policy_iou, strict=False):
            metric.update(np.array([iou]))
        if not self._best:
            return
        ious = outcome.best_iou["largest"]
        never = np.zeros(len(ious))
        rank = None if outcome.classification is None else outcome.classification.rank
        if rank is not None:
            self._answered.update(np.ones(1))
        for metric, places in zip(self._best, (None, 1, 5), strict=True):
            counts = places is None or (rank is not None and rank < places)
            metric.update(ious if counts else never)

    def compute(self, counts: Iterable[LocalizationCounts]) -> dict[str, dict[str, float]]:
        """Percentages by threshold, in the order asked for, and by `Metrics`' names.

        Args:
            counts: of each policy.
        """
        of_policy = dict(zip(self._protocol.policies, counts, strict=True))
        found: dict[str, dict[str, float]] = {}
        for name in self._protocol.also_at:
            found[name] = self._at_best() if name == BEST else self._at(name, of_policy[name])
        return {name: values for name, values in found.items() if values}

    def _at(self, name: str, counts: LocalizationCounts) -> dict[str, float]:
        computed = counts.compute()
        values = {key: computed[key] for key in _NAMES if key in computed}
        if name in self._every and self._every[name].num_images:
            values["max_box_acc_v2"] = self._every[name].compute().mean
        return values

    def _at_best(self) -> dict[str, float]:
        (known,) = self._best[0].curves().values()
        return self.at(int(np.argmax(known)))

    def at(self, place: int) -> dict[str, float]:
        """GT-known and Top-k Loc of the largest component at a threshold's position, in percent.

        Empty without images, or where the largest component is not looked at.
        """
        if not self._best or not self._best[0].num_images:
            return {}
        known = self._best[0]
        curves = [next(iter(metric.curves().values())) for metric in self._best]
        shown = _NAMES if self._answered.num_images else _NAMES[:1]
        pairs = zip(shown, curves, strict=False)
        return {key: 100.0 * curve[place] / known.num_images for key, curve in pairs}

    def parts(self) -> Iterable[tuple[str, Any]]:
        """Its accumulators by name, for states and merging."""
        yield from ((f"at_{name}", metric) for name, metric in self._every.items())
        if self._best:
            yield from ((f"best_{name}", m) for name, m in zip(_NAMES, self._best, strict=True))
            yield "best_answered", self._answered
