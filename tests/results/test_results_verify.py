"""What `wsol verify` accepts and refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wsol.boxes.geometry import true_boxes_on
from wsol.datasets.content import content_fingerprint, known_contents
from wsol.datasets.registry import open_dataset
from wsol.errors import InputError
from wsol.metrics.iou import iou_matrix
from wsol.records.outcomes import switches_of, write_outcomes
from wsol.records.record import read_records, write_record
from wsol.results.verify import verify

from support.command import wsol
from support.records import INFO, TURN, outcome, write_run


def honest(number):
    """An outcome whose IoUs and switches are what its boxes make."""
    made = outcome(number)
    true = np.array([[3.0, 2, 39 + number, 19]])
    placed = true_boxes_on(true, made.size, INFO.grid, "edges", cropped=False)
    ious = iou_matrix(made.boxes, placed).max(axis=1)
    correct = {level: np.repeat(ious >= level, [TURN, 100 - TURN]) for level in INFO.iou_levels}
    return replace(
        made,
        true_boxes=true,
        ious=ious.astype(np.float32),
        fixed_iou=float(iou_matrix(made.fixed_box[None], placed).max()),
        switches={
            f"{kind}@{level:g}": switches_of(correct[level])
            for kind in INFO.kinds
            for level in INFO.iou_levels
        },
    )


def run(folder, rows):
    """A record with the metrics that its rows make."""
    right = {level: [row.ious >= level for row in rows] for level in INFO.iou_levels}
    best = {f"{level:g}": 100 * float(np.mean(right[level], axis=0).max()) for level in right}
    metrics = {
        "top1_cls": 100.0, "top5_cls": 100.0,
        "gt_known_loc": 100 * float(np.mean([row.fixed_iou >= 0.5 for row in rows])),
        "max_box_acc": best["0.5"], "box_acc": best, "box_acc_largest": best, "pxap": 12.5,
    }  # fmt: skip
    metrics["top1_loc"] = metrics["top5_loc"] = metrics["gt_known_loc"]
    right_of: dict[int, list[bool]] = {}
    for row in rows:
        right_of.setdefault(row.label, []).append(row.fixed_iou >= 0.5)
    shares = [np.mean(right) for right in right_of.values()]
    metrics["gt_known_loc_class_mean"] = 100 * float(np.mean(shares))
    path = write_run(folder, "one", rows, **metrics)
    record = read_records(path)[0]
    record.metrics.max_box_acc_v2 = float(np.mean(list(best.values())))
    write_record(record, path)
    return path


def test_a_record_that_follows_from_its_images(tmp_path):
    found = verify(run(tmp_path, [honest(n) for n in range(6)]))
    assert found.ious and {"gt_known_loc", "max_box_acc", "max_box_acc_v2"} <= set(found.recomputed)
    assert found.taken == ("pxap",) and found.annotations is None
    assert "annotations of CUB test" in found.notes[0] or "of 5,794 images" in found.notes[0]


@pytest.mark.parametrize(
    "metric",
    ["gt_known_loc", "max_box_acc", "max_box_acc_v2", "top1_loc", "gt_known_loc_class_mean"],
)
def test_the_differing_metric_is_named(tmp_path, metric):
    path = run(tmp_path, [honest(n) for n in range(6)])
    data = json.loads(path.read_text())
    data["metrics"][metric] += 0.01 if data["metrics"][metric] < 50 else -0.01
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=rf"its images make {metric} "):
        verify(path)


def test_rows_that_contradict_themselves(tmp_path):
    def refused(message, number=2, **changes):
        rows = [honest(n) for n in range(6)]
        path = run(tmp_path, rows)
        rows[number] = replace(rows[number], **changes)
        write_outcomes(rows, INFO, tmp_path / "one.outcomes.parquet")
        with pytest.raises(InputError, match=message):
            verify(path)

    refused(r"2\.png: the box \[0, 0, 223, 223\] has IoU", ious=np.array([0.9, 1], np.float32))
    refused(r"2\.png: the box .* has IoU .* the file says 0\.4", fixed_iou=0.4)
    rows = honest(2)
    swapped = rows.switches | {"largest@0.5": np.array([TURN + 1], np.uint16)}
    refused("2.png: largest@0.5 is right at other thresholds", switches=swapped)
    refused("2.png: boxes, IoUs and thresholds do not pair", box_starts=np.array([3, 50], "u2"))
    refused("has two rows", image_id="1.png")


def test_outcomes_of_fewer_images_are_refused(tmp_path):
    path = run(tmp_path, [honest(n) for n in range(6)])
    record = read_records(path)[0]
    write_record(record.model_copy(update={"num_images": 7}), path)
    with pytest.raises(InputError, match="has 6 images, the record says 7"):
        verify(path)


def test_coco_ap_is_held_against_boxes_where_classes_can_be_told_apart(tmp_path):
    def is_held(rows):
        path = run(tmp_path, rows)
        record = read_records(path)[0]
        record.settings["coco"] = True
        record.metrics.coco_ap, record.metrics.coco_ap50, record.metrics.coco_ar = 1.0, 2.0, 3.0
        write_record(record, path)
        try:
            return "coco_ap" not in verify(path).taken
        except InputError as error:
            return "its images make coco_ap " in str(error)

    rows = [honest(n) for n in range(6)]
    assert is_held(rows)
    # Two classes of one name, among those of the images or the predicted ones.
    assert not is_held([replace(row, class_name="cat") for row in rows])
    assert not is_held([replace(row, predicted=("cat", "cat")) for row in rows])


def test_no_outcomes_no_verdict(tmp_path):
    path = run(tmp_path, [honest(0)])
    (tmp_path / "one.outcomes.parquet").unlink()
    with pytest.raises(InputError, match="evaluate again with --per-image"):
        verify(path)


def annotations(dataset, size=None):
    return [
        (sample.image_id, sample.label, sample.size or size, sample.boxes)
        for sample in dataset.samples
    ]


@pytest.mark.parametrize(
    ("layout", "root", "split", "name"),
    [
        ("protocol", "wsol-metadata/ILSVRC/test", None, ("ILSVRC", "test")),
        ("protocol", "wsol-metadata/ILSVRC/val", None, ("ILSVRC", "train-fullsup")),
        ("protocol", "wsol-metadata/CUB/test", None, ("CUB", "test")),
        ("protocol", "wsol-metadata/CUB/val", None, ("CUB", "train-fullsup")),
        ("tiny-imagenet", "tiny-imagenet-200", "val", ("Tiny ImageNet", "val")),
    ],
)
def test_the_known_annotations_are_the_real_ones(shared_data, layout, root, split, name):
    dataset = open_dataset(layout, shared_data / root, split=split)
    known = [one for one in known_contents() if one.is_called(*name)]
    found = annotations(dataset, (64, 64))
    assert [one.images for one in known] == [len(found)]
    assert known[0].digest == content_fingerprint(found)
    # Another order, another folder and another suffix are the same content; another box is not.
    moved = [(f"elsewhere/{i.rpartition('/')[2].rpartition('.')[0]}.jpg", *rest)
             for i, *rest in found[::-1]]  # fmt: skip
    assert content_fingerprint(moved) == known[0].digest
    image, label, size, boxes = found[7]
    changed = [*found[:7], (image, label, size, boxes + 1), *found[8:]]
    assert content_fingerprint(changed) != known[0].digest


def test_the_readers_of_the_files_as_distributed_say_the_same(shared_data, tmp_path):
    """CUB's own files, written from the protocol's, come out as the same content."""
    given = open_dataset("protocol", shared_data / "wsol-metadata" / "CUB" / "test").samples
    lines = {
        name: [] for name in ("images", "image_class_labels", "train_test_split", "bounding_boxes")
    }
    for number, sample in enumerate(given, start=1):
        ((x0, y0, x1, y1),) = sample.boxes
        lines["images"].append(f"{number} {sample.image_id}")
        lines["image_class_labels"].append(f"{number} {sample.label + 1}")
        lines["train_test_split"].append(f"{number} 0")
        lines["bounding_boxes"].append(f"{number} {x0:.1f} {y0:.1f} {x1 - x0:.1f} {y1 - y0:.1f}")
        file = tmp_path / "images" / sample.image_id
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    classes = sorted({sample.image_id.partition("/")[0] for sample in given})
    lines["classes"] = [f"{number} {name}" for number, name in enumerate(classes, start=1)]
    for name, text in lines.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(text) + "\n")
    size_of = {sample.image_id: sample.size for sample in given}
    found = [
        (sample.image_id, sample.label, size_of[sample.image_id], sample.boxes)
        for sample in open_dataset("cub", tmp_path, split="test").samples
    ]
    (known,) = [one for one in known_contents() if one.is_called("CUB", "test")]
    assert content_fingerprint(found) == known.digest


def test_known_annotations_that_were_changed_are_refused(tmp_path):
    """A record that calls itself a known set, with as many images and other boxes."""
    path = run(tmp_path, [honest(n) for n in range(6)])
    real = known_contents()

    def as_if(images):
        return tuple(replace(one, images=images) if one.dataset == "CUB" else one for one in real)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wsol.results.verify.known_contents", lambda: as_if(6))
        with pytest.raises(InputError, match="the annotations differ from those of CUB-200-2011"):
            verify(path)
        patch.setattr("wsol.results.verify.known_contents", lambda: as_if(7))
        assert "6 of 7 images" in verify(path).notes[0]


def test_records_of_another_schema_are_refused(tmp_path):
    path = run(tmp_path, [honest(n) for n in range(6)])
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"schema": "wsol.record/99"}))
    with pytest.raises(InputError, match=r"one\.json.*schema"):
        verify(path)


def test_a_metric_that_nobody_here_knows_is_said(tmp_path):
    path = run(tmp_path, [honest(n) for n in range(6)])
    data = json.loads(path.read_text())
    data["metrics"] |= {"golden_iou": 12.0, "coco_ar": 50.0, "pointing_game": 7.0}
    path.write_text(json.dumps(data))
    found = verify(path)
    assert set(found.taken) == {"pxap", "pointing_game", "coco_ar"}
    assert "golden_iou: a metric that this version does not know; not checked." in found.notes


def test_records_without_outcomes_are_counted_and_not_listed(tmp_path):
    run(tmp_path / "good", [honest(number) for number in range(6)])
    path = run(tmp_path / "other", [honest(number) for number in range(6)])
    for name in "abc":
        (tmp_path / f"{name}.json").write_text(path.read_text())
    data = json.loads(path.read_text())
    data["metrics"]["gt_known_loc"] = 100 - data["metrics"]["gt_known_loc"]
    path.write_text(json.dumps(data))
    out, told = wsol(tmp_path, "verify", ".", code=2)
    assert "good/one.json: holds." in out and "a.json" not in out
    counted = "3 of 5 records have no per-image file beside them"
    assert counted in told and "(--json - names each)" in told
    assert "refused other/one.json" in told and "its images make gt_known_loc" in told
    assert not any(f"{name}.json" in told for name in "abc")
    out, _ = wsol(tmp_path, "verify", ".", "--json", "-", code=2)
    listed = {Path(row["record"]).name: row for row in json.loads(out)}
    assert [listed[f"{name}.json"]["holds"] for name in "abc"] == [False] * 3
    assert "evaluate again with --per-image" in listed["a.json"]["reason"]
    _, told = wsol(tmp_path, "verify", "a.json", code=2)
    assert told.startswith("wsol: a.outcomes.parquet: does not exist")
