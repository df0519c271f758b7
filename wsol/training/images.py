"""Training images: labels and pixels, cropped and mirrored at random, reproducibly."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from wsol.datasets.base import Dataset, ImageFile
from wsol.datasets.loading import open_image
from wsol.errors import InputError
from wsol.maps.framing import fit
from wsol.processes import Processes

_MARGIN = 256 / 224


class TrainingImages(TorchDataset[tuple[Tensor, int]]):
    """The augmentation of the published protocol: resize to a square, random crop, random flip.

    The square is 256/224 times the crop's side (256 for 224). Only paths and labels are taken
    from the data set; boxes and masks stay out of reach of whatever trains on this.

    An item is asked for by its index and its visit, a number that says how many times its image
    has been shown: the pair and the seed alone decide the crop and the flip, in whatever process
    and order items are loaded.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        size: int,
        interpolation: Literal["bilinear", "bicubic"],
        seed: int,
        cache: bool,
    ) -> None:
        """
        Args:
            size: side of the crops in pixels.
            cache: keep every image after its first decoding, as resized: 3 bytes a pixel. Useful
                only where items are loaded in one process.

        Raises:
            InputError: when the data set has no images or was opened without them.
        """
        if len(dataset) == 0:
            raise InputError(
                f"{dataset.name}, split {dataset.split}: there is nothing to train on."
            )
        self._items: list[tuple[ImageFile, int]] = []
        for sample in dataset.samples:
            if sample.path is None:
                raise InputError(
                    f"{dataset.name}: training needs pixels, but the data set was opened without "
                    f"images (first: {sample.image_id}); name the image folder with --images."
                )
            self._items.append((sample.path, sample.label))
        self._size = size
        self._side = round(size * _MARGIN)
        self._interpolation = interpolation
        self._seed = seed
        self._cache: dict[int, Tensor] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int]:
        """The image of `key` = (index, visit) as a (3, size, size) uint8 tensor, and its label."""
        index, visit = key
        rng = np.random.default_rng([self._seed, visit, index])
        x, y = rng.integers(self._side - self._size + 1, size=2)
        pixels = self._whole(index)[:, y : y + self._size, x : x + self._size]
        if rng.random() < 0.5:
            pixels = pixels.flip(2)
        return pixels, self._items[index][1]

    def _whole(self, index: int) -> Tensor:
        if self._cache is not None and index in self._cache:
            return self._cache[index]
        with open_image(self._items[index][0]) as image:
            # A square photograph covers the square: no padding is visible.
            pixels = fit(image, self._side, "squash", self._interpolation, (0, 0, 0))
        whole = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
        if self._cache is not None:
            self._cache[index] = whole
        return whole


class ShuffledBatches:
    """Batches of keys for `TrainingImages` over a whole training run.

    Every epoch visits the images in another order, decided by the seed and the epoch; what does
    not fill a batch at its end is left out of that epoch, so that every batch is full.

    Args:
        batch_size: images of one step in all processes together.
        first: the step to begin with, for a run that goes on.
        processes: this process gets its equal share of every batch.
    """

    def __init__(
        self,
        images: int,
        *,
        batch_size: int,
        epochs: int,
        seed: int,
        first: int = 0,
        processes: Processes | None = None,
    ) -> None:
        self.steps_per_epoch = images // batch_size
        self._images = images
        self._batch_size = batch_size
        self._steps = range(first, self.steps_per_epoch * epochs)
        self._seed = seed
        self._processes = processes or Processes()

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.empty(0, dtype=np.int64)
        for step in self._steps:
            epoch, place = divmod(step, self.steps_per_epoch)
            if place == 0 or len(order) == 0:
                order = np.random.default_rng([self._seed, epoch]).permutation(self._images)
            batch = order[place * self._batch_size : (place + 1) * self._batch_size]
            own = batch[self._processes.rank :: self._processes.count]
            yield [(int(index), epoch) for index in own]
