"""How the cost of one map grows with its pixels and with the number of thresholds.

python benchmarks/scaling.py
"""

import time

import numpy as np
import torch
import torch.nn.functional as F
from boxes import cam_like_maps, true_boxes

from wsol.evaluation.judging import prepare
from wsol.evaluation.protocol import Protocol
from wsol.metrics.box_accuracy import best_iou_per_threshold

_REPEATS = 20


def milliseconds(side: int, thresholds: int) -> float:
    """Mean time of one map, both contour kinds, from score map to best IoU per threshold."""
    small = torch.from_numpy(cam_like_maps(_REPEATS))[:, None]
    large = F.interpolate(small, (side, side), mode="bicubic")[:, 0].clamp(0, 1).numpy()
    truths = true_boxes(_REPEATS) * side / 224
    protocol = Protocol(threshold_step=1 / thresholds)
    prepare(large[0], protocol)
    start = time.perf_counter()
    for score_map, truth in zip(large, truths, strict=True):
        prepared = prepare(score_map, protocol)
        for runs in prepared.runs.values():
            best_iou_per_threshold(
                runs, np.trunc(truth), prepared.threshold_levels, protocol.engine
            )
    return 1e3 * (time.perf_counter() - start) / _REPEATS


def main() -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    print("pixels          ms a map   ns a pixel   (1,000 thresholds)")
    for side in (64, 128, 224, 256, 512, 1024):
        cost = milliseconds(side, 1000)
        print(f"{side:>4} x {side:<6} {cost:10.2f} {1e6 * cost / side**2:12.1f}")
    print("thresholds      ms a map   (224 x 224)")
    for thresholds in (10, 100, 1000, 10000):
        print(f"{thresholds:>11} {milliseconds(224, thresholds):12.2f}")


if __name__ == "__main__":
    main()
