"""Many records with their per-image outcomes: each one's intervals, or all against a reference."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsol.errors import InputError
from wsol.files import exists, is_folder
from wsol.records.record import record_files
from wsol.results.names import names_among
from wsol.results.optimism import Bootstrap
from wsol.results.recorded_run import RecordedRun, outcomes_of, paired_facts, read_run
from wsol.results.statistics import Difference, compare_runs, holm


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric of one of several runs beside the reference's.

    `holm_p` is `difference.p` after Holm's correction over all runs that have the metric.
    """

    name: str
    metric: str
    images: int
    difference: Difference
    holm_p: float


def read_runs(
    paths: Iterable[Path], without: Path | None = None
) -> tuple[list[RecordedRun], list[Path]]:
    """Every record named, or in and below a folder named, that has outcomes beside it.

    Args:
        without: a record that is left out, such as the reference.

    Returns:
        The runs, and the records in folders that have no outcomes.

    Raises:
        InputError: where none is left, or naming the file that `read_run` refuses.
    """
    runs: list[RecordedRun] = []
    left_out: list[Path] = []
    named = list(map(Path, paths))
    for path in named:
        for file in record_files([path]):
            if without is not None and file.resolve() == without.resolve():
                continue
            if is_folder(path) and not exists(outcomes_of(file)):
                left_out.append(file)
            elif file.resolve() not in {run.path.resolve() for run in runs}:
                runs.append(read_run(file))
    if not runs:
        raise InputError(
            f"{', '.join(map(str, named))}: no record has per-image outcomes beside it; "
            "evaluate again with --per-image."
        )
    return runs, left_out


def names_of(runs: Sequence[RecordedRun]) -> list[str]:
    """What tells the runs apart: the models, with their method, weights, seed or convention where
    those differ; or else the files."""
    names = names_among([run.record for run in runs])
    return [
        run.path.stem if name.is_numbered else name.label
        for run, name in zip(runs, names, strict=True)
    ]


def compare_all(
    runs: Sequence[RecordedRun],
    reference: RecordedRun,
    bootstrap: Bootstrap,
    common: bool,
    metrics: Sequence[str] | None = None,
) -> list[Compared]:
    """Each metric of each run against the reference's, metric by metric, the best run first.

    Args:
        common: compare each run on the images that it shares with the reference.
        metrics: only these; None compares all that a run and the reference have.

    Raises:
        InputError: naming the run that does not compare with the reference.
    """
    found: dict[str, list[tuple[str, int, Difference]]] = {}
    for name, run in zip(names_of(runs), runs, strict=True):
        try:
            first, second = paired_facts(run, reference, common)
        except InputError as error:
            raise InputError(f"{run.path}: {error}") from error
        for metric, difference in compare_runs(first, second, bootstrap).items():
            if metrics is None or metric in metrics:
                found.setdefault(metric, []).append((name, len(first), difference))
    rows = []
    for metric, entries in found.items():
        adjusted = holm([difference.p for _, _, difference in entries])
        compared = [
            Compared(name, metric, images, difference, p)
            for (name, images, difference), p in zip(entries, adjusted, strict=True)
        ]
        rows += sorted(compared, key=lambda row: -row.difference.difference)
    return rows
