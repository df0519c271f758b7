"""Photographs into the network's square and maps back onto the photographs."""

import numpy as np
import pytest
import torch
from PIL import Image

from wsol.maps.framing import fit, frame, maps_on_grid


def test_frames_by_hand():
    assert frame((500, 250), 200, "squash").scaled == (200, 200)
    letterbox = frame((500, 250), 200, "letterbox")
    assert (letterbox.scaled, letterbox.offset) == ((200, 100), (0, 50))
    crop = frame((512, 256), 224, "center-crop")
    assert (crop.scaled, crop.offset) == ((512, 256), (-144, -16))


def test_letterbox_pads_with_the_given_colour():
    image = Image.new("RGB", (40, 20), (200, 100, 50))
    pixels = fit(image, 40, "letterbox", "bilinear", (1, 2, 3))
    assert pixels.shape == (40, 40, 3)
    assert pixels[0, 0].tolist() == pixels[-1, -1].tolist() == [1, 2, 3]
    assert (pixels[10:30] == [200, 100, 50]).all()


@pytest.mark.parametrize("mode", ["squash", "letterbox", "center-crop"])
@pytest.mark.parametrize("size", [(320, 160), (150, 300), (64, 64), (130, 90)])
def test_a_marked_spot_comes_back_where_it_was(mode, size):
    """What the network sees at a place must return to that place of the photograph."""
    width, height = size
    photograph = np.zeros((height, width, 3), np.uint8)
    x0, x1 = round(width * 0.45), round(width * 0.62)
    y0, y1 = round(height * 0.42), round(height * 0.60)
    photograph[y0:y1, x0:x1] = 255
    side = 96
    seen = fit(Image.fromarray(photograph), side, mode, "bilinear", (0, 0, 0))
    cams = torch.from_numpy(seen[..., 0].astype(np.float32))[None, None]
    returned = maps_on_grid(cams, [size], side, mode, (224, 224))[0, 0].numpy()
    assert returned.shape == (224, 224)
    assert returned.min() == 0 and returned.max() == 1
    ys, xs = np.nonzero(returned >= 0.5)
    found = np.array([xs.min() / 224, ys.min() / 224, (xs.max() + 1) / 224, (ys.max() + 1) / 224])
    wanted = np.array([x0 / width, y0 / height, x1 / width, y1 / height])
    # A pixel of the scaled photograph, in units of the photograph, is the resolution to expect.
    scaled = frame(size, side, mode).scaled
    tolerance = 1.2 / np.array([*scaled, *scaled]) + 0.006
    assert (np.abs(found - wanted) <= tolerance).all()


def test_what_a_centre_crop_cut_off_gets_the_lowest_value():
    cams = torch.rand(1, 1, 7, 7, generator=torch.Generator().manual_seed(0))
    returned = maps_on_grid(cams, [(400, 200)], 112, "center-crop", (224, 224))[0, 0]
    torch.testing.assert_close(returned[:, :40], returned[:1, :1].expand(224, 40))
    assert returned[0, 0] < 0.2


def test_each_image_of_a_batch_has_its_own_frame():
    cams = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    sizes = [(100, 50), (50, 100)]
    both = maps_on_grid(cams, sizes, 80, "letterbox", (64, 48))
    assert both.shape == (2, 3, 48, 64)
    for i, size in enumerate(sizes):
        alone = maps_on_grid(cams[i : i + 1], [size], 80, "letterbox", (64, 48))
        torch.testing.assert_close(both[i], alone[0])
