"""What evaluations do about photographs that are not as annotated, whoever judges them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from wsol.datasets.base import Dataset, Sample
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.lifecycle import Place
from wsol.evaluation.loop import evaluate
from wsol.evaluation.options import EvaluationOptions, ScoreOptions
from wsol.evaluation.precomputed import score
from wsol.maps.files import save_score_map
from wsol.models.classifier import Classifier, Preprocessing

CLASSES = ("red", "green", "blue")


class Reds(nn.Module):
    """Class c is how much of colour channel c there is."""

    def __init__(self, classes=3):
        super().__init__()
        self.features = nn.AvgPool2d(8)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(3, classes)
        with torch.no_grad():
            self.fc.weight.copy_(torch.eye(3)[:classes])
            self.fc.bias.zero_()

    def forward(self, x):
        return self.fc(self.pool(self.features(x)).flatten(1))


def network(classes=3, keys=None):
    plain = Preprocessing(size=64, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return Classifier("colours", Reds(classes).eval(), keys, plain)


@pytest.fixture
def data(tmp_path):
    """Four 96x64 photographs with a block of their label's colour; sizes are not annotated."""
    samples = []
    for number in range(4):
        x0, y0 = 8 * number, 16
        pixels = np.zeros((64, 96, 3), np.uint8)
        pixels[y0 : y0 + 32, x0 : x0 + 48, number % 2] = 255
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        box = np.array([[x0, y0, x0 + 47, y0 + 31]], float)
        samples.append(Sample(path.name, path, number % 2, box))
    return Dataset("blocks", "test", samples, CLASSES, CLASSES)


def changed(data, number, **fields):
    samples = [*data.samples]
    samples[number] = replace(samples[number], **fields)
    return replace(data, samples=samples)


def scored(data, tmp_path, **options):
    for sample in data.samples:
        save_score_map(tmp_path / "maps", sample.image_id, np.eye(8, dtype=np.float32))
    return score(tmp_path / "maps", data, ScoreOptions(**options))


def test_sizes_are_compared_and_counted_in_the_record(data, tmp_path):
    options = EvaluationOptions(batch_size=3)
    whole = evaluate(network(), data, options)
    assert whole.notes == [] and whole.metrics.max_box_acc_v2 == 100
    sized = changed(data, 0, size=(96, 64))
    assert evaluate(network(), sized, options).notes == []
    # A copy of half the size: boxes are in the annotated one.
    double = changed(data, 1, size=(192, 128), boxes=2 * data.samples[1].boxes + [0, 0, 1, 1])
    record = evaluate(network(), double, options)
    assert record.metrics == whole.metrics
    assert [note.split(",")[0] for note in record.notes] == [
        "1 photographs have another size than annotated"
    ]
    swapped = changed(data, 2, size=(64, 96), boxes=np.array([[0.0, 0, 9, 9]]))
    with pytest.raises(InputError, match=r"2\.png: is 96x64, but annotated as 64x96"):
        evaluate(network(), swapped, options)
    record = evaluate(network(), swapped, options.replaced(skip_bad_images=True))
    assert record.num_images == 3 and "annotated as 64x96" in record.skipped[0].reason


def test_an_upright_annotation_turns_its_photograph(data, tmp_path):
    whole = evaluate(network(), data)
    sample = data.samples[0]
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(sample.path) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    # Stored 64x96, meant to be seen as the 96x64 that its boxes are in.
    turned = changed(data, 0, path=tmp_path / "turned.png", size=(96, 64))
    record = evaluate(network(), turned)
    assert record.metrics == whole.metrics and "exif" not in record.settings
    assert record.notes == ["1 photographs turned as their EXIF orientation says."]
    unsized = changed(data, 0, path=tmp_path / "turned.png")
    record = evaluate(network(), unsized.opened_with("apply", False))
    assert record.metrics == whole.metrics and record.settings["exif"] == "apply"
    assert "no annotated size confirms" in evaluate(network(), unsized).notes[0]
    with pytest.raises(InputError, match="width and height are swapped"):
        evaluate(network(), turned.opened_with("ignore", False))


@pytest.mark.parametrize("judge", ["network", "center", "maps"])
def test_boxes_outside_are_noticed_once_the_size_is_known(data, tmp_path, judge):
    def run(data):
        if judge == "maps":
            return scored(data, tmp_path)
        return evaluate(network() if judge == "network" else "center", data)

    good = data.samples[1].boxes
    clipped = changed(data, 1, boxes=np.concatenate([good, [[90.0, 5, 96.4, 9]]]))
    record = run(clipped)
    assert record.notes == [
        "1 photographs have boxes that were clipped to them, by less than half a pixel."
    ]
    outside = changed(data, 1, boxes=np.concatenate([good, [[90.0, 5, 301, 9]]]))
    with pytest.raises(InputError, match=r"1\.png: the box 90,5,301,9 lies outside its image of"):
        run(outside)
    record = run(outside.opened_with("auto", True))
    assert record.metrics == run(data).metrics and record.num_images == 4
    assert record.notes == ["1 photographs have boxes outside of them, which were left out."]
    assert record.settings["skip_bad_annotations"] is True
    nothing = changed(data, 1, boxes=np.array([[90.0, 5, 301, 9]])).opened_with("auto", True)
    record = run(nothing)
    assert record.num_images == 3 and [item.image_id for item in record.skipped] == ["1.png"]


def test_findings_survive_a_resumed_run_and_a_merge(data, tmp_path):
    other = changed(data, 1, size=(960, 640))
    place = Place(tmp_path / "run", "r", resume=True)

    def stop(images):
        if images == 0 or stop.seen >= 3:
            raise KeyboardInterrupt
        stop.seen += images

    stop.seen = 0
    with pytest.raises(KeyboardInterrupt):
        evaluate(network(), other, EvaluationOptions(batch_size=1), place=place, advance=stop)
    record = evaluate(network(), other, EvaluationOptions(batch_size=1), place=place)
    assert record.notes == evaluate(network(), other).notes != []
    unsized = changed(data, 1, boxes=np.array([[0.0, 0, 96.2, 9]]))
    one, two = Evaluator(unsized), Evaluator(unsized)
    for number, sample in enumerate(unsized.samples):
        (one if number % 2 else two).update(np.eye(8), sample.image_id)
    assert len(one.notes()) == 1 and two.notes() == []
    two.merge(one)
    assert two.notes() == one.notes()


def test_a_network_for_a_part_of_the_classes(data):
    whole = evaluate(network(), data).metrics
    for part in (network(2), network(2, ("red", "green"))):
        record = evaluate(part, data)
        assert record.metrics.top1_cls == 100
        assert record.metrics.gt_known_loc == whole.gt_known_loc
        assert record.metrics.coco_ap == whole.coco_ap
