"""What every experiment writes: records, tables, and plots where there is something to plot."""

from pathlib import Path

from rich.console import Console

from wsol.files import write_text
from wsol.results.cells import Layout
from wsol.results.plots import plot_parameters, plot_threshold_curves
from wsol.results.record import ResultRecord, write_record
from wsol.results.table import terminal_table, to_csv, to_markdown


def write_results(records: list[ResultRecord], out: Path) -> None:
    """Write a record file a model and the tables into `out`, and print the table."""
    for record in records:
        name = f"{record.dataset}-{record.model}".replace(":", "-").replace("/", "-")
        write_record(record, out / "records" / f"{name}.json")
    layout = Layout(group_by=("dataset",))
    write_text(out / "table.md", to_markdown(records, layout))
    write_text(out / "table.csv", to_csv(records, layout))
    if sum(bool(record.parameters) for record in records) > 1:
        plot_parameters(records, out / "parameters.png")
        plot_threshold_curves(records, out / "thresholds.png")
    console = Console()
    console.print(terminal_table(records, layout))
    console.print(f"Written to {out}")
