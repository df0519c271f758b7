"""Top-k Cls, Top-k Loc and GT-known Loc (Russakovsky et al. IJCV 2015; Zhou et al. CVPR 2016)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsol.errors import InputError

_TOP = (1, 5)


class LocalizationCounts:
    """Counts behind the five accuracies of one fixed threshold.

    Top-k Loc asks whether one of the k best classes is the label and *its own* map's box is right.
    The map of a class does not depend on what was predicted, so that box is the one that GT-known
    Loc judges, and both come from the same two facts about an image.
    """

    def __init__(self, classes: int = 1) -> None:
        """
        Args:
            classes: that images are of, for the means over classes.
        """
        # Images a class: with an answer, right in the top 1 and 5; with boxes, localized; with
        # both, localized and right in the top 1 and 5.
        self._by_class = np.zeros((classes, 7), dtype=np.int64)

    def update(
        self,
        localized: bool | None,
        rank: int | None,
        *,
        top_k: bool | None = None,
        label: int = 0,
    ) -> None:
        """Add one image.

        Args:
            localized: whether the label's own box is right; None where there is no true box.
            rank: how many classes scored above the label (0 = best); None without a classifier.
            top_k: the same for Top-k Loc, where a convention asks for more there.
            label: the image's class.
        """
        counts = self._by_class[label]
        if rank is not None:
            counts[:3] += (1, rank < _TOP[0], rank < _TOP[1])
        if localized is not None:
            counts[3] += 1
            counts[4] += localized
            if rank is not None:
                right = localized if top_k is None else top_k
                counts[5:] += (right and rank < _TOP[0], right and rank < _TOP[1])

    @property
    def _counts(self) -> NDArray[np.int64]:
        total: NDArray[np.int64] = self._by_class.sum(axis=0)
        return total

    @property
    def localized(self) -> int:
        """Images right for GT-known Loc, and those right for Top-1 Loc, together."""
        counts = self._counts
        return int(counts[4] + counts[5])

    def class_means(self) -> dict[str, float]:
        """Means over the classes that have images with boxes, as `compute` names them."""
        known = self._by_class[self._by_class[:, 3] > 0]
        if len(known) == 0:
            return {}
        means = 100 * (known[:, 4:] / known[:, 3:4]).mean(axis=0)
        found = {"gt_known_loc_class_mean": float(means[0])}
        if self._counts[0]:
            found |= {
                "top1_loc_class_mean": float(means[1]),
                "top5_loc_class_mean": float(means[2]),
            }
        return found

    def merge(self, other: "LocalizationCounts") -> None:
        """Add the images of another accumulator."""
        self._by_class += other._by_class

    def compute(self) -> dict[str, float]:
        """Percentages by the names of `wsol.records.record.Metrics`; absent where undefined."""
        answered, top1, top5, boxed, localized, top1_loc, top5_loc = map(int, self._counts)
        result: dict[str, float] = {}
        if answered:
            result |= {"top1_cls": 100 * top1 / answered, "top5_cls": 100 * top5 / answered}
        if boxed:
            result["gt_known_loc"] = 100 * localized / boxed
        if answered and boxed:
            result |= {"top1_loc": 100 * top1_loc / boxed, "top5_loc": 100 * top5_loc / boxed}
        return result

    def state(self) -> dict[str, NDArray[Any]]:
        """The counts as a named array."""
        return {"counts": self._by_class}

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Replace the counts by what `state` returned."""
        if state["counts"].shape != self._by_class.shape:
            raise InputError("The saved counts are of another version.")
        self._by_class = state["counts"].astype(np.int64)
