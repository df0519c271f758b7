"""Every reader on small trees in the real formats, and what it says of broken ones."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsol.datasets.check import check_dataset
from wsol.datasets.classes import imagenet_classes
from wsol.datasets.loading import image_size, open_image
from wsol.datasets.protocol import read_protocol_labels
from wsol.datasets.registry import open_dataset
from wsol.errors import InputError

from support.data_files import lines, picture

# --- protocol -----------------------------------------------------------------------------------


@pytest.fixture
def protocol(tmp_path):
    root = tmp_path / "CUB" / "test"
    lines(root / "image_ids.txt", "001.Crow/a.jpg", "002.Tern/b.jpg")
    lines(root / "class_labels.txt", "001.Crow/a.jpg,0", "002.Tern/b.jpg,1")
    lines(root / "image_sizes.txt", "001.Crow/a.jpg,60,40", "002.Tern/b.jpg,60,40")
    lines(
        root / "localization.txt",
        "001.Crow/a.jpg,1,2,30,20",
        "002.Tern/b.jpg,5,5,60,40",
        "002.Tern/b.jpg,0,0,4,4",
    )
    return root


def test_protocol(protocol):
    data = open_dataset("protocol", protocol)
    assert (data.name, data.split) == ("CUB", "test")
    assert data.classes == ("001.Crow", "002.Tern")
    first, second = data.samples
    assert first.boxes.tolist() == [[1, 2, 30, 20]] and first.size == (60, 40)
    assert first.path is None and second.boxes.shape == (2, 4) and second.label == 1
    images = protocol.parent / "images"
    images.mkdir()
    path = open_dataset("protocol", protocol, images=images).samples[0].path
    assert path == images / "001.Crow/a.jpg"


@pytest.mark.parametrize(
    ("file", "row", "message"),
    [
        ("image_ids.txt", "001.Crow/a.jpg", r"image_ids\.txt:3: .* listed twice"),
        ("image_ids.txt", "../../etc/passwd", r"image_ids\.txt:3: .*leaves its folder"),
        ("image_ids.txt", "003.Gull/c.jpg", r"class_labels\.txt: has no label for 003"),
        ("class_labels.txt", "001.Crow/a.jpg,many", r"class_labels\.txt:3: the label 'many'"),
        ("class_labels.txt", "001.Crow/a.jpg", r"class_labels\.txt:3: has 1 fields"),
        ("class_labels.txt", "zzz.jpg,3", r"class_labels\.txt:3: 'zzz.jpg' is not among"),
        ("image_sizes.txt", "001.Crow/a.jpg,0,40", r"image_sizes\.txt:3: the size 0x40"),
        ("localization.txt", "001.Crow/a.jpg,1,2,3", r"localization\.txt:4: is neither"),
        ("localization.txt", "001.Crow/a.jpg,9,2,3,4", r"localization\.txt:4: the box 9,2,3,4"),
        ("localization.txt", "001.Crow/a.jpg,1,2,3,nan", r"localization\.txt:4: the box"),
        (
            "localization.txt",
            "001.Crow/a.jpg,1,2,61,4",
            r"localization\.txt:4: .*outside its image",
        ),
        ("localization.txt", "001.Crow/a.jpg,m.png,", r"localization\.txt: names mask files"),
    ],
)
def test_protocol_problems_name_file_and_line(protocol, file, row, message):
    with (protocol / file).open("a") as stream:
        stream.write(row + "\n")
    with pytest.raises(InputError, match=message):
        open_dataset("protocol", protocol)


def test_protocol_empty_or_absent(protocol):
    with pytest.raises(InputError, match="takes no --split"):
        open_dataset("protocol", protocol, split="test")
    for name in ("image_ids.txt", "class_labels.txt", "image_sizes.txt", "localization.txt"):
        (protocol / name).write_text("")
    with pytest.raises(InputError, match="the data set is empty"):
        open_dataset("protocol", protocol)
    (protocol / "image_ids.txt").unlink()
    with pytest.raises(InputError, match=r"image_ids\.txt: does not exist"):
        open_dataset("protocol", protocol)


def test_a_folder_of_splits_is_told_from_a_split(protocol, tmp_path):
    for name in ("CUB/test", "CUB/train-weaksup", "other"):
        shutil.copytree(protocol, tmp_path / "metadata" / name)
    cub = tmp_path / "metadata" / "CUB"
    with pytest.raises(InputError, match=f"is no split .* mean {cub}/test, {cub}/train-weaksup"):
        open_dataset("protocol", cub)
    with pytest.raises(InputError, match=f"did you mean .*/metadata/other, .*{cub}/test"):
        open_dataset("protocol", cub.parent)
    with pytest.raises(InputError, match="CUB: is no split"):
        read_protocol_labels(cub, protocol)


def test_real_protocol_metadata(shared_data):
    root = shared_data / "wsol-metadata"
    data = open_dataset("protocol", root / "ILSVRC" / "test")
    assert len(data) == 50_000 and sum(len(s.boxes) for s in data.samples) == 80_477
    assert data.classes[0] == "n01440764"
    assert len(open_dataset("protocol", root / "CUB" / "test")) == 5_794
    masks = open_dataset("protocol", root / "OpenImages" / "test", masks=root)
    assert len(masks) == 5_000 and all(s.mask.objects for s in masks.samples)


# --- cub ----------------------------------------------------------------------------------------


@pytest.fixture
def cub(tmp_path):
    root = tmp_path / "CUB_200_2011"
    lines(root / "classes.txt", "1 001.Black_footed_Albatross", "2 002.Laysan_Albatross")
    lines(root / "images.txt", "1 001.Black_footed_Albatross/a.jpg", "2 002.Laysan_Albatross/b.jpg",
          "3 002.Laysan_Albatross/c.jpg")  # fmt: skip
    lines(root / "image_class_labels.txt", "1 1", "2 2", "3 2")
    lines(root / "train_test_split.txt", "1 1", "2 0", "3 0")
    lines(root / "bounding_boxes.txt", "1 60.0 27.0 325.0 304.0", "2 1.0 2.0 10.0 20.0",
          "3 0.0 0.0 5.0 5.0")  # fmt: skip
    (root / "images").mkdir()
    return root


def test_cub(cub):
    data = open_dataset("cub", cub.parent)
    assert [s.image_id for s in data.samples] == ["002.Laysan_Albatross/b.jpg",
                                                  "002.Laysan_Albatross/c.jpg"]  # fmt: skip
    # The same numbers as the protocol's file has for such a box.
    assert data.samples[0].boxes.tolist() == [[1, 2, 11, 22]]
    # A part of CUB has all of CUB's classes.
    assert len(data.classes) == 200 and data.classes[1] == "002.Laysan_Albatross"
    assert data.class_names[:2] == ("Black footed Albatross", "Laysan Albatross")
    (train,) = open_dataset("cub", cub, split="train").samples
    assert train.boxes.tolist() == [[60, 27, 385, 331]] and train.label == 0


@pytest.mark.parametrize(
    ("file", "row", "message"),
    [
        ("bounding_boxes.txt", "9 1 1 1 1", r"bounding_boxes\.txt:4: image 9 is not in"),
        ("bounding_boxes.txt", "3 1 1 0 1", r"bounding_boxes\.txt:4: the box has the size"),
        ("bounding_boxes.txt", "3 1 1 x 1", r"bounding_boxes\.txt:4: the box '1,1,x,1'"),
        ("images.txt", "3 ../x.jpg", r"images\.txt:4: image 3 is listed twice"),
        ("image_class_labels.txt", "4", r"image_class_labels\.txt:4: has 1 fields"),
        ("classes.txt", "7 late", r"classes\.txt:3: class 7 is out of order"),
    ],
)
def test_cub_problems_name_file_and_line(cub, file, row, message):
    with (cub / file).open("a") as stream:
        stream.write(row + "\n")
    with pytest.raises(InputError, match=message):
        open_dataset("cub", cub)


def test_cub_splits(cub):
    with pytest.raises(InputError, match="has no split 'val'; there are train and test"):
        open_dataset("cub", cub, split="val")


# --- ilsvrc -------------------------------------------------------------------------------------

WNIDS = [wnid for wnid, _ in imagenet_classes()]


def annotation(name, wnid, boxes, size=(60, 40)):
    objects = "".join(
        f"<object><name>{wnid}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin>"
        f"<xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for a, b, c, d in boxes
    )
    return (
        f"<annotation><filename>{name}</filename><size><width>{size[0]}</width>"
        f"<height>{size[1]}</height><depth>3</depth></size>{objects}</annotation>"
    )


@pytest.fixture
def ilsvrc(tmp_path):
    for number, wnid in enumerate((WNIDS[7], WNIDS[0], WNIDS[999]), 1):
        name = f"ILSVRC2012_val_{number:08d}"
        picture(tmp_path / "val" / f"{name}.JPEG")
        path = tmp_path / "bbox" / "val" / f"{name}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(annotation(name, wnid, [(1, 2, 30, 20), (0, 0, 60, 40)][: number % 2 + 1]))
    return tmp_path


def test_ilsvrc_flat_with_xml(ilsvrc):
    data = open_dataset("ilsvrc", ilsvrc)
    assert [s.label for s in data.samples] == [7, 0, 999]
    assert data.samples[0].boxes.tolist() == [[1, 2, 30, 20], [0, 0, 60, 40]]
    assert data.samples[0].size == (60, 40) and data.classes == tuple(WNIDS)


def test_ilsvrc_in_class_folders(ilsvrc):
    for number, wnid in enumerate((WNIDS[7], WNIDS[0], WNIDS[999]), 1):
        name = f"ILSVRC2012_val_{number:08d}.JPEG"
        (ilsvrc / "val" / wnid).mkdir()
        (ilsvrc / "val" / name).rename(ilsvrc / "val" / wnid / name)
    data = open_dataset("ilsvrc", ilsvrc)
    assert [s.label for s in data.samples] == [7, 0, 999]
    assert data.samples[0].image_id == f"{WNIDS[7]}/ILSVRC2012_val_00000001.JPEG"


def test_ilsvrc_with_kaggles_csv(ilsvrc):
    with (ilsvrc / "LOC_val_solution.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["ImageId", "PredictionString"])
        for number in (1, 2, 3):
            text = f"{WNIDS[5]} 3 4 10 12 {WNIDS[5]} 1 1 2 2 "
            writer.writerow([f"ILSVRC2012_val_{number:08d}", text])
    data = open_dataset("ilsvrc", ilsvrc)
    assert {s.label for s in data.samples} == {5}
    assert data.samples[2].boxes.tolist() == [[3, 4, 10, 12], [1, 1, 2, 2]]
    (ilsvrc / "LOC_val_solution.csv").write_text("ImageId,x\na,n1 2 3\n")
    with pytest.raises(InputError, match=r"LOC_val_solution\.csv:2: expected groups"):
        open_dataset("ilsvrc", ilsvrc)


def test_ilsvrc_labels_from_the_devkit(ilsvrc):
    for path in (ilsvrc / "bbox" / "val").iterdir():
        path.write_text(path.read_text().replace("<name>n", "<name>unknown_n"))
    devkit = ilsvrc / "ILSVRC2012_devkit_t12" / "data"
    lines(devkit / "ILSVRC2012_validation_ground_truth.txt", 2, 1, 2)
    # The devkit's numbers are known: 2 is an English setter, 1 a kit fox.
    wnids = ["n02100735", "n02119789", "n02100735"]
    assert [s.label for s in open_dataset("ilsvrc", ilsvrc).samples] == [*map(WNIDS.index, wnids)]
    lines(devkit / "map_clsloc.txt", f"{WNIDS[40]} 1 a", f"{WNIDS[30]} 2 b")
    assert [s.label for s in open_dataset("ilsvrc", ilsvrc).samples] == [30, 40, 30]


def test_ilsvrc_exclusion_list(ilsvrc):
    lines(ilsvrc / "blacklist.txt", "2", "ILSVRC2012_val_00000003.JPEG")
    data = open_dataset("ilsvrc", ilsvrc, exclude=ilsvrc / "blacklist.txt")
    assert [s.label for s in data.samples] == [7]
    assert "2 images left out" in data.notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation><size>", "is not well-formed XML"),
        ("<annotation><size><width>60</width></size></annotation>", "has no <size><height>"),
        (annotation("x", WNIDS[0], []), "has no object"),
        (annotation("x", WNIDS[0], [(5, 5, 70, 10)]), "outside its image of 60x40"),
        (annotation("x", WNIDS[0], [(5, 5, "wide", 10)]), "is not four numbers"),
        (annotation("x", "n00000000", [(5, 5, 7, 10)]), "none of the 1,000"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "declares entities"),
    ],
)
def test_ilsvrc_xml_problems_name_the_file(ilsvrc, content, message):
    (ilsvrc / "bbox" / "val" / "ILSVRC2012_val_00000002.xml").write_text(content)
    with pytest.raises(InputError, match=rf"ILSVRC2012_val_00000002\.\w+: .*{message}"):
        open_dataset("ilsvrc", ilsvrc)


def test_ilsvrc_missing_parts(ilsvrc, tmp_path_factory):
    (ilsvrc / "bbox" / "val" / "ILSVRC2012_val_00000002.xml").unlink()
    with pytest.raises(InputError, match=r"00000002\.JPEG: has no annotation"):
        open_dataset("ilsvrc", ilsvrc)
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(InputError, match="no images found; looked in"):
        open_dataset("ilsvrc", empty)
    picture(empty / "val" / "ILSVRC2012_val_00000001.JPEG")
    with pytest.raises(InputError, match="no box annotations found"):
        open_dataset("ilsvrc", empty)


# --- tiny imagenet ------------------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path):
    lines(tmp_path / "wnids.txt", "n02000000", "n01000000")
    lines(tmp_path / "words.txt", "n01000000\tnewt, eft", "n02000000\tcrow", "n09\tother")
    lines(tmp_path / "val" / "val_annotations.txt", "a.JPEG\tn02000000\t0\t1\t62\t63",
          "b.JPEG\tn01000000\t5\t5\t9\t9")  # fmt: skip
    for wnid in ("n01000000", "n02000000"):
        picture(tmp_path / "train" / wnid / "images" / f"{wnid}_0.JPEG", (64, 64))
        lines(tmp_path / "train" / wnid / f"{wnid}_boxes.txt", f"{wnid}_0.JPEG\t1\t2\t3\t4",
              f"{wnid}_1.JPEG\t1\t2\t3\t4")  # fmt: skip
    return tmp_path


def test_tiny_imagenet(tiny):
    data = open_dataset("tiny-imagenet", tiny)
    assert data.classes == ("n01000000", "n02000000") and data.class_names == ("newt", "crow")
    assert [s.label for s in data.samples] == [1, 0]
    assert data.samples[0].boxes.tolist() == [[0, 1, 62, 63]]
    train = open_dataset("tiny-imagenet", tiny, split="train")
    assert [s.image_id for s in train.samples] == ["n01000000/n01000000_0.JPEG",
                                                   "n02000000/n02000000_0.JPEG"]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c.JPEG\tn03000000\t0\t0\t1\t1", ":3: the class 'n03000000' is not in"),
        ("c.JPEG\tn02000000\t0\t0\t1", ":3: has 5 fields instead of 6"),
        ("c.JPEG\tn02000000\t0\t0\t99\t1", ":3: .*outside its image of 64x64"),
        ("a.JPEG\tn02000000\t0\t0\t9\t1", "a.JPEG is listed twice"),
    ],
)
def test_tiny_imagenet_problems(tiny, row, message):
    with (tiny / "val" / "val_annotations.txt").open("a") as stream:
        stream.write(row + "\n")
    with pytest.raises(InputError, match=message):
        open_dataset("tiny-imagenet", tiny)


# --- coco ---------------------------------------------------------------------------------------


@pytest.fixture
def coco(tmp_path):
    data = {
        "images": [
            {"id": 5, "file_name": "a.jpg", "width": 60, "height": 40},
            {"id": 6, "file_name": "b.jpg", "width": 60, "height": 40},
            {"id": 7, "file_name": "empty.jpg", "width": 60, "height": 40},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 18, "bbox": [1.5, 2, 10, 20], "iscrowd": 0},
            {"id": 2, "image_id": 6, "category_id": 3, "bbox": [0, 0, 60, 40]},
            {"id": 3, "image_id": 6, "category_id": 18, "bbox": [5, 5, 1, 1]},
            {"id": 4, "image_id": 6, "category_id": 18, "bbox": [5, 5, 9, 9], "iscrowd": 1},
        ],
    }
    for name in ("a.jpg", "b.jpg"):
        picture(tmp_path / "val" / name)
    path = tmp_path / "annotations" / "instances_val.json"
    path.parent.mkdir()
    path.write_text(json.dumps(data))
    return tmp_path


def test_coco(coco):
    data = open_dataset("coco", coco, split="val")
    assert data.classes == ("car", "dog")
    assert [s.image_id for s in data.samples] == ["a.jpg", "b.jpg#car", "b.jpg#dog"]
    assert data.samples[0].boxes.tolist() == [[1.5, 2, 10.5, 21]]
    assert data.samples[1].boxes.tolist() == [[0, 0, 59, 39]]
    assert data.samples[2].boxes.tolist() == [[5, 5, 5, 5]]
    assert data.samples[0].path == coco / "val" / "a.jpg"
    assert data.notes == (
        "1 crowd annotations left out.",
        "1 images without annotated boxes left out.",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 99}, "unknown image 99"),
        ({"category_id": 99}, "unknown category 99"),
        ({"bbox": [1, 2, 3]}, "not four numbers"),
        ({"bbox": [1, 2, 0, 4]}, "the size 0x4"),
        ({"bbox": [50, 2, 20, 4]}, "outside its image"),
    ],
)
def test_coco_problems_name_the_annotation(coco, change, message):
    path = coco / "annotations" / "instances_val.json"
    data = json.loads(path.read_text())
    data["annotations"][1] |= change
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=rf"instances_val\.json, annotation 2: .*{message}"):
        open_dataset("coco", coco, split="val")


def test_coco_broken_files(coco):
    path = coco / "annotations" / "instances_val.json"
    with pytest.raises(InputError, match=r"name the split with --split \(val\)"):
        open_dataset("coco", coco)
    path.write_text("{")
    with pytest.raises(InputError, match=r"instances_val\.json: is not JSON"):
        open_dataset("coco", coco, split="val")
    path.write_text("{}")
    with pytest.raises(InputError, match="is not in COCO's format"):
        open_dataset("coco", coco, split="val")


# --- images, checks, names ----------------------------------------------------------------------


def test_odd_but_good_images(tmp_path):
    picture(tmp_path / "cmyk.JPEG", mode="CMYK", format="JPEG")
    picture(tmp_path / "png.JPEG", format="PNG")
    picture(tmp_path / "grey.png", mode="L")
    for name in ("cmyk.JPEG", "png.JPEG", "grey.png"):
        assert open_image(tmp_path / name).mode == "RGB"
        assert image_size(tmp_path / name) == (60, 40)


def test_orientation_tags_are_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(tmp_path / "turned.jpg", exif=exif)
    assert open_image(tmp_path / "turned.jpg").size == (60, 40)


def test_bad_images_are_named(tmp_path):
    picture(tmp_path / "cut.jpg", (300, 300), quality=95)
    content = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").write_text("")
    for name, message in (
        ("cut.jpg", "cannot be decoded"),
        ("text.jpg", "cannot be decoded"),
        ("empty.jpg", "is empty"),
        ("none.jpg", "does not exist"),
    ):
        with pytest.raises(InputError, match=rf"{name}: .*{message}"):
            open_image(tmp_path / name)


OTHER_SIZE = [
    "photographs have another size than annotated, as copies have that were squashed or shrunk; "
    "boxes are scaled from the annotated size."
]


def test_check_lists_what_is_wrong(protocol):
    images = protocol.parent / "images"
    picture(images / "001.Crow" / "a.jpg", (30, 20))
    data = open_dataset("protocol", protocol, images=images)
    report = check_dataset(data)
    kinds = [problem.kind for problem in report.problems]
    assert kinds == ["missing image"]
    assert "b.jpg" in report.text() and report.boxes == 3
    assert report.notes == [f"1 {finding}" for finding in OTHER_SIZE]
    picture(images / "001.Crow" / "a.jpg", (40, 60))
    kinds = [problem.kind for problem in check_dataset(data, decode=False).problems]
    assert sorted(kinds) == ["missing image", "width and height swapped"]
    picture(images / "001.Crow" / "a.jpg")
    picture(images / "002.Tern" / "b.jpg")
    good = check_dataset(data)
    assert not good.problems and "Nothing is wrong" in good.text()
    path = images / "001.Crow" / "a.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    assert [p.kind for p in check_dataset(data).problems] == ["undecodable image"]
    assert not check_dataset(data, decode=False).problems


def test_unknown_layouts_and_options(tmp_path):
    with pytest.raises(InputError, match=r"imagenet: .*did you mean ilsvrc\? There are ilsvrc"):
        open_dataset("imagenet", tmp_path)
    with pytest.raises(InputError, match="shapes: takes no --images"):
        open_dataset("shapes", tmp_path, images=tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        open_dataset("cub", Path("nowhere"))


def test_imagenet_classes():
    classes = imagenet_classes()
    assert len(classes) == 1000 and classes[0] == ("n01440764", "tench")
    assert [wnid for wnid, _ in classes] == sorted(wnid for wnid, _ in classes)


def test_imagenet_classes_are_the_real_ones(shared_data):
    rows = (shared_data / "imagenet-1k-wnids.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in rows] == [wnid for wnid, _ in imagenet_classes()]


def test_real_tiny_imagenet(shared_data):
    data = open_dataset("tiny-imagenet", shared_data / "tiny-imagenet-200")
    assert len(data) == 10_000 and len(data.classes) == 200
    assert np.concatenate([s.boxes for s in data.samples]).max() <= 63
    assert len(open_dataset("tiny-imagenet", shared_data / "tiny-imagenet-200", split="train")) == (
        20_000
    )
