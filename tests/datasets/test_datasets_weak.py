"""Training sets hold images and labels, and are read without any file of boxes."""

import shutil

import numpy as np
import pytest
from PIL import Image

from wsol.datasets.cub import read_cub
from wsol.datasets.protocol import read_protocol
from wsol.datasets.shapes import generate_shapes, read_shapes
from wsol.datasets.tiny_imagenet import read_tiny_imagenet
from wsol.datasets.weak import open_training_set
from wsol.errors import InputError


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path, format="JPEG")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def pairs(dataset):
    return [(sample.image_id, sample.path, sample.label) for sample in dataset.samples]


def assert_blind(dataset):
    for sample in dataset.samples:
        assert sample.boxes.shape == (0, 4)
        assert sample.mask is None and sample.size is None


@pytest.fixture
def cub(tmp_path):
    root = tmp_path / "CUB_200_2011"
    names = ["001.Auk/a.jpg", "001.Auk/b.jpg", "002.Wren/c.jpg"]
    for name in names:
        picture(root / "images" / name)
    write(root / "images.txt", "".join(f"{i} {name}\n" for i, name in enumerate(names, 1)))
    write(root / "image_class_labels.txt", "1 1\n2 1\n3 2\n")
    write(root / "train_test_split.txt", "1 1\n2 0\n3 1\n")
    write(root / "classes.txt", "1 001.Auk\n2 002.Wren\n")
    write(root / "bounding_boxes.txt", "1 0 0 4 4\n2 1 1 4 4\n3 1 1 4 4\n")
    return root


def test_cub(cub):
    full = read_cub(cub, split="train")
    (cub / "bounding_boxes.txt").unlink()
    weak = open_training_set("cub", cub)
    assert_blind(weak)
    assert pairs(weak) == pairs(full)
    assert (weak.name, weak.split, weak.classes) == (full.name, full.split, full.classes)
    with pytest.raises(InputError, match="cub: has no split 'val'; there are train and test"):
        open_training_set("cub", cub, split="val")
    write(cub / "train_test_split.txt", "1 1\n2 0\n")
    with pytest.raises(InputError, match=r"images\.txt:3: image 3 has no class or no split"):
        open_training_set("cub", cub)


def test_protocol_and_openimages(tmp_path):
    root = tmp_path / "OpenImages"
    for split in ("train", "val"):
        ids = [f"{split}/0abc/1.jpg", f"{split}/0abc/2.jpg", f"{split}/1xyz/3.jpg"]
        write(root / split / "image_ids.txt", "".join(f"{i}\n" for i in ids))
        labels = "".join(f"{i},{label}\n" for i, label in zip(ids, (0, 0, 1), strict=True))
        write(root / split / "class_labels.txt", labels)
        for name in ids:
            picture(tmp_path / "images" / name)
    weak = open_training_set("openimages", root, images=tmp_path / "images")
    assert_blind(weak)
    assert [label for _, _, label in pairs(weak)] == [0, 0, 1]
    assert all(path.is_file() for _, path, _ in pairs(weak))
    assert (weak.name, weak.split) == ("OpenImages", "train-weaksup")
    assert weak.classes == ("0abc", "1xyz")
    same = open_training_set("protocol", root / "train", images=tmp_path / "images")
    assert pairs(same) == pairs(weak)
    # As the full reader has it, which does need the other two files.
    write(root / "train" / "image_sizes.txt", "")
    boxes = "".join(f"{image_id},0,0,4,4\n" for image_id, _, _ in pairs(weak))
    write(root / "train" / "localization.txt", boxes)
    full = read_protocol(root / "train", tmp_path / "images")
    assert pairs(full) == pairs(weak) and full.classes == weak.classes

    with pytest.raises(InputError, match=r"OpenImages/test.*does not exist.*a training split"):
        open_training_set("openimages", root, images=tmp_path / "images", split="test")
    with pytest.raises(InputError, match="name the image root with --images"):
        open_training_set("openimages", root)
    write(root / "val" / "class_labels.txt", "val/0abc/1.jpg,0\n")
    with pytest.raises(InputError, match=r"class_labels\.txt: has no label for val/0abc/2\.jpg"):
        open_training_set("openimages", root, images=tmp_path / "images", split="val")


def test_ilsvrc_takes_labels_from_the_class_folders(tmp_path):
    picture(tmp_path / "train" / "n01443537" / "n01443537_2.JPEG")
    picture(tmp_path / "train" / "n01440764" / "n01440764_7.JPEG")
    weak = open_training_set("ilsvrc", tmp_path)
    assert_blind(weak)
    assert [(i, label) for i, _, label in pairs(weak)] == [
        ("n01440764/n01440764_7.JPEG", 0),
        ("n01443537/n01443537_2.JPEG", 1),
    ]
    assert len(weak.classes) == 1000
    with pytest.raises(InputError, match="ilsvrc: training has the split train, not 'val'"):
        open_training_set("ilsvrc", tmp_path, split="val")
    picture(tmp_path / "train" / "ILSVRC2012_val_00000001.JPEG")
    with pytest.raises(InputError, match="in one folder a class"):
        open_training_set("ilsvrc", tmp_path)


def test_tiny_imagenet(tmp_path):
    write(tmp_path / "wnids.txt", "n02\nn01\n")
    write(tmp_path / "words.txt", "n01\tone, uno\nn02\ttwo\n")
    for wnid, numbers in (("n01", (0, 2, 10)), ("n02", (1,))):
        lines = []
        for number in numbers:
            picture(tmp_path / "train" / wnid / "images" / f"{wnid}_{number}.JPEG")
            lines.append(f"{wnid}_{number}.JPEG\t0\t0\t5\t5\n")
        write(tmp_path / "train" / wnid / f"{wnid}_boxes.txt", "".join(lines))
    full = read_tiny_imagenet(tmp_path, split="train")
    for boxes in tmp_path.glob("train/*/*_boxes.txt"):
        boxes.write_text("no box\n")
    weak = open_training_set("tiny-imagenet", tmp_path)
    assert_blind(weak)
    assert pairs(weak) == pairs(full)
    assert weak.classes == full.classes == ("n01", "n02")
    shutil.rmtree(tmp_path / "train" / "n02")
    with pytest.raises(InputError, match="the training images of n02"):
        open_training_set("tiny-imagenet", tmp_path)


def test_shapes_and_an_even_limit(tmp_path):
    generate_shapes(tmp_path / "shapes", train=16, val=2, test=2, size=32, seed=0)
    full = read_shapes(tmp_path / "shapes", "train")
    table = tmp_path / "shapes" / "annotations.csv"
    rows = [line.split(",") for line in table.read_text().splitlines()]
    broken = [",".join([*row[:2], *["?"] * 6]) for row in rows[1:]]
    table.write_text("\n".join([",".join(rows[0]), *broken]) + "\n")
    weak = open_training_set("shapes", tmp_path / "shapes")
    assert_blind(weak)
    assert pairs(weak) == pairs(full)
    few = open_training_set("shapes", tmp_path / "shapes", limit=5)
    assert len({label for _, _, label in pairs(few)}) == 5
    assert "Only 5 of 16 images, spread evenly over 5 of 8 classes." in few.notes
    with pytest.raises(InputError, match="shapes has the splits train, val, test; not 'trian'"):
        open_training_set("shapes", tmp_path / "shapes", split="trian")


def test_what_cannot_be_trained_on_is_said(tmp_path):
    with pytest.raises(InputError, match="coco: nothing can be trained on it; there are ilsvrc"):
        open_training_set("coco", tmp_path)
    with pytest.raises(InputError, match="shapes: takes no --images"):
        open_training_set("shapes", tmp_path, images=tmp_path)
    with pytest.raises(InputError, match="each of its folders is one split"):
        open_training_set("protocol", tmp_path, split="train")


def test_real_tiny_imagenet(shared_data):
    root = shared_data / "tiny-imagenet-200"
    weak = open_training_set("tiny-imagenet", root)
    assert (
        len(weak) == 20_000 and np.bincount([s.label for s in weak.samples]).tolist() == [100] * 200
    )
    assert pairs(weak) == pairs(read_tiny_imagenet(root, split="train"))
