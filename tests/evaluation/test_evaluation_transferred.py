"""Thresholds chosen on a selection set with machine-made boxes, in one command."""

import json

import pytest

import wsol
from wsol.datasets.shapes import generate_shapes
from wsol.errors import InputError
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.transferred import with_chosen
from wsol.records.thresholds import read_thresholds

from support.command import wsol as command


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A data set, and the protocol's four files for its `val` with boxes that a map made."""
    folder = tmp_path_factory.mktemp("pseudo")
    generate_shapes(folder / "shapes", train=8, val=16, test=8, size=64, seed=0)
    val = wsol.open_dataset("shapes", folder / "shapes", split="val")
    pseudo = folder / "pseudo" / "shapes" / "val"
    pseudo.mkdir(parents=True)
    ids = [sample.path.relative_to(folder / "shapes").as_posix() for sample in val]
    for name, tails in (
        ("image_ids", ["" for _ in ids]),
        ("class_labels", [f",{sample.label}" for sample in val]),
        ("image_sizes", [",64,64" for _ in ids]),
        ("localization", [f",{8 + n},10,{40 + n},52" for n in range(len(ids))]),
    ):
        lines = "".join(f"{i}{tail}\n" for i, tail in zip(ids, tails, strict=True))
        (pseudo / f"{name}.txt").write_text(lines)
    return folder


SELECT = ("--select-data", "protocol", "--select-root", "pseudo/shapes/val",
          "--select-images", "shapes")  # fmt: skip
SHAPES = ("--data", "shapes", "--root", "shapes", "--threshold-step", "0.02")


@pytest.fixture(scope="module")
def one(place):
    """What one command prints, and its record."""
    out, _ = command(place, "evaluate", "center", *SHAPES, *SELECT, "--pseudo-boxes",
                     "--also-at", "otsu,best", "--json", "one.json")  # fmt: skip
    return out, json.loads((place / "one.json").read_text())


def test_one_command_says_oracle_transferred_and_box_free(place, one):
    out, record = one
    for told in ("oracle", "machine-made boxes", "otsu of each map"):
        assert told in out
    policy = record["settings"]["threshold_policy"]["max_box_acc_chosen"]
    assert policy.startswith("chosen on ") and policy.endswith("images, machine-made boxes)")
    # By hand: the selection set's own best thresholds, then named.
    command(
        place, "evaluate", "center", "--data", "protocol", "--root", "pseudo/shapes/val",
        "--images", "shapes", "--threshold-step", "0.02", "--json", "selection.json",
    )  # fmt: skip
    by_hand = json.loads(
        command(place, "evaluate", "center", *SHAPES, "--threshold-from", "selection.json",
                "--json", "-")[0]
    )  # fmt: skip
    for name in ("max_box_acc_chosen", "max_box_acc_v2_chosen", "max_box_acc_v2"):
        assert record["metrics"][name] == by_hand["metrics"][name] is not None
    assert record["settings"]["chosen_thresholds"] == by_hand["settings"]["chosen_thresholds"]
    assert record["metrics"]["max_box_acc_v2_chosen"] <= record["metrics"]["max_box_acc_v2"]


def test_a_folder_of_results_has_no_records_of_the_selection_set(place):
    arguments = ("evaluate", "center", "full", *SHAPES, *SELECT, "--out", "out")
    command(place, *arguments)
    records = wsol.read_records(place / "out")
    assert [record.model for record in records] == ["center", "full"]
    assert all(record.metrics.max_box_acc_v2_chosen is not None for record in records)
    assert "machine-made" not in str(records[0].settings)
    before = (place / "out" / "center.json").read_text()
    command(place, *arguments, "--resume")
    assert (place / "out" / "center.json").read_text() == before


def test_from_python(place, one):
    record = wsol.evaluate(
        "center", "shapes", place / "shapes", threshold_step=0.02, select_data="protocol",
        select_root=place / "pseudo" / "shapes" / "val", select_images=place / "shapes",
        pseudo_boxes=True,
    )  # fmt: skip
    assert "machine-made" in record.settings["threshold_policy"]["max_box_acc_chosen"]
    chosen = one[1]["metrics"]["max_box_acc_v2_chosen"]
    assert record.metrics.max_box_acc_v2_chosen == chosen


def test_conventions_choose_each_for_themselves(place):
    """Also one that searches only because it is asked to."""
    both = ("--convention", "choe2020,psol", "--search", "--threshold", "psol=0.3")
    out, _ = command(place, "evaluate", "center", *SHAPES, *SELECT, *both, "--json", "both.json")
    records = json.loads((place / "both.json").read_text())
    for record in records:
        name = record["settings"]["convention"]
        assert f"center, {name}, by threshold" in out
        alone = json.loads(
            command(place, "evaluate", "center", *SHAPES, *SELECT, "--convention", name, "--search",
                    "--threshold", "0.3", "--json", "-")[0]
        )  # fmt: skip
        for found in ("max_box_acc_chosen", "max_box_acc_v2_chosen"):
            assert record["metrics"][found] == alone["metrics"][found] is not None
    assert records[0]["settings"]["fixed_threshold"] == 0.2
    assert records[1]["settings"]["thresholds"] == [0.3]
    chosen = [record["settings"]["chosen_thresholds"] for record in records]
    assert chosen[0] != chosen[1]


def test_what_is_wrong_is_said(place):
    for arguments, message in (
        (("--pseudo-boxes",), "name --select-data"),
        (("--select-data", "protocol"), "needs both"),
        ((*SELECT, "--threshold-from", "selection.json"), "both choose thresholds"),
        ((*SELECT, "--convention", "sat"), "sat does not search; add --search"),
        ((*SELECT, "--method", "cam,gradcam"), "cam, gradcam are several"),
    ):
        _, err = command(place, "evaluate", "center", *SHAPES, *arguments, code=2)
        assert message in err, err
    with pytest.raises(InputError, match="both choose"):
        with_chosen(
            EvaluationOptions(threshold_from=place / "x.json"), lambda own: [], place / "y.json",
            pseudo_boxes=True,
        )  # fmt: skip


def test_training_chooses_on_machine_made_boxes(place):
    command(place, "train", "resnet18", "--width", "0.0625", "--data", "shapes", "--root", "shapes",
            *SELECT, "--pseudo-boxes", "--epochs", "1", "--size", "64", "--workers", "0",
            "--batch-size", "4", "--out", "run")  # fmt: skip
    record = json.loads((place / "run" / "train.json").read_text())
    assert record["chosen"]["pseudo_boxes"] is True
    assert record["settings"]["selection"]["pseudo_boxes"] is True
    (found,) = read_thresholds(place / "run" / "train.json").values()
    assert found.where.endswith("machine-made boxes)")
