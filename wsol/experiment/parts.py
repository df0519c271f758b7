"""What may stand in an experiment file; `wsol.experiment.file` reads one."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from wsol.datasets.options import DataOptions, TrainingDataOptions
from wsol.errors import InputError
from wsol.evaluation.options import EvaluationOptions, MethodNames
from wsol.evaluation.protocol import Protocol
from wsol.options import Options, Place
from wsol.training.options import Recipe, Weights

_SEED = "{seed}"


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


def _model(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


class DataPart(DataOptions):
    """A data set; `protocol` replaces parts of the experiment's."""

    protocol: Protocol = Protocol()


class SelectPart(Options):
    """The set to choose checkpoint and thresholds on; measured after every `every` epochs.

    `size` is the side of its images in pixels, where the network is evaluated at another than it is
    trained at: thresholds are for maps as coarse as those that they are chosen on. `pseudo_boxes`
    says that its boxes are machine-made, as records then do.
    """

    data: DataPart
    metric: str = "max_box_acc_v2"
    every: int = Field(default=1, ge=1)
    size: int | None = Field(default=None, ge=16)
    pseudo_boxes: bool = False


class RecipePart(Recipe):
    """A recipe, repeated from each of `seeds`; `{seed}` in `weights` stands for it."""

    seeds: tuple[Annotated[int, Field(ge=0)], ...] = ()

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("names a seed twice; each is trained once")
        return seeds

    @model_validator(mode="after")
    def _seed_or_seeds(self) -> Self:
        if {"seed", "seeds"} <= self.model_fields_set:
            raise ValueError("has both seed and seeds; keep one of them")
        return self

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """What to train from, one after the other."""
        return self.seeds or (self.seed,)

    def with_seed(self, seed: int) -> Self:
        """The recipe of one of several trainings, with its place in the weights filled in."""
        weights = self.weights.replace(_SEED, str(seed))
        return self.model_copy(update={"seed": seed, "seeds": (), "weights": weights})


class TrainingPart(RecipePart):
    """How the models with a `train` are trained, as far as that says nothing else.

    `out` is the folder for checkpoints; without it, `runs/` and the experiment's name.
    """

    data: TrainingDataOptions
    select: SelectPart | None = None
    out: Place | None = None


class ModelPart(Options):
    """A network or baseline. `name` is what tables call it; `arguments` are of wsol's builders;
    `ema` takes averaged weights where a checkpoint has them beside raw ones.

    `method` and `layer` are of its maps, instead of the experiment's; several methods make a run
    each.

    `train` asks for training first, with what it replaces of the experiment's `training`.
    """

    model: str = Field(min_length=1)
    weights: Weights = "default"
    ema: bool = False
    name: str | None = Field(default=None, min_length=1)
    arguments: dict[str, bool | int | float | str] = Field(default={})
    size: int | None = Field(default=None, ge=16)
    method: MethodNames | None = None
    layer: str | None = Field(default=None, min_length=1)
    train: RecipePart | None = None

    @property
    def label(self) -> str:
        """What tells it from the experiment's other models."""
        given = [f"{name} {value}" for name, value in self.arguments.items()]
        if self.train is not None and "wsol_method" in self.train.model_fields_set:
            given.append(self.train.wsol_method)
        return self.name or self.model + (f" ({', '.join(given)})" if given else "")

    @model_validator(mode="after")
    def _trained_or_given(self) -> "ModelPart":
        if self.train is not None and "weights" in self.model_fields_set:
            raise ValueError("has both weights and train; weights to start from belong into train")
        return self


class OutputsPart(Options):
    """What is written, beside a record a run: tables and plots in these formats, and a page.

    `intervals` gives each record the intervals of `wsol stats RECORD --update` before, so that
    tables have their ± and plots their whiskers.
    """

    out: Place | None = None
    tables: tuple[Literal["markdown", "csv", "latex", "html"], ...] = ("markdown", "csv", "latex")
    plots: tuple[Literal["png", "svg", "pdf"], ...] = ("png",)
    report: bool = False
    examples: int = Field(default=200, ge=0)
    intervals: bool = False


class Experiment(Options):
    """One experiment file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str | None = None
    data: Annotated[tuple[DataPart, ...], BeforeValidator(_listed)] = Field(min_length=1)
    models: tuple[Annotated[ModelPart, BeforeValidator(_model)], ...] = Field(min_length=1)
    protocol: Protocol = Protocol()
    options: EvaluationOptions = EvaluationOptions()
    outputs: OutputsPart = OutputsPart()
    training: TrainingPart | None = None

    @model_validator(mode="after")
    def _labels_differ(self) -> "Experiment":
        labels = [model.label for model in self.models]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two models are called {label!r}; give one of them a `name`")
        return self

    @model_validator(mode="after")
    def _training_is_told(self) -> "Experiment":
        for model in self.models:
            if model.train is not None and self.training is None:
                raise ValueError(f"{model.label} has a `train`; say in `training` on which data")
        return self

    def with_only(self, wanted: Iterable[str]) -> "Experiment":
        """The same with fewer models: those whose label is one of `wanted`, or matches its `*`.

        Raises:
            InputError: when one of them is nobody's.
        """
        chosen: set[str] = set()
        labels = [model.label for model in self.models]
        for pattern in wanted:
            found = {label for label in labels if label == pattern or fnmatchcase(label, pattern)}
            if not found:
                raise InputError(
                    f"{pattern}: no model is called so; there are {', '.join(labels)}."
                )
            chosen |= found
        models = tuple(model for model in self.models if model.label in chosen)
        return self.model_copy(update={"models": models})

    def with_options(self, **changed: Any) -> "Experiment":
        """The same with other values for options that evaluation and training have alike."""
        update: dict[str, Any] = {"options": self.options.replaced(**changed)}
        if self.training is not None:
            update["training"] = self.training.model_copy(update=changed)
        return self.model_copy(update=update)

    def recipe_of(self, model: ModelPart) -> RecipePart:
        """How a model with a `train` is trained."""
        assert self.training is not None and model.train is not None
        given = {name: getattr(model.train, name) for name in model.train.model_fields_set}
        if "seed" in given:
            given["seeds"] = ()
        return self.training.model_copy(update=given)

    def seeds_of(self, model: ModelPart) -> tuple[int | None, ...]:
        """What a model is trained from, one after the other; None alone where it is not trained."""
        return (None,) if model.train is None else self.recipe_of(model).all_seeds

    def protocol_on(self, data: DataPart) -> Protocol:
        """The experiment's protocol with what the data set replaces of it."""
        given = {name: getattr(data.protocol, name) for name in data.protocol.model_fields_set}
        return self.protocol.replaced(**given)

    def options_on(self, data: DataPart) -> EvaluationOptions:
        """The experiment's options with the protocol that holds for the data set."""
        return self.options.replaced(protocol=self.protocol_on(data))
