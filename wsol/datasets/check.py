"""Verifying a copy of a data set: what is there, what is wrong, what would fix it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.loading import image_size, open_image
from wsol.datasets.parsing import AnnotationError, Problem, Problems, clipped
from wsol.errors import InputError
from wsol.pipeline import Pipeline

_LISTED = 20


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

    def job(sample: Sample) -> Callable[[], list[Problem]]:
        return lambda: _check(sample, decode)

    with Pipeline[list[Problem]](workers) as pipeline:
        for sample in dataset.samples:
            for problems in pipeline.submit(job(sample)):
                report.problems += problems
                advance(1)
        for problems in pipeline.drain():
            report.problems += problems
            advance(1)
    return report


def _check(sample: Sample, decode: bool) -> list[Problem]:
    problems = []

    def found(kind: str, message: str) -> None:
        problems.append(Problem(kind, sample.image_id, message))

    size = sample.size
    if sample.path is not None:
        try:
            actual = open_image(sample.path).size if decode else image_size(sample.path)
        except InputError as error:
            missing = not sample.path.exists()
            found("missing image" if missing else "undecodable image", str(error))
        else:
            if size is not None and size != actual:
                found(
                    "image of another size",
                    f"{sample.path}: is {actual[0]}x{actual[1]}, annotated as {size[0]}x{size[1]}; "
                    "replace it by the original.",
                )
            size = actual
    for x0, y0, x1, y1 in sample.boxes.tolist():
        try:
            clipped((x0, y0, x1, y1), size, sample.image_id, Problems())
        except AnnotationError as error:
            found(error.kind, str(error))
    for path in (*sample.mask.objects, sample.mask.ignore) if sample.mask else ():
        if path is None:
            continue
        try:
            image_size(path) if not decode else open_image(path)
        except InputError as error:
            found("bad mask", str(error))
    return problems
