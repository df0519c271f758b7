"""Ways to train for localization from labels alone: what each does to a batch, and its loss."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from wsol.errors import InputError
from wsol.training.methods import acol, adl, cam, cutmix, has, spg
from wsol.training.methods.base import LossFunction, Method, StepOutput

__all__ = ["METHODS", "LossFunction", "Method", "StepOutput", "make_method"]

METHODS: Mapping[str, Callable[..., Method]] = {
    "cam": cam.cam,
    "has": has.has,
    "acol": acol.acol,
    "spg": spg.spg,
    "adl": adl.adl,
    "cutmix": cutmix.cutmix,
}
"""The functions that make each method, with its options and their defaults."""


def make_method(name: str, **options: Any) -> Method:
    """A method by name.

    Raises:
        InputError: for an unknown method or option, or a value out of range.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InputError(f"{name}: is no training method; {hint}There are {', '.join(METHODS)}.")
    known = inspect.signature(METHODS[name]).parameters
    for option, value in options.items():
        if option not in known:
            listed = ", ".join(f"{p.name} ({p.default})" for p in known.values()) or "none"
            raise InputError(f"{name}: has no option {option}; its options (defaults): {listed}.")
        _require_number(name, option, value, type(known[option].default))
    return METHODS[name](**options)


def _require_number(method: str, option: str, value: Any, kind: type) -> None:
    wanted: tuple[type, ...] = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted):
        told = "a whole number" if kind is int else "a number"
        raise InputError(f"{method}: {option} is {told}, not {value!r}.")
