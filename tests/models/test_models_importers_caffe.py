"""VGG16-CAM from Caffe's files: against numpy and against bytes written by hand."""

import struct
import sys

import numpy as np
import pytest
import torch

from wsol.errors import InputError
from wsol.models.importers.caffe import message_class, read_blobs
from wsol.models.importers.importing import import_weights, map_shape
from wsol.models.registry import load_classifier

CLASSES = 7
CONVOLUTIONS = {  # at a sixteenth of the width
    "conv1_1": (4, 3), "conv1_2": (4, 4),
    "conv2_1": (8, 4), "conv2_2": (8, 8),
    "conv3_1": (16, 8), "conv3_2": (16, 16), "conv3_3": (16, 16),
    "conv4_1": (32, 16), "conv4_2": (32, 32), "conv4_3": (32, 32),
    "conv5_1": (32, 32), "conv5_2": (32, 32), "conv5_3": (32, 32),
    "CAM_conv": (64, 16),  # two groups of 16 of the 32 channels
}  # fmt: skip


@pytest.fixture(scope="module")
def blobs():
    random = np.random.default_rng(0)

    def numbers(*shape):
        fan_in = int(np.prod(shape[1:]))
        return (random.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)

    layers = {
        name: [numbers(*size, 3, 3), 0.1 * random.standard_normal(size[0]).astype(np.float32)]
        for name, size in CONVOLUTIONS.items()
    }
    layers["CAM_fc"] = [numbers(CLASSES, 64), numbers(CLASSES, 1)[:, 0]]
    return layers


def varint(value):
    """The variable-length integer of protobuf's wire format."""
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, content):
    """A field by hand: an integer (wire type 0) or bytes with their length (wire type 2)."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def old_file(layers):
    """As Caffe wrote until 2014: `layers` (2) of name (4) and blobs (6), in four dimensions."""
    out = field(1, b"VGG_ILSVRC_16_layers")
    for name, arrays in layers.items():
        content = field(2, b"bottom") + field(3, b"top") + field(4, name.encode()) + field(5, 4)
        for array in arrays:
            shape = (1,) * (4 - array.ndim) + array.shape
            blob = b"".join(field(number, size) for number, size in enumerate(shape, 1))
            blob += field(5, array.astype("<f4").tobytes())
            content += field(6, blob)
        out += field(2, content + field(7, struct.pack("<2f", 1, 2)))
        out += field(2, field(4, b"relu_" + name.encode()) + field(5, 18))
    return out


def new_file(layers, double=False):
    """As Caffe has written since: `layer` (100) and a shape of its own for each blob."""
    net = message_class("NetParameter")()
    for name, arrays in layers.items():
        layer = net.layer.add(name=name.encode())
        for array in arrays:
            blob = layer.blobs.add()
            blob.shape.dim.extend(array.shape)
            (blob.double_data if double else blob.data).extend(array.ravel().tolist())
    return net.SerializeToString()


def caffe_forward(layers, pixels):
    """(H, W, 3) uint8 RGB to logits as the prototxt says, position by position."""
    x = pixels[:, :, ::-1].transpose(2, 0, 1) - np.array([104.0, 117.0, 123.0])[:, None, None]
    previous = "1"
    for name in CONVOLUTIONS:
        if name[4].isdigit() and name[4] != previous:
            previous = name[4]
            channels, height, width = x.shape
            x = x.reshape(channels, height // 2, 2, width // 2, 2).max((2, 4))
        x = np.maximum(convolve(x, *layers[name], groups=2 if name == "CAM_conv" else 1), 0)
    weight, bias = layers["CAM_fc"]
    return weight @ x.mean((1, 2)) + bias, np.einsum("ck,kyx->cyx", weight, x)


def convolve(x, weight, bias, groups):
    channels, height, width = x.shape
    padded = np.zeros((channels, height + 2, width + 2))
    padded[:, 1:-1, 1:-1] = x
    out = np.zeros((len(weight), height, width))
    ins, outs = channels // groups, len(weight) // groups
    for group in range(groups):
        filters = slice(group * outs, (group + 1) * outs)
        for dy in range(3):
            for dx in range(3):
                seen = padded[group * ins : (group + 1) * ins, dy : dy + height, dx : dx + width]
                out[filters] += np.einsum("oi,iyx->oyx", weight[filters, :, dy, dx], seen)
    return out + bias[:, None, None]


@pytest.mark.parametrize("layout", ["old, by hand", "new", "new, double"])
def test_the_imported_network_computes_what_caffe_does(tmp_path, blobs, layout):
    content = old_file(blobs) if layout.startswith("old") else new_file(blobs, "double" in layout)
    (tmp_path / "a.caffemodel").write_bytes(content)
    import_weights(tmp_path / "a.caffemodel", tmp_path / "a.pt", spec="vgg16_gap")
    loaded = load_classifier("vgg16_gap", str(tmp_path / "a.pt"))
    assert loaded.num_classes == CLASSES and loaded.classes is None
    assert map_shape(loaded) == (14, 14)
    pixels = np.random.default_rng(1).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    images = loaded.normalize(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    with torch.no_grad():
        logits, features = loaded.forward(images)
        maps = loaded.class_maps(features, torch.arange(CLASSES)[None])
    expected_logits, expected_maps = caffe_forward(blobs, pixels)
    np.testing.assert_allclose(logits[0].numpy(), expected_logits, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(maps[0].numpy(), expected_maps, rtol=1e-4, atol=1e-3)


def test_pixels_are_blue_green_red_minus_the_mean_of_imagenet(tmp_path, blobs):
    (tmp_path / "a.caffemodel").write_bytes(new_file(blobs))
    loaded = import_weights(tmp_path / "a.caffemodel", tmp_path / "a.pt", spec="vgg16_gap")
    pixel = torch.tensor([200, 100, 50], dtype=torch.uint8).view(1, 3, 1, 1)  # red, green, blue
    expected = torch.tensor([50.0 - 104, 100.0 - 117, 200.0 - 123])
    torch.testing.assert_close(loaded.normalize(pixel).flatten(), expected, rtol=0, atol=1e-4)


def test_unpacked_numbers_are_read_too(tmp_path):
    numbers = b"".join(varint(5 << 3 | 5) + struct.pack("<f", value) for value in (1.5, -2.0))
    blob = field(7, field(1, varint(2))) + numbers
    layer = field(1, b"conv1_1") + field(7, blob)
    (tmp_path / "a.caffemodel").write_bytes(field(100, layer))
    read = read_blobs(tmp_path / "a.caffemodel")
    assert list(read) == ["conv1_1.weight"]
    assert read["conv1_1.weight"].tolist() == [1.5, -2.0]


def test_a_thousand_classes_are_those_of_imagenet_in_order(tmp_path, blobs):
    wide = {**blobs, "CAM_fc": [np.zeros((1000, 64), np.float32), np.zeros(1000, np.float32)]}
    (tmp_path / "a.caffemodel").write_bytes(old_file(wide))
    imported = import_weights(tmp_path / "a.caffemodel", tmp_path / "a.pt", spec="vgg16_gap")
    assert imported.classes[:2] == ("n01440764", "n01443537") and len(imported.classes) == 1000


def refused(tmp_path, content, **options):
    """The message, after checking that nothing was written."""
    (tmp_path / "a.caffemodel").write_bytes(content)
    with pytest.raises(InputError) as told:
        import_weights(
            tmp_path / "a.caffemodel", tmp_path / "a.pt", **{"spec": "vgg16_gap", **options}
        )
    assert [path.name for path in tmp_path.iterdir()] == ["a.caffemodel"]
    assert str(tmp_path / "a.caffemodel") in str(told.value)
    return str(told.value)


def test_missing_extra_and_wrongly_shaped_blobs_are_listed_by_name(tmp_path, blobs):
    changed = {k: v for k, v in blobs.items() if not k.startswith("conv4")}
    changed["conv5_1"] = [blobs["conv5_1"][0], blobs["conv5_1"][1][:5]]
    changed["CAM_fc"] = [*blobs["CAM_fc"], blobs["CAM_fc"][1]]
    changed["fc6"] = blobs["CAM_fc"]
    told = refused(tmp_path, new_file(changed))
    missing = "conv4_1.weight, conv4_1.bias, conv4_2.weight, conv4_2.bias, conv4_3.weight"
    assert f"6 missing: {missing}, conv4_3.bias;" in told
    assert "3 unexpected: CAM_fc.blobs[2], fc6.weight, fc6.bias;" in told
    assert "1 of another shape: conv5_1.bias (5,) instead of (32,)" in told


def test_bad_files_are_refused(tmp_path, blobs):
    whole = old_file(blobs)
    assert "is no Caffe model, or is cut off" in refused(tmp_path, whole[: len(whole) // 2])
    assert "holds no layer with weights" in refused(tmp_path, b"")
    assert "CAM_conv twice" in refused(tmp_path, whole + old_file({"CAM_conv": blobs["CAM_conv"]}))
    short = field(2, field(4, b"conv1_1") + field(6, field(1, 3) + field(5, bytes(8))))
    assert "conv1_1.weight: has 2 numbers for the shape 3x0x0x0" in refused(tmp_path, short)
    nan = {**blobs, "conv2_1": [blobs["conv2_1"][0], np.full(8, np.nan, np.float32)]}
    assert "not finite, in conv2_1.bias" in refused(tmp_path, new_file(nan))
    assert "as vgg16_gap of the method cam alone" in refused(tmp_path, whole, spec="resnet50")
    assert "are 14x14, not 28x28" in refused(tmp_path, whole, map_size=28)
    assert "7 logits, but there are 6" in refused(tmp_path, whole, classes=list("abcdef"))


def test_without_protobuf_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.protobuf.message", None)
    assert "pip install 'wsol[caffe]'" in refused(tmp_path, b"")
