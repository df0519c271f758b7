"""Records and files of outcomes for tests."""

import numpy as np
from PIL import Image

from wsol.records.outcomes import THUMBNAIL, OutcomeInfo, OutcomeRow, switches_of, write_outcomes
from wsol.records.record import (
    Environment,
    Metrics,
    ResultRecord,
    Timing,
    write_record,
)


def make(model, parameters, dataset="CUB", **metrics):
    return ResultRecord(
        model=model,
        parameters=parameters,
        dataset=dataset,
        split="test",
        num_images=5794,
        cam_method="cam",
        metrics=Metrics(**metrics),
        settings={"convention": "choe2020"},
        environment=Environment(
            python="3.11", platform="Linux", device="cpu", threads=2, date="2026-01-01", versions={}
        ),
        timing=Timing(data=1, forward=2, localization=3, total=4),
    )


INFO = OutcomeInfo(np.arange(0, 1, 0.01), (0.3, 0.5), ("largest", "all"), (224, 224), "exact")
TURN = 50
"""Where the box of `outcome` shrinks from the whole grid to its upper left quarter."""


def outcome(number, *, image_id=None, path=None, class_name=None, right=True, score=0.8):
    """An 80x40 photograph whose true box is the left upper quarter: IoU 1/4, from 0.5 on 1."""
    ious = np.array([0.25, 1.0], dtype=np.float32)
    correct = {level: np.repeat(ious >= level, [TURN, 100 - TURN]) for level in INFO.iou_levels}
    return OutcomeRow(
        image_id=image_id or f"{number}.png",
        path=None if path is None else str(path),
        label=number % 3,
        class_name=class_name or ("cat", "dog", "bobcat")[number % 3],
        size=(80, 40),
        true_boxes=np.array([[0.0, 0, 39, 19]]),
        rank=0 if right else 3,
        predicted=("cat", "dog"),
        scores=np.array([score, 0.1]),
        fixed_box=np.array([0.0, 0, 223, 223]),
        fixed_iou=0.25,
        switches={
            f"{kind}@{level:g}": switches_of(correct[level])
            for kind in INFO.kinds
            for level in INFO.iou_levels
        },
        box_starts=np.array([0, TURN], dtype=np.uint16),
        boxes=np.array([[0, 0, 223, 223], [0, 0, 111, 111]], dtype=np.int16),
        ious=ious,
        score_map=np.linspace(0, 255, THUMBNAIL**2).astype(np.uint8).reshape(THUMBNAIL, THUMBNAIL),
    )


def write_run(folder, name, outcomes, *, parameters=1_000_000, **metrics):
    """A record and its outcomes in a folder; returns the record's path."""
    record = make(name, parameters, max_box_acc_v2=50.0, **metrics)
    record = record.model_copy(
        update={"num_images": len(outcomes), "settings": {"convention": "exact", "num_images": 12}}
    )
    path = folder / f"{name}.json"
    write_record(record, path)
    write_outcomes(outcomes, INFO, folder / f"{name}.outcomes.parquet")
    return path


def write_photographs(folder, count):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (80, 40), (20 * number, 90, 200)).save(folder / f"{number}.png")
