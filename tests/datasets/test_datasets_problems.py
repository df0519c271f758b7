"""One bad line does not cost the data set: refused by default, left out on demand, listed by a
check; whatever the layout."""

import json
from pathlib import PurePosixPath

import numpy as np
import pytest
from typer.testing import CliRunner

from wsol.cli import app
from wsol.datasets.check import check_dataset
from wsol.datasets.classes import cub_classes, devkit_classes, imagenet_classes
from wsol.datasets.parsing import Problems
from wsol.datasets.registry import open_dataset
from wsol.errors import InputError

from support.data_files import lines, picture

WNIDS = [wnid for wnid, _ in imagenet_classes()]


def xml(objects, size=(60, 40)):
    content = "".join(
        f"<object><name>{wnid}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin>"
        f"<xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for wnid, (a, b, c, d) in objects
    )
    return (
        f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>"
        f"{content}</annotation>"
    )


def protocol(root, **rows):
    default = {
        "image_ids": ["0.jpg", "1.jpg", "2.jpg"],
        "class_labels": ["0.jpg,0", "1.jpg,1", "2.jpg,0"],
        "image_sizes": [f"{i}.jpg,60,40" for i in range(3)],
        "localization": [f"{i}.jpg,1,2,30,20" for i in range(3)],
    }
    for name, given in (default | rows).items():
        lines(root / f"{name}.txt", *given)
    return "protocol", {"root": root}


def ilsvrc(root, box=(1, 2, 30, 20), **options):
    for number in (1, 2, 3):
        name = f"ILSVRC2012_val_{number:08d}"
        picture(root / "val" / f"{name}.JPEG")
        boxes = [(WNIDS[number], box if number == 2 else (1, 2, 30, 20))]
        lines(root / "bbox" / "val" / f"{name}.xml", xml(boxes, **options))
    return "ilsvrc", {"root": root}


def tiny(root, box="1\t2\t30\t20"):
    lines(root / "wnids.txt", "n01", "n02")
    lines(root / "words.txt", "n01\tone", "n02\ttwo")
    lines(root / "val" / "val_annotations.txt", "a.JPEG\tn01\t1\t2\t30\t20",
          f"b.JPEG\tn02\t{box}", "c.JPEG\tn02\t1\t2\t30\t20")  # fmt: skip
    return "tiny-imagenet", {"root": root}


def coco(root, box=(1, 2, 30, 20), **image):
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 60, "height": 40} for i in (1, 2, 3)]
    images[1] |= image
    data = {
        "images": images,
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": 1,
                "bbox": list(box if i == 2 else (1, 2, 3, 4)),
            }
            for i in (1, 2, 3)
        ],
    }
    root.mkdir(parents=True, exist_ok=True)
    (root / "a.json").write_text(json.dumps(data))
    return "coco", {"root": root / "a.json"}


def imagefolder(root, box="1,2,30,20"):
    for name in "abc":
        picture(root / "wren" / f"{name}.jpg")
    lines(root / "boxes.csv", "image,x0,y0,x1,y1", "a.jpg,1,2,30,20", f"b.jpg,{box}",
          "c.jpg,1,2,30,20")  # fmt: skip
    return "imagefolder", {"root": root}


def cub(root, box="1 2 30 20"):
    for number, name in enumerate("abc", 1):
        picture(root / "images" / "001.A" / f"{name}.jpg")
        lines(root / "classes.txt", "1 001.A")
        assert number
    lines(root / "images.txt", "1 001.A/a.jpg", "2 001.A/b.jpg", "3 001.A/c.jpg")
    lines(root / "image_class_labels.txt", "1 1", "2 1", "3 1")
    lines(root / "train_test_split.txt", "1 0", "2 0", "3 0")
    lines(root / "bounding_boxes.txt", "1 1 1 20 20", f"2 {box}", "3 1 1 20 20")
    return "cub", {"root": root}


BAD = {
    "protocol inverted": (
        lambda p: protocol(p, localization=["0.jpg,1,2,3,4", "1.jpg,9,2,3,4", "2.jpg,1,2,3,4"]),
        r"localization\.txt:2: the box 9,2,3,4 is not x0 <= x1",
    ),
    "protocol outside": (
        lambda p: protocol(p, localization=["0.jpg,1,2,3,4", "1.jpg,1,2,60.5,4", "2.jpg,1,2,3,4"]),
        r"localization\.txt:2: the box 1,2,60\.5,4 lies outside its image of 60x40",
    ),
    "protocol label": (
        lambda p: protocol(p, class_labels=["0.jpg,0", "1.jpg,99999999999", "2.jpg,0"]),
        r"class_labels\.txt:2: the label 99999999999 is beyond a million classes",
    ),
    "protocol long field": (
        lambda p: protocol(p, class_labels=["0.jpg,0", f"1.jpg,{'x' * 60_000}", "2.jpg,0"]),
        r"class_labels\.txt:2: the label 'x{37}\.\.\.' is not a whole number",
    ),
    "ilsvrc inverted": (lambda p: ilsvrc(p, (30, 2, 1, 20)), r"2\.xml: the box 30,2,1,20 is not"),
    "ilsvrc outside": (lambda p: ilsvrc(p, (1, 2, 61, 20)), r"2\.xml: the box 1,2,61,20 lies out"),
    "tiny": (lambda p: tiny(p, "1\t2\t99\t20"), r"val_annotations\.txt:2: the box 1,2,99,20"),
    "coco empty": (lambda p: coco(p, (1, 2, 0, 4)), "annotation 2: the box has the size 0x4"),
    "coco text": (lambda p: coco(p, ("1", 2, 3, 4)), r"annotation 2: its bbox \['1', 2, 3, 4\]"),
    "coco size": (
        lambda p: coco(p, width="60"), "image 2: the width '60' is not a whole number",
    ),
    "imagefolder": (lambda p: imagefolder(p, "1,2,x,20"), r"boxes\.csv:3: the box '1,2,x,20' is"),
    "cub empty": (lambda p: cub(p, "1 2 0 20"), r"bounding_boxes\.txt:2: .* has the size 0x20"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_annotation_is_refused_left_out_or_listed(tmp_path, case):
    make, message = BAD[case]
    name, place = make(tmp_path / "set")
    with pytest.raises(InputError, match=message) as caught:
        open_dataset(name, **place)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert "--skip-bad-annotations leaves it out" in str(caught.value)
    data = open_dataset(name, **place, skip_bad_annotations=True)
    assert len(data) == 2 and "Bad annotations left out: " in data.notes[-1]
    problems = Problems()
    listed = open_dataset(name, **place, problems=problems)
    assert len(listed) == 2 and len(problems.found) >= 1
    report = check_dataset(listed, problems, decode=False)
    assert problems.found[0].message in report.text()


@pytest.mark.parametrize("case", ["protocol outside", "ilsvrc outside", "tiny", "coco empty",
                                  "imagefolder", "cub empty"])  # fmt: skip
def test_a_list_of_images_to_leave_out_is_for_every_layout(tmp_path, case):
    name, place = BAD[case][0](tmp_path / "set")
    bad = open_dataset(name, **place, problems=(problems := Problems())) and problems.found[0]
    path = PurePosixPath(bad.image_id)
    for listed in {str(path), path.name, path.stem}:
        lines(tmp_path / "list.txt", listed)
        data = open_dataset(name, **place, exclude=tmp_path / "list.txt")
        assert len(data) == 2, listed


def test_boxes_that_stick_out_by_a_rounding_are_clipped(tmp_path):
    # From a real file: the difference shows in no message with six digits.
    name, place = coco(tmp_path / "a", (26.999999999999943, 19.999984, 33.000032, 19.999968))
    data = open_dataset(name, **place)
    assert data.samples[1].boxes.tolist() == [[26.999999999999943, 19.999984, 59, 38.999952]]
    assert data.notes == ("1 boxes clipped to their image, by less than half a pixel.",)
    name, place = coco(tmp_path / "b", (27, 20, 33.4, 20.3))
    data = open_dataset(name, **place)
    assert data.samples[1].boxes.tolist() == [[27, 20, 59, 39]]
    assert data.notes == ("1 boxes clipped to their image, by less than half a pixel.",)
    name, place = coco(tmp_path / "c", (27, 20, 33.5000000001, 20))
    with pytest.raises(InputError, match=r"the box 27,20,60\.5000000001,40 lies outside"):
        open_dataset(name, **place)


def test_only_good_boxes_of_an_image_count(tmp_path):
    rows = ["0.jpg,1,2,3,4", "0.jpg,1,2,99,4", "1.jpg,5,6,7,8", "2.jpg,9,9,1,1"]
    name, place = protocol(tmp_path / "set", localization=rows)
    data = open_dataset(name, **place, skip_bad_annotations=True)
    assert {s.image_id: s.boxes.tolist() for s in data.samples} == {
        "0.jpg": [[1, 2, 3, 4]],
        "1.jpg": [[5, 6, 7, 8]],
    }
    assert data.notes[-1].startswith(
        "Bad annotations left out: 1 x box outside its image, 1 x bad box; first: "
    )
    with pytest.raises(InputError, match=r"99,4 .*\(1 more: `wsol datasets check`\)"):
        open_dataset(name, **place)


def test_nothing_but_bad_annotations(tmp_path):
    name, place = protocol(tmp_path / "set", localization=["0.jpg,9,9,1,1"])
    with pytest.raises(InputError, match="the box 9,9,1,1"):
        open_dataset(name, **place, skip_bad_annotations=True)
    assert len(open_dataset(name, **place, problems=Problems())) == 0


# --- contradictions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            {"image_sizes": ["0.jpg,60,40", "1.jpg,60,40", "0.jpg,600,400"]},
            r"image_sizes\.txt:3: 0\.jpg has the width and height 600,400, but 60,40 at .*:1;",
        ),
        (
            {"class_labels": ["0.jpg,0", "1.jpg,1", "2.jpg,0", "1.jpg,0"]},
            r"class_labels\.txt:4: 1\.jpg has the label 0, but 1 at .*class_labels\.txt:2;",
        ),
    ],
)
def test_the_last_line_does_not_settle_a_contradiction(tmp_path, rows, message):
    name, place = protocol(tmp_path / "set", **rows)
    with pytest.raises(InputError, match=message):
        open_dataset(name, **place)
    assert len(open_dataset(name, **place, skip_bad_annotations=True)) == 2
    same = {key: [*given[:-1], given[0]] for key, given in rows.items()}
    name, place = protocol(tmp_path / "same", **same)
    assert len(open_dataset(name, **place, problems=Problems())) >= 2


def test_a_split_is_0_or_1(tmp_path):
    name, place = cub(tmp_path / "set")
    lines(tmp_path / "set" / "train_test_split.txt", "1 0", "2 7", "3 0")
    with pytest.raises(InputError, match=r"train_test_split\.txt:2: the split '7' is neither 1"):
        open_dataset(name, **place)


def test_only_boxes_of_the_images_own_class_count(tmp_path):
    name, place = ilsvrc(tmp_path / "set")
    file = tmp_path / "set" / "bbox" / "val" / "ILSVRC2012_val_00000002.xml"
    objects = [(WNIDS[9], (0, 0, 60, 40)), (WNIDS[2], (1, 1, 5, 5))]
    file.write_text(xml(objects))
    with pytest.raises(InputError, match=f"classes {WNIDS[9]} and {WNIDS[2]}, and nothing says"):
        open_dataset(name, **place)
    # The devkit says which: its number for this class.
    number = next(key for key, wnid in devkit_classes().items() if wnid == WNIDS[2])
    lines(tmp_path / "set" / "data" / "ILSVRC2012_validation_ground_truth.txt", 1, number, 1)
    data = open_dataset(name, **place)
    assert data.samples[1].label == 2 and data.samples[1].boxes.tolist() == [[1, 1, 5, 5]]
    assert "1 boxes of other classes than their image's left out." in data.notes
    # So does a folder; one that the annotation contradicts is told.
    image = tmp_path / "set" / "val" / "ILSVRC2012_val_00000002.JPEG"
    for wnid, boxes in ((WNIDS[9], [[0, 0, 60, 40]]), (WNIDS[5], None)):
        folder = tmp_path / "set" / "val" / wnid
        folder.mkdir()
        image = image.rename(folder / image.name)
        if boxes is None:
            with pytest.raises(InputError, match=rf"but {WNIDS[5]}/.* is of {WNIDS[5]}; keep"):
                open_dataset(name, **place)
        else:
            found = {s.image_id: s for s in open_dataset(name, **place).samples}
            assert found[f"{wnid}/{image.name}"].boxes.tolist() == boxes


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x", r"ground_truth\.txt:2: the class number 'x' is not a whole number"),
        ("9999", r"ground_truth\.txt:2: class 9999 is not in the devkit's table"),
    ],
)
def test_a_bad_line_of_the_ground_truth_costs_its_image_alone(tmp_path, line, message):
    root = tmp_path / "set"
    name, place = ilsvrc(root)
    for file in (root / "bbox" / "val").iterdir():
        file.write_text(xml([(WNIDS[9], (0, 0, 60, 40)), (WNIDS[2], (1, 1, 5, 5))]))
    number = next(key for key, wnid in devkit_classes().items() if wnid == WNIDS[2])
    truth = root / "data" / "ILSVRC2012_validation_ground_truth.txt"
    lines(truth, number, line, number)
    with pytest.raises(InputError, match=message):
        open_dataset(name, **place)
    data = open_dataset(name, **place, skip_bad_annotations=True)
    assert [sample.label for sample in data.samples] == [2, 2]
    problems = Problems()
    assert len(open_dataset(name, **place, problems=problems)) == 2 and len(problems.found) == 1


def test_no_classes_are_not_all_the_birds(tmp_path):
    name, place = cub(tmp_path / "set")
    (tmp_path / "set" / "classes.txt").write_text("\n")
    with pytest.raises(InputError, match=r"classes\.txt: is empty; expected class number"):
        open_dataset(name, **place)


def test_coco_ids_of_two_kinds(tmp_path):
    _, place = coco(tmp_path / "set")
    data = json.loads(place["root"].read_text())
    data["categories"].append({"id": "2", "name": "cat"})
    place["root"].write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"a\.json: has ids of categories that are numbers and"):
        open_dataset("coco", **place)
    data["categories"] = [{"id": 1, "name": "dog"}, {"id": 2, "name": "dog"}]
    place["root"].write_text(json.dumps(data))
    with pytest.raises(InputError, match="two categories are called 'dog'"):
        open_dataset("coco", **place)


# --- parts and sizes ----------------------------------------------------------------------------


def test_an_unknown_size_in_an_xml_is_the_photographs(tmp_path):
    name, place = ilsvrc(tmp_path / "set", size=(0, 0))
    assert {s.size for s in open_dataset(name, **place).samples} == {None}
    name, place = coco(tmp_path / "coco", width=None)
    assert open_dataset(name, **place).samples[1].size is None


def test_half_an_archive_is_told(tmp_path):
    name, place = ilsvrc(tmp_path / "set")
    (tmp_path / "set" / "val" / "ILSVRC2012_val_00000002.JPEG").unlink()
    data = open_dataset(name, **place)
    assert len(data) == 2
    assert data.notes[0].startswith("This copy has 2 of the 50,000 images of ILSVRC val, of 2 of")
    assert data.notes[1].startswith("1 x annotation without image; first: ")
    result = CliRunner().invoke(app, ["datasets", "check", "ilsvrc", "--root", str(place["root"])])
    assert result.exit_code == 1 and "ILSVRC2012_val_00000002.xml: its image is" in result.output
    name, place = cub(tmp_path / "cub")
    lines(tmp_path / "cub" / "bounding_boxes.txt", "1 1 1 20 20", "3 1 1 20 20")
    data = open_dataset(name, **place)
    assert len(data) == 2 and "has no line for image 2, 001.A/b.jpg." in data.notes[-1]


def test_a_whole_copy_says_nothing(shared_data):
    root = shared_data / "wsol-metadata"
    for place in ("ILSVRC/test", "ILSVRC/val", "CUB/test", "CUB/val", "CUB/train"):
        assert open_dataset("protocol", root / place).notes == ()
    assert open_dataset("tiny-imagenet", shared_data / "tiny-imagenet-200").notes == ()


def test_a_part_of_a_known_data_set_has_all_its_classes(shared_data):
    data = open_dataset("protocol", shared_data / "ilsvrc-val-1000" / "ILSVRC" / "test")
    assert data.classes == tuple(WNIDS)
    assert data.notes == (
        "This copy has 1,000 of the 50,000 images of ILSVRC test, of 626 of 1,000 classes.",
    )
    birds = open_dataset("cub", shared_data / "cub-50" / "CUB_200_2011")
    assert birds.classes == tuple(key for key, _ in cub_classes())
    assert "1,389 of the 5,794 images of CUB test, of 50 of 200 classes" in birds.notes[-1]


@pytest.mark.parametrize(
    ("ids", "labels", "classes"),
    [
        (["val/ILSVRC2012_val_00000001.JPEG"], [65], 1000),
        (["train/n01440764/a.JPEG", "train/n01443537/b.JPEG"], [0, 1], 1000),
        (["002.Laysan_Albatross/x.jpg"], [1], 200),
        (["test/0138tl/x.jpg"], [1], 100),
        (["val2/7/a.jpeg", "val2/3/a.jpeg"], [7, 3], 8),
        (["train/n01440764/a.JPEG", "train/n01443537/b.JPEG"], [1, 0], 2),
        (["001.Crow/a.jpg"], [0], 1),
        (["a.jpg"], [41], 42),
        (["a.jpg"], [999], 1000),
    ],
)
def test_which_data_set_a_four_file_folder_is_of(tmp_path, ids, labels, classes):
    name, place = protocol(
        tmp_path / "mine" / "test",
        image_ids=ids,
        class_labels=[f"{i},{label}" for i, label in zip(ids, labels, strict=True)],
        image_sizes=[],
        localization=[f"{i},1,2,3,4" for i in ids],
    )
    assert len(open_dataset(name, **place).classes) == classes
    if ids[0].startswith("val2"):
        named = (tmp_path / "mine").rename(tmp_path / "ILSVRC") / "test"
        assert len(open_dataset(name, named).classes) == 1000


def test_checks_print_numbers_and_counts(tmp_path):
    rows = [f"{i}.jpg,1,2,{70 + i}.25,4" for i in range(3)]
    protocol(tmp_path / "set", localization=rows)
    result = CliRunner().invoke(
        app, ["datasets", "check", "protocol", "--root", str(tmp_path / "set"), "--json", "-"]
    )
    report = json.loads(result.stdout)
    assert result.exit_code == 1 and report["images"] == 0
    assert [problem["image_id"] for problem in report["problems"]] == ["0.jpg", "1.jpg", "2.jpg"]
    assert "the box 1,2,71.25,4 lies outside" in report["problems"][1]["message"]


def test_numbers_are_those_of_plain_text(tmp_path):
    for text in ("1_0", "٣", "0x1", "1e", "", "--1", "1 0"):
        rows = ["0.jpg,1,2,3,4", f"1.jpg,{text},2,30,4", "2.jpg,1,2,3,4"]
        name, place = protocol(tmp_path / "set", localization=rows)
        with pytest.raises(
            InputError, match=r"localization\.txt:2: the box .* is not four numbers"
        ):
            open_dataset(name, **place)
    rows = ["0.jpg,1,2,3,4", "1.jpg, 1e1 ,+2,3.0e1,.4e1", "2.jpg,1,2,3,4"]
    name, place = protocol(tmp_path / "set", localization=rows)
    assert np.array_equal(open_dataset(name, **place).samples[1].boxes, [[10, 2, 30, 4]])
