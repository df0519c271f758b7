"""`wsol report`, `plot` and `show` as a user runs them, on a real evaluation."""

import pytest
from PIL import Image

from support.command import wsol

SHAPES = ("--data", "shapes", "--root", "shapes")


@pytest.fixture(scope="module")
def records(place):
    """A folder of records with outcomes, of a network and a baseline."""
    wsol(
        place, "evaluate", "networks:tiny", "center", *SHAPES, "--size", 64, "--threshold-step",
        0.05, "--per-image", "--out", "records",
    )  # fmt: skip
    return place / "records"


def test_a_report_of_an_evaluation(place, records):
    out, told = wsol(place, "report", "records", "--out", "page", "--examples", 5)
    assert "Written to page/index.html" in out
    assert "5 examples: the page will have about" in told
    text = (place / "page" / "index.html").read_text()
    assert text.count("data:image/jpeg") == 5 and "networks:tiny" in text
    (place / "shapes").rename(place / "elsewhere")
    try:
        _, told = wsol(place, "report", "records", "--out", "page", "--examples", 5)
        assert "the image is not there; name its folder with --images." in told
        assert len(told.splitlines()) == 2
        moved = ("--images", "elsewhere")
        _, told = wsol(place, "report", "records", "--out", "page", "--examples", 5, *moved)
        assert len(told.splitlines()) == 1 and (place / "page" / "index.html").read_text() == text
    finally:
        (place / "elsewhere").rename(place / "shapes")
    _, told = wsol(place, "report", "none", "--out", "page", code=2)
    assert told.startswith("wsol: none: ") and "Traceback" not in told


def test_plots_of_an_evaluation(place, records):
    wsol(place, "plot", "records", "--kind", "grid", "--order", "best", "--out", "grid.png")
    with Image.open(place / "grid.png") as picture:
        assert picture.width > 1000
    wsol(place, "plot", "records", "--kind", "reliability", "--out", "r.pdf")
    assert (place / "r.pdf").read_bytes().startswith(b"%PDF")
    _, told = wsol(place, "plot", "records", "--kind", "iou", "--out", "iou.gif", code=2)
    assert "must end in .png, .svg or .pdf" in told


def test_show_a_photograph(place):
    Image.effect_noise((90, 60), 80).convert("RGB").save(place / "mine.jpg")
    out, _ = wsol(place, "show", "mine.jpg", "--model", "networks:tiny", "--top", 2,
                  "--threshold", "li")  # fmt: skip
    assert "Written to mine-cam.png" in out and out.count(" %") == 3
    with Image.open(place / "mine-cam.png") as picture:
        assert picture.width > picture.height
    command = ("show", "mine.jpg", "mine.jpg", "--model", "networks:tiny")
    out, _ = wsol(place, *command, "--class", 1, "--out", "two")
    assert sorted(path.name for path in (place / "two").iterdir()) == [
        "mine-cam-2.png",
        "mine-cam.png",
    ]
    _, told = wsol(place, *command, "--out", "one.png", code=2)
    assert "is one file for 2 images" in told
    _, told = wsol(place, *command, "--class", "unicorn", code=2)
    assert "--class unicorn: networks:tiny has no such class" in told
