"""Fixtures that every room's tests share."""

import os
from pathlib import Path

import cv2
import pytest

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The optional folder of real photographs and annotations; skips where it is missing."""
    root = Path(os.environ.get("WSOL_TEST_DATA", _BESIDE_THE_CHECKOUT))
    if not (root / "tiny-imagenet-200").is_dir():
        pytest.skip(f"real test data not found at {root} (set WSOL_TEST_DATA to its folder)")
    return root


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
