"""Fixtures that every room's tests share."""

import os
from pathlib import Path

import pytest

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The optional folder of real photographs and annotations; skips where it is missing."""
    root = Path(os.environ.get("WSOL_TEST_DATA", _BESIDE_THE_CHECKOUT))
    if not (root / "tiny-imagenet-200").is_dir():
        pytest.skip(f"real test data not found at {root} (set WSOL_TEST_DATA to its folder)")
    return root
