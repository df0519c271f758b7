"""The training that an experiment file asks for."""

from dataclasses import dataclass
from pathlib import Path

from wsol.datasets.base import Dataset
from wsol.datasets.registry import open_dataset
from wsol.datasets.weak import open_training_set
from wsol.evaluation.loop import Options
from wsol.experiment.parts import DataPart, Experiment, ModelPart, RecipePart, SelectPart
from wsol.training.methods import make_method
from wsol.training.options import TrainingOptions
from wsol.training.run import TrainingRun
from wsol.training.selection import Selection
from wsol.training.start import starting_network


@dataclass(frozen=True, slots=True)
class PlannedTraining:
    """One model's training: everything but the network, which is built when it is its turn.

    Attributes:
        recipe: the experiment's, with what the model replaces of it.
        folder: for `wsol.training.run`'s files.
    """

    model: ModelPart
    recipe: RecipePart
    dataset: Dataset
    selection: Selection | None
    folder: Path
    device: str
    workers: int
    cache: bool

    @property
    def checkpoint(self) -> Path:
        """Where the weights to evaluate are, once it has run."""
        return self.folder / "best.pt"

    @property
    def record(self) -> Path:
        """Where the record of the training is."""
        return self.folder / "train.json"

    def prepared(self) -> TrainingRun:
        """Build network, loader and optimizer; writes nothing.

        Raises:
            InputError: when data, network, method and options do not fit each other.
        """
        recipe = self.recipe
        method = make_method(recipe.method, **recipe.method_options)
        start = starting_network(
            self.model.model,
            self.dataset,
            method,
            weights=recipe.weights,
            arguments=dict(self.model.arguments),
            size=recipe.size,
            seed=recipe.seed,
            head_offset=recipe.head_offset,
        )
        return TrainingRun(
            self.folder,
            start,
            self.dataset,
            _options(recipe, device=self.device, workers=self.workers, cache=self.cache),
            method=method,
            method_options=dict(recipe.method_options),
            selection=self.selection,
        )


def _options(recipe: RecipePart, *, device: str, workers: int, cache: bool) -> TrainingOptions:
    """A recipe's options.

    Raises:
        InputError: when they contradict each other.
    """
    return TrainingOptions(
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        learning_rate=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        schedule=recipe.schedule,
        decay_every=recipe.lr_decay_every,
        decay_first=recipe.lr_decay_first,
        warmup_epochs=recipe.warmup_epochs,
        new_layer_rate=recipe.new_layer_lr,
        fast_layers=recipe.fast_layers,
        max_gradient_norm=recipe.max_gradient_norm,
        precision=recipe.precision,
        seed=recipe.seed,
        device=device,
        workers=workers,
        cache=cache,
    )


def plan_trainings(
    experiment: Experiment,
    folders: dict[tuple[str, int], Path],
    options: Options,
    *,
    limit: int | None,
) -> dict[tuple[str, int], PlannedTraining]:
    """What an experiment asks to train, by the models' labels and seeds; opens its data sets.

    Args:
        folders: one for each of them.
        options: of the evaluation; device, batch size and workers are taken from it.
        limit: of training images, instead of the experiment's.

    Raises:
        InputError: when a data set cannot be opened.
    """
    training = experiment.training
    models = [model for model in experiment.models if model.train is not None]
    if training is None or not models:
        return {}
    data = training.data
    dataset = open_training_set(
        data.name, data.root, images=data.images, split=data.split, limit=limit or data.limit
    )
    selection = None
    if training.select is not None:
        selection = _selection(training.select, experiment, options)
    workers = training.workers
    if workers is None:
        workers = 0 if training.cache else options.workers
    return {
        (model.label, seed): PlannedTraining(
            model,
            experiment.recipe_of(model).with_seed(seed),
            dataset,
            selection,
            folders[model.label, seed],
            device=options.device,
            workers=workers,
            cache=training.cache,
        )
        for model in models
        for seed in experiment.recipe_of(model).all_seeds
    }


def _selection(select: SelectPart, experiment: Experiment, options: Options) -> Selection:
    options = Options(
        protocol=experiment.protocol_on(select.data),
        coco=select.metric.startswith("coco"),
        batch_size=options.batch_size,
        workers=options.workers,
        device=options.device,
    )
    return Selection(open_part(select.data), options, select.metric, select.every)


def open_part(data: DataPart) -> Dataset:
    """The data set that a part of an experiment file names."""
    return open_dataset(
        data.name,
        data.root,
        images=data.images,
        masks=data.masks,
        split=data.split,
        exclude=data.exclude,
    )
