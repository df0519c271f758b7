"""The commands by name, of which only the one that is asked for is imported.

`wsol --help` shows the table; importing every command's module for it would take most of its
time.
"""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_FIRST_SENTENCES = {
    "evaluate": "Evaluate classifiers and baselines on a data set: localization beside parameters.",
    "score": "Evaluate score maps or boxes that your own method wrote.",
    "compare": "Run a whole comparison from one file, skipping what the results folder has "
    "already.",
    "train": "Train a classifier from image-level labels alone; no box is read.",
    "import-weights": "Turn published weights into a checkpoint that "
    "`wsol evaluate MODEL --weights` takes.",
    "results": "List, show and remove the runs in a results folder (`--store`).",
    "stats": "How sure are records' numbers: intervals, comparisons with a reference, breakdowns.",
    "table": "Make a table of records: localization beside parameters, operations, map size and "
    "time.",
    "report": "Make one self-contained page of a table, plots, and examples with a threshold "
    "slider.",
    "leaderboard": "Make a site of records and published numbers: who localizes best at what size.",
    "verify": "Check that records follow from the per-image files beside them.",
    "plot": "Draw records for a paper, in colours that any eye tells apart.",
    "show": "See what a network sees in your own photograph: classes, activation map and box.",
    "boxes": "Write the boxes of photographs or score maps: COCO results, CSV or Pascal VOC.",
    "published": "List the published numbers that `wsol table` compares with or sets in its "
    "tables.",
    "conventions": "Print the evaluation conventions of the literature: how a map becomes a box, "
    "and is judged.",
    "models": "List the networks by name, or show one: parameters by part, layers, methods that "
    "apply.",
    "methods": "List the methods that make maps: paper, what each needs of a network, and what it "
    "costs.",
    "datasets": "Check, download and describe data sets.",
    "demo": "See the whole thing work, offline: make data, train, evaluate, tabulate, draw.",
}
"""Each command, in the order of `wsol --help`, and the beginning of its help. Its module is
`wsol.cli.<name>`, with underscores."""


class CommandGroup(TyperGroup):
    """The root command, which shows the table and imports what is asked for."""

    def __init__(self, **options: Any) -> None:
        self.made: dict[str, Any] = dict(options.pop("commands", None) or {})
        super().__init__(**options)
        self.commands = _Commands(self)  # type: ignore[assignment]
        self._listing = False

    def get_params(self, ctx: Any) -> list[Any]:
        """The options that stand before the command."""
        params: list[Any] = super().get_params(ctx)
        for param in params:
            # To check a value of None typer imports pydantic, which takes longer than the rest.
            if getattr(param, "is_flag", False) and param.default is None:
                param.default = False
        return params

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the table."""
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or for the table one that knows its name and help alone."""
        if self._listing and cmd_name in _FIRST_SENTENCES:
            return TyperCommand(cmd_name, help=_FIRST_SENTENCES[cmd_name])
        return self.commands.get(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write `wsol --help`."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False


class _Commands(Mapping[str, Any]):
    """Every command by its name, imported when it is looked up."""

    def __init__(self, group: CommandGroup) -> None:
        self._group = group

    def __getitem__(self, name: str) -> Any:
        if name not in _FIRST_SENTENCES:
            raise KeyError(name)
        if name not in self._group.made:
            importlib.import_module(f"wsol.cli.{name.replace('-', '_')}")
            from wsol.cli.app import app

            registered = typer.main.get_command(app)
            assert isinstance(registered, CommandGroup)
            self._group.made = registered.made
        return self._group.made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_FIRST_SENTENCES)

    def __len__(self) -> int:
        return len(_FIRST_SENTENCES)
