"""Generated images of textured shapes: offline, seeded, with exact boxes and masks.

One object an image, of one of `CLASSES`, in front of a textured background and among clutter
that belongs to no class: lines, arcs, blobs and splinters. A class has an outline, a surface
pattern and a hue that varies and overlaps with its neighbours'. Clutter takes the hues of all
classes, so that colour helps to classify an image but does not give the object away; size,
position, aspect ratio, rotation and lighting are drawn independently of the class. Some objects
have little contrast with what is behind them, some are crossed by clutter.

Layout of a folder: `images/<split>/<number>.png`, `masks/<split>/<number>.png` (255 = the visible
object), `annotations.csv` (one line an image) and `shapes.json` (format, parameters, digest).
"""

import colorsys
import csv
import hashlib
import io
import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from wsol.datasets.base import Dataset, MaskFiles, Sample
from wsol.datasets.parsing import (
    AnnotationError,
    Problems,
    corner_box,
    four_numbers,
    image_path,
    unique,
    whole_number,
)
from wsol.errors import InputError
from wsol.files import atomic_folder, exists, is_folder, require_folder
from wsol.pipeline import begin_worker
from wsol.reading import quoted, read_json, read_rows, reading

Split = Literal["train", "val", "test"]

FORMAT = "wsol.shapes/1"
CLASSES = ("disc", "ring", "square", "triangle", "star", "cross", "crescent", "heart")
MIN_SIZE, MAX_SIZE = 32, 1024

_COLUMNS = ("image", "class", "width", "height", "x0", "y0", "x1", "y1")
_SUPERSAMPLING = 4
_CENTRED = ("star", "crescent")  # whose patterns turn around the object's centre
_MIN_VISIBLE = 0.7  # of an object's area, beside what clutter hides

Field = NDArray[np.float32]
"""(size, size) values of one image, or its (3, size, size) colours; float32, nominally 0 to 1."""
Colour = NDArray[np.float32]
"""(3, 1, 1) red, green, blue in [0, 1]."""
Points = NDArray[np.float64]
"""(n, 2) corners of a polygon as x, y."""
_Name = tuple[Split, int, str]
"""Split, number and file of a picture."""
_Drawn = tuple[int, tuple[int, int, int, int]]
"""Label and box of a picture."""


@dataclass(frozen=True, slots=True)
class ShapesParameters:
    """What a folder was generated from; two folders with equal parameters are equal.

    An image depends on `size`, `seed`, its split and its number alone: more images of a split
    leave the first ones as they were.
    """

    train: int
    val: int
    test: int
    size: int
    seed: int

    def __post_init__(self) -> None:
        if min(self.train, self.val, self.test) < 0:
            raise InputError("shapes: the number of images of a split cannot be negative.")
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise InputError(
                f"shapes: the image size {self.size} is outside {MIN_SIZE} to {MAX_SIZE} pixels."
            )
        if self.seed < 0:
            raise InputError(f"shapes: the seed {self.seed} is negative; use 0 or more.")


# --- outlines: polygons within about one unit of the origin -------------------------------------


def _circle(radius: float = 1.0, centre: tuple[float, float] = (0.0, 0.0)) -> Points:
    angles = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + centre


def _regular(corners: int) -> Points:
    angles = 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _star() -> Points:
    angles = np.pi * np.arange(10) / 5
    radius = np.where(np.arange(10) % 2 == 0, 1.0, 0.45)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius[:, None]


def _cross() -> Points:
    arm = 0.34
    quarter = np.array([[1, -arm], [1, arm], [arm, arm]])
    turn = np.array([[0, 1], [-1, 0]])
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])


def _heart() -> Points:
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, y], axis=1) / 17


def _outline(name: str) -> tuple[Points, Points | None]:
    """The polygon of a class and the polygon cut out of it, if any."""
    match name:
        case "disc":
            return _circle(), None
        case "ring":
            return _circle(), _circle(0.55)
        case "square":
            return _regular(4), None
        case "triangle":
            return _regular(3), None
        case "star":
            return _star(), None
        case "cross":
            return _cross(), None
        case "crescent":
            return _circle(), _circle(0.85, (0.5, 0.0))
        case "heart":
            return _heart(), None
    raise AssertionError(name)


# --- surfaces -----------------------------------------------------------------------------------


def _edge(wave: NDArray[np.float64], sharpness: float = 3.0) -> Field:
    """A wave around zero as a pattern of two tones with soft, alias-free borders."""
    return (0.5 + 0.5 * np.tanh(sharpness * wave)).astype(np.float32)


def _pattern(name: str, x: NDArray[np.float64], y: NDArray[np.float64], period: float) -> Field:
    """The surface of a class at the object's own coordinates x, y (pixels from its centre)."""
    u, v = 2 * np.pi * x / period, 2 * np.pi * y / period
    match name:
        case "disc":  # hexagonal dots
            half, height = 0.5 * u, np.sqrt(0.75) * v
            return _edge((np.cos(u) + np.cos(half + height) + np.cos(half - height)) / 2 - 0.2)
        case "ring":  # stripes
            return _edge(np.sin(u))
        case "square":  # checks
            return _edge(2 * np.sin(u / 2) * np.sin(v / 2))
        case "triangle":  # waves
            return _edge(np.sin(u + 1.6 * np.sin(v / 2)))
        case "star":  # spokes
            return _edge(np.sin(7 * np.arctan2(y, x)))
        case "cross":  # a grid of thin lines
            return _edge(np.maximum(np.cos(u / 1.5), np.cos(v / 1.5)) - 0.75, 6.0)
        case "crescent":  # circles around the centre
            return _edge(np.sin(np.hypot(u, v)))
        case "heart":  # herringbone
            return _edge(np.sin(u + np.where(np.sin(v / 2) > 0, v, -v)))
    raise AssertionError(name)


def _noise(rng: np.random.Generator, size: int, cells: float) -> Field:
    """Smooth noise with about `cells` bumps along a side, stretched to [0, 1]."""
    count = max(2, round(cells)) + 3
    grid = Image.fromarray(rng.random((count, count), dtype=np.float32))
    cell = (count - 3) / count
    shift = rng.random(2) * 2 / count
    box = (shift[0] * count, shift[1] * count, (shift[0] + cell) * count, (shift[1] + cell) * count)
    field = np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC, box=box))
    low, high = field.min(), field.max()
    return ((field - low) / (high - low)).astype(np.float32)


def _colour(rng: np.random.Generator) -> Colour:
    """A muted colour."""
    colour = rng.uniform(0.25, 0.75) + rng.normal(0, 0.1, (3, 1, 1))
    return np.clip(colour, 0, 1).astype(np.float32)


def _tint(rng: np.random.Generator, label: int) -> Colour:
    """A saturated colour around the hue of a class."""
    hue = (label / len(CLASSES) + rng.normal(0, 0.045)) % 1
    colour = colorsys.hsv_to_rgb(hue, rng.uniform(0.35, 0.9), rng.uniform(0.4, 0.95))
    return np.array(colour, dtype=np.float32).reshape(3, 1, 1)


def _shade(rng: np.random.Generator, colour: Colour, low: float, high: float) -> Colour:
    """A lighter or darker variety of a colour, by `low` to `high` where the cube has room."""
    difference, light = rng.uniform(low, high), float(colour.mean())
    lighter = light + difference <= 1 and (rng.random() < 0.5 or light < difference)
    shade = colour + (difference if lighter else -difference) + rng.normal(0, 0.05, (3, 1, 1))
    return np.clip(shade, 0, 1).astype(np.float32)


def _two_tones(pattern: Field, first: Colour, second: Colour) -> Field:
    return first + pattern * (second - first)


# --- rendering ----------------------------------------------------------------------------------


class _Canvas:
    """An antialiased stencil: drawn enlarged, then averaged down to coverage in [0, 1]."""

    def __init__(self, size: int) -> None:
        side = size * _SUPERSAMPLING
        self._image = Image.new("L", (side, side))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: Points, fill: int = 255) -> None:
        corners = np.asarray(points) * _SUPERSAMPLING
        self._draw.polygon([(float(x), float(y)) for x, y in corners], fill=fill)

    def stroke(self, points: Points, width: float) -> None:
        corners = [(float(x), float(y)) for x, y in np.asarray(points) * _SUPERSAMPLING]
        self._draw.line(corners, fill=255, width=round(width * _SUPERSAMPLING), joint="curve")

    def coverage(self) -> Field:
        reduced = self._image.reduce(_SUPERSAMPLING)
        return np.asarray(reduced, dtype=np.float32) / np.float32(255)


def _clutter(rng: np.random.Generator, size: int) -> Field:
    """Coverage of one distractor: a line, an arc, a blob or a splinter."""
    canvas = _Canvas(size)
    centre = rng.uniform(0.02, 0.98, 2) * size
    kind = rng.integers(4)
    if kind == 0:
        angle, half = rng.uniform(0, np.pi), rng.uniform(0.1, 0.6) * size
        step = half * np.array([np.cos(angle), np.sin(angle)])
        canvas.stroke(np.stack([centre - step, centre + step]), rng.uniform(0.01, 0.03) * size)
    elif kind == 1:
        angles = rng.uniform(0, 2 * np.pi) + np.linspace(0, rng.uniform(0.6, 2.2), 24)
        radius = rng.uniform(0.1, 0.35, 2) * size
        points = centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        canvas.stroke(points, rng.uniform(0.01, 0.03) * size)
    elif kind == 2:
        angles = np.linspace(0, 2 * np.pi, 96, endpoint=False)
        phase = rng.uniform(0, 2 * np.pi, 2)
        swing = 0.22 * np.cos(3 * angles + phase[0]) + 0.18 * np.cos(4 * angles + phase[1])
        radius = rng.uniform(0.04, 0.14) * size * (1 + swing)
        canvas.polygon(centre + radius[:, None] * _circle())
    else:
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.08, 0.35) * size
        along = length * np.array([np.cos(angle), np.sin(angle)])
        across = rng.uniform(-0.2, 0.2, 3)[:, None] * (along @ np.array([[0, 1], [-1, 0]]))
        canvas.polygon(centre + np.outer([-0.5, 0.1, 0.5], along) + across)
    return canvas.coverage()


def _object(rng: np.random.Generator, name: str, size: int) -> tuple[Field, Field]:
    """Coverage and surface pattern of one object of a class, somewhere in the image."""
    outline, hole = _outline(name)
    angle, stretch = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(-0.35, 0.35))
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shape = np.diag([stretch, 1 / stretch])
    if rng.random() < 0.5:
        shape = np.diag([1.0, -1.0]) @ shape
    matrix = shape @ rotation
    points = outline @ matrix
    low, high = points.min(axis=0), points.max(axis=0)
    extent = high - low
    scale = rng.uniform(0.18, 0.8) * size / np.sqrt(extent.prod())
    scale = min(scale, 0.94 * size / extent.max())
    margin = 0.01 * size
    centre = rng.uniform(margin - low * scale, size - margin - high * scale)

    canvas = _Canvas(size)
    canvas.polygon(points * scale + centre)
    if hole is not None:
        canvas.polygon(hole @ matrix * scale + centre, fill=0)

    rows, columns = np.mgrid[:size, :size] + 0.5
    offset = np.stack([columns - centre[0], rows - centre[1]], axis=-1) @ rotation.T
    period = np.clip(rng.uniform(0.3, 0.45) * scale, 0.06 * size, 0.15 * size)
    phase = np.zeros(2) if name in _CENTRED else rng.uniform(0, period, 2)
    surface = _pattern(name, offset[..., 0] + phase[0], offset[..., 1] + phase[1], period)
    return canvas.coverage(), surface


def _background(rng: np.random.Generator, size: int, first: Colour, second: Colour) -> Field:
    weights = rng.dirichlet([1.0, 1.0, 1.0])
    cells = (rng.uniform(2, 5), rng.uniform(6, 14), rng.uniform(20, 40))
    mixed = sum(w * _noise(rng, size, c) for w, c in zip(weights, cells, strict=True))
    if rng.random() < 0.4:
        angle, period = rng.uniform(0, np.pi), rng.uniform(0.05, 0.3) * size
        rows, columns = np.mgrid[:size, :size]
        wave = np.sin(2 * np.pi * (columns * np.cos(angle) + rows * np.sin(angle)) / period)
        mixed = 0.7 * mixed + 0.3 * _edge(wave, 1.5)
    return _two_tones(np.asarray(mixed, dtype=np.float32), first, second)


def _light(rng: np.random.Generator, image: Field) -> Field:
    """Uneven light, contrast and sensor noise."""
    size = image.shape[-1]
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    slope = rng.uniform(0, 0.5) * (columns * np.cos(angle) + rows * np.sin(angle))
    image = (image - 0.5) * np.float32(rng.uniform(0.55, 1.0)) + np.float32(rng.uniform(0.4, 0.6))
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    return image * (1 + slope).astype(np.float32) + np.float32(rng.uniform(0.005, 0.05)) * noise


def render(
    parameters: ShapesParameters, split: Split, number: int
) -> tuple[int, NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw one image.

    Returns:
        The label; the image, (size, size, 3) uint8; the visible object, (size, size) bool:
        pixels that the object covers by half or more.
    """
    size = parameters.size
    rng = np.random.default_rng([parameters.seed, get_args(Split).index(split), number])
    label = number % len(CLASSES)
    ground = _colour(rng)
    image = _background(rng, size, ground, _shade(rng, ground, 0.1, 0.35))

    def paint(canvas: Field, coverage: Field, surface: Field) -> Field:
        return canvas + coverage * (surface - canvas)

    def distractor() -> tuple[Field, Field]:
        colour = _tint(rng, int(rng.integers(len(CLASSES))))
        other = _shade(rng, colour, 0.0, 0.35)
        surface = _two_tones(_noise(rng, size, rng.uniform(4, 24)), colour, other)
        return _clutter(rng, size), surface

    for _ in range(rng.integers(2, 7)):
        image = paint(image, *distractor())
    coverage, pattern = _object(rng, CLASSES[label], size)
    colour = _tint(rng, label)
    image = paint(image, coverage, _two_tones(pattern, colour, _shade(rng, colour, 0.35, 0.6)))
    visible = coverage
    for _ in range(rng.integers(0, 3)):
        hiding, surface = distractor()
        remaining = visible * (1 - hiding)
        if remaining.sum() >= _MIN_VISIBLE * coverage.sum():
            image, visible = paint(image, hiding, surface), remaining
    pixels = np.clip(np.rint(_light(rng, image) * 255), 0, 255).astype(np.uint8)
    return label, np.ascontiguousarray(pixels.transpose(1, 2, 0)), visible >= 0.5


def mask_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The tight box of a mask with at least one pixel: x0, y0, x1, y1, inclusive."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


# --- folders ------------------------------------------------------------------------------------


def _digest(root: Path, images: Iterator[str]) -> str:
    """SHA-256 over every picture and mask, in the order of the annotations."""
    digest = hashlib.sha256((root / "annotations.csv").read_bytes())
    for image in images:
        for kind in ("images", "masks"):
            digest.update((root / kind / image).read_bytes())
    return digest.hexdigest()


def _names(parameters: ShapesParameters) -> Iterator[_Name]:
    for split in get_args(Split):
        for number in range(getattr(parameters, split)):
            yield split, number, f"{split}/{number:06d}.png"


def _is_complete(root: Path, parameters: ShapesParameters) -> bool:
    """Whether `root` already holds exactly these images.

    Raises:
        InputError: when it holds anything else.
    """
    if not exists(root) or (is_folder(root) and not any(root.iterdir())):
        return False
    try:
        header = json.loads((root / "shapes.json").read_text(encoding="utf-8"))
        found, digest = header["parameters"], header["sha256"]
        same = header["format"] == FORMAT and found == asdict(parameters)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{root}: exists and is not a shapes data set; choose an empty or a new folder."
        ) from error
    if not same:
        raise InputError(
            f"{root}: holds other shapes ({header['format']}, {found}); "
            "choose another folder or delete this one."
        )
    try:
        intact = _digest(root, (name for _, _, name in _names(parameters))) == digest
    except OSError:
        intact = False
    if not intact:
        raise InputError(f"{root}: this copy of shapes is damaged; delete it and generate it anew.")
    return True


def generate_shapes(
    root: Path,
    *,
    train: int,
    test: int,
    size: int,
    seed: int,
    val: int = 0,
    processes: int = 1,
    advance: Callable[[int], None] = lambda images: None,
) -> None:
    """Write the data set to the folder `root`: the whole folder appears at once, or nothing.

    The same arguments give the same bytes. A folder that already holds them is verified and left
    alone.

    Args:
        train, val, test: number of images of each split; the classes take turns.
        size: side of the square images in pixels.
        processes: that draw at once.
        advance: called with the number of images that have been finished since the last call;
            with all of them where they are there.

    Raises:
        InputError: for arguments out of range, or when `root` holds anything else.
    """
    root = Path(root)
    parameters = ShapesParameters(train=train, val=val, test=test, size=size, seed=seed)
    total = train + val + test
    if total == 0:
        raise InputError("shapes: every split is empty; ask for at least one image.")
    if _is_complete(root, parameters):
        advance(total)
        return
    with atomic_folder(root) as temporary:
        _write(temporary, parameters, processes, advance)


def _write(
    root: Path,
    parameters: ShapesParameters,
    processes: int,
    advance: Callable[[int], None],
) -> None:
    names = list(_names(parameters))
    for split in {split for split, _, _ in names}:
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(_COLUMNS)
    size = parameters.size
    with _drawn(partial(_draw, root, parameters), names, processes) as pictures:
        for (_, _, name), (label, box) in zip(names, pictures, strict=True):
            writer.writerow([name, CLASSES[label], size, size, *box])
            advance(1)
    (root / "annotations.csv").write_text(table.getvalue(), encoding="utf-8")
    header = {
        "format": FORMAT,
        "parameters": asdict(parameters),
        "classes": CLASSES,
        "sha256": _digest(root, (name for _, _, name in names)),
    }
    (root / "shapes.json").write_text(json.dumps(header, indent=2) + "\n", encoding="utf-8")


def _draw(root: Path, parameters: ShapesParameters, picture: _Name) -> _Drawn:
    """Write one picture and its mask; its label and box."""
    split, number, name = picture
    label, pixels, mask = render(parameters, split, number)
    Image.fromarray(pixels).save(root / "images" / name, compress_level=1)
    Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(root / "masks" / name)
    return label, mask_box(mask)


@contextmanager
def _drawn(
    draw: Callable[[_Name], _Drawn], names: list[_Name], processes: int
) -> Iterator[Iterable[_Drawn]]:
    """What `draw` returns for each name, in their order."""
    if processes == 1:
        yield map(draw, names)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, begin_worker) as pool:
        try:
            yield pool.map(draw, names, chunksize=16)
        finally:
            pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C no picture is begun


def read_shapes(root: Path, split: str = "test", problems: Problems | None = None) -> Dataset:
    """Read one split of a folder that `generate_shapes` wrote; no picture is opened.

    Samples have one box (n = 1), the tight inclusive corners of the visible object, and its mask.

    Raises:
        InputError: naming the file and the line that cannot be used, or an empty split.
    """
    problems = problems or Problems(strict=True)
    root = Path(root)
    samples = []
    for row, where in _rows(root, split, problems):
        with problems.leaving_out(row[0]):
            samples.append(_sample(root, row, where))
    return _dataset(root, split, samples, problems)


def read_shapes_labels(root: Path, split: str = "train") -> Dataset:
    """A training set: names and classes alone; the columns of boxes and masks are not looked at."""
    root = Path(root)
    nothing = np.empty((0, 4))
    problems = Problems(strict=True)
    samples = [
        Sample(row[0], image_path(root / "images", row[0], where), _label(row, where), nothing)
        for row, where in _rows(root, split, problems)
    ]
    return _dataset(root, split, samples, problems)


def _dataset(root: Path, split: str, samples: list[Sample], problems: Problems) -> Dataset:
    if not samples and not problems.found:
        raise InputError(f"{root}: the split {split!r} has no images; generate the data set anew.")
    samples = unique(samples, root / "annotations.csv", "images", problems)
    notes = tuple(f"shapes {key} = {value}" for key, value in _header(root).items())
    return Dataset("shapes", split, samples, CLASSES, CLASSES, notes)


def _header(root: Path) -> dict[str, int]:
    """The parameters that a folder was generated from."""
    path = root / "shapes.json"
    header = read_json(path, "the parameters of a shapes data set")
    with reading(path, "the parameters of a shapes data set", "generate the data set anew"):
        classes, form = tuple(header["classes"]), header["format"]
        parameters = dict(header["parameters"])
    if form != FORMAT or classes != CLASSES:
        raise InputError(
            f"{path}: has the format {quoted(form)}, this version reads {FORMAT!r}; "
            "generate the data set anew."
        )
    return parameters


def _rows(root: Path, split: str, problems: Problems) -> Iterator[tuple[list[str], str]]:
    """The annotation lines of a split, each with its place."""
    require_folder(root, "a shapes data set (see generate_shapes)")
    if split not in get_args(Split):
        raise InputError(f"shapes has the splits {', '.join(get_args(Split))}; not {split!r}.")
    _header(root)
    table = root / "annotations.csv"
    rows = read_rows(table, "the annotations of a shapes data set")
    if tuple(next(rows, ([], ""))[0]) != _COLUMNS:
        raise InputError(f"{table}:1: expected the columns {', '.join(_COLUMNS)}.")
    for row, where in rows:
        if len(row) != len(_COLUMNS):
            told = f"{where}: has {len(row)} columns instead of {len(_COLUMNS)}"
            problems.add("malformed line", row[0], f"{told}; generate the data set anew.")
        elif row[0].split("/")[0] == split:
            yield row, where


def _label(row: list[str], where: str) -> int:
    if row[1] not in CLASSES:
        raise AnnotationError(
            "foreign label", f"{where}: the class {quoted(row[1])} is none of shapes'."
        )
    return CLASSES.index(row[1])


def _sample(root: Path, row: list[str], where: str) -> Sample:
    name, _, *numbers = row
    width, height = (
        whole_number(text, what, where)
        for text, what in zip(numbers[:2], ("width", "height"), strict=True)
    )
    x0, y0, x1, y1 = corner_box(four_numbers(numbers[2:], where), where)
    if not (0 <= x0 <= x1 < width and 0 <= y0 <= y1 < height):
        raise AnnotationError(
            "box outside its image", f"{where}: the box is empty or outside its image."
        )
    return Sample(
        image_id=name,
        path=image_path(root / "images", name, where),
        label=_label(row, where),
        boxes=np.array([[x0, y0, x1, y1]], dtype=np.float64),
        size=(width, height),
        mask=MaskFiles(objects=(image_path(root / "masks", name, where),)),
    )
