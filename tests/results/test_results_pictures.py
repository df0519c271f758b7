"""Plots say what they show; the page stands alone and is safe."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from test_results_tables import make

from wsol.errors import InputError
from wsol.results.examples import Example, overlay
from wsol.results.gallery import write_gallery
from wsol.results.plots import plot_parameters, plot_threshold_curves
from wsol.results.record import Curves


def records():
    made = [
        make("resnet50 (width 0.25)", 1_485_080, max_box_acc_v2=49.0),
        make("vgg16_gap (width 0.125)", 300_000, max_box_acc_v2=52.0),
        make("center", 0, max_box_acc_v2=30.0),
    ]
    curves = Curves(thresholds=[0.0, 0.5], all={"0.5": [10, 4000]}, largest=None)
    return [record.model_copy(update={"curves": curves}) for record in made]


def test_the_plot_names_its_points_axes_and_baselines(tmp_path):
    plot_parameters(records(), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    for part in ("resnet50", "width 0.25", "vgg16_gap", "center 30.0", "MaxBoxAccV2 (%)",
                 "Parameters"):  # fmt: skip
        assert part in text
    plot_parameters(records(), tmp_path / "b.svg")
    assert (tmp_path / "b.svg").read_text() == text
    plot_parameters(records(), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_plot_is_said(tmp_path):
    with pytest.raises(InputError, match="pxap"):
        plot_parameters(records(), tmp_path / "a.svg", metric="pxap")
    with pytest.raises(InputError, match="--curves"):
        plot_threshold_curves([make("a", 1)], tmp_path / "a.svg")
    assert list(tmp_path.iterdir()) == []


def test_threshold_curves(tmp_path):
    plot_threshold_curves(records(), tmp_path / "a.svg")
    assert "IoU 0.5" in (tmp_path / "a.svg").read_text()


def example(**changes):
    fields = {
        "model": "m", "image_id": "a.png", "image": np.full((20, 30, 3), 90, np.uint8),
        "score_map": np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30),
        "true_boxes": np.array([[1.0, 2, 9, 12]]), "predicted_boxes": np.array([[2.0, 2, 9, 9]]),
        "class_name": "disc", "predicted_name": "ring", "iou": 0.61, "correct": True,
    }  # fmt: skip
    return Example(**(fields | changes))


def test_an_overlay_keeps_the_size_and_shows_the_map():
    mixed = overlay(example())
    assert mixed.shape == (20, 30, 3) and mixed.dtype == np.uint8
    assert mixed[-1, -1, 0] > mixed[-1, -1, 2]  # hot where the map is high


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))


def test_the_page_stands_alone(tmp_path):
    plot_parameters(records(), tmp_path / "p.png")
    hostile = "<script>alert(1)</script>\"'"
    examples = [example(), example(model=hostile, class_name=hostile, image_id=hostile,
                                   correct=False, iou=0.1)]  # fmt: skip
    write_gallery(records(), examples, tmp_path / "index.html", title="t <x>",
                  plot=tmp_path / "p.png")  # fmt: skip
    text = (tmp_path / "index.html").read_text()
    assert "alert(1)</script>" not in text and "&lt;script&gt;alert(1)" in text
    tags = Tags()
    tags.feed(text)
    assert [tag for tag, _ in tags.seen].count("script") == 1
    for _, attributes in tags.seen:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert not re.search(r"url\(|@import|https?://", text)
    rectangles = [a for tag, a in tags.seen if tag == "rect" and a["class"] == "true"]
    # Inclusive corners 1, 2, 9, 12 cover 9 by 11 pixels.
    assert {k: rectangles[0][k] for k in ("x", "y", "width", "height")} == {
        "x": "1.0", "y": "2.0", "width": "9.0", "height": "11.0",
    }  # fmt: skip
    figures = [a for tag, a in tags.seen if tag == "figure"]
    assert [f["data-outcome"] for f in figures] == ["correct", "wrong"]
