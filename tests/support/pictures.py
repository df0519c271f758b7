"""Figures compared with pictures that were looked at."""

import os
from pathlib import Path

import matplotlib
import pytest
from matplotlib.testing.compare import compare_images

BASELINE = Path(__file__).parents[1] / "results" / "baseline"
TOLERANCE = 14.0
"""Of the root mean square over all pixels' colours: letters differ a little between versions."""

_SAME_LETTERS = (3, 11)
"""The first version of matplotlib whose letters are as wide as those of the pictures: with others
everything is drawn, but lies elsewhere."""


def check_picture(figure, name, folder):
    """Require that a figure looks as `baseline/NAME.png`; WSOL_NEW_PICTURES=1 draws that anew."""
    figure.set_dpi(70)
    baseline = BASELINE / f"{name}.png"
    if os.environ.get("WSOL_NEW_PICTURES"):
        BASELINE.mkdir(exist_ok=True)
        figure.savefig(baseline, dpi=70, metadata={"Software": None})
    drawn = folder / f"{name}.png"
    figure.savefig(drawn, dpi=70)
    assert baseline.exists(), f"{baseline} is missing; WSOL_NEW_PICTURES=1 draws it"
    if matplotlib.__version_info__[:2] < _SAME_LETTERS:
        pytest.skip(f"matplotlib {matplotlib.__version__} draws letters of other widths")
    assert compare_images(str(baseline), str(drawn), TOLERANCE) is None
