"""`wsol stats`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from wsol.cli.app import app
from wsol.cli.options import ShownJsonOption
from wsol.cli.output import OUTPUT, require_targets, show_line, tell_left_out, write_json
from wsol.errors import InputError
from wsol.files import is_folder
from wsol.progress import tell

if TYPE_CHECKING:
    from wsol.records.record import ResultRecord
    from wsol.results.statistics_table import View


StatsFormat = Literal["terminal", "markdown", "csv"]


@app.command(
    epilog="""Examples:

`wsol evaluate resnet50 center --weights cub.pt --name resnet50 --data cub --root CUB_200_2011
--per-image --out cub`

`wsol stats cub/resnet50.json --update`

`wsol stats cub/resnet50.json --against cub/center.json`

`wsol stats cub/ --against cub/center.json --metric max_box_acc_v2`

`wsol stats cub/resnet50.json --by size --format markdown`
"""
)
def stats(
    records: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECORDS...",
            help="JSON files of one record made with --per-image, or folders of them.",
        ),
    ],
    against: Annotated[
        Path | None,
        typer.Option("--against", help="A reference: compare each record with it, image by image."),
    ] = None,
    by: Annotated[
        Literal["class", "size"] | None,
        typer.Option("--by", help="Accuracies of each class, or of each object size, instead."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="Only these, separated by commas: max_box_acc_v2, ..."),
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
        bool, typer.Option("--update", help="Write the intervals into the records.")
    ] = False,
    output_format: Annotated[
        StatsFormat, typer.Option("--format", help="CSV has all numbers at full precision.")
    ] = "terminal",
    json_file: ShownJsonOption = None,
) -> None:
    """How sure are records' numbers: intervals, comparisons with a reference, breakdowns.

    An interval is about all images of the kind that were evaluated, not about another training
    run. The accuracy at the threshold that is best on the images themselves is too high for them,
    the more so the fewer they are; Corrected is what resampling the images leaves of it, and the
    interval is around that. p is two-sided; of several records it is corrected by Holm's method
    for their number, for each metric on its own. Metrics at a fixed threshold have the exact
    McNemar test too. Object sizes are shares of the photograph that the largest true box covers;
    breakdowns keep the thresholds that are best over all images.
    """
    from wsol.records.record import write_record
    from wsol.results import statistics_table as tables
    from wsol.results.breakdown import break_down
    from wsol.results.optimism import Bootstrap
    from wsol.results.recorded_run import (
        RecordedRun,
        differing_choices,
        paired_facts,
        read_run,
        with_intervals,
    )
    from wsol.results.several_runs import compare_all, names_of, read_runs
    from wsol.results.statistics import compare_runs, intervals

    if against is not None and by is not None:
        raise InputError("--by shows groups of one run, --against compares two; choose one.")
    if update and (against is not None or by is not None):
        raise InputError("--update writes intervals; leave --against and --by out.")
    if common and against is None:
        raise InputError("--common belongs to --against.")
    if metric is not None and (update or by is not None):
        raise InputError("--metric chooses rows; leave --update and --by out.")
    require_targets(None, json_file, None)
    bootstrap = Bootstrap(resamples, seed, level)
    reference = None if against is None else read_run(against)
    runs, left_out = read_runs(records, without=against)
    tell_left_out(left_out)
    several = len(runs) > 1 or any(is_folder(path) for path in records)
    first = runs[0]
    if by is not None and several:
        raise InputError("--by shows groups of one run; name one record.")
    metrics = None if metric is None else _known(metric, first.record)
    title, data = first.record.model, f"{first.record.dataset} {first.record.split}"
    told: dict[str, Any] = {"dataset": first.record.dataset, "split": first.record.split}
    images = len(first.table)

    def tell_differences(run: RecordedRun, other: RecordedRun) -> None:
        for difference in differing_choices(run.record, other.record):
            tell(f"{run.record.model} and {other.record.model} differ: {difference}.")

    if by is not None:
        rows = tables.group_rows(break_down(first.facts, by))
        view = tables.group_view(first.record, rows, by)
    elif reference is None:
        rows = []
        for name, run in zip(names_of(runs), runs, strict=True):
            estimates = intervals(run.facts, bootstrap)
            own = tables.interval_rows(run.record, estimates, metrics)
            rows += [{"model": name} | row for row in own] if several else own
            if update:
                write_record(with_intervals(run.record, estimates, bootstrap), run.path)
        view = tables.interval_view(first.record, level, several)
    elif several:
        rows = tables.compared_rows(compare_all(runs, reference, bootstrap, common, metrics))
        view = tables.compared_view(first.record, level, reference.record.model)
        for run in runs:
            tell_differences(run, reference)
    else:
        pair = paired_facts(first, reference, common)
        images = len(pair[0])
        found = compare_runs(*pair, bootstrap)
        rows = tables.difference_rows(
            {name: d for name, d in found.items() if metrics is None or name in metrics}
        )
        view = tables.difference_view(first.record, level)
        tell_differences(first, reference)
    if several:
        title = f"{len(runs)} records"
    else:
        told = {"model": title} | told
    if reference is not None:
        title += f" against {reference.record.model}"
        told["against"] = reference.record.model
    if json_file is not None:
        made = {} if by is not None else asdict(bootstrap)
        counted = {} if several else {"images": images}
        write_json({**told, **counted, **made, "rows": rows}, json_file)
    if json_file == "-":
        return
    title += f", {data}" if several else f", {data}, {images:,} images"
    _print(rows, view, output_format, title)


def _known(text: str, record: "ResultRecord") -> list[str]:
    """Names of columns, of a list separated by commas."""
    from wsol.results.cells import columns_of, frame, require_columns

    names = [name.strip() for name in text.split(",") if name.strip()]
    require_columns(names, columns_of(frame([record])))
    return names


def _print(rows: list[dict[str, Any]], view: "View", form: StatsFormat, title: str) -> None:
    from wsol.results import escaping
    from wsol.results import statistics_table as tables

    if form == "terminal":
        show_line(escaping.printable(title), "bold")
        OUTPUT.print(tables.to_terminal(rows, view))
    else:
        markdown = form == "markdown"
        typer.echo(tables.to_markdown(rows, view) if markdown else tables.to_csv(rows), nl=False)
