"""`wsol stats`."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wsol.cli.app import app
from wsol.cli.options import JsonOption
from wsol.cli.output import OUTPUT, write_json
from wsol.errors import InputError
from wsol.progress import MESSAGES


class GroupName(StrEnum):
    """What images are grouped by."""

    CLASS = "class"
    SIZE = "size"


class StatsFormat(StrEnum):
    """What the numbers are printed as."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    CSV = "csv"


@app.command(
    epilog="""Examples:

`wsol evaluate resnet50 center --data cub --root CUB_200_2011 --per-image --out cub`

`wsol stats cub/resnet50.json --update`

`wsol stats cub/resnet50.json --against cub/center.json`

`wsol stats cub/resnet50.json --by size --format markdown`
"""
)
def stats(
    record: Annotated[Path, typer.Argument(help="JSON file of one record made with --per-image.")],
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Another record: compare the two on the same images."),
    ] = None,
    by: Annotated[
        GroupName | None,
        typer.Option("--by", help="Accuracies of each class, or of each object size, instead."),
    ] = None,
    resamples: Annotated[
        int, typer.Option("--resamples", min=1, help="Of all images, drawn with replacement.")
    ] = 2000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the resamples.")] = 0,
    level: Annotated[float, typer.Option("--level", help="Confidence of the intervals.")] = 0.95,
    common: Annotated[
        bool, typer.Option("--common", help="--against: only images that both runs have.")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Write the intervals into the record.")
    ] = False,
    output_format: Annotated[StatsFormat, typer.Option("--format")] = StatsFormat.TERMINAL,
    json_file: JsonOption = None,
) -> None:
    """How sure are a record's numbers: intervals, comparison of two runs, breakdowns.

    Intervals come from resampling the images (percentile bootstrap); the best thresholds are
    chosen again in every resample. They say nothing about another training run. A comparison
    draws the same images for both runs; p is two-sided, and metrics at a fixed threshold have the
    exact McNemar test beside it. Object sizes are shares of the photograph that the largest true
    box covers; breakdowns keep the thresholds that are best over all images.
    """
    from wsol.records.record import write_record
    from wsol.results import escaping
    from wsol.results import statistics_table as tables
    from wsol.results.breakdown import break_down
    from wsol.results.recorded_run import (
        differing_choices,
        paired_facts,
        read_run,
        with_intervals,
    )
    from wsol.results.statistics import Bootstrap, compare_runs, intervals

    if against is not None and by is not None:
        raise InputError("--by shows groups of one run, --against compares two; choose one.")
    if update and (against is not None or by is not None):
        raise InputError("--update writes intervals; leave --against and --by out.")
    if common and against is None:
        raise InputError("--common belongs to --against.")
    bootstrap = Bootstrap(resamples, seed, level)
    run = read_run(record)
    facts = run.facts
    title, data = run.record.model, f"{run.record.dataset} {run.record.split}"
    told = {"model": run.record.model, "dataset": run.record.dataset, "split": run.record.split}
    if by is not None:
        rows = tables.group_rows(break_down(facts, by.value))
        view = tables.group_view(run.record, rows, by.value)
    elif against is not None:
        other = read_run(against)
        facts, second = paired_facts(run, other, common)
        rows = tables.difference_rows(compare_runs(facts, second, bootstrap))
        view = tables.difference_view(run.record, level)
        title += f" against {other.record.model}"
        told["against"] = other.record.model
        for difference in differing_choices(run.record, other.record):
            MESSAGES.print(f"The two runs differ: {difference}.", markup=False, soft_wrap=True)
    else:
        estimates = intervals(facts, bootstrap)
        rows = tables.interval_rows(run.record, estimates)
        view = tables.interval_view(run.record, level)
        if update:
            write_record(with_intervals(run.record, estimates, bootstrap), record)
    if json_file is not None:
        made = {} if by is not None else asdict(bootstrap)
        write_json({**told, "images": len(facts), **made, "rows": rows}, json_file)
    if json_file == "-":
        return
    if output_format is StatsFormat.TERMINAL:
        heading = escaping.printable(f"{title}, {data}, {len(facts):,} images")
        OUTPUT.print(heading, markup=False, style="bold", highlight=False)
        OUTPUT.print(tables.to_terminal(rows, view))
    else:
        markdown = output_format is StatsFormat.MARKDOWN
        typer.echo(tables.to_markdown(rows, view) if markdown else tables.to_csv(rows), nl=False)
