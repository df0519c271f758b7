"""The centre Gaussian and the whole image on the published ILSVRC and CUB test annotations.

Neither looks at a pixel, so the annotation files of the protocol are all the data it needs:
ILSVRC/test (50,000 images) and CUB/test (5,794 images) of the `metadata` folder released with
Choe et al., CVPR 2020.

    python experiments/center_baseline.py --metadata wsol-metadata
"""

from pathlib import Path
from typing import Annotated

import typer
from report import write_results

from wsol.datasets.registry import open_dataset
from wsol.evaluate import Options, evaluate
from wsol.protocol import Protocol


def main(
    metadata: Annotated[Path, typer.Option(help="Holds ILSVRC/test and CUB/test.")],
    out: Annotated[Path, typer.Option()] = Path("results/center-baseline"),
) -> None:
    """Evaluate both baselines on both data sets and write records and tables."""
    records = []
    # The threshold steps at which the reference numbers in README.md were taken.
    for name, step in (("ILSVRC", 0.01), ("CUB", 0.001)):
        dataset = open_dataset("protocol", metadata / name / "test")
        options = Options(protocol=Protocol(threshold_step=step))
        records += [evaluate(baseline, dataset, options) for baseline in ("center", "full")]
    write_results(records, out)


if __name__ == "__main__":
    typer.run(main)
