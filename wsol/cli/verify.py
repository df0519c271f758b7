"""`wsol verify`."""

from pathlib import Path
from typing import Annotated

import typer

from wsol.cli.app import app
from wsol.cli.options import ShownJsonOption
from wsol.cli.output import show_line, write_json
from wsol.errors import InputError
from wsol.progress import tell


@app.command(
    epilog="""Examples:

`wsol verify cub/resnet50.json`

`wsol verify results/submissions --json -`
"""
)
def verify(
    records: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECORDS...",
            help="Record files made with --per-image, or folders of them.",
        ),
    ],
    json_file: ShownJsonOption = None,
) -> None:
    """Check that records follow from the per-image files beside them.

    Of each: the schema; every metric that images add up to, computed again with its best
    thresholds, and COCO AP of a network's boxes; right and wrong against IoUs, and IoUs against
    boxes; and the annotations against the known ones of ILSVRC, CUB and Tiny ImageNet, by their
    content, whatever reader they came through. Exits with 2 where one does not hold, or has no
    per-image file; these are counted in one line, and `--json -` tells each.
    """
    from wsol.records.record import record_files
    from wsol.results.recorded_run import NoOutcomesError
    from wsol.results.verify import verify as check

    found, failed, bare = [], [], []
    for path in record_files(records):
        try:
            done = check(path)
        except InputError as error:
            found.append({"record": str(path), "holds": False, "reason": str(error)})
            if isinstance(error, NoOutcomesError):
                bare.append(str(error))
            else:
                failed.append(str(error))
                tell(str(path), "refused")
            continue
        found.append(
            {
                "record": str(path),
                "holds": True,
                "model": done.record.model,
                "annotations": done.annotations,
                "recomputed": list(done.recomputed),
                "taken": list(done.taken),
                "ious_recomputed": done.ious,
                "notes": list(done.notes),
            }
        )
        if json_file == "-":
            continue
        told = f"{path}: holds. {len(done.recomputed)} metrics computed again"
        told += f"; taken as they are: {', '.join(done.taken)}" if done.taken else ""
        show_line(f"{told}.")
        show_line(f"  Annotations: {done.annotations or 'not recognized'}")
        for note in done.notes:
            show_line(f"  {note}")
    if json_file is not None:
        write_json(found, json_file)
    if len(bare) > 1:
        bare = [
            f"{len(bare):,} of {len(found):,} records have no per-image file beside them, so that "
            "nothing was computed again; evaluate them with --per-image (--json - names each)."
        ]
    if failed or bare:
        raise InputError("\n".join([*failed, *bare]))
