"""The whole thing, offline and small: make data, train, evaluate, tabulate, draw."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape

from wsol.baselines import BASELINES
from wsol.datasets.base import Dataset
from wsol.datasets.shapes import generate_shapes, read_shapes
from wsol.evaluate import Options
from wsol.files import write_text
from wsol.models.checkpoint import read_checkpoint, save_checkpoint
from wsol.models.classifier import Preprocessing
from wsol.models.registry import build_classifier
from wsol.progress import track
from wsol.results.plots import plot_parameters, plot_threshold_curves
from wsol.results.record import ResultRecord
from wsol.results.report import ReportOptions, write_report
from wsol.results.sources import read_sources
from wsol.results.table import terminal_table, to_csv, to_markdown
from wsol.runs import ModelRequest, evaluate_models, file_names
from wsol.training.options import TrainingOptions
from wsol.training.train import StepReport, train_classifier

_IMAGES = {"train": 2400, "val": 0, "test": 600}
_IMAGE_SIDE = 128
_INPUT_SIDE = 112
_EXAMPLES = 60


@dataclass(frozen=True, slots=True)
class Recipe:
    """One network of the demo and how it is trained; narrow, so that two cores are enough."""

    spec: str
    width: float
    epochs: int
    learning_rate: float

    @property
    def arguments(self) -> dict[str, float | bool]:
        """What the registry's builder takes."""
        # A VGG without normalization does not train from scratch in minutes.
        normalized = {"batch_norm": True} if self.spec == "vgg16_gap" else {}
        return {"width": self.width, **normalized}

    @property
    def file_name(self) -> str:
        """The checkpoint's name."""
        return f"{self.spec}-width-{self.width:g}.pt"


RECIPES = (
    Recipe("resnet50", 0.25, epochs=6, learning_rate=0.05),
    Recipe("resnet50", 0.125, epochs=6, learning_rate=0.1),
    Recipe("vgg16_gap", 0.125, epochs=5, learning_rate=0.05),
    Recipe("vgg16_gap", 0.0625, epochs=6, learning_rate=0.05),
)


def run_demo(
    out: Path, *, seed: int, device: str, console: Console, recipes: tuple[Recipe, ...] = RECIPES
) -> list[ResultRecord]:
    """Make everything below `out`; steps that are finished there are not repeated.

    Args:
        seed: of the generated images and of the training.
        recipes: the networks; their order is the table's.

    Returns:
        The records of the networks and of both baselines.
    """
    start = time.perf_counter()
    data = out / f"shapes-seed-{seed}"
    console.print(f"[bold]1/4[/bold] Drawing {sum(_IMAGES.values()):,} pictures of shapes")
    with track("pictures", sum(_IMAGES.values())) as advance:
        generate_shapes(
            data,
            **_IMAGES,
            size=_IMAGE_SIDE,
            seed=seed,
            progress=lambda done, total: advance(1),
        )
    training, test = read_shapes(data, "train"), read_shapes(data, "test")

    console.print("[bold]2/4[/bold] Training from labels alone; no box is read")
    checkpoints = [
        _trained(recipe, training, out / f"checkpoints-seed-{seed}", seed, device)
        for recipe in recipes
    ]

    console.print("[bold]3/4[/bold] Evaluating the networks and the baselines")
    folder = out / "records"
    requests = [
        *(
            ModelRequest(recipe.spec, str(path))
            for recipe, path in zip(recipes, checkpoints, strict=True)
        ),
        *map(ModelRequest, BASELINES),
    ]
    options = Options(size=_INPUT_SIDE, device=device, curves=True)
    records = evaluate_models(
        requests, test, options, folder=folder, resume=True, per_image=True, track=track
    )

    console.print("[bold]4/4[/bold] Drawing the table, the plots and the page")
    write_text(out / "table.md", to_markdown(records))
    write_text(out / "table.csv", to_csv(records))
    plot_parameters(records, out / "parameters.png")
    plot_threshold_curves(records, out / "thresholds.png")
    write_report(
        read_sources([folder / f"{name}.json" for name in file_names(requests)]),
        out,
        ReportOptions(title="wsol demo: localization without a box", examples=_EXAMPLES),
    )
    console.print(terminal_table(records))
    for name, what in (
        ("table.md", "this table, for a README"),
        ("table.csv", "every number, for a spreadsheet"),
        ("parameters.png", "localization against parameters"),
        ("thresholds.png", "accuracy against threshold"),
        ("index.html", "everything on one page, with a threshold slider over examples"),
        ("records", "a JSON record and the outcome of every image, a model"),
    ):
        console.print(f"  {escape(str(out / name))}  [dim]{what}[/dim]", soft_wrap=True)
    console.print(f"Finished in {time.perf_counter() - start:.0f} s.")
    return records


def _trained(recipe: Recipe, data: Dataset, folder: Path, seed: int, device: str) -> Path:
    """The checkpoint of a recipe, trained unless it is there."""
    path = folder / recipe.file_name
    if path.exists():
        read_checkpoint(path)  # a damaged file is named here, not in the middle of the evaluation
        return path
    torch.manual_seed(seed)
    classifier = build_classifier(
        recipe.spec,
        num_classes=len(data.classes),
        classes=data.classes,
        arguments=recipe.arguments,
        preprocessing=Preprocessing(size=_INPUT_SIDE),
    )
    options = TrainingOptions(
        epochs=recipe.epochs,
        batch_size=32,
        learning_rate=recipe.learning_rate,
        weight_decay=5e-4,
        warmup_epochs=1,
        seed=seed,
        device=device,
        cache=True,
    )
    steps = recipe.epochs * (len(data) // options.batch_size)
    with track(classifier.name, steps * options.batch_size) as advance:

        def progress(report: StepReport) -> None:
            advance(options.batch_size)

        train_classifier(classifier, data, options, progress=progress)
    save_checkpoint(classifier, path, spec=recipe.spec, arguments=recipe.arguments)
    return path
