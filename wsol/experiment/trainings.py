"""The training that an experiment file asks for."""

from dataclasses import dataclass, replace
from pathlib import Path

from wsol.datasets.base import Dataset
from wsol.errors import InputError
from wsol.evaluation.options import EvaluationOptions
from wsol.experiment.parts import Experiment, ModelPart, SelectPart
from wsol.processes import ALONE, Processes
from wsol.training.methods import make_method
from wsol.training.options import Recipe
from wsol.training.run import TrainingRun, result_name
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
    recipe: Recipe
    dataset: Dataset
    selection: Selection | None
    folder: Path

    @property
    def checkpoint(self) -> Path:
        """Where the weights to evaluate are, once it has run."""
        return self.folder / result_name(self.selection is not None)

    @property
    def record(self) -> Path:
        """Where the record of the training is."""
        return self.folder / "train.json"

    def prepared(self, processes: Processes = ALONE) -> TrainingRun:
        """Build network, loader and optimizer; writes nothing.

        Args:
            processes: that train it together, each of which prepares it.

        Raises:
            InputError: when data, network, method and options do not fit each other.
        """
        recipe = self.recipe
        method = make_method(recipe.wsol_method, **recipe.method_options)
        start = processes.together(
            lambda: starting_network(
                self.model.model,
                self.dataset,
                method,
                weights=recipe.weights,
                arguments=dict(self.model.arguments),
                size=recipe.size,
                seed=recipe.seed,
                head_offset=recipe.head_offset,
            )
        )
        return TrainingRun(
            self.folder,
            start,
            self.dataset,
            recipe,
            method=method,
            method_options=dict(recipe.method_options),
            selection=self.selection,
            processes=processes,
        )


def plan_trainings(
    experiment: Experiment, folders: dict[tuple[str, int], Path], *, limit: int | None
) -> dict[tuple[str, int], PlannedTraining]:
    """What an experiment asks to train, by the models' labels and seeds; opens its data sets.

    Args:
        folders: one for each of them.
        limit: of training images, instead of the experiment's.

    Raises:
        InputError: when a data set cannot be opened.
    """
    training = experiment.training
    models = [model for model in experiment.models if model.train is not None]
    if training is None or not models:
        return {}
    data = training.data if limit is None else training.data.replaced(limit=limit)
    dataset = data.opened()
    selection = None
    if training.select is not None:
        selection = _selection(training.select, experiment)
    # Training runs where and as the evaluation does, unless it says otherwise.
    shared = {
        name: getattr(experiment.options, name)
        for name in ("device", "workers")
        if name not in training.model_fields_set
    }
    return {
        (model.label, seed): PlannedTraining(
            model,
            experiment.recipe_of(model).with_seed(seed).model_copy(update=shared),
            dataset,
            None if selection is None else _with_maps_of(selection, experiment, model),
            folders[model.label, seed],
        )
        for model in models
        for seed in experiment.recipe_of(model).all_seeds
    }


def _selection(select: SelectPart, experiment: Experiment) -> Selection:
    protocol = experiment.protocol_on(select.data)
    if len(protocol.convention) > 1:
        raise InputError(
            f"training.select: by one convention, not {', '.join(protocol.convention)}; name it "
            "there as `data: {..., protocol: {convention: choe2020}}`."
        )
    options = EvaluationOptions(
        protocol=protocol.replaced(also_at=()),  # which choose nothing
        size=select.size,
        coco=select.metric.startswith("coco"),
        batch_size=experiment.options.batch_size,
        workers=experiment.options.workers,
        device=experiment.options.device,
    )
    return Selection(select.data.whole(), options, select.metric, select.every, select.pseudo_boxes)


def _with_maps_of(selection: Selection, experiment: Experiment, model: ModelPart) -> Selection:
    """Choose by the maps that the model is evaluated with, of several methods by the first."""
    method = (model.method or experiment.options.method)[0]
    options = selection.options.replaced(
        method=(method,), layer=model.layer or experiment.options.layer
    )
    return replace(selection, options=options)
