"""The whole thing, offline and small: make data, train, evaluate, tabulate, draw."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape

from wsol.datasets.base import Dataset
from wsol.datasets.shapes import generate_shapes, read_shapes
from wsol.evaluation.models import ModelRequest, evaluate_models, file_names
from wsol.evaluation.options import EvaluationOptions
from wsol.files import write_text
from wsol.maps.baselines import BASELINES
from wsol.maps.drawing import seeded
from wsol.models.checkpoint import read_checkpoint, save_checkpoint
from wsol.models.classifier import Preprocessing
from wsol.models.registry import build_classifier
from wsol.pipeline import begin_worker, usable_cores
from wsol.progress import track
from wsol.records.record import ResultRecord
from wsol.results.figures import save_figure
from wsol.results.plots import cost_figure
from wsol.results.report import ReportOptions, write_report
from wsol.results.sources import read_sources
from wsol.results.table import terminal_table, to_csv, to_markdown
from wsol.results.threshold_plot import threshold_figure
from wsol.training.options import TrainingOptions
from wsol.training.train import StepReport, train_classifier

_IMAGES = {"train": 2400, "val": 0, "test": 600}
_IMAGE_SIDE = 128
# A map for a larger picture is finer; networks trained on smaller ones localize better with it.
_TRAINING_SIDE = 80
_TEST_SIDE = 112
_EXAMPLES = 60
_BATCH = 16


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
        if self.spec == "vgg16_gap":
            # Without normalization it does not train from scratch in minutes.
            return {"width": self.width, "batch_norm": True}
        # Its usual map has 3x3 positions for 80 pixels, where a VGG-GAP's has 5x5.
        return {"width": self.width, "output_stride": 16}

    @property
    def file_name(self) -> str:
        """The checkpoint's name."""
        return f"{self.spec}-width-{self.width:g}.pt"


RECIPES = (
    Recipe("resnet50", 0.25, epochs=4, learning_rate=0.05),
    Recipe("resnet50", 0.125, epochs=6, learning_rate=0.05),
    Recipe("vgg16_gap", 0.125, epochs=4, learning_rate=0.05),
    Recipe("vgg16_gap", 0.0625, epochs=7, learning_rate=0.035),
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
            processes=usable_cores(),
            advance=advance,
        )
    training, test = read_shapes(data, "train"), read_shapes(data, "test")

    console.print("[bold]2/4[/bold] Training from labels alone; no box is read")
    checkpoints = _trained(recipes, training, out / f"checkpoints-seed-{seed}", seed, device)

    console.print("[bold]3/4[/bold] Evaluating the networks and the baselines")
    folder = out / "records"
    requests = [
        *(
            ModelRequest(recipe.spec, str(path))
            for recipe, path in zip(recipes, checkpoints, strict=True)
        ),
        *map(ModelRequest, BASELINES),
    ]
    options = EvaluationOptions(
        size=_TEST_SIDE, device=device, coco=False, curves=True, per_image=True
    )
    records = evaluate_models(requests, test, options, folder=folder, resume=True, track=track)

    console.print("[bold]4/4[/bold] Drawing the table, the plots and the page")
    write_text(out / "table.md", to_markdown(records))
    write_text(out / "table.csv", to_csv(records))
    save_figure(cost_figure(records), out / "parameters.png")
    save_figure(threshold_figure(records), out / "thresholds.png")
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
    console.print(
        "Each network was trained once, which shows how this works and not which one is better: "
        "from another seed, or on another machine, networks this narrow differ by up to 15 points "
        "of MaxBoxAccV2. `seeds: [0, 1, 2]` in an experiment file repeats a training.",
        style="dim",
    )
    return records


def _trained(
    recipes: tuple[Recipe, ...], data: Dataset, folder: Path, seed: int, device: str
) -> list[Path]:
    """The checkpoints of the recipes; those that are not there are trained."""
    paths = [folder / recipe.file_name for recipe in recipes]
    missing = []
    for recipe, path in zip(recipes, paths, strict=True):
        if path.exists():
            read_checkpoint(
                path
            )  # a damaged file is named here, not in the middle of the evaluation
        else:
            missing.append((recipe, data, path, seed, device))
    if not missing:
        return paths
    # Narrow networks keep one core busy, but not two: so there is one a core.
    at_once = min(len(missing), usable_cores()) if device == "cpu" else 1
    images = sum(recipe.epochs * _steps(data) * _BATCH for recipe, *_ in missing)
    with track("images", images) as advance:
        if at_once > 1:
            _train_at_once(missing, at_once, advance)
        else:
            for job in missing:
                _train(*job, advance)
    return paths


_Job = tuple[Recipe, Dataset, Path, int, str]


def _train_at_once(jobs: list[_Job], processes: int, advance: Callable[[int], None]) -> None:
    """Train in so many processes, which share the cores."""
    context = multiprocessing.get_context("spawn")
    finished = context.Value("q", 0)
    shown = 0
    with ProcessPoolExecutor(
        processes, context, _begin, (finished, max(1, usable_cores() // processes))
    ) as pool:
        waiting = {pool.submit(_train_and_count, *job) for job in jobs}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                count = finished.value
                advance(count - shown)
                shown = count
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise


_finished: "Synchronized[int]"  # images of all processes together; set where a process begins


def _begin(finished: "Synchronized[int]", threads: int) -> None:
    global _finished
    _finished = finished
    begin_worker()
    torch.set_num_threads(threads)


def _train_and_count(recipe: Recipe, data: Dataset, path: Path, seed: int, device: str) -> None:
    def advance(images: int) -> None:
        with _finished.get_lock():
            _finished.value += images

    _train(recipe, data, path, seed, device, advance)


def _steps(data: Dataset) -> int:
    """Steps of an epoch."""
    return len(data) // _BATCH


def _train(
    recipe: Recipe,
    data: Dataset,
    path: Path,
    seed: int,
    device: str,
    advance: Callable[[int], None],
) -> None:
    """Train one network and write its checkpoint."""
    with seeded(seed):
        classifier = build_classifier(
            recipe.spec,
            num_classes=len(data.classes),
            classes=data.classes,
            arguments=recipe.arguments,
            preprocessing=Preprocessing(size=_TRAINING_SIDE),
        )
    options = TrainingOptions(
        epochs=recipe.epochs,
        batch_size=_BATCH,
        lr=recipe.learning_rate,
        weight_decay=5e-4,
        warmup_epochs=1,
        seed=seed,
        device=device,
        cache=True,
    )

    def progress(report: StepReport) -> None:
        advance(_BATCH)

    train_classifier(classifier, data, options, progress=progress)
    save_checkpoint(classifier, path, spec=recipe.spec, arguments=recipe.arguments)
