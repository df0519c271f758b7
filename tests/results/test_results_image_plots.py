"""Plots of per-image outcomes: the numbers behind them, and that they are drawn."""

import numpy as np
import pytest
from PIL import Image

from wsol.errors import InputError
from wsol.records.outcomes import read_outcomes
from wsol.results.example_grid import GridOptions, _choose, plot_examples
from wsol.results.image_plots import (
    Answers,
    bins_of,
    ious_at,
    plot_iou,
    plot_reliability,
    read_answers,
    wilson,
)
from wsol.results.sources import read_sources

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
    answers = Answers(confidence, rng.random(1000) < confidence, rng.random(1000) < 0.5)
    bins = bins_of(answers)
    order = np.argsort(confidence)
    for number in range(10):
        part = order[100 * number : 100 * (number + 1)]
        assert bins.confidence[number] == pytest.approx(confidence[part].mean())
        right = [answers.classified[i] and answers.localized[i] for i in part]
        assert bins.top1_loc[number] == pytest.approx(sum(right))
        assert bins.top1_cls[number] == pytest.approx(sum(answers.classified[part]))
        assert bins.gt_known_loc[number] == pytest.approx(sum(answers.localized[part]))
    assert len(bins_of(Answers(confidence[:25], answers.classified[:25], answers.localized[:25]))
               .confidence) == 2  # fmt: skip


def test_answers_of_a_file(tmp_path):
    answers = read_answers(run(tmp_path)[0])
    assert answers.classified.tolist() == [True, False] * 6
    np.testing.assert_allclose(answers.confidence, 0.3 + np.arange(12) / 20)
    assert not answers.localized.any()


def test_wilson_interval():
    # 8 of 10: the interval that tables of Wilson's method print.
    assert wilson(8, 10) == pytest.approx((80.0, 49.02, 94.33), abs=0.01)
    assert wilson(0, 5)[:2] == (0.0, 0.0) and wilson(5, 5)[2] == 100.0


def test_iou_and_reliability_are_drawn(tmp_path):
    sources = run(tmp_path)
    plot_iou(sources, tmp_path / "iou.svg")
    text = (tmp_path / "iou.svg").read_text()
    for part in ("one (0.5)", "other (0.5)", "IoU at least", "Threshold fixed at 0.2"):
        assert part in text
    plot_reliability(sources, tmp_path / "r.svg")
    text = (tmp_path / "r.svg").read_text()
    for part in ("class right", "class wrong", "Top-1 Loc (%)", "Probability of the top-1 class"):
        assert part in text
    (tmp_path / "one.outcomes.parquet").unlink()
    with pytest.raises(InputError, match=r"one: there are no per-image outcomes.*--per-image"):
        plot_iou(read_sources([tmp_path]), tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()


def test_grids_choose_as_told(tmp_path):
    outcomes = [outcome(n) for n in range(6)]
    outcomes[4].ious[:] = (0.9, 0.1)
    outcomes[5].ious[:] = np.nan
    path = write_run(tmp_path, "one", outcomes)
    tables = [read_outcomes(path.with_suffix(".outcomes.parquet"))]
    assert _choose(tables, 0.2, GridOptions("best", 2)) == ["4.png", "0.png"]
    assert _choose(tables, 0.6, GridOptions("worst", 2)) == ["4.png", "0.png"]
    assert len(_choose(tables, 0.6, GridOptions("worst"))) == 5  # not the one without a true box
    of_class = _choose(tables, 0.2, GridOptions("class"))
    assert [int(name[0]) % 3 for name in of_class] == [2, 0, 1]  # bobcat, cat, dog
    assert set(_choose(tables, 0.2, GridOptions(class_name="dog"))) == {"1.png", "4.png"}
    with pytest.raises(InputError, match="--class ca: no image has this class; there is cat"):
        _choose(tables, 0.2, GridOptions(class_name="ca"))
    assert INFO.thresholds[TURN] == 0.5


def test_a_grid_is_drawn(tmp_path):
    sources = run(tmp_path)
    plot_examples(sources, tmp_path / "grid.png", GridOptions("random", 4))
    with Image.open(tmp_path / "grid.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    for colour in ((0x2E, 0xE6, 0xA6), (0xFF, 0x7A, 0x1A)):  # a true and a predicted box
        assert (np.abs(pixels - colour).max(axis=1) < 12).sum() > 200
    for file in (tmp_path / "images").iterdir():
        file.unlink()
    with pytest.raises(InputError, match=r"\d+\.png: the image is not there.*--images"):
        plot_examples(sources, tmp_path / "none.png", GridOptions())
    assert not (tmp_path / "none.png").exists()
