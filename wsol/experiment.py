"""Experiment files: a whole comparison as one YAML file.

    name: my-comparison
    title: Two networks on CUB
    data: {name: cub, root: $DATA/CUB_200_2011}
    models:
      - center
      - {model: resnet50, weights: checkpoints/cub.pt, name: ResNet-50}
    protocol: {threshold_step: 0.001}
    options: {batch_size: 64, curves: true}
    outputs: {out: ../results/my-comparison, tables: [markdown, latex]}

Paths count from the file's own folder, and `$NAME` stands for a variable of the environment.
Everything that is wrong is told at once, with its line.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from wsol.errors import InputError
from wsol.files import require_file
from wsol.protocol import Protocol

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def _place(value: Any, info: ValidationInfo) -> Any:
    """A path as written: variables filled in, counted from the experiment file's folder."""
    if not isinstance(value, str):
        return value

    def filled(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):
            raise ValueError(f"the variable {name} is not set; set it, or write the path")
        return os.environ[name]

    folder = Path((info.context or {})["folder"])
    return Path(os.path.normpath(folder / Path(_VARIABLE.sub(filled, value)).expanduser()))


def _weights(value: Any, info: ValidationInfo) -> Any:
    return value if value in ("default", "none") else str(_place(value, info))


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


def _model(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


Place = Annotated[Path, BeforeValidator(_place)]
IouLevel = Annotated[float, Field(gt=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProtocolPart(_Part):
    """How maps become numbers; see `wsol.protocol.Protocol`."""

    threshold_step: float = Field(default=0.001, ge=1e-4, le=0.5)
    iou: tuple[IouLevel, ...] = Field(default=(0.3, 0.5, 0.7), min_length=1)
    compat: Literal["wsolevaluation", "none"] = "wsolevaluation"
    contours: Literal["largest", "all", "both"] = "both"

    def protocol(self) -> Protocol:
        """The protocol that is meant."""
        return Protocol(
            convention="wsolevaluation" if self.compat == "wsolevaluation" else "exact",
            threshold_step=self.threshold_step,
            iou_levels=self.iou,
            contours=self.contours,
        )


class DataPart(_Part):
    """A data set; `protocol` replaces parts of the experiment's."""

    name: Literal["ilsvrc", "cub", "protocol", "tiny-imagenet", "coco", "shapes"]
    root: Place
    images: Place | None = None
    masks: Place | None = None
    split: str | None = None
    exclude: Place | None = None
    protocol: ProtocolPart = ProtocolPart()


class ModelPart(_Part):
    """A network or baseline. `name` is what tables call it; `arguments` are of wsol's builders."""

    model: str = Field(min_length=1)
    weights: Annotated[str, BeforeValidator(_weights)] = "default"
    name: str | None = Field(default=None, min_length=1)
    arguments: dict[str, bool | int | float | str] = {}

    @property
    def label(self) -> str:
        """What tells it from the experiment's other models."""
        given = ", ".join(f"{name} {value}" for name, value in self.arguments.items())
        return self.name or self.model + (f" ({given})" if given else "")


class OptionsPart(_Part):
    """How to evaluate; see `wsol.evaluate.Options`. `limit` takes the first images only."""

    size: int | None = Field(default=None, ge=16)
    resize_mode: Literal["squash", "letterbox", "center-crop"] = "squash"
    batch_size: int = Field(default=32, ge=1)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: str = "auto"
    workers: int | None = Field(default=None, ge=0)
    coco: bool = True
    curves: bool = False
    per_image: bool = False
    latency: bool = False
    skip_bad_images: bool = False
    limit: int | None = Field(default=None, ge=1)


class OutputsPart(_Part):
    """What is written, beside a record a run: tables and plots in these formats, and a page."""

    out: Place | None = None
    tables: tuple[Literal["markdown", "csv", "latex", "html"], ...] = ("markdown", "csv", "latex")
    plots: tuple[Literal["png", "svg", "pdf"], ...] = ("png",)
    report: bool = False
    examples: int = Field(default=200, ge=0)


class Experiment(_Part):
    """One experiment file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str | None = None
    data: Annotated[tuple[DataPart, ...], BeforeValidator(_listed)] = Field(min_length=1)
    models: tuple[Annotated[ModelPart, BeforeValidator(_model)], ...] = Field(min_length=1)
    protocol: ProtocolPart = ProtocolPart()
    options: OptionsPart = OptionsPart()
    outputs: OutputsPart = OutputsPart()

    @model_validator(mode="after")
    def _labels_differ(self) -> "Experiment":
        labels = [model.label for model in self.models]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two models are called {label!r}; give one of them a `name`")
        return self

    def protocol_on(self, data: DataPart) -> Protocol:
        """The experiment's protocol with what the data set replaces of it."""
        replaced = data.protocol.model_dump(exclude_unset=True)
        return self.protocol.model_copy(update=replaced).protocol()


_PARTS: dict[str, type[_Part]] = {
    "data": DataPart,
    "models": ModelPart,
    "protocol": ProtocolPart,
    "options": OptionsPart,
    "outputs": OutputsPart,
}

_TOLD = {
    "missing": "is missing",
    "too_short": "needs at least one",
    "model_type": "should be fields and values",
    "tuple_type": "should be a list",
    "string_pattern_mismatch": "should have letters, digits, '_', '-' and '.' only",
}


def read_experiment(path: Path) -> Experiment:
    """Read an experiment file.

    Raises:
        InputError: with a line for each mistake, which names the file, the line and the field and
            says what may stand there.
    """
    path = require_file(path, "an experiment file (YAML)")
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        mistakes = _repeated_keys(root)
        content = None if root is None else loader.construct_document(root)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text in UTF-8 ({error.reason}).") from error
    except RecursionError as error:
        raise InputError(f"{path}: is nested too deeply.") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}: is not YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is not YAML ({error}).") from error
    if root is None or not isinstance(content, dict):
        raise InputError(f"{path}:1: has no fields; it needs name, data and models.")
    try:
        experiment = Experiment.model_validate(content, context={"folder": path.resolve().parent})
    except ValidationError as error:
        found: list[dict[str, Any]] = [dict(item) for item in error.errors()]
        # A sequence whose items are all wrong is called too short besides.
        items = {item["loc"][0] for item in found if len(item["loc"]) > 1}
        mistakes += [
            _mistake(root, item)
            for item in found
            if item["type"] != "too_short" or item["loc"][0] not in items
        ]
    if mistakes:
        raise InputError("\n".join(f"{path}:{line}: {told}" for line, told in sorted(mistakes)))
    return experiment


def _repeated_keys(root: yaml.Node | None) -> list[tuple[int, str]]:
    """Keys that stand twice in one mapping, of which YAML would silently take the last."""
    mistakes = []
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an anchor that is referred to
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                if str(key.value) in keys:
                    mistakes.append((key.start_mark.line + 1, f"{key.value}: stands here twice."))
                keys.add(str(key.value))
                waiting.append(value)
    return mistakes


def _mistake(root: yaml.Node, error: dict[str, Any]) -> tuple[int, str]:
    """The line of one of pydantic's errors, and what it says in the file's terms."""
    node, line, name = root, root.start_mark.line, ""
    part: type[_Part] = Experiment
    for step in error["loc"]:
        if isinstance(step, str):
            name += f".{step}" if name else step
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if key.value == step:
                        line, node = key.start_mark.line, value
            owner, part = part, _PARTS.get(step, part)
        elif isinstance(node, yaml.SequenceNode) and step < len(node.value):
            node = node.value[step]
            line, name = node.start_mark.line, f"{name}[{step}]"
    if error["type"] == "extra_forbidden":
        told = f"no such field; there are {', '.join(owner.model_fields)}"
    elif error["type"] in _TOLD:
        told = _TOLD[error["type"]]
    else:
        told = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if "should" in told and not isinstance(error["input"], dict | list):
        told += f", not {error['input']!r}"
    return line + 1, f"{name}: {told}." if name else f"{told}."
