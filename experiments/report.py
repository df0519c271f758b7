"""What every experiment writes: records, tables, and plots where there is something to plot."""

from pathlib import Path

from rich.console import Console

from wsol.files import write_text
from wsol.results.plots import plot_parameters, plot_threshold_curves
from wsol.results.record import ResultRecord, write_record
from wsol.results.table import terminal_table, to_csv, to_markdown


def write_results(records: list[ResultRecord], out: Path) -> None:
    """Write a record file a model and the tables into `out`, and print the table."""
    for record in records:
        name = f"{record.dataset}-{record.model}".replace(":", "-").replace("/", "-")
        write_record(record, out / "records" / f"{name}.json")
    write_text(out / "table.md", to_markdown(records, group_by="dataset"))
    write_text(out / "table.csv", to_csv(records, group_by="dataset"))
    if sum(bool(record.parameters) for record in records) > 1:
        plot_parameters(records, out / "parameters.png")
        plot_threshold_curves(records, out / "thresholds.png")
    console = Console()
    for dataset in dict.fromkeys(record.dataset for record in records):
        console.print(terminal_table([r for r in records if r.dataset == dataset]))
    console.print(f"Written to {out}")
