"""Training sets: images and image-level labels, and nothing that localizes.

The trainer of a layout opens no file of boxes, sizes or masks; where a format keeps labels and
boxes in one file (`shapes`), the box columns are not looked at. Samples have no boxes.
"""

from dataclasses import replace
from pathlib import Path

from wsol.datasets.base import Dataset, Packed, limited
from wsol.datasets.opening import nothing_collected, whole_or_noted
from wsol.datasets.parsing import as_boxes
from wsol.datasets.registry import (
    LAYOUTS,
    from_plugin,
    load,
    reader_arguments,
    require_root,
    require_training_name,
)
from wsol.datasets.shards import is_zipped
from wsol.errors import InputError


def open_training_set(
    name: str,
    root: Path | None = None,
    *,
    images: Path | None = None,
    split: str | None = None,
    limit: int | None = None,
) -> Dataset:
    """Open images with their labels alone.

    Args:
        name: a layout of `wsol.datasets.registry.TRAINING_SETS`, or `package.module:callable`,
            whose boxes are dropped.
        root: its folder. `protocol` is one four-file folder; `openimages` is the folder whose
            subfolders are those splits.
        images: the image root, for layouts that take one.
        split: None takes `train`.
        limit: keep so many images, see `wsol.datasets.base.limited`.

    Raises:
        InputError: for an unknown name, a missing split, or anything wrong in the files.
    """
    require_training_name(name)
    given = {"images": images, "split": split}
    if name not in LAYOUTS:
        return limited(_blind(from_plugin(name, root, given, None)[0]), limit)
    layout = LAYOUTS[name]
    assert layout.trainer is not None
    arguments = reader_arguments(layout, layout.training_split, given)
    if layout.only_split and arguments["split"] != layout.training_split:
        raise InputError(f"{name}: training has the split {layout.training_split}, not {split!r}.")
    with nothing_collected():
        dataset = load(layout.trainer)(require_root(layout, root), **arguments)
    shards = {sample.path.shard for sample in dataset.samples if isinstance(sample.path, Packed)}
    for shard in sorted(shards):
        if shard.suffix.lower() != ".parquet" and is_zipped(shard):
            raise InputError(
                f"{shard}: is gzipped, so that images are read from its beginning alone; training "
                "reads them in any order: unzip it."
            )
    return limited(whole_or_noted(dataset), limit)


def _blind(dataset: Dataset) -> Dataset:
    """The same images and labels without anything that localizes."""
    nothing = as_boxes([])
    samples = [replace(s, boxes=nothing, size=None, mask=None) for s in dataset.samples]
    return replace(dataset, samples=samples)
