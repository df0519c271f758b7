"""What users bring along: `package.module:callable`, from the current folder or an installed
package. Naming one runs its code."""

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wsol.errors import InputError, is_exhausted

_WSOL = Path(__file__).parent


def is_plugin(spec: str) -> bool:
    """Whether a name means a callable of the user's own: `module:callable`."""
    module, colon, attribute = spec.partition(":")
    dotted = all(part.isidentifier() for part in module.split("."))
    return bool(colon) and dotted and attribute.isidentifier()


def also_look_in(folder: Path) -> None:
    """Look for modules in a folder first, from now on."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def load_callable(spec: str) -> Callable[..., Any]:
    """The callable that `package.module:callable` names; the current folder comes first.

    Raises:
        InputError: naming it, when it cannot be imported or there is none.
    """
    module_name, _, attribute = spec.partition(":")
    also_look_in(Path.cwd())
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module's own code may raise anything
        raise InputError(
            f"{spec}: the module {module_name!r} cannot be imported ({_told(error)}); "
            "run in its folder, or install it."
        ) from error
    found = getattr(module, attribute, None)
    if not callable(found):
        raise InputError(f"{spec}: {module_name!r} has no callable {attribute!r}.")
    made: Callable[..., Any] = found
    return made


def call(spec: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What a user's callable returns.

    Raises:
        InputError: naming the callable, and where in its code what was raised; `InputError`s of
            its own are passed on, as is exhausted memory.
    """
    with failing(f"{spec}: failed"):
        return function(*arguments, **named)


@contextmanager
def failing(what: str, hint: str = "") -> Iterator[None]:
    """A block of a user's code, of which whatever it raises is told in one line.

    Args:
        what: the line's beginning, such as `my_metrics:mine: failed`.
        hint: its end, such as what was expected.

    Raises:
        InputError: `InputError`s of its own and exhausted memory are passed on.
    """
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # a user's code may raise anything
        if is_exhausted(error):
            raise
        raise InputError(f"{what} ({_told(error)}){hint}.") from error


def _told(error: BaseException) -> str:
    """Type and text of an error in one line, and the place in the user's code it came from."""
    text = " ".join(str(error).split())[:300]
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame
        for frame in frames
        if not Path(frame.filename).is_relative_to(_WSOL) and "importlib" not in frame.filename
    ]
    place = f", {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    return f"{type(error).__name__}{': ' if text else ''}{text}{place}"
