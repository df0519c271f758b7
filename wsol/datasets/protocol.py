"""The annotation files of the WSOL evaluation protocol (Choe et al., CVPR 2020).

A folder such as `CUB/test` holds four files of comma-separated lines:

- `image_ids.txt`: the images, as paths below the image root;
- `class_labels.txt`: image, label;
- `image_sizes.txt`: image, width, height (empty for OpenImages);
- `localization.txt`: image, x0, y0, x1, y1, a line a box; or, for OpenImages, image, mask PNG,
  ignore PNG (empty where there is none), a line an object.

The folders `train`, `val` and `test` are the splits that the protocol calls `train-weaksup`,
`train-fullsup` and `test`.
"""

from collections import defaultdict
from collections.abc import Container
from pathlib import Path

import numpy as np

from wsol.datasets.base import Dataset, MaskFiles, Sample
from wsol.datasets.classes import imagenet_classes
from wsol.datasets.parsing import (
    as_boxes,
    box_of,
    check_inside,
    fields,
    read_lines,
    require_samples,
    whole_number,
)
from wsol.errors import InputError
from wsol.files import inside, require_folder

_WHAT = "one of the protocol's four annotation files"
_SPLITS = {"train": "train-weaksup", "val": "train-fullsup", "test": "test"}


def read_protocol(root: Path, images: Path | None = None, masks: Path | None = None) -> Dataset:
    """Read one four-file folder.

    Args:
        root: the folder.
        images: the image root; None leaves `Sample.path` empty.
        masks: the mask root of OpenImages; None takes the image root.

    Raises:
        InputError: naming file and line of what is wrong.
    """
    root = require_folder(root, "a folder with image_ids.txt, class_labels.txt, ...")
    if images is not None:
        require_folder(images, "the image root")
    if masks is not None:
        require_folder(masks, "the mask root")
    labels = image_labels(root)
    sizes: dict[str, tuple[int, int]] = {}
    for line, where in read_lines(root / "image_sizes.txt", _WHAT):
        image_id, width, height = _known(fields(line, 3, ",", where), labels, where)
        sizes[image_id] = (
            whole_number(width, "width", where),
            whole_number(height, "height", where),
        )
        if 0 in sizes[image_id]:
            raise InputError(f"{where}: the size {width}x{height} is empty.")

    boxes: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
    objects: dict[str, list[Path]] = defaultdict(list)
    ignored: dict[str, Path] = {}
    mask_root = masks or images
    for line, where in read_lines(root / "localization.txt", _WHAT):
        parts = line.split(",")
        image_id = _known(parts, labels, where)[0]
        if len(parts) == 5:
            box = box_of(parts[1:], where)
            if image_id in sizes:
                check_inside(box, sizes[image_id], where)
            boxes[image_id].append(box)
        elif len(parts) == 3:
            objects[image_id].append(inside(mask_root or root, parts[1], where))
            if parts[2]:
                ignored[image_id] = inside(mask_root or root, parts[2], where)
        else:
            raise InputError(
                f"{where}: is neither image,x0,y0,x1,y1 nor image,mask,ignore: {line[:80]!r}."
            )
    if objects and mask_root is None:
        raise InputError(
            f"{root / 'localization.txt'}: names mask files; say where they are with --masks."
        )

    samples = []
    nothing = as_boxes([])
    for image_id, label in labels.items():
        if image_id not in boxes and image_id not in objects:
            raise InputError(f"{root / 'localization.txt'}: has no line for {image_id}.")
        own = boxes.get(image_id)
        mask = None
        if image_id in objects:
            mask = MaskFiles(tuple(objects[image_id]), ignored.get(image_id))
        samples.append(
            Sample(
                image_id=image_id,
                path=None if images is None else Path(images) / image_id,
                label=label,
                boxes=nothing if own is None else as_boxes(own),
                size=sizes.get(image_id),
                mask=mask,
            )
        )
    require_samples(samples, root / "image_ids.txt", "an image path on every line")
    return as_dataset(root, samples)


def image_labels(root: Path) -> dict[str, int]:
    """The label of every image of a four-file folder, in the order of `image_ids.txt`.

    Raises:
        InputError: naming file and line of an id twice or out of its root, or an image without
            a label.
    """
    ids: dict[str, None] = {}
    for line, where in read_lines(root / "image_ids.txt", _WHAT):
        if line in ids:
            raise InputError(f"{where}: the image {line} is listed twice.")
        inside(root, line, where)
        ids[line] = None
    labels: dict[str, int] = {}
    for line, where in read_lines(root / "class_labels.txt", _WHAT):
        image_id, label = _known(fields(line, 2, ",", where), ids, where)
        labels[image_id] = whole_number(label, "label", where)
    for image_id in ids:
        if image_id not in labels:
            raise InputError(f"{root / 'class_labels.txt'}: has no label for {image_id}.")
    return {image_id: labels[image_id] for image_id in ids}


def as_dataset(root: Path, samples: list[Sample]) -> Dataset:
    """Samples of a four-file folder with what the folder's place says: data set and split."""
    resolved = root.resolve()
    classes, names = _classes(samples)
    return Dataset(
        name=resolved.parent.name,
        split=_SPLITS.get(resolved.name, resolved.name),
        samples=samples,
        classes=classes,
        class_names=names,
    )


def _known(parts: list[str], known: Container[str], where: str) -> list[str]:
    if parts[0] not in known:
        raise InputError(f"{where}: {parts[0]!r} is not among image_ids.txt.")
    return parts


def _classes(samples: list[Sample]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Keys and names: ImageNet's for 1,000 labels, else the folders of the images, else numbers."""
    count = int(np.max([sample.label for sample in samples])) + 1
    imagenet = imagenet_classes()
    if count == len(imagenet):
        return tuple(wnid for wnid, _ in imagenet), tuple(name for _, name in imagenet)
    folders: dict[int, set[str]] = defaultdict(set)
    for sample in samples:
        folders[sample.label].add(sample.image_id.rpartition("/")[0].rpartition("/")[2])
    found = [folders.get(label, set()) for label in range(count)]
    keys = [next(iter(names)) if len(names) == 1 else "" for names in found]
    if "" in keys or len(set(keys)) != count:
        keys = [str(label) for label in range(count)]
    return tuple(keys), tuple(keys)
