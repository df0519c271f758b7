"""`--method` and `--layer` as a user gives them, and `wsol methods`."""

import json

import pytest
from PIL import Image

from support.command import wsol

SHAPES = ("--data", "shapes", "--root", "shapes")
NETWORK = ("evaluate", "networks:two_layers", *SHAPES)


def test_the_methods_are_listed(place):
    out, _ = wsol(place, "methods")
    for told in ("gradcam++", "Chattopadhay", "1 + K", "attention over all positions"):
        assert told in out
    out, _ = wsol(place, "methods", "--json", "-")
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["eigencam"]["by_class"] is False and rows["cam"]["passes"] == "1"
    assert {"rollout", "attention", "legrad", "scorecam", "smoothgradcam++"} <= set(rows)


def test_a_network_without_a_head_is_evaluated_with_another_method(place):
    out, _ = wsol(place, *NETWORK, "--method", "layercam", "--json", "-")
    record = json.loads(out)
    assert record["cam_method"] == "layercam"
    assert (record["settings"]["method"], record["settings"]["layer"]) == ("layercam", "0")
    assert record["cost"]["map_size"] == [16, 16] or record["cost"]["map_size"] == [56, 56]
    assert record["metrics"]["max_box_acc_v2"] is not None
    assert record["settings"]["coco"] is True and record["metrics"]["coco_ap"] is not None
    out, _ = wsol(place, *NETWORK, "--method", "layercam", "--no-coco", "--json", "-")
    assert json.loads(out)["metrics"]["coco_ap"] is None


def test_exact_cam_is_recorded_as_ever(place):
    out, _ = wsol(place, "evaluate", "networks:tiny", *SHAPES, "--json", "-")
    record = json.loads(out)
    assert record["cam_method"] == "cam" and record["settings"]["coco"] is True
    assert not {"method", "layer", "method_parameters"} & set(record["settings"])


def test_several_methods_make_a_run_each(place):
    out, err = wsol(
        place, "evaluate", "networks:tiny", "center", *SHAPES,
        "--method", "cam,gradcam,smoothgradcam++", "--out", "several", "--store", "st",
    )  # fmt: skip
    told = "networks:tiny, cam, gradcam, smoothgradcam++: 1 forward pass an image, 12 in all"
    assert told in err
    names = {file.name for file in (place / "several").glob("*.json")} - {"order.json"}
    assert names == {"networks-tiny.json", "networks-tiny-gradcam.json", "center.json",
                     "networks-tiny-smoothgradcam++.json"}  # fmt: skip
    smooth = json.loads((place / "several" / "networks-tiny-smoothgradcam++.json").read_text())
    assert smooth["settings"]["method_parameters"] == {"samples": 4, "deviation": 0.3, "seed": 0}
    assert out.count("networks:tiny") >= 3 and "Grad-CAM++" in out
    _, err = wsol(
        place, "evaluate", "networks:tiny", "center", *SHAPES,
        "--method", "cam,gradcam,smoothgradcam++", "--out", "several", "--resume",
    )  # fmt: skip
    assert "12/12" not in err  # all of them had finished
    listed, _ = wsol(place, "results", "list", "--store", "st")
    assert all(f" {name} " in listed for name in ("Method", "cam", "gradcam", "smoothgradcam++"))
    out, _ = wsol(place, "results", "list", "--store", "st", "--json", "-")
    assert {row["method"] for row in json.loads(out)} >= {"cam", "gradcam", "smoothgradcam++"}


def test_a_dry_run_only_counts_passes(place):
    out, err = wsol(
        place, *NETWORK, "--method", "gradcam,scorecam,smoothgradcam++", "--dry-run",
        "--json", "dry.json",
    )  # fmt: skip
    assert out == "" and not (place / "dry.json").exists()
    assert err.splitlines() == [
        "networks:two_layers, gradcam, smoothgradcam++: 5 forward passes an image, 60 in all",
        "networks:two_layers, scorecam: 9 forward passes an image, 108 in all",
    ]


def test_a_layer_by_name(place):
    out, _ = wsol(
        place, "evaluate", "networks:tiny", *SHAPES, "--method", "gradcam", "--layer", "1",
        "--json", "-",
    )  # fmt: skip
    record = json.loads(out)
    assert record["settings"]["layer"] == "1" and record["cost"]["map_size"] == [56, 56]


def test_show_takes_a_method(place):
    Image.new("RGB", (80, 60), (200, 30, 30)).save(place / "red.png")
    out, _ = wsol(
        place, "show", "red.png", "--model", "networks:two_layers", "--method", "gradcam++",
        "--out", "red-cam.png",
    )  # fmt: skip
    assert "Written to red-cam.png" in out and (place / "red-cam.png").exists()


def test_show_puts_methods_beside_each_other(place):
    Image.new("RGB", (80, 60), (200, 30, 30)).save(place / "red.png")
    shown = "show", "red.png", "--model", "networks:two_layers", "--out", "three.svg"
    out, _ = wsol(place, *shown, "--method", "gradcam,eigencam,layercam")
    picture = (place / "three.svg").read_text()
    for method in ("gradcam", "eigencam", "layercam"):
        assert f">{method}<" in picture and f"{method}: class" in out
    assert picture.count("<image") == 4
    wsol(place, *shown, "--method", "gradcam")
    alone = (place / "three.svg").read_text()
    assert alone.count("<image") == 2 and ", gradcam, threshold" in alone
    boxes = "boxes", "red.png", "--model", "networks:two_layers", "--out", "boxes.csv"
    _, err = wsol(place, *boxes, "--method", "gradcam,eigencam", code=2)
    assert "--method: gradcam, eigencam are several; take one." in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*NETWORK, "--method", "gradcan"), "--method: should be 'cam'"),
        ((*NETWORK, "--method", "gradcan"), "did you mean gradcam"),
        ((*NETWORK, "--method", "gradcam,gradcam"), "names gradcam twice"),
        ((*NETWORK, "--method", "gradcam", "--layer", "conv"), "has no layer 'conv'"),
        ((*NETWORK, "--method", "gradcam", "--layer", "5"), "layer '5', of shape"),
        ((*NETWORK, "--method", "rollout"), "it can have gradcam"),
        ((*NETWORK, "--layer", "0"), "has no layer to choose"),
        ((*NETWORK, "--method", "torchcam:Zebra"), "torchcam has no such method"),
        ((*NETWORK, "--method", "networks:missing"), "no callable 'missing'"),
        ((*NETWORK, "--method", "networks:tiny"), "networks:tiny: failed (TypeError"),
        (("show", "red.png", "--model", "networks:tiny", "--method", "no"), "--method: should"),
        (("train", "resnet18", *SHAPES, "--out", "o", "--method", "has"), "--wsol-method"),
    ],
)
def test_bad_input_is_told_in_a_line(place, arguments, message):
    Image.new("RGB", (80, 60)).save(place / "red.png")
    _, err = wsol(place, *arguments, code=2)
    assert message in " ".join(err.split())
