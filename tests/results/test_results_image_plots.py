"""Plots of per-image outcomes: the numbers behind them, and that they are drawn."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from wsol.errors import InputError
from wsol.records.outcomes import read_outcomes
from wsol.results.example_grid import GridOptions, _choose, grid_figure
from wsol.results.figures import save_figure
from wsol.results.image_plots import (
    Answers,
    bins_of,
    iou_figure,
    ious_at,
    read_answers,
    reliability_figure,
    size_figure,
)
from wsol.results.sources import read_sources

from support.pictures import check_picture
from support.records import INFO, TURN, outcome, write_photographs, write_run


def run(folder):
    write_photographs(folder / "images", 12)
    for name in ("one", "other"):
        outcomes = [
            outcome(n, path=folder / "images" / f"{n}.png", right=n % 2 == 0, score=0.3 + n / 20)
            for n in range(12)
        ]
        write_run(folder, name, outcomes, best_threshold_largest={"0.5": 0.5})
    return read_sources([folder])


def test_ious_at_a_threshold(tmp_path):
    source = run(tmp_path)[0]
    table, _ = read_outcomes(source.outcomes)
    assert ious_at(table, TURN - 1).tolist() == [0.25] * 12
    assert ious_at(table, TURN).tolist() == [1.0] * 12
    assert ious_at(table.slice(3, 2), TURN).tolist() == [1.0, 1.0]


def test_bins_hold_equal_numbers_of_images():
    rng = np.random.default_rng(0)
    confidence = rng.random(1000)
    localized = rng.random(1000) < 0.5
    answers = Answers(confidence, rng.random(1000) < confidence, localized, localized)
    bins = bins_of(answers)
    order = np.argsort(confidence)
    for number in range(10):
        part = order[100 * number : 100 * (number + 1)]
        assert bins.confidence[number] == pytest.approx(confidence[part].mean())
        right = [answers.classified[i] and answers.localized[i] for i in part]
        assert bins.top1_loc[number] == pytest.approx(sum(right))
        assert bins.top1_cls[number] == pytest.approx(sum(answers.classified[part]))
        assert bins.gt_known_loc[number] == pytest.approx(sum(answers.localized[part]))
    few = [part[:25] for part in (confidence, answers.classified, localized, localized)]
    assert len(bins_of(Answers(*few)).confidence) == 2
    none = np.zeros(1000, dtype=bool)  # a convention that asks for more in Top-k Loc
    strict = bins_of(replace(answers, top_k=none))
    assert not strict.top1_loc.any() and strict.gt_known_loc.tolist() == bins.gt_known_loc.tolist()


def test_answers_of_a_file(tmp_path):
    answers = read_answers(run(tmp_path)[0])
    assert answers.classified.tolist() == [True, False] * 6
    np.testing.assert_allclose(answers.confidence, 0.3 + np.arange(12) / 20)
    assert not answers.localized.any()


def test_iou_and_reliability_are_drawn(tmp_path):
    sources = run(tmp_path)
    save_figure(iou_figure(sources), tmp_path / "iou.svg")
    text = (tmp_path / "iou.svg").read_text()
    for part in ("one (0.5)", "other (0.5)", "IoU at least", "Threshold fixed at 0.2"):
        assert part in text
    save_figure(reliability_figure(sources), tmp_path / "r.svg")
    text = (tmp_path / "r.svg").read_text()
    for part in ("class right", "class wrong", "Top-1 Loc (%)", "Probability of the top-1 class",
                 "12 images a point", ">6<"):  # fmt: skip
        assert part in text
    (tmp_path / "one.outcomes.parquet").unlink()
    with pytest.raises(InputError, match=r"one: there are no per-image outcomes.*--per-image"):
        iou_figure(read_sources([tmp_path]))


def test_accuracy_by_object_size(tmp_path):
    sources = run(tmp_path)
    figure = size_figure(sources)
    (axes,) = figure.axes
    # A quarter of the photograph, right from a threshold on that is best for all.
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "medium\n(10 % to 30 %)\n12 images"
    ]
    assert axes.get_ylabel() == "Localized at IoU 0.5 (%)"
    assert [line.get_ydata().tolist() for line in axes.lines if line.get_marker() == "o"] == [[100]]
    assert size_figure(sources, "gt_known_loc").axes[0].get_ylabel() == "GT-known Loc (%)"
    with pytest.raises(InputError, match="--metric pxap: sizes have"):
        size_figure(sources, "pxap")


def test_curves_that_coincide_are_seen_both(tmp_path):
    lines = iou_figure(run(tmp_path)).axes[0].lines
    assert lines[0].get_linestyle() == "-" and lines[1].get_linestyle() == "--"


@pytest.mark.parametrize(
    "draw", [iou_figure, reliability_figure, size_figure], ids=["iou", "reliability", "sizes"]
)
def test_outcomes_look_as_they_did(tmp_path, draw):
    rng = np.random.default_rng(0)
    for name in ("one", "other of a longer name"):
        outcomes = []
        for n in range(60):
            made = outcome(n, right=n % 3 > 0, score=0.2 + 0.75 * n / 60)
            made = replace(made, fixed_iou=float(rng.random()), true_boxes=np.array(
                [[0.0, 0, 10 + n, 5 + n / 2]]))  # fmt: skip
            outcomes.append(made)
        write_run(tmp_path, name, outcomes, best_threshold_largest={"0.5": 0.5})
    check_picture(draw(read_sources([tmp_path])), draw.__name__, tmp_path)


def test_grids_choose_as_told(tmp_path):
    outcomes = [outcome(n) for n in range(6)]
    outcomes[4].ious[:] = (0.9, 0.1)
    outcomes[5].ious[:] = np.nan
    path = write_run(tmp_path, "one", outcomes)
    tables = [read_outcomes(path.with_suffix(".outcomes.parquet"))]
    assert _choose(tables, 0.2, GridOptions(order="best", examples=2)) == ["4.png", "0.png"]
    assert _choose(tables, 0.6, GridOptions(order="worst", examples=2)) == ["4.png", "0.png"]
    everyone = _choose(tables, 0.6, GridOptions(order="worst"))
    assert len(everyone) == 5  # not the one without a true box
    of_class = _choose(tables, 0.2, GridOptions(order="class"))
    assert [int(name[0]) % 3 for name in of_class] == [2, 0, 1]  # bobcat, cat, dog
    assert set(_choose(tables, 0.2, GridOptions(class_name="dog"))) == {"1.png", "4.png"}
    with pytest.raises(InputError, match="--class ca: no image has this class; there is cat"):
        _choose(tables, 0.2, GridOptions(class_name="ca"))
    assert INFO.thresholds[TURN] == 0.5


def test_a_grid_is_drawn(tmp_path):
    sources = run(tmp_path)
    save_figure(grid_figure(sources, GridOptions(examples=4)), tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    for colour in ((0x2E, 0xE6, 0xA6), (0xFF, 0x7A, 0x1A)):  # a true and a predicted box
        assert (np.abs(pixels - colour).max(axis=1) < 12).sum() > 200
    for file in (tmp_path / "images").iterdir():
        file.unlink()
    with pytest.raises(InputError, match=r"\d+\.png: the image is not there.*--images"):
        grid_figure(sources, GridOptions())


def test_true_boxes_are_where_they_are_in_a_reduced_photograph(tmp_path):
    """Annotations are of a photograph twice as large as the file."""
    write_photographs(tmp_path / "images", 1)
    made = replace(
        outcome(0, path=tmp_path / "images" / "0.png"),
        size=(160, 80), true_boxes=np.array([[80.0, 40, 159, 79]]),
    )  # fmt: skip
    write_run(tmp_path, "one", [made])
    figure = grid_figure(read_sources([tmp_path]), GridOptions(examples=1))
    corner = figure.axes[0].patches[0]
    assert (corner.get_x(), corner.get_y()) == (79.5, 39.5)
    assert (corner.get_width(), corner.get_height()) == (80, 40)
    (picture,) = figure.axes[0].images
    assert picture.get_array().shape[:2] == (80, 160)
    assert figure.axes[0].get_title() == "cat\n0"
