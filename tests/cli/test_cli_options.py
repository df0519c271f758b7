"""The options of `wsol table`, `wsol plot`, `wsol show` and `wsol boxes`: a checked class each."""

import typing

import pytest
import typer.main

from wsol.cli import app
from wsol.errors import InputError
from wsol.evaluation.options import EvaluationOptions, LookOptions
from wsol.results.cells import GROUPS, Layout
from wsol.results.columns import PRESETS
from wsol.results.options import GridOptions, PlotOptions

from support.command import wsol


def flags(name):
    command = typer.main.get_command(app).commands[name]
    return {flag: parameter for parameter in command.params for flag in parameter.opts}


@pytest.mark.parametrize(
    ("command", "options", "renamed"),
    [
        ("table", Layout, {}),
        ("plot", GridOptions, {"class_name": "--class"}),
        ("plot", PlotOptions, {"grid": "--order"}),
        ("show", LookOptions, {"class_name": "--class"}),
        ("boxes", LookOptions, {"class_name": "--class"}),
    ],
)
def test_each_field_is_a_flag_with_its_help(command, options, renamed):
    known = flags(command)
    for name, field in options.model_fields.items():
        flag = renamed.get(name, f"--{name.replace('_', '-')}")
        assert flag in known
        if name not in renamed:
            assert known[flag].help == field.description


def test_words_of_several_commands_take_the_same():
    for name in ("layer", "resize_mode", "device"):
        kinds = [job.model_fields[name].annotation for job in (EvaluationOptions, LookOptions)]
        assert kinds[0] == kinds[1], name


def test_presets_are_those_of_the_columns():
    (kind, _) = typing.get_args(Layout.model_fields["preset"].annotation)
    assert set(typing.get_args(kind)) == set(PRESETS)
    described = Layout.model_fields["group_by"].description
    assert all(name in described for name in GROUPS)


@pytest.mark.parametrize(
    ("options", "values", "message"),
    [
        (Layout, {"digits": 7}, "digits: should be less than or equal to 6"),
        (Layout, {"preset": "papper"}, "preset: should be 'paper' or 'all'.*did you mean paper"),
        (Layout, {"colour": 1}, "colour: no such option; there are columns, "),
        (PlotOptions, {"kind": "pie"}, "kind: should be 'parameters', "),
        (PlotOptions, {}, "kind: is missing"),
        (GridOptions, {"threshold": 2}, "threshold: should be less than or equal to 1"),
        (LookOptions, {"threshold": "otsuu"}, "threshold: "),
        (LookOptions, {"method": "gradcamm"}, "method: .*did you mean"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(options, values, message):
    with pytest.raises(InputError, match=message):
        options(**values)


def test_the_command_names_the_flag(tmp_path):
    _, err = wsol(tmp_path, "table", "nowhere", "--digits", 9, code=2)
    assert "--digits: should be less than or equal to 6" in err
    _, err = wsol(tmp_path, "plot", "nowhere", "--kind", "pie", "--out", "a.png", code=2)
    assert "--kind: should be 'parameters'" in err
    _, err = wsol(tmp_path, "show", "cat.jpg", "--model", "center", "--threshold", "most", code=2)
    assert "--threshold: " in err


def test_the_axis_of_plots_is_still_understood_by_its_old_name(tmp_path):
    _, err = wsol(tmp_path, "plot", "nowhere", "--kind", "parameters", "--against", "flops",
                  "--out", "a.png", code=2)  # fmt: skip
    assert "--against: is called --axis in `wsol plot` now" in err and "nowhere" in err
