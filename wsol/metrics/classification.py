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

    def __init__(self) -> None:
        # Images: with an answer, right in the top 1 and 5; with boxes, localized; with both,
        # localized and right in the top 1 and 5.
        self._counts = np.zeros(7, dtype=np.int64)

    def update(self, localized: bool | None, rank: int | None) -> None:
        """Add one image.

        Args:
            localized: whether the label's own box is right; None where there is no true box.
            rank: how many classes scored above the label (0 = best); None without a classifier.
        """
        if rank is not None:
            self._counts[:3] += (1, rank < _TOP[0], rank < _TOP[1])
        if localized is not None:
            self._counts[3] += 1
            self._counts[4] += localized
            if rank is not None:
                self._counts[5:] += (localized and rank < _TOP[0], localized and rank < _TOP[1])

    def merge(self, other: "LocalizationCounts") -> None:
        """Add the images of another accumulator."""
        self._counts += other._counts

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
        return {"counts": self._counts}

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Replace the counts by what `state` returned."""
        if state["counts"].shape != self._counts.shape:
            raise InputError("The saved counts are of another version.")
        self._counts = state["counts"].astype(np.int64)
