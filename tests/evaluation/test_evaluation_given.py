"""Boxes and predictions from elsewhere, against the same written out slowly."""

import contextlib
import io
import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from wsol.boxes.geometry import exact_ground_truth, protocol_ground_truth
from wsol.datasets.base import Dataset, Sample
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import Classification
from wsol.evaluation.lifecycle import Place
from wsol.evaluation.naming import ClassNames, ImageNames
from wsol.evaluation.options import ScoreOptions
from wsol.evaluation.precomputed import score
from wsol.evaluation.protocol import Protocol
from wsol.results.recorded_run import read_run

from support.conventions import iou
from support.data_files import lines

CLASSES = ("n1", "n2", "n3", "n4", "n5", "n6", "n7")
SIZE = (300, 200)


def annotated(count=4, name="birds", classes=CLASSES):
    samples = [
        Sample(f"val/{i:03}.jpg", None, i % len(classes), np.array([[30.0 + i, 20, 150, 120 + i]]),
               SIZE)
        for i in range(count)
    ]  # fmt: skip
    return Dataset(name, "test", samples, classes, tuple(key.upper() for key in classes))


def options(**given):
    protocol = {name: given.pop(name) for name in list(given) if name in Protocol.model_fields}
    return ScoreOptions(protocol=Protocol(**protocol), threads=1, **given)


def coco_ap(data, rows):
    """AP and AP50 by pycocotools, of everything at once and in the photographs' pixels."""
    ids = {sample.image_id: i for i, sample in enumerate(data)}
    truths = [(ids[s.image_id], s.label, *s.boxes[0], 1) for s in data]
    found = [(ids[row[0]], CLASSES.index(row[6]), *row[1:6]) for row in rows]
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for boxes in (truths, found):
            side = COCO()
            side.dataset = {
                "images": [{"id": i} for i in ids.values()],
                "categories": [{"id": label} for label in range(len(CLASSES))],
                "annotations": [
                    {"id": n, "image_id": i, "category_id": label, "score": float(score), "area": 1,
                     "bbox": [int(x0), int(y0), int(x1 - x0) + 1, int(y1 - y0) + 1], "iscrowd": 0}
                    for n, (i, label, x0, y0, x1, y1, score) in enumerate(boxes, 1)
                ],
            }  # fmt: skip
            side.createIndex()
            sides.append(side)
        evaluation = COCOeval(*sides, "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, -1]
    present = precision[:, :, sorted({label for _, label, *_ in truths})]
    return 100 * present.mean(), 100 * present[0].mean()


def csv_of(path, rows, head="image_id,x0,y0,x1,y1,score,class"):
    lines(path, head, *(",".join(map(str, row)) for row in rows))
    return path


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    data, rows, said = annotated(6), [], []
    for sample in data:
        for _ in range(int(rng.integers(1, 4))):
            near = rng.integers(0, 60, 2)
            far = near + rng.integers(60, 130, 2)
            label = int(rng.choice([sample.label, *range(7)]))
            score_of = float(rng.choice([0.25, 0.5, 0.75]))
            rows.append((sample.image_id, *near, *far, score_of, CLASSES[label]))
        said.append((sample.image_id, *(CLASSES[i] for i in rng.permutation(7)[:5])))
    return data, rows, said


@pytest.mark.parametrize("convention", ["choe2020", "exact"])
@settings(max_examples=15, derandomize=True)  # IoUs of exactly a level are a matter of rounding
@given(case=cases())
def test_boxes_with_predictions_step_by_step(tmp_path_factory, convention, case):
    data, rows, said = case
    folder = tmp_path_factory.mktemp("given")
    csv_of(folder / "boxes.csv", rows)
    csv_of(folder / "said.csv", said, "image_id,c1,c2,c3,c4,c5")
    chosen = options(convention=convention, predictions=folder / "said.csv", iou=(0.3, 0.5, 0.6))
    metrics = score(folder / "boxes.csv", data, chosen).metrics
    scale = protocol_ground_truth if convention == "choe2020" else exact_ground_truth
    known, top1, top5, best = [], [], [], {0.3: [], 0.5: [], 0.6: []}
    for sample, (_, *predicted) in zip(data, said, strict=True):
        own = [row for row in rows if row[0] == sample.image_id and row[6] == CLASSES[sample.label]]
        truth = scale(sample.boxes, SIZE, (224, 224))[0]
        ious = [iou(scale(np.array([row[1:5]], float), SIZE, (224, 224))[0], truth, 1)
                for row in own]  # fmt: skip
        first = max(range(len(own)), key=lambda i: own[i][5]) if own else None
        right = first is not None and ious[first] >= 0.5
        known.append(right)
        top1.append(right and predicted[0] == CLASSES[sample.label])
        top5.append(right and CLASSES[sample.label] in predicted)
        for level, found in best.items():
            found.append(max(ious, default=0) >= level)
    assert metrics.gt_known_loc == pytest.approx(100 * np.mean(known))
    assert metrics.top1_loc == pytest.approx(100 * np.mean(top1))
    assert metrics.top5_loc == pytest.approx(100 * np.mean(top5))
    assert metrics.box_acc == pytest.approx(
        {f"{level:g}": 100 * np.mean(found) for level, found in best.items()}
    )
    assert metrics.max_box_acc == metrics.gt_known_loc
    assert metrics.best_threshold is None
    if convention == "exact":
        assert (metrics.coco_ap, metrics.coco_ap50) == pytest.approx(coco_ap(data, rows))


def test_all_ways_to_write_the_same_boxes_agree(tmp_path):
    data = annotated()
    corners = {s.image_id: [10 + i, 20, 140, 110 + 2 * i] for i, s in enumerate(data)}
    files = {}
    files["inclusive"] = csv_of(
        tmp_path / "a.csv", [(k, *b) for k, b in corners.items()], "image_id,x0,y0,x1,y1"
    )
    files["exclusive"] = csv_of(
        tmp_path / "b.csv",
        [(k, b[0], b[1], b[2] + 1, b[3] + 1) for k, b in corners.items()],
        "image_id,x0,y0,x1,y1",
    )
    files["fractions"] = csv_of(
        tmp_path / "c.csv",
        [
            (k, b[0] / 300, b[1] / 200, (b[2] + 1) / 300, (b[3] + 1) / 200)
            for k, b in corners.items()
        ],
        "image_id,x0,y0,x1,y1",
    )
    # COCO names images by number, and classes by position or key.
    detections = [
        {"image_id": i, "category_id": (s.label, s.label, CLASSES[s.label], CLASSES[s.label])[i],
         "bbox": [b[0], b[1], b[2] - b[0] + 1, b[3] - b[1] + 1], "score": 0.5}
        for i, (s, b) in enumerate(zip(data, corners.values(), strict=True))
    ]  # fmt: skip
    files["coco"] = tmp_path / "d.json"
    files["coco"].write_text(json.dumps(detections))
    chosen = {"exclusive": {"box_corners": "exclusive"}, "fractions": {"box_pixels": "fractions"}}
    for convention in ("choe2020", "exact", "psol", "bas", "sat", "ts-cam", "danet", "zhou2016"):
        found = {
            name: score(path, data, options(convention=convention, **chosen.get(name, {})))
            for name, path in files.items()
        }
        values = {name: record.metrics.gt_known_loc for name, record in found.items()}
        assert len(set(values.values())) == 1, (convention, values)
    assert found["coco"].settings["box_corners"] == "exclusive"
    assert found["coco"].settings["convention"] == "zhou2016"


@pytest.mark.parametrize("convention", ["choe2020", "exact", "zhou2016", "danet", "psol", "bas"])
def test_the_true_boxes_are_right_everywhere(tmp_path, convention):
    data = annotated(name="CUB")
    rows = [(s.image_id, *s.boxes[0].astype(int)) for s in data]
    path = csv_of(tmp_path / "true.csv", rows, "image_id,x0,y0,x1,y1")
    assert score(path, data, options(convention=convention)).metrics.gt_known_loc == 100


def test_boxes_on_a_conventions_grid(tmp_path):
    data = annotated(1)
    path = csv_of(tmp_path / "grid.csv", [("val/000.jpg", 0, 0, 224, 224)], "image_id,x0,y0,x1,y1")
    record = score(path, data, options(convention="psol", box_pixels="grid"))
    evaluator = Evaluator(data, Protocol(convention="psol", threshold=0.5))
    judge = evaluator.box_judge
    whole = judge.judge(judge.boxes(None, SIZE), data.samples[0], SIZE)
    assert record.metrics.gt_known_loc == 100 * whole.decisions[0][0]


def test_outcomes_of_boxes_add_up_to_the_record(tmp_path):
    data = annotated(6)
    rows = [(s.image_id, 20, 20, 120 + 10 * i, 120, 0.5) for i, s in enumerate(data)]
    path = csv_of(tmp_path / "boxes.csv", rows, "image_id,x0,y0,x1,y1,score")
    said = csv_of(
        tmp_path / "said.csv",
        [(s.image_id, "n1", "n2", "n3", "n4", "n5", 0.5, 0.2, 0.1, 0.1, 0.05) for s in data],
        "image_id,c1,c2,c3,c4,c5,s1,s2,s3,s4,s5",
    )
    place = Place(tmp_path / "out", "boxes")
    record = score(path, data, options(predictions=said, per_image=True), place=place)
    run = read_run(place.record)  # refuses rows that give other numbers
    assert run.table.num_rows == 6 and run.record == record
    assert record.metrics.coco_ap50 is not None  # of the predicted classes
    # The same predictions from that run's rows.
    again = score(path, data, options(predictions=place.outcomes))
    assert again.metrics.top1_loc == record.metrics.top1_loc
    assert again.metrics.top5_cls == record.metrics.top5_cls == pytest.approx(500 / 6)
    resumed = Place(tmp_path / "out", "boxes", resume=True)
    assert score(
        path, data, options(predictions=said, per_image=True), place=resumed
    ).metrics == record.metrics  # fmt: skip


def several_maps(folder, data, classes_of):
    """Maps of several classes an image: that of class c is a block at 20 c."""
    for sample in data:
        stack = np.zeros((len(classes_of[sample.image_id]), 28, 28), np.float32)
        for number, key in enumerate(classes_of[sample.image_id]):
            start = 2 * CLASSES.index(key)
            stack[number, 4:20, start : start + 12] = 1
        path = folder / f"{sample.image_id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, stack)


@pytest.mark.parametrize(
    "convention", ["choe2020", pytest.param("exact", marks=pytest.mark.slow), "psol"]
)
def test_maps_of_the_predicted_classes_give_the_strict_top_5(tmp_path, convention):
    data = annotated(7)
    rng = np.random.default_rng(4)
    predicted = {s.image_id: [CLASSES[i] for i in rng.permutation(7)[:5]] for s in data}
    several_maps(tmp_path / "maps", data, predicted)
    said = csv_of(
        tmp_path / "said.csv", [(k, *v) for k, v in predicted.items()], "image_id,c1,c2,c3,c4,c5"
    )
    chosen = {"convention": convention, "threshold": 0.5}
    record = score(
        tmp_path / "maps", data, options(predictions=said, map_classes=said, **chosen)
    )  # fmt: skip
    # Slowly: every predicted class that is right, with its own map.
    right = {1: 0, 5: 0}
    for sample, k in product(data, (1, 5)):
        stack = np.load(tmp_path / "maps" / f"{sample.image_id}.npy")
        for number, key in enumerate(predicted[sample.image_id][:k]):
            if key == CLASSES[sample.label]:
                alone = Evaluator(data, Protocol(**chosen))
                alone.update(stack[number], sample.image_id)
                right[k] += alone.compute().gt_known_loc == 100
    assert record.metrics.top1_loc == pytest.approx(100 * right[1] / 7)
    assert record.metrics.top5_loc == pytest.approx(100 * right[5] / 7)
    without = sum(CLASSES[s.label] not in predicted[s.image_id] for s in data)
    assert without and record.metrics.gt_known_loc is None and record.metrics.max_box_acc is None
    assert any(f"{without} images have no map of their label" in note for note in record.notes)
    with pytest.raises(InputError, match="has no map of its label"):
        score(tmp_path / "maps", data, options(map_classes=said, per_image=True, **chosen),
              place=Place(tmp_path, "x"))  # fmt: skip


def test_maps_of_all_classes_are_as_the_labels_alone(tmp_path):
    data = annotated(7)
    several_maps(tmp_path / "all", data, {s.image_id: CLASSES for s in data})
    for sample in data:
        stack = np.load(tmp_path / "all" / f"{sample.image_id}.npy")
        path = tmp_path / "own" / f"{sample.image_id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, stack[sample.label])
    of = csv_of(tmp_path / "of.csv", [(s.image_id, *range(7)) for s in data],
                "image_id,c1,c2,c3,c4,c5,c6,c7")  # fmt: skip
    assert (
        score(tmp_path / "all", data, options(map_classes=of)).metrics
        == score(tmp_path / "own", data, options()).metrics
    )
    lines(of, "val/000.jpg,n1,n2")
    with pytest.raises(InputError, match=r"of\.csv: does not say .* val/001\.jpg are \(6 images"):
        score(tmp_path / "all", data, options(map_classes=of))
    with pytest.raises(InputError, match=r"expected \(2, height, width\), because .*of\.csv:1"):
        part = Dataset("birds", "test", data.samples[:1], data.classes, data.class_names)
        score(tmp_path / "all", data, options(map_classes=of), evaluated=part)


BOXES = "image_id,x0,y0,x1,y1,score,class"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["image,x0,y0,x1,y1"], r"b\.csv:1: is not the header"),
        ([BOXES, "val/000.jpg,1,2,3,4,1"], r"b\.csv:2: has 6 fields; the header has 7"),
        ([BOXES, "val/000.jpg,1,2,x,4,1,n1"], r"b\.csv:2: 'x' is no number"),
        ([BOXES, "val/000.jpg,1,2,nan,4,1,n1"], r"b\.csv:2: .* is no box"),
        ([BOXES, "val/000.jpg,9,2,3,4,1,n1"], r"b\.csv:2: 9,2,3,4 is no box; .* x0 <= x1"),
        ([BOXES, "val/000.jpg,1,2,300,4,1,n1"], r"b\.csv:2: .* outside its image of 300x200"),
        ([BOXES, "val/000.jpg,-1,2,30,4,1,n1"], r"b\.csv:2: .* outside"),
        ([BOXES, "val/999.jpg,1,2,3,4,1,n1"], r"b\.csv:2: 'val/999.jpg' is no image of birds"),
        ([BOXES, "val/000.jpg,1,2,3,4,1,n9"], r"b\.csv:2: 'n9' is no class .* position from 0 to"),
        ([BOXES, "val/000.jpg,1,2,3,4,1,7"], r"b\.csv:2: '7' is no class"),
        (["image_id,x0,y0,x1,y1", "0,1,2,3,4", "val/000.jpg,1,2,3,4"], r"b\.csv:3: .* second box"),
        ([BOXES], "holds no box"),
        ([BOXES, "val/001.jpg,1,2,3,4,1,n1"], r"b\.csv: has no box for val/000\.jpg \(1 of 2"),
    ],
)
def test_bad_boxes_are_told_by_their_line(tmp_path, rows, message):
    data = annotated(2)
    full = [*rows]
    if "1 of 2" not in message and len(rows) > 1:
        full += ["val/001.jpg,1,2,3,4" + (",1,n1" if rows[0] == BOXES else "")]
    lines(tmp_path / "b.csv", *full)
    with pytest.raises(InputError, match=message):
        score(tmp_path / "b.csv", data, options())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "is no COCO results file"),
        ("[3]", "detection 0: is '3'"),
        ('[{"bbox": [1,2,3,4]}]', "detection 0: has no image_id"),
        ('[{"image_id": "val/000.jpg", "bbox": [1,2,3]}]', "detection 0: its bbox is"),
        ('[{"image_id": 0, "bbox": [1,2,3,0]}]', "detection 0: 1,2,4,2 is no box"),
        ('[{"image_id": 0, "bbox": [1,2,3,"4"]}]', "its bbox is"),
        ('[{"image_id": 0, "bbox": [1,2,3,4], "score": "a"}]', "its score is 'a'"),
        ('[{"image_id": 0, "bbox": [1,2,3,4], "category_id": 1.5}]', "its category_id is '1.5'"),
        ('[{"image_id": 0, "bbox": [1,2,3,4], "category_id": 77}]', "'77' is no class"),
        ('[{"image_id": true, "bbox": [1,2,3,4]}]', "has no image_id"),
        ('[{"image_id": 0, "bbox": [1,2,3,1%s]}]' % ("0" * 400), "beyond all measure"),
    ],
)
def test_bad_coco_results_are_told_by_their_place(tmp_path, content, message):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(InputError, match=message) as told:
        score(tmp_path / "r.json", annotated(1), options())
    assert "r.json" in str(told.value)


SAID = "image_id,c1,c2,c3,c4,c5"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["image_id,a,b"], r"s\.csv:1: is not the header image_id,c1"),
        (["image_id,c1,c2", "0,n1,n2"], r"s\.csv:1: has 2 classes an image; Top-5 Loc needs 5"),
        ([SAID, "val/000.jpg,n1,n2,n3,n4"], r"s\.csv:2: has 5 fields"),
        ([SAID, "nobody.jpg,n1,n2,n3,n4,n5"], r"s\.csv:2: 'nobody\.jpg' is no image"),
        ([SAID, "0,n1,n2,n3,n4,n5", "000,n1,n2,n3,n4,n5"], r"s\.csv:3: val/000\.jpg .* twice"),
        ([SAID, "0,n1,n2,n3,n4,n4"], r"s\.csv:2: names a class twice"),
        ([SAID, "0,n1,n2,n3,n4,zebra"], r"s\.csv:2: 'zebra' is no class of birds"),
        ([SAID, "1,n1,n2,n3,n4,n5"], r"s\.csv: has no prediction for val/000\.jpg \(1 of 2"),
        ([SAID + ",s1,s2,s3,s4,s5", "0,0,1,2,3,4,.5,.6,.1,.1,.1"], r"s\.csv:2: .* best first"),
        ([SAID + ",s1,s2,s3,s4,s5", "0,0,1,2,3,4,a,.6,.1,.1,.1"], r"s\.csv:2: 'a' is no number"),
        ([SAID + ",s1,s2,s3,s4,s5", "0,0,1,2,3,4,inf,.6,.1,.1,.1"], r"s\.csv:2: .* not finite"),
        ([], r"s\.csv:1: is not the header"),
    ],
)
def test_bad_predictions_are_told_by_their_line(tmp_path, rows, message):
    lines(tmp_path / "s.csv", *rows)
    boxes = csv_of(tmp_path / "b.csv", [("0", 1, 2, 30, 40), ("1", 1, 2, 30, 40)],
                   "image_id,x0,y0,x1,y1")  # fmt: skip
    with pytest.raises(InputError, match=message):
        score(boxes, annotated(2), options(predictions=tmp_path / "s.csv"))


def test_what_is_missing_can_be_left_out_and_completeness_is_of_what_has_a_box(tmp_path):
    data = annotated(4)
    boxes = csv_of(
        tmp_path / "b.csv",
        [("0", 30, 20, 150, 120), ("1", 30, 20, 150, 120), ("other.jpg", 1, 2, 30, 40)],
        "image_id,x0,y0,x1,y1",
    )
    said = csv_of(
        tmp_path / "s.csv",
        [("0", "n1", "n2", "n3", "n4", "n5"), ("x", "n1", "n2", "n3", "n4", "n5")],
        SAID,
    )
    record = score(boxes, data, options(predictions=said, skip_bad=True))
    assert record.num_images == 1 and record.metrics.top1_loc == 100
    assert {item.image_id: item.reason for item in record.skipped} == {
        "val/001.jpg": "no prediction",
        "val/002.jpg": "no box",
        "val/003.jpg": "no box",
        "other.jpg": "a box without annotation",
    }
    # Of a part of the images only that part's boxes and predictions are needed.
    part = Dataset("birds", "test", data.samples[:1], data.classes, data.class_names)
    boxes = csv_of(tmp_path / "c.csv", [("1", 30, 20, 150, 120), ("0", 30, 20, 150, 120)],
                   "image_id,x0,y0,x1,y1")  # fmt: skip
    said = csv_of(tmp_path / "t.csv", [("0", "n1", "n2", "n3", "n4", "n5")], SAID)
    assert score(boxes, data, options(predictions=said), evaluated=part).num_images == 1


def test_options_that_need_maps_or_boxes_are_refused(tmp_path):
    data = annotated(1)
    boxes = csv_of(tmp_path / "b.csv", [("0", 1, 2, 30, 40)], "image_id,x0,y0,x1,y1")
    for given_options, message in (
        ({"threshold": 0.5}, "--threshold: is for score maps"),
        ({"also_at": ("otsu",)}, "--also-at"),
        ({"metric": ("pointing_game",)}, "--metric"),
        ({"curves": True}, "--curves"),
        ({"map_classes": boxes}, "--map-classes"),
    ):
        with pytest.raises(InputError, match=message):
            score(boxes, data, options(**given_options))
    (tmp_path / "maps" / "val").mkdir(parents=True)
    np.save(tmp_path / "maps" / "val" / "000.npy", np.eye(8))
    with pytest.raises(InputError, match="--box-pixels: goes with a file of boxes"):
        score(tmp_path / "maps", data, options(box_pixels="grid"))


def test_images_and_classes_by_other_names():
    data = annotated(3)
    names = ImageNames(data, ["val/001.jpg", "001", "2", "9", "elsewhere/000.JPEG"])
    assert [names.known(n) for n in ("val/001.jpg", "001", "2", "9")] == [
        "val/001.jpg", "val/001.jpg", "val/002.jpg", None,
    ]  # fmt: skip
    assert names.known("elsewhere/000.JPEG") == "val/000.jpg"
    classes = ClassNames(data)
    assert classes.label("n3", "") == classes.label("N3", "") == classes.label("2", "") == 2
    # Keys that are numbers of another kind are never positions.
    numbered = ClassNames(annotated(1, classes=("1", "2", "3")))
    assert numbered.label("3", "") == 2
    with pytest.raises(InputError, match=r"expected a key such as 1\.$"):
        numbered.label("0", "f:1")


def test_a_classifier_gates_boxes_without_a_class(tmp_path):
    """As PSOL: one box an image, of no class, counts for the classifier's predictions."""
    data = annotated(7)
    boxes = csv_of(tmp_path / "b.csv", [(s.image_id, *s.boxes[0].astype(int)) for s in data],
                   "image_id,x0,y0,x1,y1")  # fmt: skip
    said = csv_of(tmp_path / "s.csv", [(s.image_id, *CLASSES[2:]) for s in data], SAID)
    metrics = score(boxes, data, options(predictions=said)).metrics
    assert metrics.gt_known_loc == 100
    assert metrics.top1_loc == metrics.top1_cls == pytest.approx(100 / 7)
    assert metrics.top5_loc == pytest.approx(500 / 7)
    assert metrics.coco_ap is None  # nothing scores the boxes
    evaluator = Evaluator(data)
    evaluator.update(np.eye(8), "val/000.jpg", Classification(9, np.array([1]), np.zeros(1), None))
    assert evaluator.compute().top5_cls == 0


def test_boxes_of_a_network_of_other_classes(tmp_path):
    data = annotated(2)
    rows = [(s.image_id, *s.boxes[0].astype(int), 0.5, "n02105855") for s in data]
    path = csv_of(tmp_path / "b.csv", rows)
    with pytest.raises(
        InputError, match=r"b\.csv:2: 'n02105855' is no class of birds.*--no-box-classes"
    ):
        score(path, data, options())
    record = score(path, data, options(box_classes=False))
    assert record.metrics.gt_known_loc == 100 and record.settings["box_classes"] is False
