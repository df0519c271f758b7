"""Plots of records say what they show."""

import matplotlib.pyplot as plt
import pytest

from wsol.errors import InputError
from wsol.records.record import Curves
from wsol.results.plots import plot_parameters, plot_threshold_curves

from support.records import make


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


def test_labels_do_not_cover_each_other(tmp_path, monkeypatch):
    crowd = [
        make(f"net{i} (width 0.25)", 1_000_000 + 9_000 * i, max_box_acc_v2=50 + 0.2 * i)
        for i in range(7)
    ]
    crowd += [make(n, 0, max_box_acc_v2=40 + i / 50) for i, n in enumerate(("center", "full"))]
    drawn = []
    monkeypatch.setattr("wsol.results.plots.save_figure", lambda figure, path: drawn.append(figure))
    plot_parameters(crowd, tmp_path / "a.png")
    boxes = [text.get_window_extent() for text in drawn[0].axes[0].texts]
    plt.close(drawn[0])
    assert len(boxes) == 9
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :])


def test_another_format_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.gif: its name must end in \.png, \.svg or \.pdf"):
        plot_parameters(records(), tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []
