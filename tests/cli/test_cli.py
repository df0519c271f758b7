"""The commands as a user runs them, on small real files."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from wsol.datasets.registry import open_dataset
from wsol.datasets.shapes import generate_shapes
from wsol.records.record import write_record

from support.command import wsol
from support.patience import METRIC, SLOW, write_metric
from support.records import make

SHAPES = ("--data", "shapes", "--root", "shapes")


def test_help_has_examples(place):
    out, _ = wsol(place, "evaluate", "--help")
    assert "wsol evaluate resnet50" in out and "--resize-mode" in out
    out, _ = wsol(place, "score", "--help")
    assert "wsol score scoremaps/" in out


def test_json_alone_on_stdout(place):
    out, _ = wsol(place, "evaluate", "networks:tiny", "center", "full", *SHAPES, "--json", "-")
    records = json.loads(out)
    assert [record["model"] for record in records] == ["networks:tiny", "center", "full"]
    first = records[0]
    expected = {"schema", "model", "parameters", "dataset", "split", "num_images", "cam_method"}
    assert expected | {"metrics", "settings", "environment", "timing"} <= set(first)
    assert first["num_images"] == 12
    assert first["parameters"] > 0 and records[1]["parameters"] == 0
    assert first["metrics"]["pxap"] is not None and first["metrics"]["coco_ap"] is not None
    assert set(first["metrics"]["box_acc"]) == {"0.3", "0.5", "0.7"}
    assert first["settings"]["convention"] == "choe2020"
    assert {"data", "forward", "localization", "total"} == set(first["timing"])


def test_one_model_is_one_record_and_a_table(place):
    out, _ = wsol(place, "evaluate", "center", *SHAPES, "--json", "one.json")
    assert "MaxBoxAcc" in out and "center" in out
    assert json.loads((place / "one.json").read_text())["model"] == "center"
    assert not (place / "one.json.progress").exists()


def test_out_holds_records_and_tables(place):
    wsol(place, "evaluate", "center", "full", *SHAPES, "--out", "out", "--limit", 5)
    assert {p.name for p in (place / "out").iterdir()} == {
        "center.json",
        "full.json",
        "order.json",
        "table.md",
        "table.csv",
    }
    assert json.loads((place / "out" / "full.json").read_text())["num_images"] == 5


def test_evaluate_and_score_agree_to_the_last_digit(place):
    evaluated, _ = wsol(
        place, "evaluate", "networks:tiny", *SHAPES, "--save-scoremaps", "maps", "--curves",
        "--json", "-",
    )  # fmt: skip
    scored, _ = wsol(place, "score", "maps", *SHAPES, "--curves", "--json", "-")
    evaluated, scored = json.loads(evaluated), json.loads(scored)
    assert scored["curves"] == evaluated["curves"]
    for name, value in scored["metrics"].items():
        if value is not None:
            assert value == evaluated["metrics"][name], name


@pytest.mark.parametrize("levels", [("0.3", "0.5"), ("0.3,0.5",)])
def test_iou_levels_in_both_spellings(place, levels):
    out, _ = wsol(place, "evaluate", "center", *SHAPES, "--iou", *levels, "--json", "-")
    assert set(json.loads(out)["metrics"]["box_acc"]) == {"0.3", "0.5"}


def test_contours_and_compat(place):
    out, told = wsol(
        place, "evaluate", "center", *SHAPES, "--contours", "largest", "--compat", "none",
        "--json", "-",
    )  # fmt: skip
    assert "--compat: is called --convention now; taken as exact." in told
    record = json.loads(out)
    assert record["metrics"]["max_box_acc"] is not None
    assert record["metrics"]["max_box_acc_v2"] is None
    assert record["settings"]["convention"] == "exact"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "center", "--data", "shapes", "--root", "nowhere"), "nowhere"),
        (("evaluate", "no_such_network", *SHAPES), "no_such_network"),
        (("evaluate", "networks:two_layers", *SHAPES), "--method gradcam"),
        (("evaluate", "networks:missing", *SHAPES), "missing"),
        (("evaluate", "vgg16_gap", *SHAPES), "weights"),
        (("evaluate", "networks:tiny", *SHAPES, "--weights", "absent.pt"), "absent.pt"),
        (("evaluate", "center", *SHAPES, "--split", "holdout"), "holdout"),
        (("evaluate", "center", *SHAPES, "--iou", "much"), "--iou"),
        (("evaluate", "center", *SHAPES, "--threshold-step", "0"), "--threshold-step: should be"),
        (("evaluate", "center", *SHAPES, "--resume"), "--resume"),
        (("evaluate", "networks:tiny", *SHAPES, "--device", "cuda:99"), "cuda:99"),
        (("evaluate", "networks:tiny", *SHAPES, "--device", "meta"), "--device meta: cannot be"),
        (("evaluate", "center", "--root", "shapes"), "--data"),
        (("score", "nowhere", *SHAPES), "nowhere"),
        (("models", "zebra"), "zebra"),
        (("datasets", "download", "ilsvrc"), "ilsvrc"),
    ],
)
def test_bad_input_exits_with_2_and_says_why(place, arguments, message):
    _, err = wsol(place, *arguments, code=2)
    assert message in err


def test_a_checkpoint_with_pickled_code_is_refused(place):
    import torch

    class Harm:
        def __reduce__(self):
            return (os.system, ("touch harmed",))

    torch.save({"state_dict": Harm()}, place / "harm.pt")
    _, err = wsol(place, "evaluate", "networks:tiny", *SHAPES, "--weights", "harm.pt", code=2)
    assert "harm.pt" in err and not (place / "harmed").exists()


def test_a_checkpoint_of_another_shape_is_refused(place):
    import torch

    torch.save({"0.weight": torch.zeros(1, 2)}, place / "other.pt")
    _, err = wsol(place, "evaluate", "networks:tiny", *SHAPES, "--weights", "other.pt", code=2)
    assert "other.pt" in err and "0.weight" in err


def test_bad_images_can_be_skipped(place, tmp_path):
    generate_shapes(tmp_path / "shapes", train=2, val=2, test=6, size=64, seed=1)
    bad = open_dataset("shapes", tmp_path / "shapes").samples[2]
    bad.path.write_bytes(bad.path.read_bytes()[:50])
    data = ("--data", "shapes", "--root", tmp_path / "shapes")
    _, err = wsol(place, "evaluate", "networks:tiny", *data, code=2)
    assert bad.path.name in err
    out, err = wsol(place, "evaluate", "networks:tiny", *data, "--skip-bad-images", "--json", "-")
    record = json.loads(out)
    assert record["num_images"] == 5
    assert [item["image_id"] for item in record["skipped"]] == [bad.image_id]
    assert "1 left out" in err


def test_score_names_missing_extra_and_broken_maps(place, tmp_path):
    samples = open_dataset("shapes", place / "shapes").samples
    for sample in samples:
        path = tmp_path / f"{sample.image_id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.random.default_rng(0).random((16, 16)).astype(np.float16))
    wsol(place, "score", tmp_path, *SHAPES)

    first = tmp_path / f"{samples[0].image_id}.npy"
    first.unlink()
    _, err = wsol(place, "score", tmp_path, *SHAPES, code=2)
    assert str(first) in err and "1 of 12" in err
    np.save(first, np.full((4, 4), np.nan))
    _, err = wsol(place, "score", tmp_path, *SHAPES, code=2)
    assert str(first) in err and "NaN" in err
    np.save(tmp_path / "extra.npy", np.zeros((4, 4)))
    _, err = wsol(place, "score", tmp_path, *SHAPES, code=2)
    assert "extra" in err
    out, _ = wsol(place, "score", tmp_path, *SHAPES, "--skip-bad", "--json", "-")
    record = json.loads(out)
    assert record["num_images"] == 11
    assert {item["image_id"] for item in record["skipped"]} == {"extra", samples[0].image_id}


def test_a_good_file_survives_a_failed_run(place, tmp_path):
    (tmp_path / "good.json").write_text("precious")
    wsol(place, "evaluate", "no_such_network", *SHAPES, "--json", tmp_path / "good.json", code=2)
    assert (tmp_path / "good.json").read_text() == "precious"


COUNT = 300
SCORE = ("score", "maps.npy", "--data", "protocol", "--root", "annotations", "--curves",
         *METRIC)  # fmt: skip


@pytest.fixture(scope="module")
def to_be_killed(tmp_path_factory, write_annotations):
    """Maps, a metric that can be made to take its time, and the record of a run to the end."""
    folder = tmp_path_factory.mktemp("killed")
    ids = [f"{number}.jpg" for number in range(COUNT)]
    write_annotations(folder / "annotations", ids, [0] * COUNT, "300,200", "30,40,200,150")
    stack = np.random.default_rng(0).random((COUNT, 14, 14), dtype=np.float32)
    np.save(folder / "maps.npy", (stack * 255).astype(np.uint8))
    (folder / "maps.txt").write_text("".join(f"{i}\n" for i in ids))
    write_metric(folder)
    wsol(folder, *SCORE, "--json", "whole.json")
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="kills with a POSIX signal")
@pytest.mark.parametrize(
    "kill",
    [
        signal.SIGKILL,
        *(pytest.param(s, marks=pytest.mark.slow) for s in (signal.SIGINT, signal.SIGTERM)),
    ],
)
def test_a_killed_run_resumes_to_the_identical_record(to_be_killed, kill):
    name = f"{kill.name}.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "wsol", *SCORE, "--json", name, "--save-every", "0"],
        cwd=to_be_killed,
        env=SLOW,
        stderr=subprocess.PIPE,
    )
    progress = to_be_killed / f"{name}.progress" / ".score.progress.npz"
    deadline = time.monotonic() + 120
    while not progress.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(kill)
    process.communicate(timeout=60)
    ends = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130, signal.SIGTERM: 143}
    assert process.returncode == ends[kill], "finished before it could be killed"
    assert progress.exists() and not (to_be_killed / name).exists()

    wsol(to_be_killed, *SCORE, "--json", name, "--resume")
    resumed, whole = (json.loads((to_be_killed / n).read_text()) for n in (name, "whole.json"))
    for record in (resumed, whole):
        del record["timing"], record["environment"]
    assert resumed == whole
    assert resumed["num_images"] == COUNT


def test_models_lists_parameters_and_whether_cam_applies(place):
    out, _ = wsol(place, "models", "squeezenet1_1", "--json", "-")
    (row,) = json.loads(out)
    assert row["name"] == "squeezenet1_1" and row["cam"] is True
    assert row["parameters"] == 1_235_496


def test_datasets_check(place, tmp_path):
    out, _ = wsol(place, "datasets", "check", "shapes", "--root", "shapes")
    assert "12" in out
    generate_shapes(tmp_path / "shapes", train=2, val=2, test=3, size=64, seed=1)
    victim = open_dataset("shapes", tmp_path / "shapes").samples[1].path
    victim.unlink()
    out, _ = wsol(place, "datasets", "check", "shapes", "--root", tmp_path / "shapes", code=1)
    assert victim.name in out


def test_version(place):
    import wsol as package

    out, _ = wsol(place, "--version")
    assert out.strip() == f"wsol {package.__version__}"


def test_tables_of_records(place):
    wsol(place, "evaluate", "networks:tiny", "center", *SHAPES, "--json", "shapes.json")
    out, _ = wsol(place, "table", "shapes.json")
    assert "GFLOPs" in out and "networks:tiny" in out
    out, _ = wsol(place, "table", "shapes.json", "--columns", "model,map_size", "--format", "csv")
    assert out == "model,map_size\nnetworks:tiny,28x28\ncenter,\n"
    wsol(place, "table", "shapes.json", "--sort", "parameters", "--out", "tables/t.tex")
    text = (place / "tables" / "t.tex").read_text()
    assert text.index("center &") < text.index("networks:") and r"\toprule" in text
    wsol(place, "table", "shapes.json", "--format", "terminal", "--out", "t.txt")
    assert "networks:tiny" in (place / "t.txt").read_text()


def test_tables_that_cannot_be_made(place):
    (place / "empty").mkdir(exist_ok=True)
    (place / "other.json").write_text('{"schema": "other/1"}')
    for arguments, message in (
        (["missing.json"], "missing.json: does not exist"),
        (["empty"], "empty: has no record in it"),
        (["other.json"], "has the schema 'other/1'"),
        (["other.json", "--out", "t.xlsx"], "its suffix names no format"),
    ):
        _, told = wsol(place, "table", *arguments, code=2)
        assert message in told.replace("\n", " ")
    assert not (place / "t.xlsx").exists()


def test_published_numbers_stand_in_a_table(place, tmp_path):
    own = tmp_path / "mine.json"
    write_record(make("mine", 1, max_box_acc_v2=64.0), own)
    out, told = wsol(place, "table", own, "--with-published", "--bib", tmp_path / "t.bib")
    assert "ResNet-50 [1]" in out and "66.50" in out and "[1] Published: Choe" in out
    assert "DeiT-S" not in out and "--group-by convention shows them." in told
    assert (tmp_path / "t.bib").read_text().startswith("@inproceedings{choe2020,")
    out, told = wsol(place, "table", own, "--with-published", "--group-by", "convention")
    assert "DeiT-S" in out and told == ""
    _, told = wsol(place, "table", own, "--bib", "t.bib", code=2)
    assert "--bib: add --with-published" in told
    wsol(place, "evaluate", "center", *SHAPES, "--json", "alone.json")
    _, told = wsol(place, "table", "alone.json", "--with-published")
    assert "No published number is of these images" in told


def test_published_numbers_are_listed(place):
    out, _ = wsol(place, "published", "--dataset", "cub", "--metric", "max_box_acc")
    assert "59.7" in out and "Choe et al. 2020" in out and "ILSVRC" not in out
    out, _ = wsol(place, "published", "--metric", "top1_loc_error", "--json", "-")
    assert {(entry["model"], entry["value"]) for entry in json.loads(out)} >= {("NIN", 65.47)}
    _, told = wsol(place, "published", "--metric", "nothing", code=2)
    assert "max_box_acc_v2" in told
