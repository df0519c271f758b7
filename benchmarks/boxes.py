"""Boxes at all thresholds: one pass against thresholding and contour search, one at a time.

Both sides go from the same 200 CAM-like score maps (224x224) to the number of localized images at
every threshold and IoU level, on one core, in this process; the counts must be equal.

    python benchmarks/boxes.py
"""

import time
from typing import Annotated

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import typer
from numpy.typing import NDArray

from wsol.boxes.runs import Contours
from wsol.evaluation.judging import prepare
from wsol.evaluation.protocol import Protocol
from wsol.metrics.box_accuracy import BoxAccuracy, best_iou_per_threshold

IOU_LEVELS = (0.3, 0.5, 0.7)
SIDE = 224


def cam_like_maps(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Score maps as networks give them: smooth 7x7 and 14x14 fields, upsampled, normalized."""
    generator = torch.Generator().manual_seed(seed)
    maps = []
    for number in range(count):
        cells = (7, 14)[number % 2]
        y, x = torch.meshgrid(
            torch.linspace(-1, 1, cells), torch.linspace(-1, 1, cells), indexing="ij"
        )
        place = torch.rand(2, generator=generator) - 0.5
        spread = 0.3 + 0.4 * torch.rand(1, generator=generator)
        bump = torch.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * spread**2))
        noise = torch.rand(cells, cells, generator=generator)
        field = (bump + 0.35 * noise)[None, None]
        score_map = F.interpolate(field, (SIDE, SIDE), mode="bicubic")[0, 0]
        score_map -= score_map.min()
        maps.append((score_map / score_map.max()).numpy())
    return np.stack(maps)


def true_boxes(count: int, seed: int = 0) -> NDArray[np.float64]:
    """(count, 1, 4) random boxes, inclusive corners."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 120, (count, 1, 2))
    return np.concatenate([low, low + rng.integers(40, 100, (count, 1, 2))], axis=2).astype(float)


def opencv_best_iou(
    score_map: NDArray[np.float32], truth: NDArray[np.float64], thresholds: NDArray[np.float64],
    contours: Contours,
) -> NDArray[np.float64]:  # fmt: skip
    """The slow and obvious way, with IoU vectorized over all boxes as the released code has it."""
    levels = (score_map.astype(np.float64) * 255).astype(np.uint8)
    top = levels.max()
    boxes, counts = [], []
    for threshold in thresholds:
        _, binary = cv2.threshold(levels, int(threshold * top), 255, cv2.THRESH_BINARY)
        found = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
        if contours == "largest" and found:
            found = [max(found, key=cv2.contourArea)]
        own = []
        for contour in found:
            x, y, w, h = cv2.boundingRect(contour)
            own.append((x, y, min(x + w, SIDE - 1), min(y + h, SIDE - 1)))
        boxes += own or [(0, 0, 0, 0)]
        counts.append(len(own) or 1)
    a = np.array(boxes, dtype=np.float64)[:, None]
    b = truth[None]
    size = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1
    inter = np.clip(size, 0, None).prod(-1)
    areas = [(c[..., 2:] - c[..., :2] + 1).prod(-1) for c in (a, b)]
    iou = (inter / (areas[0] + areas[1] - inter)).max(1)
    return np.maximum.reduceat(iou, np.r_[0, np.cumsum(counts)[:-1]])


def main(
    maps: Annotated[int, typer.Option()] = 200, rounds: Annotated[int, typer.Option()] = 3
) -> None:
    """Measure, check that the counts agree, and print ratios of the best rounds."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    score_maps, truths = cam_like_maps(maps), true_boxes(maps)
    kinds: tuple[Contours, ...] = ("largest", "all")
    for kind in (*kinds, "both"):  # compile before the clock runs
        prepare(score_maps[0], Protocol(contours=kind))
    print(
        f"{maps} CAM-like maps of {SIDE}x{SIDE}, one core, OpenCV {cv2.__version__}, "
        f"the best of {rounds} rounds"
    )
    print("step    contours   one pass   OpenCV     ratio")

    def one_pass(protocol: Protocol, names: tuple[Contours, ...]) -> dict[Contours, BoxAccuracy]:
        found = {name: BoxAccuracy(protocol.thresholds, IOU_LEVELS) for name in names}
        for score_map, truth in zip(score_maps, truths, strict=True):
            prepared = prepare(score_map, protocol)
            for name in names:
                best = best_iou_per_threshold(
                    prepared.runs[name], truth, prepared.threshold_levels, "choe2020"
                )
                found[name].update(best)
        return found

    def opencv(protocol: Protocol, names: tuple[Contours, ...]) -> dict[Contours, BoxAccuracy]:
        found = {name: BoxAccuracy(protocol.thresholds, IOU_LEVELS) for name in names}
        for name in names:
            for score_map, truth in zip(score_maps, truths, strict=True):
                found[name].update(opencv_best_iou(score_map, truth, protocol.thresholds, name))
        return found

    for step in (0.001, 0.01):
        for kind in (*kinds, "both"):
            protocol = Protocol(threshold_step=step, contours=kind)
            names = kinds if kind == "both" else (kind,)
            seconds = {one_pass: float("inf"), opencv: float("inf")}
            for _ in range(rounds):
                counts = []
                for way in seconds:
                    start = time.perf_counter()
                    found = way(protocol, names)
                    seconds[way] = min(seconds[way], (time.perf_counter() - start) / maps)
                    counts.append({name: found[name].curves() for name in names})
                if counts[0] != counts[1]:
                    raise SystemExit(f"step {step}, {kind}: the counts differ")
            ours, reference = seconds.values()
            print(
                f"{step:<7} {kind:<8} {1e3 * ours:7.2f} ms {1e3 * reference:7.1f} ms"
                f" {reference / ours:7.1f}x",
                flush=True,
            )
    print("Every count at every threshold and IoU level is equal.")


if __name__ == "__main__":
    typer.run(main)
