"""Where the time of the boxes goes, and how much of it no pass in the order of levels can save.

The maps are those of `boxes.py`, one core. The stages are measured one by one, each with what the
stages before it left in the caches. The bound is the pass over the pixels with all decisions
taken out: every pixel, highest first, still has to read where it is, which component it belongs
to, and to add itself to that component's extent and sums.

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
    HOLES,
    _sort_pixels,
    holes,
    level_map,
    outer_components,
)
from wsol.boxes.levels import protocol_levels, protocol_threshold_levels, threshold_grid
from wsol.boxes.neighbours import BLOCK_AREA
from wsol.metrics.box_accuracy import best_iou_per_threshold

ROUNDS = 5


@njit(nogil=True)
def _bare_pass(order, pixels, earlier, label, increments, state, sums):  # type: ignore[no-untyped-def]
    """Every pixel adds itself to the component that it is known to belong to."""
    stride = np.uint64(SIDE + 2)
    for k in range(pixels):
        packed = np.uint64(order[k])
        pixel = np.int64(packed)
        y, x = packed >> np.uint64(16), packed & np.uint64(65535)
        p = (y + np.uint64(1)) * stride + x + np.uint64(1)
        s = np.uint64(label[p])
        state[s, 0] = min(state[s, 0], np.int64(x))
        state[s, 1] = max(state[s, 1], np.int64(x))
        state[s, 2] = min(state[s, 2], pixel)
        state[s, 3] = max(state[s, 3], pixel)
        sums[s] += increments[earlier[p]]


def main(maps: Annotated[int, typer.Option()] = 200) -> None:
    """Measure every stage and print milliseconds a map."""
    levels = [protocol_levels(score_map) for score_map in cam_like_maps(maps)]
    truths = true_boxes(maps)
    memory = _MEMORY.of((SIDE, SIDE))
    maps_of = [level_map(one) for one in levels]
    outer = [outer_components(of, "choe2020") for of in maps_of]
    label = np.zeros((SIDE + 2) ** 2, dtype=np.uint32)
    state, sums = np.zeros((1, 5), np.int64), np.zeros(1, np.int64)

    def sort(i: int) -> None:
        _sort_pixels(levels[i], maps_of[i].top, memory.order)

    def components(i: int) -> None:
        outer_components(maps_of[i], "choe2020")

    def bare(i: int) -> None:
        sort(i)
        pixels = int((levels[i] > 0).sum())
        _bare_pass(memory.order, pixels, maps_of[i].earlier, label, BLOCK_AREA, state, sums)

    def iou(kind: str, step: float) -> Callable[[int], Any]:
        thresholds = threshold_grid(step)
        join = _largest if kind == "largest" else _all
        runs = [join(one, found, "choe2020") for one, found in zip(maps_of, outer, strict=True)]
        asked = [protocol_threshold_levels(thresholds, one.top) for one in maps_of]

        def measured(i: int) -> None:
            best_iou_per_threshold(runs[i], truths[i], asked[i], "choe2020")

        return measured

    with_holes = [bool((found[:, HOLES] > 0).any()) for found in outer]
    stages: list[tuple[str, Callable[[int], Any]]] = [
        ("neighbour patterns", lambda i: level_map(levels[i])),
        ("sorting the pixels", sort),
        ("components (sorting included)", components),
        ("bound of it: sorting and a pass without decisions", bare),
        ("holes, where there are any", lambda i: holes(maps_of[i]) if with_holes[i] else None),
        ("largest at each level", lambda i: _largest(maps_of[i], outer[i], "choe2020")),
        ("all at each level, with holes", lambda i: _all(maps_of[i], outer[i], "choe2020")),
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
