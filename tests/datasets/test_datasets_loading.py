"""Pixels of every kind of image, masks of every kind, and files that are neither."""

import os

import numpy as np
import pytest
from PIL import Image

from wsol.datasets.loading import image_size, open_image, orientation
from wsol.datasets.masks import read_mask
from wsol.errors import InputError

from support.data_files import picture

RAMP = np.linspace(0, 1, 12).reshape(3, 4)
MASK = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]], dtype=bool)


def saved(path, array, mode=None):
    Image.fromarray(array, mode).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "array", "levels"),
    [
        ("16.png", np.rint(RAMP * 65535).astype(np.uint16), 255),
        ("16.tif", np.rint(RAMP * 65535).astype(np.uint16), 255),
        ("32.tif", np.rint(RAMP * (2**31 - 1)).astype(np.int32), 255),
        ("f.tif", RAMP.astype(np.float32), 255),
        ("8.png", np.rint(RAMP * 255).astype(np.uint8), 255),
    ],
)
def test_pixels_are_scaled_by_the_range_of_their_type(tmp_path, name, array, levels):
    image = open_image(saved(tmp_path / name, array))
    assert image.mode == "RGB"
    np.testing.assert_allclose(np.asarray(image)[..., 1], RAMP * levels, atol=1)


def test_unsigned_32_bit_pixels(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "u32.tif"
    tifffile.imwrite(path, np.rint(RAMP * (2**32 - 1)).astype(np.uint32))
    np.testing.assert_allclose(np.asarray(open_image(path))[..., 0], RAMP * 255, atol=1)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.arange(12, dtype=np.int32).reshape(3, 4), "pixels from 0 to 11 of at most 2147483647"),
        ((RAMP * 255).astype(np.float32), "floating pixels from 0 to 255; expected 0 to 1"),
        (np.full((3, 4), np.nan, np.float32), "floating pixels from nan to nan"),
    ],
)
def test_pixels_whose_range_nobody_knows_are_refused(tmp_path, array, message):
    path = saved(tmp_path / "a.tif", array)
    with pytest.raises(InputError, match=rf"a\.tif: the image cannot be decoded \({message}"):
        open_image(path)


def test_a_photograph_is_turned_where_that_is_asked_for(tmp_path):
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10
    for tag, upright in {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels, -1),
        7: np.rot90(pixels, 2).swapaxes(0, 1),
        8: np.rot90(pixels),
    }.items():
        exif = Image.Exif()
        exif[0x0112] = tag
        path = tmp_path / f"{tag}.png"
        Image.fromarray(pixels).save(path, exif=exif)
        np.testing.assert_array_equal(np.asarray(open_image(path)), pixels)
        turned = open_image(path, upright=True)
        np.testing.assert_array_equal(np.asarray(turned), upright)
        assert orientation(turned) == 1
        assert image_size(path) == (3, 2) and image_size(path, upright=True) == turned.size


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name, message in (
        ("fifo.jpg", "is not a file"),
        ("folder.jpg", "is not a file"),
        ("x" * 300 + ".jpg", "cannot be read .*too long"),
        ("nul\0.jpg", "cannot be read"),
        ("none.jpg", "the image does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            open_image(tmp_path / name)
    with pytest.raises(InputError, match="/dev/zero: is not a file"):
        open_image(type(tmp_path)("/dev/zero"))


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    picture(tmp_path / "bomb.png", (300, 200))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)
    for read in (open_image, image_size, read_mask):
        with pytest.raises(InputError, match=r"bomb\.png: the \w+ cannot be decoded"):
            read(tmp_path / "bomb.png")


# --- masks --------------------------------------------------------------------------------------


def rgba(colour, alpha):
    return np.dstack([colour] * 3 + [alpha]).astype(np.uint8)


def palette(indices, colours):
    image = Image.fromarray(indices.astype(np.uint8)).convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette([value for colour in colours for value in colour])
    return image


M = MASK.astype(np.uint8)
MASKS = {
    "grey": Image.fromarray(M * 255),
    "grey with few levels": Image.fromarray(M),
    "one bit": Image.fromarray(MASK),
    "16 bits": Image.fromarray((M * 7).astype(np.uint16)),
    "colours": Image.fromarray(np.dstack([0 * M, 0 * M, M])),
    "grey and opaque": Image.fromarray(np.dstack([M * 9, 0 * M + 255])),
    "transparency alone, black": Image.fromarray(rgba(0 * M, M * 255)),
    "transparency alone, white": Image.fromarray(rgba(0 * M + 255, M * 255)),
    "transparency and colour alike": Image.fromarray(rgba(M * 200, M * 255)),
    "grey and transparency alike": Image.fromarray(np.dstack([M * 9, M * 255])),
    "a palette with black": palette(M * 3, [(0, 0, 0), (9, 9, 9), (1, 1, 1), (0, 0, 1)]),
    "a palette in reverse": palette(1 - M, [(255, 255, 255), (0, 0, 0)]),
    "a palette without colours": palette(M * 2, [(0, 0, 0)] * 3),
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_of_every_kind(tmp_path, kind):
    MASKS[kind].save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), MASK)


def test_a_transparent_palette_colour_is_background(tmp_path):
    image = palette(M, [(255, 0, 0), (0, 0, 255)])
    image.save(tmp_path / "m.png", transparency=0)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), MASK)


def test_a_lossy_mask_that_is_nearly_black_and_white(tmp_path):
    big = np.kron(M, np.ones((16, 16), np.uint8))
    Image.fromarray(big * 255).save(tmp_path / "m.jpg", quality=95)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.jpg"), big == 1)
    Image.fromarray(big * 90).save(tmp_path / "m.jpg")
    with pytest.raises(InputError, match="a lossy file with values between black and white"):
        read_mask(tmp_path / "m.jpg")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.fromarray(rgba(M * 255, (1 - M) * 255)), "colours and its transparency say"),
        (Image.fromarray(rgba(M * 255, np.eye(3, 4) * 255)), "colours and its transparency say"),
        (Image.fromarray(rgba(M * 255, 0 * M)), "colours and its transparency say"),
        (palette(M, [(255, 0, 0), (0, 0, 255)]), "palette has no black for the background"),
    ],
)
def test_masks_that_contradict_themselves_are_refused(tmp_path, image, message):
    image.save(tmp_path / "m.png")
    with pytest.raises(InputError, match=rf"m\.png: the mask cannot be decoded \(its {message}"):
        read_mask(tmp_path / "m.png")


def test_real_masks_mean_what_they_meant(shared_data):
    paths = sorted((shared_data / "openimages-masks").rglob("*.png"))
    assert len(paths) >= 7
    for path in paths:
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_mask(path), np.asarray(image.convert("L")) > 0)
