"""Photographs that are stored lying, with a tag that says how to turn them: `--exif`."""

import json

import numpy as np
import pytest
from PIL import Image

from support.command import wsol

TURNED_BY_THE_TAG = 6  # shown a quarter turn clockwise of how it is stored


@pytest.fixture
def birds(place, tmp_path):
    """The same eight upright photographs twice: as they are, and stored lying with a tag."""
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = TURNED_BY_THE_TAG
    names = [f"{number}.png" for number in range(8)]  # one a class of the network
    for folder in ("upright", "lying"):
        (tmp_path / folder).mkdir()
    for name in names:
        image = Image.fromarray(rng.integers(0, 255, (96, 64, 3), np.uint8))
        image.save(tmp_path / "upright" / name)
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying" / name, exif=exif)
    rows = {
        "image_ids": names,
        "class_labels": [f"{name},{number}" for number, name in enumerate(names)],
        "image_sizes": [f"{name},64,96" for name in names],
        "localization": [f"{name},10,20,50,80" for name in names],
    }
    folder = tmp_path / "birds" / "test"
    folder.mkdir(parents=True)
    for file, lines in rows.items():
        (folder / f"{file}.txt").write_text("\n".join(lines) + "\n")
    return folder


def evaluated(place, birds, images, *options, code=0):
    data = ("--data", "protocol", "--root", birds, "--images", birds.parents[1] / images)
    return wsol(
        place, "evaluate", "networks:tiny", *data, *options, "--method", "cam", "--workers", "0",
        "--device", "cpu", "--json", "-", code=code,
    )  # fmt: skip


def test_photographs_are_turned_as_the_annotated_sizes_say(place, birds):
    upright = json.loads(evaluated(place, birds, "upright")[0])
    for options in ((), ("--exif", "apply")):
        lying = json.loads(evaluated(place, birds, "lying", *options)[0])
        assert lying["metrics"] == upright["metrics"]
        assert any("turned as their EXIF orientation says" in note for note in lying["notes"])


def test_ignored_tags_leave_swapped_sizes(place, birds):
    told = " ".join(evaluated(place, birds, "lying", "--exif", "ignore", code=2)[1].split())
    assert "is 96x64, but annotated as 64x96: width and height are swapped" in told


def test_what_to_do_about_tags_is_one_of_three(place, birds):
    _, told = evaluated(place, birds, "lying", "--exif", "applied", code=2)
    assert "apply" in told and "ignore" in told
