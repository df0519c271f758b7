"""Experiment files: a whole comparison as one YAML file.

    name: my-comparison
    title: Two networks on CUB
    data: {name: cub, root: $DATA/CUB_200_2011}
    models:
      - center
      - {model: resnet50, weights: checkpoints/cub.pt, name: ResNet-50}
      - {model: vgg16_gap, train: {weights: default, wsol_method: has}}
    training: {data: {name: cub, root: $DATA/CUB_200_2011}, epochs: 50}
    protocol: {threshold_step: 0.001}
    options: {batch_size: 64, curves: true}
    outputs: {out: ../results/my-comparison, tables: [markdown, latex]}

Paths count from the file's own folder, and `$NAME` stands for a variable of the environment.
Everything that is wrong is told at once, with its line.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from wsol.datasets.options import DataOptions, TrainingDataOptions
from wsol.errors import InputError
from wsol.evaluation.conventions import FORMER_NAMES
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.protocol import Protocol
from wsol.experiment.parts import (
    DataPart,
    Experiment,
    ModelPart,
    OutputsPart,
    RecipePart,
    SelectPart,
    TrainingPart,
)
from wsol.options import Options
from wsol.reading import failures_and, read_text
from wsol.reading import told as reason

_PARTS: dict[tuple[type[Options], str], type[Options]] = {
    (Experiment, "data"): DataPart,
    (Experiment, "models"): ModelPart,
    (Experiment, "protocol"): Protocol,
    (Experiment, "options"): EvaluationOptions,
    (EvaluationOptions, "protocol"): Protocol,
    (Experiment, "outputs"): OutputsPart,
    (Experiment, "training"): TrainingPart,
    (DataPart, "protocol"): Protocol,
    (ModelPart, "train"): RecipePart,
    (TrainingPart, "data"): TrainingDataOptions,
    (TrainingPart, "select"): SelectPart,
    (SelectPart, "data"): DataPart,
}
"""Which part a field of another one is, to name the fields that may stand there."""

_TOLD = {
    "missing": "is missing",
    "too_short": "needs at least one",
    "model_type": "should be fields and values",
    "tuple_type": "should be a list",
    "string_pattern_mismatch": "should have letters, digits, '_', '-' and '.' only",
}


def read_experiment(path: Path, tell: Callable[[str], None] = lambda text: None) -> Experiment:
    """Read an experiment file.

    Args:
        tell: called with a line for each setting that is written as it was at first.

    Raises:
        InputError: with a line for each mistake, which names the file, the line and the field and
            says what may stand there.
    """
    path = Path(path)
    text = read_text(path, "an experiment file (YAML)")
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        mistakes = _repeated_keys(root)
        content = None if root is None else loader.construct_document(root)
    except RecursionError as error:
        raise InputError(f"{path}: is nested too deeply.") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}: is not YAML: {error.problem}.") from error
    except failures_and(yaml.YAMLError) as error:  # such as a date of a thirteenth month
        raise InputError(f"{path}: is not YAML ({reason(error)}).") from error
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
    for line, told in sorted(_former_names(root)):
        tell(f"{path}:{line}: {told}")
    return experiment


def _mappings(root: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    """Every mapping of a document, once."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an anchor that is referred to
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            yield node
            waiting += [value for _, value in node.value]


def _repeated_keys(root: yaml.Node | None) -> list[tuple[int, str]]:
    """Keys that stand twice in one mapping, of which YAML would silently take the last."""
    mistakes = []
    for node in _mappings(root):
        keys: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in keys:
                mistakes.append((key.start_mark.line + 1, f"{key.value}: stands here twice."))
            keys.add(str(key.value))
    return mistakes


def _former_names(root: yaml.Node) -> list[tuple[int, str]]:
    """What conventions and the default of `coco` were called at first, and are taken as."""
    told = []
    for node in _mappings(root):
        for key, value in node.value:
            if key.value == "coco" and value.tag == "tag:yaml.org,2002:null":
                told.append((key.start_mark.line + 1, "coco: without a value: taken as true."))
            names = value.value if isinstance(value, yaml.SequenceNode) else [value]
            former = [item.value for item in names if isinstance(item, yaml.ScalarNode)]
            former = [name for name in former if name in FORMER_NAMES]
            if key.value == "compat" or (key.value == "convention" and former):
                taken = ", ".join(FORMER_NAMES.get(name, name) for name in former)
                said = f"{key.value}: {', '.join(former)}: " if former else f"{key.value}: "
                taken = f"taken as convention: {taken}" if former else "is called convention now"
                told.append((key.start_mark.line + 1, f"{said}{taken}."))
    return told


def _mistake(root: yaml.Node, error: dict[str, Any]) -> tuple[int, str]:
    """The line of one of pydantic's errors, and what it says in the file's terms."""
    node, line, name = root, root.start_mark.line, ""
    part: type[Options] = Experiment
    for step in error["loc"]:
        if isinstance(step, str):
            step = _written(step, node, part)
            name += f".{step}" if name else step
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if key.value == step:
                        line, node = key.start_mark.line, value
            owner, part = part, _PARTS.get((part, step), part)
        elif isinstance(node, yaml.SequenceNode) and step < len(node.value):
            node = node.value[step]
            line, name = node.start_mark.line, f"{name}[{step}]"
    if error["type"] == "extra_forbidden":
        told = f"no such field; there are {', '.join(owner.model_fields)}"
    elif error["type"] in _TOLD:
        told = _TOLD[error["type"]]
    else:
        told = error["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    if "should" in told and not isinstance(error["input"], dict | list):
        told += f", not {error['input']!r}"
    return line + 1, f"{name}: {told}." if name else f"{told}."


def _written(field: str, node: yaml.Node, part: type[Options]) -> str:
    """A field as the file writes it: the layout of a data set is its `name` there."""
    if field == "data" and issubclass(part, (DataOptions, TrainingDataOptions)):
        keys = {key.value for key, _ in node.value} if isinstance(node, yaml.MappingNode) else ()
        return "name" if "name" in keys and "data" not in keys else field
    return field
