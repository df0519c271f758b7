"""What the options of a job have in common: one class, for command line, file and Python alike.

A job's options are one pydantic class. The command line makes a flag of each field, an experiment
file has each field under its own name, and Python takes them as keyword arguments; the description,
the default and the limits stand in the class alone.
"""

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo
from pydantic._internal._model_construction import ModelMetaclass

from wsol.errors import InputError

ResizeMode = Literal["squash", "letterbox", "center-crop"]
"""How a photograph is fitted into a network's square input, see `wsol.maps.framing`."""
Precision = Literal["fp32", "bf16", "fp16"]
"""Arithmetic of a network's forward pass."""

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def placed(value: Any, info: ValidationInfo) -> Any:
    """A path of an experiment file: variables filled in, counted from the file's folder.

    Elsewhere a path is as its user wrote it.
    """
    if not isinstance(value, str) or not info.context or "folder" not in info.context:
        return value

    def filled(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):
            raise ValueError(f"the variable {name} is not set; set it, or write the path")
        return os.environ[name]

    folder = Path(info.context["folder"])
    return Path(os.path.normpath(folder / Path(_VARIABLE.sub(filled, value)).expanduser()))


Place = Annotated[Path, BeforeValidator(placed)]


def listed(value: Any) -> Any:
    """A text as the list of the names in it, between commas or blanks; anything else as it is."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


def one_of(value: str, choices: Sequence[str]) -> str:
    """`value`, if it is one of `choices`.

    Raises:
        ValueError: naming the choices, and the nearest one.
    """
    if value in choices:
        return value
    *others, last = map(repr, choices)
    near = difflib.get_close_matches(value, choices, 1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"should be {', '.join(others)} or {last}, not {value!r}{hint}")


class _Told(ModelMetaclass):
    """Makes of pydantic's errors one of ours where options are made by name, as in Python.

    An `__init__` of our own would do the same, but pydantic would then call it for the parts of
    larger options too, and lose where they stand in a file.
    """

    def __call__(self, *args: Any, **values: Any) -> Any:
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            raise InputError(" ".join(_mistakes(self, error))) from None


class Options(BaseModel, metaclass=_Told):
    """Fields that are all known, of an object that stays as it was made.

    Making one raises `InputError`, naming each field that is wrong.
    """

    # Checked when they are made first, which for a page of help none is.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def replaced(self, **values: Any) -> Self:
        """The same with other values for some fields, checked."""
        return type(self)(**{name: getattr(self, name) for name in self.model_fields_set} | values)


def _mistakes(options: Any, error: ValidationError) -> list[str]:
    """A sentence for each of pydantic's errors, that names the field as its user wrote it."""
    return [f"{_name(item)}{told(options, dict(item))}." for item in error.errors()]


def told(options: Any, item: dict[str, Any]) -> str:
    """What is wrong with one field, in words that follow its name."""
    kind, text = item["type"], str(item["msg"])
    if kind == "extra_forbidden":
        return f"no such option; there are {', '.join(options.model_fields)}"
    if kind == "missing":
        return "is missing"
    text = text.removeprefix("Value error, ").removeprefix("Input ")
    if kind == "literal_error":
        near = difflib.get_close_matches(str(item["input"]), _words(item["ctx"]["expected"]), 1)
        return f"{text}, not {item['input']!r}" + (f"; did you mean {near[0]}?" if near else "")
    if kind != "value_error" and not isinstance(item["input"], dict | list | tuple):
        text += f", not {item['input']!r}"
    return text.rstrip(".?") if kind == "value_error" else text[:1].lower() + text[1:]


def _words(expected: str) -> list[str]:
    return re.findall(r"'([^']*)'", expected)


def _name(item: Any) -> str:
    parts = [str(part) for part in item["loc"] if isinstance(part, str)]
    return f"{'.'.join(parts)}: " if parts else ""
