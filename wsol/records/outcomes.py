"""Per-image outcomes of one evaluation, in a Parquet file beside its record.

What a table cannot show but statistics, plots and the report page need: for every image where the
boxes were, how well they fit, and at which thresholds the image counted as localized. Nothing in
here has to be computed again: intervals over images, the threshold slider and the galleries read
these columns alone.

Correctness over thresholds is kept as the positions at which it switches: a handful of numbers an
image instead of one for every threshold and IoU level, and exactly what a resampling needs.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wsol.errors import InputError
from wsol.files import atomic_path, require_file
from wsol.reading import quoted, reading

SCHEMA = "wsol.outcomes/1"
OUTCOMES_SUFFIX = ".outcomes.parquet"
"""In place of the `.json` of the record that the outcomes belong to."""
THUMBNAIL = 28
"""Side of the reduced score maps: enough for an overlay, since class maps are that coarse."""


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """One image's part in an evaluation.

    Attributes:
        image_id: as the data set has it.
        path: the image file as it was opened; None where pixels were not needed.
        label: class index; `class_name` for people.
        size: (width, height) of the photograph; None if unknown.
        true_boxes: (n, 4) float64 inclusive corners in pixels of the photograph.
        rank: classes that scored above the label (0 = top-1 right); None without a classifier.
        predicted: names of the classes with the highest scores, best first; empty without.
        scores: softmax probabilities of `predicted`.
        fixed_box: (4,) float64 on the protocol's grid, with the convention's corners: the largest
            component's box at the fixed threshold; `fixed_iou` its best IoU with a true box, None
            without one. Where the best of several candidates is taken, they are of that one.
        switches: for each contour kind and IoU level, under the key `"<kind>@<level>"` such as
            `"largest@0.5"`, the ascending indices of thresholds at which the image turns from
            wrong to right and back, beginning with wrong; uint16. Empty: never right.
        box_starts: (m,) uint16 ascending indices of thresholds at which the largest component's
            box changes, the first of them 0; `boxes` (m, 4) int16 on the grid, with the
            convention's corners, from there on; `ious` (m,) float32 their best IoU with a true box
            (NaN without one).
        score_map: (THUMBNAIL, THUMBNAIL) uint8, 255 times the score map over the whole photograph,
            reduced by area; 0 where a convention crops.
        values: numbers of further metrics by name, None where one is not defined.
        candidates: (C, 5) float64, the box at each of `OutcomeInfo.candidates` and its IoU (NaN
            without a true box).
    """

    image_id: str
    path: str | None
    label: int
    class_name: str
    size: tuple[int, int] | None
    true_boxes: NDArray[np.float64]
    rank: int | None
    predicted: tuple[str, ...]
    scores: NDArray[np.float64]
    fixed_box: NDArray[np.float64]
    fixed_iou: float | None
    switches: dict[str, NDArray[np.uint16]]
    box_starts: NDArray[np.uint16]
    boxes: NDArray[np.int16]
    ious: NDArray[np.float32]
    score_map: NDArray[np.uint8]
    values: dict[str, float | None] = field(default_factory=dict)
    candidates: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 5)))


@dataclass(frozen=True, slots=True)
class OutcomeInfo:
    """What holds for all rows of a file.

    Attributes:
        thresholds: (T,) float64, in the convention's units.
        iou_levels: as the protocol has them.
        kinds: contour kinds of which correctness at all thresholds is known.
        grid: (width, height) of the boxes; None: each photograph's own pixels.
        convention: of the boxes, see `wsol.boxes.runs.Convention`; of conventions that ask for one
            box, their name.
        values: names of further metrics that are a number an image.
        rules: the parts of a convention that asks for one box, by name, see
            `wsol.evaluation.conventions`; empty for `choe2020` and `exact`.
        candidates: thresholds of which the best over the images is the fixed one.
    """

    thresholds: NDArray[np.float64]
    iou_levels: tuple[float, ...]
    kinds: tuple[str, ...]
    grid: tuple[int, int] | None
    convention: str
    values: tuple[str, ...] = ()
    rules: Mapping[str, str] = field(default_factory=dict)
    candidates: tuple[float, ...] = ()

    def grid_of(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """(width, height) of the boxes of a photograph of `size`.

        Raises:
            ValueError: where that is the photograph's own, and unknown.
        """
        grid = self.grid or size
        if grid is None:
            raise ValueError("the size of a photograph in whose pixels boxes are is unknown")
        return grid

    @property
    def is_cropped(self) -> bool:
        """Whether the grid covers the central crop (224 of 256) of the squashed photograph."""
        return self.rules.get("frame") == "crop"

    @property
    def above(self) -> tuple[bool, bool]:
        """Whether GT-known and Top-k Loc ask for an IoU above 0.5, instead of reaching it."""
        return self.rules.get("hit") == "above", self.rules.get("hit_top_k") == "above"


def switches_of(correct: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Where (T,) correctness over thresholds changes, beginning with wrong."""
    return np.flatnonzero(np.diff(correct, prepend=False)).astype(np.uint16)


def correct_from(switches: NDArray[np.uint16], thresholds: int) -> NDArray[np.bool_]:
    """The (T,) correctness that `switches_of` was made of."""
    flips = np.zeros(thresholds, dtype=bool)
    flips[switches] = True
    return np.logical_xor.accumulate(flips)


def outcomes_schema(info: OutcomeInfo) -> pa.Schema:
    """The Parquet columns: those of `OutcomeRow`, `switches` as a column a key."""
    integers, boxes = pa.list_(pa.uint16()), pa.list_(pa.int16())
    keys = [f"{kind}@{level:g}" for kind in info.kinds for level in info.iou_levels]
    fields = [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("path", pa.string()),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("size", pa.list_(pa.int32())),
        pa.field("true_boxes", pa.list_(pa.float64())),
        pa.field("rank", pa.int32()),
        pa.field("predicted", pa.list_(pa.string())),
        pa.field("scores", pa.list_(pa.float64())),
        pa.field("fixed_box", pa.list_(pa.float64())),
        pa.field("fixed_iou", pa.float64()),
        *(pa.field(f"switches {key}", integers) for key in keys),
        pa.field("box_starts", integers),
        pa.field("boxes", boxes),
        pa.field("ious", pa.list_(pa.float32())),
        pa.field("score_map", pa.binary()),
        *(pa.field(f"value {name}", pa.float64()) for name in info.values),
        *([pa.field("candidates", pa.list_(pa.float64()))] if info.candidates else []),
    ]
    metadata = {
        "schema": SCHEMA.encode(),
        "thresholds": np.asarray(info.thresholds, dtype="<f8").tobytes(),
        "iou_levels": ",".join(map(repr, info.iou_levels)).encode(),
        "kinds": ",".join(info.kinds).encode(),
        "grid": b"original" if info.grid is None else ",".join(map(str, info.grid)).encode(),
        "convention": info.convention.encode(),
        "values": json.dumps(info.values).encode(),
    }
    if info.rules:
        metadata["rules"] = json.dumps(dict(info.rules)).encode()
    if info.candidates:
        metadata["candidates"] = json.dumps(info.candidates).encode()
    return pa.schema(fields, metadata=metadata | {"digest": _digest(metadata)})


def _digest(metadata: dict[str, bytes]) -> bytes:
    """Of what holds for all rows; Parquet's own checksums are of rows alone."""
    digest = hashlib.sha256()
    for name in ("schema", "thresholds", "iou_levels", "kinds", "grid", "convention", "values"):
        digest.update(metadata.get(name, b"") + b"\0")
    for name in ("rules", "candidates"):  # which files of choe2020 and exact do not have
        if name in metadata:
            digest.update(name.encode() + metadata[name] + b"\0")
    return digest.hexdigest().encode()


def outcomes_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of such files, whose pages have checksums."""
    return pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)


def write_outcomes(outcomes: Iterable[OutcomeRow], info: OutcomeInfo, path: Path) -> None:
    """Write outcomes as Parquet, atomically, in their order."""
    schema = outcomes_schema(info)
    with (
        atomic_path(path) as temporary,
        outcomes_writer(temporary, schema) as writer,
    ):
        batch: list[dict[str, Any]] = []
        for outcome in outcomes:
            batch.append(_row(outcome))
            if len(batch) == 1000:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                batch.clear()
        writer.write_table(pa.Table.from_pylist(batch, schema))


def read_outcomes(path: Path, columns: Sequence[str] | None = None) -> tuple[pa.Table, OutcomeInfo]:
    """The rows of a file as an Arrow table (of `columns`, or all), and what holds for all of them.

    Raises:
        InputError: naming the file, when it is missing, damaged or of another schema.
    """
    what = "a Parquet file of per-image outcomes"
    path = require_file(path, what)
    with reading(path, what, "evaluate again with --per-image"):
        file = pq.ParquetFile(path, page_checksum_verification=True)
        metadata = {k.decode(): v for k, v in (file.schema_arrow.metadata or {}).items()}
        found = metadata.get("schema", b"").decode()
    if found != SCHEMA:
        raise InputError(
            f"{path}: has the schema {quoted(found or 'of something else')}, this version reads "
            f"{SCHEMA!r}; evaluate again with --per-image."
        )
    with reading(path, what, "evaluate again with --per-image"):
        if metadata.get("digest", _digest(metadata)) != _digest(metadata):
            raise ValueError("its metadata is damaged")
        table = file.read(columns=None if columns is None else list(columns))
        grid = metadata["grid"].decode()
        width, height = (0, 0) if grid == "original" else map(int, grid.split(","))
        info = OutcomeInfo(
            thresholds=np.frombuffer(metadata["thresholds"], dtype="<f8"),
            iou_levels=tuple(map(float, metadata["iou_levels"].decode().split(","))),
            kinds=tuple(filter(None, metadata["kinds"].decode().split(","))),
            grid=None if grid == "original" else (width, height),
            convention=metadata["convention"].decode().replace("wsolevaluation", "choe2020"),
            values=tuple(json.loads(metadata.get("values", b"[]"))),
            rules=dict(json.loads(metadata.get("rules", b"{}"))),
            candidates=tuple(map(float, json.loads(metadata.get("candidates", b"[]")))),
        )
        _require_columns(table, info, columns)
    return table, info


def _require_columns(table: pa.Table, info: OutcomeInfo, columns: Sequence[str] | None) -> None:
    """Refuse a table that lacks a column, or has one of another type.

    Raises:
        ValueError: naming it.
    """
    schema = outcomes_schema(info)
    for name in schema.names if columns is None else columns:
        if name not in table.column_names:
            raise ValueError(f"it has no column {name}")
        if name in schema.names and table.schema.field(name).type != schema.field(name).type:
            raise ValueError(f"its column {name} is of the type {table.schema.field(name).type}")
    if info.grid is None and "size" in table.column_names and table["size"].null_count:
        raise ValueError("an image whose boxes are in its own pixels has no size")


def to_outcomes(table: pa.Table, info: OutcomeInfo) -> list[OutcomeRow]:
    """Complete rows of a table of `read_outcomes` as objects; for a few hundred, not for all."""
    keys = [f"{kind}@{level:g}" for kind in info.kinds for level in info.iou_levels]
    return [
        OutcomeRow(
            image_id=row["image_id"],
            path=row["path"],
            label=row["label"],
            class_name=row["class_name"],
            size=None if row["size"] is None else (row["size"][0], row["size"][1]),
            true_boxes=np.array(row["true_boxes"], dtype=np.float64).reshape(-1, 4),
            rank=row["rank"],
            predicted=tuple(row["predicted"]),
            scores=np.array(row["scores"], dtype=np.float64),
            fixed_box=np.array(row["fixed_box"], dtype=np.float64),
            fixed_iou=row["fixed_iou"],
            switches={key: np.array(row[f"switches {key}"], dtype=np.uint16) for key in keys},
            box_starts=np.array(row["box_starts"], dtype=np.uint16),
            boxes=np.array(row["boxes"], dtype=np.int16).reshape(-1, 4),
            ious=np.array(row["ious"], dtype=np.float32),
            score_map=np.frombuffer(row["score_map"], np.uint8).reshape(THUMBNAIL, THUMBNAIL),
            values={name: row[f"value {name}"] for name in info.values},
            candidates=np.array(row.get("candidates", ()), dtype=np.float64).reshape(-1, 5),
        )
        for row in table.to_pylist()
    ]


def _row(outcome: OutcomeRow) -> dict[str, Any]:
    row = {
        "image_id": outcome.image_id,
        "path": outcome.path,
        "label": outcome.label,
        "class_name": outcome.class_name,
        "size": outcome.size,
        "true_boxes": outcome.true_boxes.ravel(),
        "rank": outcome.rank,
        "predicted": outcome.predicted,
        "scores": outcome.scores,
        "fixed_box": outcome.fixed_box,
        "fixed_iou": outcome.fixed_iou,
        "box_starts": outcome.box_starts,
        "boxes": outcome.boxes.ravel(),
        "ious": outcome.ious,
        "score_map": outcome.score_map.tobytes(),
    }
    row |= {f"value {name}": value for name, value in outcome.values.items()}
    if len(outcome.candidates):
        row["candidates"] = outcome.candidates.ravel()
    return row | {f"switches {key}": value for key, value in outcome.switches.items()}
