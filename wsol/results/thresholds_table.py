"""What a record says at each of its thresholds, side by side: oracle, transferred, box-free."""

from collections.abc import Mapping

from rich.markup import escape
from rich.table import Table

from wsol.metrics.catalog import heading
from wsol.records.record import ResultRecord

_NAMES = ("gt_known_loc", "top1_loc", "top5_loc", "max_box_acc_v2")

Row = tuple[str, Mapping[str, float | None]]


def threshold_rows(record: ResultRecord) -> list[Row]:
    """A row for each threshold: how it was chosen, and the accuracies at it by `Metrics`' names.

    The oracle's row has MaxBoxAcc as GT-known Loc, which is what it is at the threshold at which
    most images are right.
    """
    metrics = record.metrics
    policy = record.settings.get("threshold_policy", {})
    at = dict(metrics.loc_at or {})
    rows: list[Row] = [
        (
            str(policy.get("gt_known_loc", "")),
            {name: getattr(metrics, name) for name in ("gt_known_loc", "top1_loc", "top5_loc")},
        )
    ]
    best = at.pop("best", {})
    if metrics.max_box_acc is not None or metrics.max_box_acc_v2 is not None or best:
        known = best.get("gt_known_loc", metrics.max_box_acc)
        oracle = best | {"gt_known_loc": known, "max_box_acc_v2": metrics.max_box_acc_v2}
        rows.append((str(policy.get("max_box_acc", "oracle")), oracle))
    if "max_box_acc_chosen" in policy:
        chosen = {
            "gt_known_loc": metrics.max_box_acc_chosen,
            "top1_loc": metrics.top1_loc_chosen,
            "top5_loc": metrics.top5_loc_chosen,
            "max_box_acc_v2": metrics.max_box_acc_v2_chosen,
        }
        rows.append((str(policy["max_box_acc_chosen"]), chosen))
    return rows + [(f"{name} of each map, without boxes", values) for name, values in at.items()]


def thresholds_table(record: ResultRecord) -> Table:
    """The rows of a record as a table for the terminal."""
    rows = threshold_rows(record)
    names = [name for name in _NAMES if any(values.get(name) is not None for _, values in rows)]
    table = Table(box=None, header_style="bold", pad_edge=False, title_justify="left")
    table.title = escape(f"{record.model}, {record.settings.get('convention')}, by threshold:")
    table.add_column("Threshold")
    for name in names:
        table.add_column(heading(name), justify="right")
    for told, values in rows:
        cells = [values.get(name) for name in names]
        table.add_row(told, *("" if cell is None else f"{cell:.2f}" for cell in cells))
    return table
