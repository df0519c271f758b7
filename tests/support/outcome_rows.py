"""Generated per-image outcomes and their correctness as plain matrices."""

import numpy as np

from wsol.records.outcomes import THUMBNAIL, OutcomeInfo, OutcomeRow, switches_of, write_outcomes
from wsol.results.image_facts import facts_of, read_facts

KEYS = ("largest@0.3", "largest@0.5", "all@0.3", "all@0.5")
SIZES = (40, 50)


def generated(seed, images, thresholds, *, classifier=True, boxes=0.8):
    """Outcomes of images, and {key: (images, thresholds) correctness} of them all.

    `boxes` is the share of images that have true boxes; the first always does.
    """
    rng = np.random.default_rng(seed)
    matrices = {key: np.zeros((images, thresholds), dtype=bool) for key in KEYS}
    rows = []
    for number in range(images):
        boxed = number == 0 or rng.random() < boxes
        corners = rng.integers(0, 30, (rng.integers(1, 4) if boxed else 0, 2))
        if boxed:
            # A right image is right over a stretch or two of thresholds, now and then at none.
            for matrix in matrices.values():
                ends = np.sort(rng.integers(0, thresholds + 1, 4))
                matrix[number, ends[0] : ends[1]] = True
                matrix[number, ends[2] : ends[3]] |= rng.random() < 0.5
        rows.append(
            OutcomeRow(
                image_id=f"{number}.jpg",
                path=None,
                label=int(rng.integers(0, 3)),
                class_name="",
                size=SIZES if boxed or number % 2 else None,
                true_boxes=np.concatenate([corners, corners + rng.integers(0, 10)], axis=1) + 0.0,
                rank=int(rng.choice([0, 0, 1, 4, 5])) if classifier else None,
                predicted=(),
                scores=np.zeros(0),
                fixed_box=np.zeros(4),
                fixed_iou=float(rng.choice([0.1, 0.5, 0.9])) if boxed else None,
                switches={key: switches_of(matrices[key][number]) for key in KEYS},
                box_starts=np.zeros(1, dtype=np.uint16),
                boxes=np.zeros((1, 4), dtype=np.int16),
                ious=np.zeros(1, dtype=np.float32),
                score_map=np.zeros((THUMBNAIL, THUMBNAIL), dtype=np.uint8),
            )
        )
    return rows, matrices


def info(thresholds):
    return OutcomeInfo(
        np.arange(thresholds) / thresholds, (0.3, 0.5), ("largest", "all"), (224, 224), "exact"
    )


def facts_table(rows, thresholds, folder):
    """What `read_facts` gives of outcomes that went through a file."""
    write_outcomes(rows, info(thresholds), folder / "a.parquet")
    return read_facts(folder / "a.parquet")


def facts(rows, thresholds, folder):
    """Facts of outcomes that went through a file."""
    return facts_of(*facts_table(rows, thresholds, folder))
