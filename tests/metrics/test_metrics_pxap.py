"""PxAP against the protocol's histograms, and masks against OpenCV's reading of them."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wsol.boxes.levels import threshold_grid
from wsol.datasets.base import MaskFiles
from wsol.datasets.protocol import read_protocol
from wsol.errors import InputError
from wsol.metrics.pxap import PixelAveragePrecision, load_mask, pixel_histograms


def reference_pxap(pairs, step):
    """The definition, written out."""
    thresholds = np.arange(0, 1, step)
    edges = np.append(thresholds, [1.0, 2.0, 3.0])
    true, false = np.zeros(len(thresholds) + 2), np.zeros(len(thresholds) + 2)
    for score_map, mask in pairs:
        true += np.histogram(score_map[mask == 1].astype(float), bins=edges)[0]
        false += np.histogram(score_map[mask == 0].astype(float), bins=edges)[0]
    tp, fp = true[::-1].cumsum(), false[::-1].cumsum()
    some = tp + fp != 0
    with np.errstate(invalid="ignore"):
        precision = tp / (tp + fp)
    recall = tp / true.sum()
    return (precision[1:] * np.diff(recall))[some[1:]].sum() * 100


def random_pair(rng, dtype):
    shape = rng.integers(1, 30, 2)
    score_map = rng.random(shape).astype(dtype)
    # Values on the bins' very edges, and the value 1.
    score_map[rng.random(shape) < 0.3] = dtype(rng.choice(threshold_grid(0.01)))
    score_map[rng.random(shape) < 0.1] = 1
    return score_map, rng.choice([0, 1, 255], shape).astype(np.uint8)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.sampled_from([0.5, 0.1, 0.01, 0.001]),
)
def test_equals_the_definition(seed, dtype, step):
    rng = np.random.default_rng(seed)
    pairs = [random_pair(rng, dtype) for _ in range(3)]
    pairs[0][1].flat[0] = 1
    metric = PixelAveragePrecision(threshold_grid(step))
    for score_map, mask in pairs:
        metric.update(score_map, mask)
    assert metric.compute() == pytest.approx(reference_pxap(pairs, step), abs=1e-9)
    edges = np.append(np.arange(0, 1, step), [1.0, 2.0, 3.0])
    for score_map, mask in pairs:
        found = pixel_histograms(score_map, mask, threshold_grid(step))
        for kind, counts in zip((1, 0), found, strict=True):
            expected = np.histogram(score_map[mask == kind].astype(float), bins=edges)[0]
            np.testing.assert_array_equal(counts, expected)


def test_a_perfect_map_by_hand():
    mask = np.array([[1, 0], [255, 1]], np.uint8)
    metric = PixelAveragePrecision(threshold_grid(0.1))
    metric.update(np.array([[1.0, 0.0], [0.7, 1.0]]), mask)
    # The bin [2, 3] comes first and is empty: recall rises from 0 to 1 at precision 1.
    assert metric.compute() == 100
    assert metric.num_images == 1


def test_uint8_maps_stand_for_their_255th_part():
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (30, 30)).astype(np.uint8)
    mask = rng.choice([0, 1], (30, 30)).astype(np.uint8)
    found = pixel_histograms(levels, mask, threshold_grid(0.01))
    expected = pixel_histograms(levels / 255, mask, threshold_grid(0.01))
    np.testing.assert_array_equal(found, expected)


def test_a_map_of_zeros_claims_everything_at_once():
    metric = PixelAveragePrecision(threshold_grid(0.1))
    mask = np.zeros((4, 5), np.uint8)
    mask[:2] = 1
    metric.update(np.zeros((4, 5)), mask)
    assert metric.compute() == 50.0


def test_without_foreground_it_is_undefined():
    metric = PixelAveragePrecision(threshold_grid(0.1))
    metric.update(np.zeros((2, 2)), np.zeros((2, 2), np.uint8))
    with pytest.raises(InputError, match="no mask has a foreground"):
        metric.compute()


def opencv_mask(files, grid):
    def read(path):
        image = np.float32(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        return cv2.resize(image, grid, interpolation=cv2.INTER_NEAREST) > 0.5

    objects = np.any([read(path) for path in files.objects], axis=0)
    ignored = read(files.ignore) & ~objects if files.ignore else np.zeros_like(objects)
    return objects.astype(np.uint8) + 255 * ignored.astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.tuples(st.integers(1, 700), st.integers(1, 700)))
def test_masks_are_read_as_opencv_reads_them(tmp_path_factory, seed, shape):
    folder = tmp_path_factory.mktemp("masks")
    rng = np.random.default_rng(seed)
    paths = []
    for name in ("a.png", "b.png", "ignore.png"):
        pixels = (rng.random(shape) < 0.4).astype(np.uint8) * 255
        Image.fromarray(pixels).save(folder / name)
        paths.append(folder / name)
    files = MaskFiles((paths[0], paths[1]), paths[2])
    np.testing.assert_array_equal(load_mask(files, (224, 224)), opencv_mask(files, (224, 224)))


def test_real_openimages_masks(shared_data):
    masks = shared_data / "openimages-masks" / "test_masks"
    data = read_protocol(shared_data / "wsol-metadata" / "OpenImages" / "val", masks=masks)
    found = [s for s in data.samples if all(p.exists() for p in s.mask.objects)]
    assert found, "none of the mask files belongs to the annotation"
    metric, pairs = PixelAveragePrecision(threshold_grid(0.001)), []
    rng = np.random.default_rng(0)
    for sample in found:
        mask = load_mask(sample.mask, (224, 224))
        np.testing.assert_array_equal(mask, opencv_mask(sample.mask, (224, 224)))
        score_map = cv2.resize(rng.random((7, 7)), (224, 224))
        metric.update(score_map, mask)
        pairs.append((score_map, mask))
    assert any((mask == 255).any() for _, mask in pairs)
    assert metric.compute() == pytest.approx(reference_pxap(pairs, 0.001), abs=1e-9)


def test_bad_masks_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.png: the mask does not exist"):
        load_mask(MaskFiles((tmp_path / "none.png",)), (8, 8))
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"bad\.png: the mask cannot be decoded"):
        load_mask(MaskFiles((tmp_path / "bad.png",)), (8, 8))
