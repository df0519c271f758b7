"""Photographs decoded and fitted into the network's input, in every view that is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.settling import Finding, NoBoxLeftError, settle_in
from wsol.errors import InputError
from wsol.evaluation.conventions import View
from wsol.evaluation.options import EvaluationOptions
from wsol.maps.framing import fit, ten_crops
from wsol.models.classifier import Preprocessing


@dataclass(frozen=True, slots=True)
class Good:
    """A photograph as the network's input; its sample agrees with it.

    `pixels` are (3, side, side) uint8 of each view, (10, 3, side, side) of ten crops.
    """

    sample: Sample
    size: tuple[int, int]
    pixels: dict[View, Tensor]
    findings: Finding


@dataclass(frozen=True, slots=True)
class Bad:
    """A photograph that cannot be used, and whether it is left out without being asked."""

    sample: Sample
    reason: str
    may_skip: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Photographs of a full batch, and which of its rows are to be judged."""

    samples: list[Sample]
    sizes: list[tuple[int, int]]
    pixels: dict[View, Tensor]
    findings: list[Finding]
    bad: list[Bad]
    own: list[int]


class Photographs(TorchDataset["Good | Bad"]):
    """Decodes and fits the photographs of a data set."""

    def __init__(
        self,
        dataset: Dataset,
        preprocessing: Preprocessing,
        size: int,
        views: Sequence[View],
        options: EvaluationOptions,
    ) -> None:
        """
        Args:
            size: side of the network's input.
            views: to make; `squash` is what the options' resize mode makes.
        """
        self._dataset = dataset
        self._preprocessing = preprocessing
        self._size = size
        self._views = views
        self._options = options

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Good | Bad:
        dataset = self._dataset
        sample = dataset.samples[index]
        try:
            settled = settle_in(dataset, sample, "pixels")
        except InputError as error:
            return Bad(sample, str(error), isinstance(error, NoBoxLeftError))
        assert settled.image is not None
        pixels = {view: self._seen(view, settled.image) for view in self._views}
        return Good(settled.sample, settled.image.size, pixels, settled.findings)

    def _seen(self, view: View, image: Image) -> Tensor:
        interpolation = self._preprocessing.interpolation
        if view == "ten-crop":
            crops = ten_crops(image, self._size, interpolation)
            return torch.from_numpy(crops).permute(0, 3, 1, 2)
        red, green, blue = (round(255 * value) for value in self._preprocessing.mean_rgb)
        mode = "squash-crop" if view == "center" else self._options.resize_mode
        pixels = fit(image, self._size, mode, interpolation, (red, green, blue))
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def collate(items: list[Good | Bad], size: int) -> Batch:
    """A batch of `size` rows; one without a photograph has a copy of another row's."""
    good = [item for item in items if isinstance(item, Good)]
    rows = [item if isinstance(item, Good) else good[0] for item in items] if good else []
    rows += good[:1] * (size - len(rows))
    return Batch(
        samples=[item.sample for item in rows],
        sizes=[item.size for item in rows],
        pixels={
            view: torch.stack([item.pixels[view] for item in rows])
            for view in (rows[0].pixels if rows else ())
        },
        findings=[item.findings for item in rows],
        bad=[item for item in items if isinstance(item, Bad)],
        own=[row for row, item in enumerate(items) if isinstance(item, Good)],
    )


def own(batch: Batch, done: NDArray[np.bool_]) -> Batch:
    """A batch without the rows of images that have been judged before."""
    return replace(batch, own=[row for row in batch.own if not done[row]])
