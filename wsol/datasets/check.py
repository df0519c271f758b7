"""Verifying a copy of a data set: what is there, what is wrong, what would fix it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.loading import image_size
from wsol.datasets.masks import read_mask
from wsol.datasets.parsing import AnnotationError, Problem, Problems, as_boxes, clipped
from wsol.datasets.settling import Finding, SwappedSizeError, finding_notes, settle
from wsol.errors import InputError
from wsol.pipeline import Pipeline

_LISTED = 20
_Checked = tuple[list[Problem], Finding]
"""What is wrong with one image, and what was noticed about its photograph."""


@dataclass(slots=True)
class CheckReport:
    """The result of a check; `problems` is empty for a good copy."""

    name: str
    split: str
    images: int
    classes: int
    classes_without_images: int
    boxes: int
    masks: int
    notes: list[str]
    problems: list[Problem] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """All of it in JSON values."""
        return asdict(self)

    def text(self) -> str:
        """What a person wants to read: counts, then the problems by kind, the first of each."""
        lines = [
            f"{self.name}, split {self.split}: {self.images:,} images, {self.classes:,} classes, "
            f"{self.boxes:,} boxes, {self.masks:,} masks."
        ]
        lines += self.notes
        if self.classes_without_images:
            lines.append(f"{self.classes_without_images} classes have no image in this split.")
        if not self.problems:
            return "\n".join([*lines, "Nothing is wrong with it."])
        kinds: dict[str, list[Problem]] = {}
        for problem in self.problems:
            kinds.setdefault(problem.kind, []).append(problem)
        for kind, problems in kinds.items():
            lines.append(f"{len(problems):,} x {kind}:")
            lines += [f"  {problem.message}" for problem in problems[:_LISTED]]
            if len(problems) > _LISTED:
                lines.append(f"  ... and {len(problems) - _LISTED:,} more")
        return "\n".join(lines)


def check_dataset(
    dataset: Dataset,
    found: Problems | None = None,
    *,
    decode: bool = True,
    workers: int = 2,
    advance: Callable[[int], None] = lambda images: None,
) -> CheckReport:
    """Look at every image of a data set.

    Args:
        found: what its reader could not use.
        decode: decode each image completely, which finds truncated files; else read its header.
        workers: threads.
        advance: called with the number of images that have been finished since the last call.
    """
    report = CheckReport(
        name=dataset.name,
        split=dataset.split,
        images=len(dataset),
        classes=len(dataset.classes),
        classes_without_images=len(dataset.classes) - len({s.label for s in dataset.samples}),
        boxes=sum(len(sample.boxes) for sample in dataset.samples),
        masks=sum(sample.mask is not None for sample in dataset.samples),
        notes=list(dataset.notes),
    )
    if found is not None:
        report.problems += found.found + found.missing
        if found.clipped:
            report.notes += Problems.clipped_note(found.clipped)

    def job(sample: Sample) -> Callable[[], _Checked]:
        return lambda: _check(dataset, sample, decode)

    findings = []
    with Pipeline[_Checked](workers) as pipeline:
        for checked in _all(pipeline, map(job, dataset.samples)):
            report.problems += checked[0]
            findings.append(checked[1])
            advance(1)
    report.notes += finding_notes(np.array(findings, dtype=np.uint8))
    return report


def _all(
    pipeline: Pipeline[_Checked], jobs: Iterable[Callable[[], _Checked]]
) -> Iterator[_Checked]:
    for job in jobs:
        yield from pipeline.submit(job)
    yield from pipeline.drain()


def _check(dataset: Dataset, sample: Sample, decode: bool) -> _Checked:
    problems: list[Problem] = []

    def found(kind: str, message: str) -> None:
        problems.append(Problem(kind, sample.image_id, message))

    size, findings = sample.size, Finding.NONE
    if sample.path is not None:
        look: Literal["header", "pixels"] = "pixels" if decode else "header"
        try:
            settled = settle(replace(sample, boxes=as_boxes([])), exif=dataset.exif, look=look)
            size, findings = settled.size, settled.findings
        except SwappedSizeError as error:
            found("width and height swapped", str(error))
        except InputError as error:
            found("undecodable image" if _is_there(sample) else "missing image", str(error))
    for x0, y0, x1, y1 in sample.boxes.tolist():
        try:
            clipped((x0, y0, x1, y1), size, sample.image_id, Problems())
        except AnnotationError as error:
            found(error.kind, str(error))
    for path in (*sample.mask.objects, sample.mask.ignore) if sample.mask else ():
        if path is None:
            continue
        try:
            read_mask(path) if decode else image_size(path)
        except InputError as error:
            found("bad mask", str(error))
    return problems, findings


def _is_there(sample: Sample) -> bool:
    return sample.path is not None and sample.path.exists()
