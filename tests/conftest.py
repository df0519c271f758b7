"""Fixtures that every room's tests share."""

import os
from pathlib import Path

# Test processes share the cores: each, and each that it starts, has one thread. Before torch loads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import hypothesis
import pytest

from wsol.experiment.file import read_experiment
from wsol.experiment.tasks import plan, run_tasks
from wsol.records.store import Store

# Compiling an engine for the first time takes seconds, and on a busy machine anything may.
hypothesis.settings.register_profile("wsol", deadline=None)
hypothesis.settings.load_profile("wsol")

# pytest-xdist gives its workers a terminal of 80 columns; what is printed here goes to no terminal.
os.environ.pop("COLUMNS", None)

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The optional folder of real photographs and annotations; skips where it is missing."""
    root = Path(os.environ.get("WSOL_TEST_DATA", _BESIDE_THE_CHECKOUT))
    if not (root / "tiny-imagenet-200").is_dir():
        pytest.skip(f"real test data not found at {root} (set WSOL_TEST_DATA to its folder)")
    return root


@pytest.fixture(scope="session")
def run_experiment():
    """Run an experiment's text in a folder, with its results in `store`; the tasks' results."""

    def run(folder, text, limit=None, **options):
        path = folder / "experiment.yaml"
        path.write_text(text)
        experiment = read_experiment(path)
        alone = experiment.options.replaced(workers=0)
        wanted = experiment.model_copy(update={"options": alone})
        tasks = plan(wanted, limit=limit, modules=folder)
        return list(run_tasks(tasks, Store(folder / "store"), **options))

    return run


@pytest.fixture(scope="session")
def write_annotations():
    """Write the protocol's four files, with the same size and box for all images."""

    def write(folder, image_ids, labels, size, box):
        folder.mkdir(parents=True)
        rows = list(zip(image_ids, labels, strict=True))
        for name, tail in (
            ("image_ids", lambda label: ""),
            ("class_labels", lambda label: f",{label}"),
            ("image_sizes", lambda label: f",{size}"),
            ("localization", lambda label: f",{box}"),
        ):
            lines = "".join(f"{image_id}{tail(label)}\n" for image_id, label in rows)
            (folder / f"{name}.txt").write_text(lines)

    return write


def boxes_at_level(levels, level, contours):
    """Boxes of one threshold as the released protocol code finds them."""
    height, width = levels.shape
    _, binary = cv2.threshold(levels, level, 255, cv2.THRESH_BINARY)
    found = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
    if len(found) == 0:
        return [[0, 0, 0, 0]]
    if contours == "largest":
        found = [max(found, key=cv2.contourArea)]
    boxes = []
    for contour in found:
        x, y, w, h = cv2.boundingRect(contour)
        boxes.append([x, y, min(x + w, width - 1), min(y + h, height - 1)])
    return boxes


@pytest.fixture(scope="session")
def opencv_boxes():
    return boxes_at_level
