"""Where the time of the boxes goes, and how much of it no pass in the order of levels can save.

The maps are those of `boxes.py`, one core. The stages are measured one by one, each with what the
stages before it left in the caches. The bound is the pass over the pixels with all decisions
taken out: every pixel, highest first, still has to read where it is, which component it belongs
to, and to add itself to that component's extent, counts and sums.

    python benchmarks/boxes_profile.py
"""

import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import typer
from boxes import SIDE, cam_like_maps, true_boxes
from numba import njit

from wsol.boxes.all_levels import _all, _largest
from wsol.boxes.components import (
    _MEMORY,
    _earlier_neighbours,
    _sort_pixels,
    holes,
    outer_components,
)
from wsol.boxes.levels import protocol_levels, protocol_threshold_levels, threshold_grid
from wsol.boxes.neighbours import INCREMENTS
from wsol.metrics.box_accuracy import best_iou_per_threshold

ROUNDS = 5


@njit(nogil=True)
def _bare_pass(order, pixels, earlier, label, increments, state, sums):  # type: ignore[no-untyped-def]
    """Every pixel adds itself to the component that it is known to belong to."""
    for k in range(pixels):
        packed = np.uint64(order[k])
        pixel = np.int64(packed)
        y, x = packed >> np.uint64(16), packed & np.uint64(65535)
        s = np.uint64(label[y, x])
        state[s, 0] = min(state[s, 0], np.int64(x))
        state[s, 1] = max(state[s, 1], np.int64(x))
        state[s, 2] = min(state[s, 2], pixel)
        state[s, 3] = max(state[s, 3], pixel)
        state[s, 5] += 1
        sums[s] += increments[earlier[y, x]]


def main(maps: Annotated[int, typer.Option()] = 200) -> None:
    """Measure every stage and print milliseconds a map."""
    levels = [protocol_levels(score_map) for score_map in cam_like_maps(maps)]
    truths = true_boxes(maps)
    memory = _MEMORY.of((SIDE, SIDE))
    outer = [outer_components(map_levels) for map_levels in levels]
    patterns = [_earlier_neighbours(map_levels) for map_levels in levels]
    label = np.zeros((SIDE, SIDE), dtype=np.uint32)
    state, sums = np.zeros((1, 6), np.int64), np.zeros(1, np.int64)

    def sort(i: int) -> None:
        _sort_pixels(levels[i], int(levels[i].max()), memory.order)

    def bare(i: int) -> None:
        sort(i)
        pixels = int((levels[i] > 0).sum())
        _bare_pass(memory.order, pixels, patterns[i], label, INCREMENTS, state, sums)

    def iou(kind: str, step: float) -> Callable[[int], Any]:
        thresholds = threshold_grid(step)
        join = _largest if kind == "largest" else _all
        runs = [
            join(one, found, "wsolevaluation") for one, found in zip(levels, outer, strict=True)
        ]
        asked = [protocol_threshold_levels(thresholds, int(one.max())) for one in levels]

        def measured(i: int) -> None:
            best_iou_per_threshold(runs[i], truths[i], asked[i], "wsolevaluation")

        return measured

    with_holes = [bool((found[:, 7] > 0).any()) for found in outer]
    stages: list[tuple[str, Callable[[int], Any]]] = [
        ("neighbour patterns", lambda i: _earlier_neighbours(levels[i])),
        ("sorting the pixels", sort),
        ("components (patterns and sorting included)", lambda i: outer_components(levels[i])),
        ("bound of it: sorting and a pass without decisions", bare),
        ("holes, where there are any", lambda i: holes(levels[i]) if with_holes[i] else None),
        ("largest at each level", lambda i: _largest(levels[i], outer[i], "wsolevaluation")),
        ("all at each level, with holes", lambda i: _all(levels[i], outer[i], "wsolevaluation")),
        ("IoU by pycocotools, largest, step 0.001", iou("largest", 0.001)),
        ("IoU by pycocotools, all, step 0.001", iou("all", 0.001)),
        ("IoU by pycocotools, all, step 0.01", iou("all", 0.01)),
    ]  # fmt: skip
    print(f"{maps} CAM-like maps of {SIDE}x{SIDE}, one core, the best of {ROUNDS} rounds")
    for name, stage in stages:
        stage(0)
        best = float("inf")
        for _ in range(ROUNDS):
            start = time.perf_counter()
            for i in range(maps):
                stage(i)
            best = min(best, time.perf_counter() - start)
        print(f"{1e3 * best / maps:7.3f} ms  {name}")


if __name__ == "__main__":
    typer.run(main)
