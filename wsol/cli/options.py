"""Options that several commands share, and how a job's options become those of a command."""

import inspect
import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from wsol.errors import InputError
from wsol.options import Options, told

JsonOption = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", help="Write the record(s) as JSON; - is stdout."),
]
ShownJsonOption = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", help="Write what is shown as JSON; - is stdout."),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Folder for a record a model and the table.")
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="[DIR]",
        help="Results folder; alone: that of the variable WSOL_RESULTS, else wsol-results.",
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", help="Go on where an interrupted run of the same command stopped."),
]

EmaOption = Annotated[
    bool,
    typer.Option(
        "--ema", help="Averaged weights, where a checkpoint has them beside the raw ones."
    ),
]


def takes(**jobs: type[Options]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command a flag for each field of the options that its parameters stand for.

    `@takes(data=DataOptions)` over `def command(model: ..., data: DataOptions)` makes `--data`,
    `--root` and so on, and hands the command one checked `DataOptions`. Fields that are options
    themselves are taken apart the same way. A field's description is its help. A field that the
    command has as a parameter of its own, say as an argument, is handed over and not made again.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        own = set(signature.parameters) - set(jobs)
        parameters: list[inspect.Parameter] = []
        for name, parameter in signature.parameters.items():
            if name in jobs:
                parameters += [flag for flag in _flags(jobs[name]) if flag.name not in own]
            else:
                kind = inspect.Parameter.KEYWORD_ONLY
                parameters.append(parameter.replace(kind=kind))

        def run(**given: Any) -> None:
            made = {name: _made(options, given) for name, options in jobs.items()}
            command(**{name: given[name] for name in own}, **made)

        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__module__ = command.__module__
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {item.name: item.annotation for item in parameters}
        return run

    return decorate


def key_values(option: str, texts: list[str] | None) -> dict[str, Any]:
    """Keys and values; a value is JSON (`0.5`, `true`, `[1, 2]`), or else text.

    Raises:
        InputError: naming the option, when a text is not KEY=VALUE.
    """
    found: dict[str, Any] = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(f"{option} {text}: expected KEY=VALUE.")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def _flags(options: type[Options]) -> list[inspect.Parameter]:
    found = []
    for name, field in options.model_fields.items():
        nested = _nested(field)
        if nested is not None:
            found += _flags(nested)
        elif not field.exclude:
            found.append(_flag(name, field))
    return found


def _word(name: str, field: FieldInfo) -> str:
    """The flag of a field: its name, but for one that Python keeps for itself (`class`)."""
    extra = field.json_schema_extra
    return str(extra["flag"]) if isinstance(extra, dict) else f"--{name.replace('_', '-')}"


def _flag(name: str, field: FieldInfo) -> inspect.Parameter:
    kind = _kind(field.annotation)
    words = _word(name, field)
    if kind is bool and field.default is not False:
        words = f"{words}/--no-{words.removeprefix('--')}"
    settings: dict[str, Any] = {"help": field.description}
    annotation: Any = kind
    default = ... if field.is_required() else field.default
    if get_origin(kind) is Literal:
        values = [str(value) for value in get_args(kind)]
        settings |= {"metavar": "|".join(values), "autocompletion": lambda: values}
        annotation = str
    elif get_origin(kind) in (tuple, dict):
        annotation = list[str]
        settings["metavar"] = "X,..." if get_origin(kind) is tuple else "KEY=VALUE"
        if field.default:
            settings["show_default"] = ",".join(map(str, field.default))
        default = None
    if default is None:
        annotation = annotation | None
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is ... else default,
        annotation=Annotated[annotation, typer.Option(words, **settings)],
    )


def _made(options: type[Options], given: dict[str, Any]) -> Options:
    values: dict[str, Any] = {}
    for name, field in options.model_fields.items():
        nested = _nested(field)
        if nested is not None:
            values[name] = _made(nested, given)
        elif name in given:
            value, kind = given[name], get_origin(_kind(field.annotation))
            if kind in (tuple, dict) and value is None:
                continue
            if kind is tuple:
                value = [part for text in value for part in text.replace(",", " ").split()]
            elif kind is dict:
                value = key_values(_word(name, field), value)
            values[name] = value
    try:
        return options.model_validate(values)
    except ValidationError as error:
        item: dict[str, Any] = dict(error.errors()[0])
        name = str(item["loc"][0]) if item["loc"] else ""
        flag = f"{_word(name, options.model_fields[name])}: " if name else ""
        raise InputError(f"{flag}{told(options, item)}.") from None


def _kind(annotation: Any) -> Any:
    """A field's type without `| None` and without what pydantic adds to it.

    Of several it is text, which pydantic makes one of them.
    """
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [part for part in get_args(annotation) if part is not type(None)]
        return _kind(kinds[0]) if len(kinds) == 1 else str
    return annotation


def _nested(field: FieldInfo) -> type[Options] | None:
    kind = _kind(field.annotation)
    return kind if inspect.isclass(kind) and issubclass(kind, Options) else None
