"""Thresholds chosen on another set than the one to report on, within one command."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from wsol.errors import InputError
from wsol.evaluation.options import EvaluationOptions
from wsol.files import write_text
from wsol.records.record import ResultRecord


def with_chosen(
    options: EvaluationOptions,
    run: Callable[[EvaluationOptions], list[ResultRecord]],
    file: Path,
    *,
    pseudo_boxes: bool,
) -> EvaluationOptions:
    """Options that also report at the thresholds which are best on a selection set.

    Args:
        run: evaluates the same models on the selection set, with the options that it is called
            with.
        file: where to write down the records of that, for `threshold_from`.
        pseudo_boxes: the set's boxes are machine-made (Murtaza et al., WACV 2025).

    Raises:
        InputError: when thresholds are named already, there are several methods, whose thresholds
            nothing tells apart, or none of the conventions searches them.
    """
    if options.threshold_from is not None:
        raise InputError("--select-data and --threshold-from both choose thresholds; use one.")
    if len(options.method) > 1:
        raise InputError(
            f"--select-data: chooses thresholds of one method's maps; {', '.join(options.method)} "
            "are several, evaluate them in turn."
        )
    searching = [own.convention[0] for own in options.protocol.each() if own.searches]
    if not searching:
        names = ", ".join(options.protocol.convention)
        raise InputError(
            f"--select-data: chooses among all thresholds, which {names} does not search; "
            "add --search."
        )
    given = options.protocol.threshold
    if isinstance(given, Mapping):
        given = {name: value for name, value in given.items() if name in searching} or None
    alone = options.replaced(
        protocol=options.protocol.replaced(
            convention=searching, threshold=given, also_at=(), metric=()
        ),
        per_image=False,
        curves=False,
        coco=False,
        latency=False,
        save_scoremaps=None,
    )
    records = run(alone)
    for record in records:
        if pseudo_boxes:
            record.settings["pseudo_boxes"] = True
    write_text(file, json.dumps([json.loads(record.to_json()) for record in records]))
    return options.replaced(threshold_from=file)
