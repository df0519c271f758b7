"""The whole loop: images through a network into metrics."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from wsol.datasets.base import Dataset, Sample, limited
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import judge_map, prepare
from wsol.evaluation.lifecycle import Place
from wsol.evaluation.loop import evaluate
from wsol.evaluation.models import evaluate_models, pair_weights
from wsol.evaluation.options import EvaluationOptions as Options
from wsol.evaluation.options import ScoreOptions
from wsol.evaluation.precomputed import score
from wsol.evaluation.protocol import Protocol
from wsol.maps.baselines import center_map
from wsol.maps.normalize import score_maps
from wsol.metrics.coco import CocoAveragePrecision
from wsol.models.classifier import Classifier, Preprocessing
from wsol.records.record import read_records, write_record
from wsol.results.verify import verify


class ColourNetwork(nn.Module):
    """Class c is how much of colour channel c there is: its CAM is that channel, pooled by 8."""

    def __init__(self):
        super().__init__()
        self.features = nn.AvgPool2d(8)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(3, 3)
        with torch.no_grad():
            self.fc.weight.copy_(torch.eye(3))
            self.fc.bias.zero_()

    def forward(self, x):
        return self.fc(self.pool(self.features(x)).flatten(1))


def colour_classifier():
    plain = Preprocessing(size=224, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return Classifier("colours", ColourNetwork().eval(), None, plain)


@pytest.fixture
def colours(tmp_path):
    """Six 112x224 photographs, each with one bright block of its label's colour."""
    samples = []
    for number in range(6):
        label = number % 3
        x0, y0 = 16 + 8 * number, 8 + 4 * number
        x1, y1 = x0 + 79, y0 + 47
        pixels = np.zeros((112, 224, 3), np.uint8)
        pixels[y0 : y1 + 1, x0 : x1 + 1, label] = 255
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        box = np.array([[x0, y0, x1, y1]], float)
        samples.append(Sample(path.name, path, label, box, (224, 112)))
    classes = ("red", "green", "blue")
    return Dataset("colours", "test", samples, classes, classes)


def test_planted_blocks_are_found(colours):
    record = evaluate(colour_classifier(), colours, Options(batch_size=4))
    metrics = record.metrics
    assert metrics.top1_cls == metrics.top1_loc == metrics.gt_known_loc == 100
    assert metrics.max_box_acc == metrics.max_box_acc_v2 == 100
    assert metrics.coco_ap50 == pytest.approx(100)
    assert record.num_images == 6 and record.parameters == 12
    assert record.settings["convention"] == "choe2020"
    assert record.timing.total > 0 and record.timing.localization > 0


def test_a_record_says_what_the_network_costs(colours):
    record = evaluate(colour_classifier(), colours, Options())
    assert record.cost.map_size == (28, 28)
    assert record.cost.flops == 2 * 3 * 3  # pooling is not counted
    assert record.cost.latency_ms is None and record.cost.latency_device is None
    timed = evaluate(colour_classifier(), colours, Options(latency=True)).cost
    assert timed.latency_ms > 0 and timed.latency_device.startswith("cpu, ")
    assert evaluate("center", colours).cost is None


@pytest.mark.parametrize("mode", ["letterbox", "center-crop"])
def test_other_ways_to_frame_find_them_too(colours, mode):
    record = evaluate(colour_classifier(), colours, Options(resize_mode=mode))
    assert record.metrics.max_box_acc >= 80


def test_batches_workers_and_threads_do_not_change_a_number(colours):
    one = evaluate(colour_classifier(), colours, Options(batch_size=1, threads=1, curves=True))
    many = evaluate(
        colour_classifier(),
        colours,
        Options(batch_size=4, workers=2, threads=3, curves=True),
    )
    assert one.metrics == many.metrics
    assert one.curves == many.curves


def test_saved_maps_score_to_the_identical_metrics(colours, tmp_path):
    options = Options(save_scoremaps=tmp_path / "maps", curves=True, coco=False)
    record = evaluate(colour_classifier(), colours, options)
    scored = score(tmp_path / "maps", colours, ScoreOptions(curves=True))
    keep = {"top1_cls", "top5_cls"}
    keep |= {f"top{k}_loc{mean}" for k in (1, 5) for mean in ("", "_class_mean")}
    assert scored.metrics.model_dump(exclude=keep) == record.metrics.model_dump(exclude=keep)
    assert scored.curves == record.curves


def test_top_k_localization_equals_its_definition(colours):
    """Brute force: for each of the k best classes, its own map, its own box."""
    torch.manual_seed(0)
    classifier = colour_classifier()
    with torch.no_grad():
        classifier.network.fc.weight += torch.randn(3, 3)
    record = evaluate(classifier, colours, Options())
    correct = {1: 0, 2: 0, 3: 0}
    for sample in colours.samples:
        pixels = torch.from_numpy(
            np.asarray(Image.open(sample.path).resize((224, 224), Image.Resampling.BILINEAR)).copy()
        )
        logits, features = classifier.forward(pixels.permute(2, 0, 1)[None] / 255)
        for k in correct:
            for predicted in logits[0].argsort(descending=True)[:k]:
                cam = classifier.class_maps(features, predicted[None, None])
                cam = nn.functional.interpolate(cam, (224, 224), mode="bicubic")[0, 0]
                cam = (cam - cam.min()) / (cam.max() - cam.min())
                outcome = judge_map(cam.detach().numpy(), sample, Protocol())
                if int(predicted) == sample.label and outcome.fixed_iou >= 0.5:
                    correct[k] += 1
    assert record.metrics.top1_loc == pytest.approx(100 * correct[1] / 6)
    assert record.metrics.top5_loc == pytest.approx(100 * correct[3] / 6)


@pytest.mark.parametrize("convention", ["choe2020", "exact"])
def test_coco_ap_is_that_of_the_predicted_classes_own_maps(colours, convention):
    """Brute force: a map and a box for every predicted class of every image."""
    torch.manual_seed(0)
    classifier, protocol = colour_classifier(), Protocol(convention=convention)
    with torch.no_grad():
        classifier.network.fc.weight += torch.randn(3, 3)
    record = evaluate(classifier, colours, Options(protocol=protocol))
    metric = CocoAveragePrecision()
    for number, sample in enumerate(colours.samples):
        pixels = torch.from_numpy(np.asarray(Image.open(sample.path).resize((224, 224))).copy())
        logits, features = classifier.forward(pixels.permute(2, 0, 1)[None] / 255)
        order = logits[0].argsort(descending=True)
        cams = classifier.class_maps(features, order[None])
        maps = score_maps(cams, (224, 224))[0].detach().numpy()
        boxes = np.concatenate([prepare(m, protocol).fixed_boxes for m in maps])
        metric.update(
            number,
            classes=order.numpy(),
            scores=logits[0].softmax(0)[order].detach().numpy(),
            boxes=boxes,
            true_class=sample.label,
            true_boxes=judge_map(maps[0], sample, protocol).true_boxes,
        )
    found = (record.metrics.coco_ap, record.metrics.coco_ap50, record.metrics.coco_ar)
    assert found == pytest.approx(metric.compute(), abs=1e-9)
    assert 0 < found[0] < 100


@pytest.mark.parametrize("convention", ["choe2020", "exact"])
def test_coco_ap_follows_from_the_file_of_outcomes(colours, tmp_path, convention):
    torch.manual_seed(0)
    classifier = colour_classifier()
    with torch.no_grad():
        classifier.network.fc.weight += torch.randn(3, 3)
    # A class that no image is of: its detections count for nothing, in the file as in the run.
    few = dataclasses.replace(colours, samples=[s for s in colours.samples if s.label < 2])
    for name, dataset in (("all", colours), ("few", few)):
        options = Options(protocol=Protocol(convention=convention), per_image=True)
        evaluate(classifier, dataset, options, place=Place(tmp_path, name))
        path = tmp_path / f"{name}.json"
        found = verify(path)
        assert {"coco_ap", "coco_ap50", "coco_ar"} <= set(found.recomputed) and found.taken == ()
        record = found.record
        assert 0 < record.metrics.coco_ap < 100
        for metric in ("coco_ap", "coco_ar"):
            changed = record.metrics.model_copy(update={metric: 99.0})
            write_record(record.model_copy(update={"metrics": changed}), path)
            with pytest.raises(InputError, match=f"its images make {metric} "):
                verify(path)


def test_baselines_need_no_pixels(colours):
    blind = dataclasses.replace(
        colours, samples=[dataclasses.replace(s, path=None) for s in colours.samples]
    )
    record = evaluate("center", blind)
    evaluator = Evaluator(blind)
    for sample in blind.samples:
        evaluator.update(center_map((224, 224)), sample.image_id)
    assert record.metrics == evaluator.compute()
    assert record.metrics.top1_cls is None and record.metrics.coco_ap is None
    whole = evaluate("full", blind)
    assert set(whole.metrics.box_acc.values()) == {0.0}
    with pytest.raises(InputError, match="needs pixels"):
        evaluate(colour_classifier(), blind)


def test_a_bad_image_stops_or_is_listed(colours):
    missing, cut = colours.samples[1].path, colours.samples[4].path
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:200])
    with pytest.raises(InputError, match=r"1\.png"):
        evaluate(colour_classifier(), colours)
    record = evaluate(colour_classifier(), colours, Options(skip_bad_images=True, batch_size=2))
    assert record.num_images == 4
    assert [item.image_id for item in record.skipped] == ["1.png", "4.png"]
    assert "1.png" in record.skipped[0].reason


def test_maps_that_are_not_finite_name_their_image(colours):
    classifier = colour_classifier()
    with torch.no_grad():
        classifier.network.fc.weight[1] = float("nan")
    with pytest.raises(InputError, match=r"1\.png: the cam map of .* has NaN"):
        evaluate(classifier, colours, Options(coco=False))
    record = evaluate(classifier, colours, Options(coco=False, skip_bad_images=True))
    assert [item.image_id for item in record.skipped] == ["1.png", "4.png"]


def test_an_interrupted_run_goes_on_to_the_identical_record(colours, tmp_path):
    place = Place(tmp_path / "out", "colours")
    options = Options(batch_size=1, threads=1, curves=True)
    seen = 0

    def interrupt(images):
        nonlocal seen
        seen += images
        if seen == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(colour_classifier(), colours, options, place=place, advance=interrupt)
    assert place.progress.exists() and not place.record.exists()
    advanced = []
    resumed = evaluate(
        colour_classifier(),
        colours,
        options,
        place=dataclasses.replace(place, resume=True),
        advance=advanced.append,
    )
    assert advanced == [3, 1, 1, 1]
    assert not place.progress.exists() and read_records(place.record) == [resumed]
    whole = evaluate(colour_classifier(), colours, options)
    volatile = {"timing", "environment"}
    assert resumed.model_dump(exclude=volatile) == whole.model_dump(exclude=volatile)


def test_progress_of_other_weights_is_refused(colours, tmp_path):
    place = Place(tmp_path / "out", "colours")
    options = Options(batch_size=1, threads=1)

    def interrupt(images):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(colour_classifier(), colours, options, place=place, advance=interrupt)
    other = colour_classifier()
    with torch.no_grad():
        other.network.fc.weight += 1
    with pytest.raises(InputError, match="other settings, data or weights"):
        evaluate(other, colours, options, place=dataclasses.replace(place, resume=True))


def test_nothing_to_evaluate(colours):
    with pytest.raises(InputError, match="no image"):
        evaluate("center", dataclasses.replace(colours, samples=[]))
    with pytest.raises(InputError, match="not a baseline"):
        evaluate("centre", colours)
    assert len(limited(colours, 2)) == 2 and limited(colours, None) is colours


def test_a_kept_record_is_timed_when_time_is_asked_for(colours, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "wsol.evaluation.models.load_model", lambda request, dataset: colour_classifier()
    )
    requests = pair_weights(["colours"], ["none"])
    folder = tmp_path / "out"
    (first,) = evaluate_models(requests, colours, Options(), folder=folder)
    (timed,) = evaluate_models(requests, colours, Options(latency=True), folder=folder, resume=True)
    assert timed.environment == first.environment and timed.timing == first.timing  # kept
    assert first.cost.latency_ms is None and timed.cost.latency_ms > 0
    assert read_records(folder / "colours.json") == [timed]
