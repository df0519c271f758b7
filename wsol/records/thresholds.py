"""Thresholds chosen on one split, to be applied to another (Choe et al., CVPR 2020)."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsol.errors import InputError
from wsol.reading import read_json
from wsol.records.record import read_records
from wsol.records.training import TRAINING_SCHEMA, read_training_record


@dataclass(frozen=True, slots=True)
class ChosenThresholds:
    """The best thresholds of one model on one split.

    Attributes:
        where: data set, split and number of images, for people.
        all, largest: IoU level ("0.5") to threshold, for every component and the largest one.
    """

    where: str
    all: dict[str, float] | None
    largest: dict[str, float] | None


def read_thresholds(path: Path) -> dict[str, ChosenThresholds]:
    """The thresholds in a record of `wsol evaluate` or `wsol train`, by the model's identity.

    Where a file has records of several conventions, `identity_under` tells them apart.

    Raises:
        InputError: when the file is neither, or holds no threshold.
    """
    if _is_training(path):
        record = read_training_record(path)
        chosen = record.chosen
        if chosen is None:
            raise InputError(f"{path}: nothing was chosen in this run; train with --select-data.")
        where = _where(chosen.dataset, chosen.split, chosen.num_images, chosen.pseudo_boxes)
        found = ChosenThresholds(where, chosen.thresholds, chosen.thresholds_largest)
        return _with_any([(chosen.weights_fingerprint, found)], path)
    pairs = []
    records = read_records(path)
    several = len({record.settings.get("convention") for record in records}) > 1
    for evaluated in records:
        is_pseudo = bool(evaluated.settings.get("pseudo_boxes"))
        where = _where(evaluated.dataset, evaluated.split, evaluated.num_images, is_pseudo)
        metrics = evaluated.metrics
        found = ChosenThresholds(where, metrics.best_threshold, metrics.best_threshold_largest)
        key = identity(evaluated.settings)
        pairs.append((identity_under(evaluated.settings) if several else key, found))
    return _with_any(pairs, path)


def _where(dataset: str, split: str, images: int, pseudo_boxes: bool) -> str:
    boxes = ", machine-made boxes" if pseudo_boxes else ""
    return f"{dataset} {split} ({images} images{boxes})"


def identity(settings: dict[str, Any]) -> str:
    """What tells one model from another in a record's settings: its weights, or a baseline."""
    return str(settings.get("weights_fingerprint") or settings.get("baseline"))


def identity_under(settings: dict[str, Any]) -> str:
    """A model under one of several conventions."""
    return f"{identity(settings)} under {settings.get('convention')}"


def chosen_for(
    table: dict[str, ChosenThresholds], settings: dict[str, Any]
) -> ChosenThresholds | None:
    """The thresholds of `read_thresholds` for a run of these settings."""
    return table.get(identity_under(settings)) or table.get(identity(settings))


def positions(
    chosen: dict[str, float], thresholds: NDArray[np.float64], levels: Iterable[str]
) -> dict[str, int]:
    """Where each IoU level's chosen threshold is among the evaluated ones.

    Raises:
        InputError: when a level has none, or it was not evaluated.
    """
    found = {}
    for level in levels:
        if level not in chosen:
            raise InputError(
                f"No threshold was chosen for IoU {level}, only for {', '.join(chosen)}; "
                "use the same --iou."
            )
        near = np.flatnonzero(np.isclose(thresholds, chosen[level], rtol=0, atol=1e-9))
        if len(near) == 0:
            raise InputError(
                f"The chosen threshold {chosen[level]:g} is not among the evaluated ones; "
                "use the same --threshold-step."
            )
        found[level] = int(near[0])
    return found


def _is_training(path: Path) -> bool:
    data = read_json(path, "a record of wsol evaluate or wsol train")
    return isinstance(data, dict) and data.get("schema") == TRAINING_SCHEMA


def _with_any(
    pairs: Iterable[tuple[str, ChosenThresholds]], path: Path
) -> dict[str, ChosenThresholds]:
    table = {key: found for key, found in pairs if found.all or found.largest}
    if not table:
        raise InputError(f"{path}: holds no thresholds; evaluate a split with boxes.")
    return table
