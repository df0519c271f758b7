"""Fifty thousand score maps: throughput on all cores and peak memory.

The maps are made on the fly (shifted copies of 200 CAM-like ones), so that what is measured is the
evaluation and not a disk; the annotations are random boxes.

    python benchmarks/score.py
"""

import resource
import time
from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer
from boxes import SIDE, cam_like_maps, true_boxes

from wsol.datasets.base import Dataset, Sample
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import Outcome, judge_map
from wsol.evaluation.protocol import Protocol
from wsol.pipeline import Pipeline, usable_cores


def main(
    maps: Annotated[int, typer.Option()] = 50_000,
    threads: Annotated[int, typer.Option()] = usable_cores(),
) -> None:
    """Measure one run."""
    templates = cam_like_maps(200)
    boxes = true_boxes(maps)
    samples = [Sample(str(i), None, 0, boxes[i], (SIDE, SIDE)) for i in range(maps)]
    data = Dataset("generated", "test", samples, ("object",), ("object",))
    protocol = Protocol()
    evaluator = Evaluator(data, protocol)

    def job(number: int) -> Callable[[], Outcome]:
        def run() -> Outcome:
            score_map = np.roll(templates[number % len(templates)], number // 200, axis=1)
            return judge_map(score_map, samples[number], protocol)

        return run

    judge_map(templates[0], samples[0], protocol)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    with Pipeline[Outcome](threads) as pipeline:
        for number in range(maps):
            for outcome in pipeline.submit(job(number)):
                evaluator.add(outcome)
        for outcome in pipeline.drain():
            evaluator.add(outcome)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{maps:,} maps of {SIDE}x{SIDE}, step 0.001, largest and all, {threads} threads")
    print(f"{maps / seconds:,.0f} maps/s ({seconds:.1f} s)")
    print(
        f"peak memory {after / 1024:,.0f} MiB, {(after - before) / 1024:,.0f} MiB of it for the run"
    )
    print(f"MaxBoxAccV2 {evaluator.compute().max_box_acc_v2:.2f}")


if __name__ == "__main__":
    typer.run(main)
