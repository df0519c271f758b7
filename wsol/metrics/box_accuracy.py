"""MaxBoxAcc and MaxBoxAccV2 (Choe et al., CVPR 2020 and arXiv 2007.04178)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsol.boxes.runs import BoxRuns, Convention
from wsol.errors import InputError
from wsol.metrics.iou import iou_matrix


@dataclass(frozen=True, slots=True)
class BestAccuracy:
    """Percentages at the best threshold of each IoU level; keys are levels such as "0.5"."""

    accuracy: dict[str, float]
    threshold: dict[str, float]

    @property
    def mean(self) -> float:
        """Mean over the IoU levels: MaxBoxAccV2, when every component counts."""
        return sum(self.accuracy.values()) / len(self.accuracy)


class BoxAccuracy:
    """How many images are localized at each threshold and IoU level.

    An image counts at a threshold and level when any of its boxes there has at least that IoU
    with any true box. Counts are integers, so shards add up exactly.
    """

    def __init__(
        self,
        thresholds: NDArray[np.float64],
        iou_levels: tuple[float, ...],
        *,
        above: bool = False,
    ) -> None:
        """
        Args:
            above: an IoU has to be greater than the level, instead of reaching it.
        """
        self._above = above
        self._thresholds = np.asarray(thresholds, dtype=np.float64)
        self._iou_levels = tuple(iou_levels)
        self._correct = np.zeros((len(iou_levels), len(thresholds)), dtype=np.int64)
        self.num_images = 0

    def update(self, best_iou: NDArray[np.float64]) -> None:
        """Add one image's (T,) best IoU at each threshold, see `best_iou_per_threshold`."""
        for row, level in zip(self._correct, self._iou_levels, strict=True):
            row += is_hit(best_iou, level, above=self._above)
        self.num_images += 1

    def merge(self, other: "BoxAccuracy") -> None:
        """Add the images of another accumulator of the same thresholds and levels."""
        if other._iou_levels != self._iou_levels or not np.array_equal(
            other._thresholds, self._thresholds
        ):
            raise InputError("Box accuracies at different thresholds or levels cannot be merged.")
        self._correct += other._correct
        self.num_images += other.num_images

    def compute(self) -> BestAccuracy:
        """Best accuracy over thresholds for each IoU level; the lowest threshold wins ties."""
        if self.num_images == 0:
            raise ValueError("no image has been added")
        accuracy, threshold = {}, {}
        for row, level in zip(self._correct, self._iou_levels, strict=True):
            best = int(row.argmax())
            accuracy[f"{level:g}"] = float(row[best] * 100.0 / self.num_images)
            threshold[f"{level:g}"] = float(self._thresholds[best])
        return BestAccuracy(accuracy, threshold)

    def curves(self) -> dict[str, list[int]]:
        """Correct images at every threshold, by IoU level."""
        pairs = zip(self._iou_levels, self._correct, strict=True)
        return {f"{level:g}": row.tolist() for level, row in pairs}

    def state(self) -> dict[str, NDArray[Any]]:
        """The counts as named arrays."""
        return {"correct": self._correct, "num_images": np.array(self.num_images)}

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Replace the counts by what `state` returned."""
        if state["correct"].shape != self._correct.shape:
            raise InputError("The saved counts belong to other thresholds or levels.")
        self._correct = state["correct"].astype(np.int64)
        self.num_images = int(state["num_images"])


def is_hit(iou: Any, level: float, *, above: bool) -> Any:
    """Whether IoUs are greater than a level (`above`), or at least reach it."""
    return iou > level if above else iou >= level


def best_iou_per_threshold(
    runs: BoxRuns,
    true_boxes: NDArray[np.float64],
    threshold_levels: NDArray[np.int64],
    convention: Convention,
) -> NDArray[np.float64]:
    """The best IoU of any box with any true box at each threshold.

    IoU is computed once a run of levels, however many thresholds look at it.

    Args:
        runs: the map's boxes.
        true_boxes: (m, 4) inclusive corners on the map's grid, m > 0.
        threshold_levels: (T,) the level at which each threshold looks.
        convention: without foreground, `choe2020` predicts the box 0, 0, 0, 0 and `exact`
            predicts nothing (IoU 0).

    Returns:
        (T,) float64.
    """
    # The last box is what the published protocol predicts where there is no foreground.
    boxes = np.concatenate([runs.boxes, np.zeros((1, 4), np.int32)])
    ious = iou_matrix(boxes, true_boxes).max(axis=1)
    nowhere = ious[-1] if convention == "choe2020" else 0.0
    return best_per_threshold(runs, ious, nowhere, threshold_levels)


def best_per_threshold(
    runs: BoxRuns,
    ious: NDArray[np.float64],
    nowhere: float,
    threshold_levels: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The best IoU at each threshold from each box's.

    Args:
        runs: the map's n boxes.
        ious: (n or more,) of each box.
        nowhere: what counts where there is no foreground.
        threshold_levels: (T,) the level at which each threshold looks.

    Returns:
        (T,) float64.
    """
    # One place more than there are levels: everything from the maximum on has no foreground.
    best = np.empty(runs.max_level + 1)
    best[:-1] = _max_over_runs(ious, runs.first, runs.last, runs.max_level)
    best[-1] = nowhere
    return best[np.minimum(threshold_levels, runs.max_level)]


@njit(cache=True, nogil=True)
def _max_over_runs(values, first, last, count):  # type: ignore[no-untyped-def]
    """The greatest value of any run at each level; every level has one."""
    best = np.zeros(count)
    for i in range(len(first)):
        for level in range(first[i], last[i] + 1):
            if values[i] > best[level]:
                best[level] = values[i]
    return best
