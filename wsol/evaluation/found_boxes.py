"""The boxes of a map, for those who want nothing else of it.

The definition is that of the convention `exact`: pixels that reach a share of the map's maximum,
8-connected, each component's tight box; the largest has the most pixels.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsol.boxes.all_levels import box_runs
from wsol.boxes.levels import exact_levels
from wsol.boxes.one_level import largest_box_at
from wsol.boxes.runs import Contours
from wsol.datasets.loading import image_size
from wsol.datasets.shards import SUFFIXES
from wsol.errors import InputError
from wsol.evaluation.box_writing import FoundBoxes
from wsol.evaluation.judging import share_of, to_grid, validate_map
from wsol.maps.files import ScoreMaps
from wsol.maps.normalize import is_constant

GRID = (224, 224)
"""(width, height) of a network's maps, on which the published protocol compares boxes."""


def boxes_of_map(
    score_map: NDArray[Any], threshold: float | str, contours: Contours = "largest"
) -> NDArray[np.int32]:
    """The boxes of a map's components at a threshold, in no order; (n, 4) inclusive corners on it.

    Args:
        score_map: (H, W) finite, not negative. A constant one, which says nothing about where the
            object is, has no box.
        threshold: in units of the map's maximum, or a policy of `wsol.maps.automatic`.
    """
    if is_constant(score_map):
        return np.empty((0, 4), np.int32)
    levels = exact_levels(score_map, np.array([share_of(score_map, threshold)]))
    if contours == "largest":
        return largest_box_at(levels, 0, "exact")
    return box_runs(levels, "all", "exact").at(0)


def found_in(
    image_id: str,
    score_map: NDArray[Any],
    size: tuple[int, int],
    threshold: float | str,
    contours: Contours = "largest",
    *,
    score: float | None = None,
) -> FoundBoxes:
    """A map's boxes in the photograph that it covers.

    Args:
        score_map: as for `boxes_of_map`; its edges are those of the photograph.
        size: (width, height) of the photograph.
        score: of the class. A box's score is the map's mean inside of it, in units of the map's
            maximum, times that; without, the mean alone.
    """
    boxes = boxes_of_map(score_map, threshold, contours)
    top = float(score_map.max()) or 1.0
    means = np.array(
        [float(score_map[y0 : y1 + 1, x0 : x1 + 1].mean()) / top for x0, y0, x1, y1 in boxes]
    )
    order = np.argsort(-means, kind="stable")
    height, width = score_map.shape
    far = np.array([0, 0, 1, 1])
    placed = (boxes + far) * (np.tile(size, 2) / np.tile((width, height), 2)) - far
    # In a photograph smaller than the map a box may be thinner than a pixel: it covers one.
    placed[:, 2:] = np.maximum(placed[:, 2:], placed[:, :2])
    return FoundBoxes(
        image_id, placed[order], means[order] * (1.0 if score is None else score), size
    )


def boxes_of_maps(
    maps: Path,
    images: Path | None,
    threshold: float | str,
    contours: Contours = "largest",
    *,
    at_least_grid: bool = False,
) -> Iterator[FoundBoxes]:
    """The boxes of every map under a path, in the order of names.

    Args:
        maps: in any layout of `wsol.maps.files`.
        images: the folder of the photographs, each named as its map is, with or without a suffix:
            boxes are in their pixels, and maps below 224x224 are upsampled to that first, as in an
            evaluation. None: boxes are in pixels of the maps.
        at_least_grid: upsample small maps also without photographs.

    Raises:
        InputError: naming a map that is none, or one whose photograph is missing.
    """
    names = ScoreMaps(maps, ()).extra
    if not names:
        raise InputError(f"{maps}: holds no score maps.")
    files = ScoreMaps(maps, names)
    photographs = None if images is None else photographs_below(images)
    for name in names:
        try:
            score_map = validate_map(files.read(name))
        except ValueError as error:
            raise InputError(f"{files.where(name)}: {error}.") from error
        height, width = score_map.shape
        image_id, size = name, (width, height)
        if photographs is not None:
            if name not in photographs:
                raise InputError(
                    f"{files.where(name)}: {images} has no photograph {name!r}; choose the right "
                    "folder, or leave --images out for boxes in pixels of the maps."
                )
            image_id = photographs[name]
            size = image_size(Path(images or "", image_id), upright=True)
        elif at_least_grid:
            size = GRID
        if size != (width, height) and min(width, height) < min(GRID):
            score_map = to_grid(score_map, GRID)  # so that boxes are not made of a network's cells
        yield found_in(image_id, score_map, size, threshold, contours)


def photographs_below(folder: Path) -> dict[str, str]:
    """The photographs in and below a folder by their paths below it, and by those without suffix
    where only one has it.

    Raises:
        InputError: when there is none.
    """
    found: list[str] = []
    for parent, folders, files in os.walk(folder):
        folders.sort()
        relative = os.path.relpath(parent, folder)
        prefix = "" if relative == "." else relative.replace(os.sep, "/") + "/"
        found += [
            prefix + file
            for file in sorted(files)
            if file.lower().endswith(SUFFIXES) and not file.startswith(".")
        ]
    if not found:
        raise InputError(f"{folder}: has no photographs in it.")
    stems = [str(PurePosixPath(name).with_suffix("")) for name in found]
    shared = Counter(stems)
    plain = {stem: name for stem, name in zip(stems, found, strict=True) if shared[stem] == 1}
    return plain | {name: name for name in found}
