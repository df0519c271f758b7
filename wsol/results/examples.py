"""Examples: which images to show, where their photographs lie, and how a map is laid over one."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from wsol.boxes.geometry import crop_margins
from wsol.datasets.base import ImageFile, Packed
from wsol.datasets.loading import open_image
from wsol.datasets.shards import recorded_image
from wsol.files import exists, inside, is_file
from wsol.records.outcomes import OutcomeInfo, OutcomeRow
from wsol.records.record import ResultRecord

_MOST_PIXELS = 50_000_000
"""Of a photograph that is brought to its annotated size."""
COLOUR_MAP = "inferno"
"""Of score maps: equal steps look equal, also in grey and with any colour vision."""
OVERLAY_STRENGTH = 0.7
"""Opacity of a score map over its photograph, from half its range on; below, it fades out."""


def spread(class_names: Sequence[str], count: int, seed: int) -> list[int]:
    """Positions of at most `count` images, drawn at random but evenly over the classes.

    One image of each class, in random order, before a second one of any.
    """
    rng = np.random.default_rng(seed)
    names = np.asarray(class_names, dtype=object)
    order = rng.permutation(len(names))
    turns = np.zeros(len(names), dtype=np.int64)
    taken: dict[str, int] = {}
    for position in order:
        name = names[position]
        turns[position] = taken.get(name, 0)
        taken[name] = turns[position] + 1
    by_turn = order[np.argsort(turns[order], kind="stable")]
    return by_turn[:count].tolist()


def find_photograph(image_id: str, recorded: str | None, root: Path | None) -> ImageFile | None:
    """The file of an image, or its place in a shard; None if it is not there.

    Args:
        image_id: a path relative to the data set's folder, or just the file's name.
        recorded: where it was when it was evaluated.
        root: the folder to look in instead, if the images have moved: for `image_id`, then for
            ever shorter ends of the recorded path.

    Raises:
        InputError: when the id leads out of `root`.
    """
    if root is None:
        path = None if recorded is None else recorded_image(recorded)
        there = path is not None and (path.exists() if isinstance(path, Packed) else exists(path))
        return path if there else None
    candidates = [inside(root, image_id, "the per-image outcomes")]
    parts = PurePosixPath(recorded.replace("\\", "/")).parts if recorded else ()
    ends = (parts[start:] for start in range(len(parts)))
    candidates += [root.joinpath(*end) for end in ends if ".." not in end and end[0] != "/"]
    return next((path for path in candidates if is_file(path)), None)


def open_photograph(path: ImageFile, size: tuple[int, int] | None) -> Image.Image:
    """A photograph as its annotation sees it: turned, and of the annotated size (width, height).

    Copies that were squashed or shrunk are stretched back, so that boxes lie where they belong.

    Raises:
        InputError: naming the file, when it cannot be opened.
    """
    photograph = open_image(path)
    if size is None or photograph.size == size or size[0] * size[1] > _MOST_PIXELS:
        return photograph
    if photograph.size == size[::-1]:
        upright = open_image(path, upright=True)
        if upright.size == size:
            return upright
    return photograph.resize(size, Image.Resampling.BILINEAR)


def missing_photograph(image_id: str, recorded: str | None, root: Path | None) -> str:
    """Which file is missing, and what to do."""
    if root is not None:
        return f"{root}: has no image {image_id}; name the data set's image folder with --images."
    if recorded is None:
        return f"{image_id}: was evaluated without its image; name the image folder with --images."
    return f"{recorded}: the image is not there; name its folder with --images."


def grid_to_photograph(
    boxes: NDArray[np.integer] | NDArray[np.floating],
    grid: tuple[int, int],
    size: tuple[int, int],
) -> NDArray[np.float64]:
    """Boxes (n, 4) or (4,) on a grid, as (n, 4) inclusive corners in a photograph of `size`.

    Both sizes are (width, height). Edges are scaled, so that a box over the whole grid covers the
    whole photograph.
    """
    far = np.array([0, 0, 1, 1])
    edges = np.asarray(boxes, dtype=np.float64).reshape(-1, 4) + far
    return edges * (np.tile(size, 2) / np.tile(grid, 2)) - far


def boxes_as_shown(
    boxes: NDArray[np.integer] | NDArray[np.floating],
    info: OutcomeInfo,
    size: tuple[int, int] | None,
) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Boxes of outcomes for `grid_to_photograph`: inclusive corners on a grid over the photograph.

    A crop's grid is one of the whole squashed photograph then; 0, 0, 0, 0, which is no box, stays.

    Args:
        boxes: (n, 4) or (4,) as a row of outcomes has them.
        size: (width, height) of the photograph as it was annotated.

    Returns:
        The boxes (n, 4), and the grid's (width, height).
    """
    grid = info.grid_of(size)
    shown = np.asarray(boxes, dtype=np.float64).reshape(-1, 4).copy()
    none = ~shown.any(axis=1)
    if info.rules.get("corners") == "exclusive":
        shown[:, 2:] -= 1
    if info.is_cropped:
        across, down = crop_margins(grid)
        shown += (across, down, across, down)
        grid = grid[0] + 2 * across, grid[1] + 2 * down
    shown[none] = 0
    return shown, grid


def fixed_threshold(record: ResultRecord) -> float:
    """The threshold of GT-known and Top-k Loc; the usual one where each map chose its own."""
    settings = record.settings
    several = [value for value in settings.get("thresholds", ()) if not isinstance(value, str)]
    usual = settings.get("fixed_threshold", several[0] if several else 0.2)
    return float(record.metrics.loc_threshold or usual)


def index_at(thresholds: NDArray[np.float64], threshold: float) -> int:
    """The position of the greatest of (T,) thresholds that is not above `threshold`."""
    return max(0, int(np.searchsorted(thresholds, threshold + 1e-9, side="right")) - 1)


def box_at(outcome: OutcomeRow, index: int) -> tuple[NDArray[np.int16], float]:
    """The largest component's box (4,) at a threshold's position, and its IoU (NaN: no truth)."""
    run = int(np.searchsorted(outcome.box_starts, index, side="right")) - 1
    return outcome.boxes[run], float(outcome.ious[run])


def overlay(
    image: NDArray[np.uint8], score_map: NDArray[np.uint8] | NDArray[np.float32]
) -> NDArray[np.uint8]:
    """An image with its score map over it, in the colours of `COLOUR_MAP`.

    Args:
        image: (H, W, 3).
        score_map: (h, w) covering the whole image at any resolution; float within [0, 1].
    """
    height, width = image.shape[:2]
    values = np.asarray(score_map, dtype=np.float32)
    if score_map.dtype == np.uint8:
        values /= 255
    smooth = Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)
    values = np.clip(np.asarray(smooth), 0, 1)
    opacity = OVERLAY_STRENGTH * np.minimum(1, 2 * values)[..., None]
    heat = colormaps[COLOUR_MAP](values)[..., :3] * 255
    return np.rint((1 - opacity) * image + opacity * heat).astype(np.uint8)


def jpeg_uri(image: Image.Image, side: int) -> str:
    """A photograph, reduced to at most `side` pixels, as a `data:` address for a page."""
    reduced = image.copy()
    reduced.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    reduced.save(stream, "JPEG", quality=85, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def colour_table() -> NDArray[np.uint8]:
    """(256, 3) the colours of a score map's 8-bit values."""
    colours = colormaps[COLOUR_MAP](np.arange(256))[:, :3]
    return np.rint(255 * colours).astype(np.uint8)
