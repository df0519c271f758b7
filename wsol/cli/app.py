"""The command line's root, and how it ends: by result, by message, or by Ctrl-C."""

import logging
import os
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

import wsol
from wsol.cli.commands import CommandGroup
from wsol.errors import InputError, ProcessEndedError, ToldElsewhereError, is_exhausted
from wsol.progress import MESSAGES, tell
from wsol.signals import Terminated, interruptible

app = typer.Typer(
    help="How well does a classifier that never saw a box localize objects, and at what size?",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    cls=CommandGroup,
)


def main() -> None:
    """Run the command line; bad input, and whatever else the system refuses, exits with 2, Ctrl-C
    with 130, SIGTERM with 143, SIGHUP with 129, none of them with a traceback."""
    _open_closed_streams()
    # Else pydantic looks for extensions of it among all packages that are installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        with interruptible() as told:
            try:
                arguments = _name_store(_join_iou_levels(_name_weights(_new_names(sys.argv[1:]))))
                app(_to_the_front(arguments))
            except InputError:
                raise
            except BaseException as end:  # typer makes an exit of any interrupt
                if told:
                    raise Terminated(told[0]) from None
                if isinstance(end, SystemExit) and not end.code:
                    sys.stdout.flush()  # while it can be told that this fails
                raise
    except ProcessEndedError as ended:
        _end(2, str(ended))
    except ToldElsewhereError:
        sys.exit(2)
    except InputError as error:
        if _is_verbose():
            MESSAGES.quiet = False
            MESSAGES.print_exception()
        _end(2, str(error))
    except Terminated as told_to_end:
        _end(128 + told_to_end.number, f"ended by {told_to_end.name}.")
    except KeyboardInterrupt:
        _end(130, "interrupted.")
    except BrokenPipeError:
        # The reader of our output has gone (`wsol models | head`): nothing left to say.
        sys.stderr.close()
        sys.exit(1)
    except (MemoryError, RuntimeError) as error:
        if not is_exhausted(error):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        advice = "lower --batch-size or --size, or take a smaller network"
        _end(2, f"memory is exhausted ({reason}); {advice}.")
    except OSError as error:
        where = error.filename if error.filename is not None else "the output"
        _end(2, f"{where}: {error.strerror or error}.")


def _open_closed_streams() -> None:
    """Let what is printed to a stream that the caller has closed (`>&-`) be lost, not fail."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 (to the very end)


def _end(code: int, message: str) -> NoReturn:
    """Leave with a message on stderr, even where streams, such as those on a full disk, take no
    more; what they still hold would fail once more, and with a traceback, at the very end."""
    MESSAGES.quiet = False
    with suppress(OSError):
        tell(message, "wsol:")
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except (OSError, ValueError):
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123
    sys.exit(code)


def _to_the_front(arguments: list[str]) -> list[str]:
    """Let `--quiet` and `--verbose` stand behind the command as well as before it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    front = [word for word in arguments[:end] if word in ("--quiet", "--verbose")]
    return [*front, *(word for word in arguments[:end] if word not in front), *arguments[end:]]


def _new_names(arguments: list[str]) -> list[str]:
    """Let options be written still as they were called at first, and say how they are called now.

    `--compat none|wsolevaluation` chose the convention, and `--against` of `wsol plot` the axis.
    """
    renamed: list[str] = []
    for argument in arguments:
        if renamed and renamed[-1] == "--compat":
            renamed[-1:] = ["--convention"]
            argument = "exact" if argument == "none" else argument
            tell(f"--compat: is called --convention now; taken as {_present(argument)}.")
        elif renamed and renamed[-1] == "--against" and renamed[0] == "plot":
            renamed[-1:] = ["--axis"]
            tell("--against: is called --axis in `wsol plot` now; taken as that.")
        elif renamed and renamed[-1] == "--convention" and argument != _present(argument):
            tell(f"--convention {argument}: taken as {_present(argument)}.")
        renamed.append(argument)
    return renamed


def _present(conventions: str) -> str:
    """Conventions by today's names."""
    return conventions.replace("wsolevaluation", "choe2020")


def _join_iou_levels(arguments: list[str]) -> list[str]:
    """Let `--iou 0.3 0.5 0.7` be written as well as `--iou 0.3,0.5,0.7`."""
    joined: list[str] = []
    for argument in arguments:
        if len(joined) > 1 and joined[-2] == "--iou" and _is_number(argument):
            joined[-1] += f",{argument}"
        else:
            joined.append(argument)
    return joined


def _name_weights(arguments: list[str]) -> list[str]:
    """Let `--weights run/*.pt` be written, of which a shell makes `--weights run/a.pt run/b.pt`."""
    named: list[str] = []
    for argument in arguments:
        after_a_file = len(named) > 1 and named[-2] == "--weights" and _is_file(named[-1])
        named += ["--weights", argument] if after_a_file and _is_file(argument) else [argument]
    return named


def _is_file(text: str) -> bool:
    return os.path.isfile(text)  # noqa: PTH113 (pathlib refuses texts that are no path)


def _name_store(arguments: list[str]) -> list[str]:
    """Let `--store` stand alone for the usual results folder."""
    named: list[str] = []
    for argument, following in zip(arguments, [*arguments[1:], "-"], strict=False):
        if argument == "--store" and following.startswith("-"):
            from wsol.records.store import default_store

            argument = f"--store={default_store()}"
        named.append(argument)
    return named


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _version(value: bool) -> None:
    if value:
        typer.echo(f"wsol {wsol.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="No progress and no notes: results and errors alone.")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", help="What libraries log, and where in the code an error arose."),
    ] = False,
) -> None:
    if quiet and verbose:
        raise InputError("--quiet and --verbose contradict each other; use one.")
    from wsol.cli.output import fit_output

    fit_output()
    MESSAGES.quiet = quiet
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.CRITICAL)


# A weights' server that cannot be reached makes them tell of every retry, before our own error.
_NOISY = ("huggingface_hub", "timm", "urllib3", "httpx")


def _is_verbose() -> bool:
    return logging.getLogger(_NOISY[0]).level == logging.INFO
