"""Class folders with a file of boxes."""

import json

import pytest

from wsol.datasets.registry import open_dataset
from wsol.datasets.weak import open_training_set
from wsol.errors import InputError

from support.data_files import lines, picture


@pytest.fixture
def birds(tmp_path):
    root = tmp_path / "birds"
    for name in ("wren/a.jpg", "wren/b.jpg", "auk/c.jpg"):
        picture(root / name)
    lines(
        root / "boxes.csv",
        "image,x0,y0,x1,y1",
        "wren/a.jpg,1,2,30,20",
        "wren/a.jpg,40,2,59.5,20",
        "b.jpg,0,0,60,40",
        "auk/c.jpg,5,5,5,5",
    )
    return root


def boxes(data):
    return {sample.image_id: sample.boxes.tolist() for sample in data.samples}


def test_class_folders_and_a_csv(birds):
    data = open_dataset("imagefolder", birds)
    assert (data.name, data.split, data.classes) == ("birds", "all", ("auk", "wren"))
    assert [(s.image_id, s.label) for s in data.samples] == [
        ("auk/c.jpg", 0),
        ("wren/a.jpg", 1),
        ("wren/b.jpg", 1),
    ]
    assert boxes(data)["wren/a.jpg"] == [[1, 2, 30, 20], [40, 2, 59.5, 20]]
    assert data.samples[0].path == birds / "auk/c.jpg"
    assert boxes(open_dataset("imagefolder", birds / "boxes.csv")) == boxes(data)


def test_a_corner_and_a_size_and_boxes_of_other_classes(birds):
    lines(
        birds / "boxes.csv",
        "class,image,x,y,width,height",
        "wren,wren/a.jpg,1,2,30,20",
        "auk,wren/a.jpg,1,2,3,3",
        "auk,auk/c.jpg,7,7,0.5,1",
        "gull,wren/b.jpg,1,1,1,1",
    )
    data = open_dataset("imagefolder", birds)
    assert boxes(data) == {
        "auk/c.jpg": [[7, 7, 7, 7]],
        "wren/a.jpg": [[1, 2, 30, 21]],
        "wren/b.jpg": [[1, 1, 1, 1]],
    }
    assert data.notes == ("1 boxes of other classes than their image's left out.",)


def test_a_coco_json(birds):
    (birds / "boxes.csv").unlink()
    content = {
        "images": [
            {"id": 1, "file_name": "wren/a.jpg", "width": 60, "height": 40},
            {"id": 2, "file_name": "c.jpg"},
        ],
        "categories": [{"id": 1, "name": "wren"}, {"id": 2, "name": "auk"}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20]},
            {"image_id": 1, "category_id": 2, "bbox": [0, 0, 5, 5]},
            {"image_id": 2, "category_id": 2, "bbox": [3, 3, 10, 10]},
        ],
    }
    (birds / "boxes.json").write_text(json.dumps(content))
    data = open_dataset("imagefolder", birds)
    assert boxes(data) == {"auk/c.jpg": [[3, 3, 12, 12]], "wren/a.jpg": [[1, 2, 10, 21]]}
    assert [s.size for s in data.samples] == [None, (60, 40)]
    assert data.notes[-1].startswith("1 x image without annotation; first: ")
    # Categories that say nothing about the folders: every box counts.
    for item in content["categories"]:
        item["name"] = f"object {item['id']}"
    (birds / "boxes.json").write_text(json.dumps(content))
    assert len(boxes(open_dataset("imagefolder", birds))["wren/a.jpg"]) == 2


def test_splits(birds):
    root = birds.parent / "split"
    for split in ("train", "test"):
        picture(root / split / "wren" / "a.jpg")
        picture(root / split / "auk" / "deeper" / "c.jpg")
    lines(root / "test.csv", "image,x0,y0,x1,y1", "wren/a.jpg,1,2,3,4", "c.jpg,1,2,3,4")
    data = open_dataset("imagefolder", root, split="test")
    assert (data.name, data.split) == ("split", "test")
    assert set(boxes(data)) == {"auk/deeper/c.jpg", "wren/a.jpg"}
    with pytest.raises(InputError, match=r"name the split with --split \(test, train\)"):
        open_dataset("imagefolder", root)
    with pytest.raises(InputError, match="has no file of boxes; looked for"):
        open_dataset("imagefolder", root, split="train")
    weak = open_training_set("imagefolder", root)
    assert (weak.split, len(weak), weak.classes) == ("train", 2, ("auk", "wren"))
    assert all(len(s.boxes) == 0 for s in weak.samples)


def test_training_opens_no_boxes(birds):
    (birds / "boxes.csv").unlink()
    weak = open_training_set("imagefolder", birds)
    assert [(s.image_id, s.label) for s in weak.samples] == [
        ("auk/c.jpg", 0),
        ("wren/a.jpg", 1),
        ("wren/b.jpg", 1),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("wren/a.jpg,1,2,3", r"boxes\.csv:6: has 4 columns instead of 5"),
        ("wren/a.jpg,9,2,3,4", r"boxes\.csv:6: the box 9,2,3,4 is not x0 <= x1"),
        ("wren/a.jpg,1_0,2,30,4", r"boxes\.csv:6: the box '1_0,2,30,4' is not four numbers"),
        ('wren/a.jpg,"1,2,3,4', r"boxes\.csv:6: is not a line of CSV \(unexpected end of data\)"),
        ("a.jpg,1,2,3,4", r"boxes\.csv:6: wren/a\.jpg has boxes under another name, too"),
    ],
)
def test_problems_name_file_and_line(birds, row, message):
    with (birds / "boxes.csv").open("a") as stream:
        stream.write(row + "\n")
    with pytest.raises(InputError, match=message):
        open_dataset("imagefolder", birds)


def test_both_directions_are_compared(birds):
    (birds / "wren" / "b.jpg").unlink()
    picture(birds / "wren" / "new.jpg")
    data = open_dataset("imagefolder", birds)
    assert len(data) == 2
    assert [note.split(";")[0] for note in data.notes] == [
        "1 x annotation without image",
        "1 x image without annotation",
    ]
    lines(birds / "boxes.csv", "name,left,top", "a,1,2")
    with pytest.raises(InputError, match=r"boxes\.csv:1: has the columns 'name,left,top'"):
        open_dataset("imagefolder", birds)
    lines(birds / "boxes.json", "{}")
    with pytest.raises(InputError, match="both hold boxes of one split; keep one"):
        open_dataset("imagefolder", birds)
    for path in (*birds.glob("boxes.*"), *birds.glob("*/*.jpg")):
        path.unlink()
    with pytest.raises(InputError, match="the data set is empty"):
        open_dataset("imagefolder", birds)
