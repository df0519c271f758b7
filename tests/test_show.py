"""A photograph of one's own: upright, named, and boxed where the map is high."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from wsol.errors import InputError
from wsol.evaluation.options import LookOptions
from wsol.maps.automatic import automatic_share
from wsol.models.classifier import Classifier, Preprocessing
from wsol.results.overlay_picture import Panel, write_overlay
from wsol.show import find_class, look

WNIDS = ("n02012849", "n03126707", "n02123045")  # crane bird, crane, tabby


class Colours(nn.Module):
    """Class k's map is channel k of the picture in a grid of 7x7 cells."""

    def __init__(self):
        super().__init__()
        self.pool = nn.AvgPool2d(32)
        self.fc = nn.Linear(3, 3)
        self.fc.weight.data = 20 * torch.eye(3)
        self.fc.bias.data.zero_()

    def forward(self, images):
        return self.fc(self.pool(images).mean((2, 3)))


def colours(classes=WNIDS):
    plain = Preprocessing(size=224, mean=(0, 0, 0), std=(1, 1, 1))
    return Classifier("colours", Colours(), classes, plain)


def photograph():
    """448x224, blue; its third quarter from the left is red in the upper half."""
    pixels = np.zeros((224, 448, 3), np.uint8)
    pixels[..., 2] = 255
    pixels[:112, 224:336] = (255, 0, 0)
    return Image.fromarray(pixels)


def test_the_best_class_is_named():
    shown = look(colours(), photograph(), top=2)
    assert [name for name, _ in shown.predictions] == ["tabby", "crane bird"]
    blue, red = 20 * 7 / 8, 20 / 8
    expected = np.exp([red, 0, blue]) / np.exp([red, 0, blue]).sum()
    assert shown.predictions[0][1] == pytest.approx(expected[2], rel=0.02)
    assert shown.class_name == "tabby" and shown.probability == shown.predictions[0][1]


def test_the_box_of_a_class_lies_on_the_photograph():
    shown = look(colours(), photograph(), label=0, options=LookOptions(threshold=0.5))
    # Edges between cells of 64x32 pixels are blurred by less than half a cell.
    np.testing.assert_allclose(shown.box, [224, 0, 335, 111], atol=32)
    assert shown.class_name == "crane bird" and shown.score_map.shape == (224, 224)
    wider = look(colours(), photograph(), label=0, options=LookOptions(threshold=0.1))
    assert wider.box[0] <= shown.box[0] and wider.box[2] >= shown.box[2]


def test_a_map_may_choose_its_own_threshold():
    chosen = automatic_share(look(colours(), photograph(), label=0).score_map, "otsu")
    named = look(colours(), photograph(), label=0, options=LookOptions(threshold="otsu"))
    assert 0 < chosen < 1
    at = LookOptions(threshold=chosen)
    assert named.box.tolist() == look(colours(), photograph(), label=0, options=at).box.tolist()


def test_a_map_of_nothing_has_no_box():
    assert look(colours(), photograph(), label=1).box is None


def test_photographs_are_turned_upright(tmp_path):
    turned = photograph().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    from wsol.datasets.loading import open_image

    for name in ("a.png", "a.jpg", "a.tif"):
        turned.save(tmp_path / name, exif=exif, quality=100, subsampling=0)
        shown = look(colours(), open_image(tmp_path / name, upright=True), label=0)
        np.testing.assert_allclose(shown.image, np.asarray(photograph()), atol=8)


def test_classes_are_found_by_index_key_and_name():
    classifier = colours()
    assert [find_class(classifier, wanted) for wanted in ("2", "n03126707", "Crane", "tab")] == [
        2, 1, 1, 2,
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"fits several.*0 \(crane bird\), 1 \(crane\)"):
        find_class(classifier, "cran")
    with pytest.raises(InputError, match=r"--class 3: colours has no such class.*0 to 2"):
        find_class(classifier, "3")
    assert find_class(colours(None), "class 1") == 1


def test_the_picture_is_drawn_whatever_the_names(tmp_path):
    shown = look(colours(), photograph(), label=0)
    for suffix in ("png", "svg", "pdf"):
        write_overlay(
            tmp_path / f"a.{suffix}", shown.image,
            [Panel("$y_", shown.score_map, shown.box), Panel("<i>", shown.score_map, None)], "$x",
            r"a $\frac title", [("$x", 0.7), ("<b>", 0.1)],
        )  # fmt: skip
    assert "&lt;b&gt;" in (tmp_path / "a.svg").read_text()
    assert len(list(tmp_path.iterdir())) == 3
