"""How long commands take to start, beside Python itself.

Runs each command several times in turns, modules compiled as where they are installed, and prints
the shortest time of each by the clock, and by the processor: what else the machine does can only
lengthen them, and the second one less. On a quiet machine they are the same.

    python benchmarks/startup.py
    python benchmarks/startup.py --rounds 20 --results wsol-results
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

_RESULTS = Path(__file__).parents[1] / "results"


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    results: Annotated[Path, typer.Option(help="A folder of records.")] = _RESULTS,
) -> None:
    """Measure, and print the targets beside."""
    cases: dict[str, tuple[list[str], float | None]] = {
        "python -c pass": (["-c", "pass"], None),
        "import wsol": (["-c", "import wsol"], 0.1),
        "wsol --help": (["-m", "wsol", "--help"], 0.25),
        "wsol evaluate --help": (["-m", "wsol", "evaluate", "--help"], 0.35),
        "wsol models": (["-m", "wsol", "models"], 1.5),
        "wsol table results/": (
            ["-m", "wsol", "table", str(results), "--group-by", "dataset,convention,images"],
            1.2,
        ),
        "import pandas": (["-c", "import pandas"], None),
        "import torch": (["-c", "import torch"], None),
    }
    # Else every start compiles the package anew, which no installed one does.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    shortest = dict.fromkeys(cases, (float("inf"), float("inf")))
    for _ in range(rounds):
        for name, (arguments, _target) in cases.items():
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                [sys.executable, *arguments],
                stdout=subprocess.DEVNULL,
                env=environment,
                check=True,
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            clock, processor = shortest[name]
            shortest[name] = min(clock, time.perf_counter() - start), min(processor, used)
    for name, (_, target) in cases.items():
        clock, processor = shortest[name]
        told = "" if target is None else f"  (target: {target:g} s)"
        print(f"{name:<24}{clock:6.2f} s, processor {processor:5.2f} s{told}")


if __name__ == "__main__":
    typer.run(main)
