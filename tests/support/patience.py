"""A metric that takes its time when it is told to, so that a run can be killed in its middle."""

import os
from pathlib import Path

METRIC = ("--metric", "patient:share")
SLOW = {**os.environ, "PATIENCE": "0.02"}
"""The environment in which each image takes so many seconds more."""


def write_metric(folder: Path) -> None:
    """The module of `METRIC`, to be imported from the folder."""
    (folder / "patient.py").write_text(
        "import os, time\n"
        "def share(image):\n"
        "    time.sleep(float(os.environ.get('PATIENCE', 0)))\n"
        "    return float(image.score_map.mean()) / 255\n"
    )
