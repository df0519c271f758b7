"""Published numbers are those of the papers, and meet only their own kind."""

import pytest

from wsol.records.record import Cost, Metrics
from wsol.results.published import compare, opposite, published_numbers
from wsol.results.published_file import bibliography

from support.records import make


def number(metric, model, method, dataset):
    (found,) = (
        n
        for n in published_numbers()
        if (n.metric, n.model, n.method, n.images.dataset) == (metric, model, method, dataset)
        and n.images.images != 100_000
    )
    return found


@pytest.mark.parametrize(
    ("metric", "model", "method", "dataset", "value"),
    [
        ("top1_loc_error", "VGGnet-GAP", "cam", "ILSVRC", 57.20),
        ("top5_loc_error", "GoogLeNet-GAP", "cam", "ILSVRC", 43.00),
        ("top1_loc_error", "AlexNet", "backpropagation", "ILSVRC", 65.17),
        ("top5_loc_error", "GoogLeNet-GMP", "cam", "ILSVRC", 45.26),
        ("top1_cls", "GoogLeNet-GAP", "svm, true box", "CUB", 70.5),
        ("birds_localized", "GoogLeNet-GAP", "cam", "CUB", 41.0),
        ("max_box_acc_v2", "VGG-16", "cam", "ILSVRC", 60.0),
        ("max_box_acc_v2", "VGG-16", "acol", "ILSVRC", 57.4),
        ("max_box_acc_v2", "Inception v3", "adl", "ILSVRC", 61.4),
        ("max_box_acc_v2", "ResNet-50", "acol", "CUB", 66.5),
        ("max_box_acc_v2", "VGG-16", "spg", "CUB", 56.3),
        ("max_box_acc_v2", "Inception v3", "few-shot", "CUB", 86.6),
        ("pxap", "ResNet-50", "cutmix", "OpenImages", 57.7),
        ("pxap", "Inception v3", "adl", "OpenImages", 56.8),
        ("pxap", "centre Gaussian", "baseline", "OpenImages", 45.8),
        ("max_box_acc", "centre Gaussian", "baseline", "CUB", 59.7),
        ("top1_loc", "not named", "cam", "Tiny ImageNet", 40.55),
        ("top5_loc", "ResNet-50", "bas", "CUB", 90.08),
        ("gt_known_loc", "ResNet-50", "spol", "ILSVRC", 69.02),
        ("top1_loc", "DeiT-S", "sat", "ILSVRC", 60.15),
        ("gt_known_loc", "DeiT-S", "ts-cam", "CUB", 87.7),
        ("max_box_acc_v2", "ResNet-50", "da-wsol", "ILSVRC", 68.23),
        ("pxap", "ResNet-50", "bas-extension", "OpenImages", 66.86),
    ],
)
def test_the_numbers_of_the_papers(metric, model, method, dataset, value):
    assert number(metric, model, method, dataset).value == value


def test_the_main_table_is_complete_and_nothing_is_there_twice():
    numbers = published_numbers()
    keys = [(n.metric, n.model, n.method, n.images) for n in numbers]
    assert len(set(keys)) == len(keys)
    table = {(n.images.dataset, n.model, n.method) for n in numbers if n.source.short[:4] == "Choe"}
    for dataset in ("ILSVRC", "CUB", "OpenImages"):
        for model in ("VGG-16", "Inception v3", "ResNet-50"):
            for method in ("cam", "has", "acol", "spg", "adl", "cutmix", "few-shot"):
                assert (dataset, model, method) in table
    assert all(0 < n.value < 100 for n in numbers)
    assert all(n.source.url.startswith("https://") for n in numbers)
    assert all(n.checked for n in numbers if n.source.key == "choe2020")


def test_what_is_not_printed_is_absent_and_conflicts_are_stated():
    names = {(n.metric, n.method, n.images.dataset): n for n in published_numbers()}
    assert ("gt_known_loc", "gc-net", "ILSVRC") not in names
    assert ("top5_loc", "fam", "CUB") not in names
    assert ("top1_loc", "gc-net", "ILSVRC") in names
    conflict = number("top5_loc", "ResNet-50", "bas", "ILSVRC")
    assert (conflict.value, conflict.elsewhere) == (68.44, 67.4)
    assert conflict.printed == "68.44 (elsewhere 67.4)"
    assert number("top1_loc", "VGG-16", "cam", "CUB").elsewhere == 44.2


def test_sources_as_bibtex():
    sources = [n.source for n in published_numbers()]
    text = bibliography(sources)
    assert text.count("@") == len(set(sources)) == len({source.key for source in sources})
    assert "@inproceedings{sat,\n  author = {Pingyu Wu and Wei Zhai and " in text
    assert text.count("{") == text.count("}")


def test_compared_metrics_are_those_of_records():
    known = set(Metrics.model_fields)
    names = {n.metric.removesuffix("_error") for n in published_numbers()}
    assert names - known == {"birds_localized", "centre_box_acc"}


def record(model="vgg16_gap", images=50_000, split="val", dataset="ILSVRC", **metrics):
    made = make(model, 1, dataset, **metrics)
    made.split, made.num_images = split, images
    made.settings |= {
        "convention": "choe2020",
        "iou_levels": [0.3, 0.5, 0.7],
        "size": 224,
        "resize_mode": "squash",
    }
    return made


def zhou(**metrics):
    made = record(**metrics)
    made.settings |= {"convention": "zhou2016", "thresholds": [0.2]}
    return made


def test_an_error_meets_its_accuracy():
    found = compare(zhou(top1_loc=43.5), "top1_loc")
    assert found.value == 42.80 and found.difference == pytest.approx(0.70)
    assert found.published.value == 57.20 and found.within is None
    error = compare(zhou(top1_loc=43.5), "top1_loc_error")
    assert error.value == 57.20 and error.difference == pytest.approx(-0.70)
    assert opposite(opposite("top1_loc")) == "top1_loc"


def test_the_interval_decides_either_way():
    made = zhou(top1_loc=43.5)
    made.intervals = {"top1_loc": (42.7, 44.3)}
    assert compare(made, "top1_loc").within is True
    assert compare(made, "top1_loc_error").within is True
    made.intervals = {"top1_loc": (42.9, 44.3), "top1_cls": (0.0, 100.0)}
    assert compare(made, "top1_loc").within is False
    assert compare(made, "top1_loc_error").within is False


def test_only_the_same_thing_is_compared():
    assert compare(record(max_box_acc_v2=61.0), "max_box_acc_v2").value == 60.0
    # The protocol's name for the ILSVRC validation images.
    assert compare(record(split="test", max_box_acc_v2=61.0), "max_box_acc_v2").value == 60.0
    others = [
        record(split="train-fullsup", images=10_000, max_box_acc_v2=61.0),
        record(images=1_000, max_box_acc_v2=61.0),
        record(dataset="ILSVRC-mini", max_box_acc_v2=61.0),
        record(model="vgg16_gap (width 0.25)", max_box_acc_v2=61.0),
        record(max_box_acc=61.0),
    ]
    for change in (
        {"convention": "exact"},
        {"convention": "psol"},
        {"convention": "choe2020 (grid 448x448)"},
        {"size": 448},
        {"resize_mode": "letterbox"},
        {"iou_levels": [0.5]},
        {"training_method": "no such method"},
    ):
        changed = record(max_box_acc_v2=61.0)
        changed.settings |= change
        others.append(changed)
    precomputed = record(max_box_acc_v2=61.0)
    precomputed.cam_method = "precomputed"
    for other in [*others, precomputed]:
        assert compare(other, "max_box_acc_v2") is None
    other_threshold = zhou(top1_loc=43.0)
    other_threshold.settings["thresholds"] = [0.3]
    assert compare(other_threshold, "top1_loc") is None
    assert compare(record(), "top1_loc") is None


def test_nothing_else_has_to_be_the_same():
    made = record(max_box_acc_v2=61.0)
    made.settings |= {
        "convention": "choe2020",
        "size": [224, 224],
        "precision": "bf16",
        "batch_size": 7,
        "threshold_step": 0.01,
        "coco": False,
        "weights_fingerprint": "0",
    }
    made.parameters = 12
    assert compare(made, "max_box_acc_v2").value == 60.0
    # Of a class no box has a part, and no convention.
    made.settings["convention"] = "exact"
    made.metrics.top1_cls = 66.0
    assert compare(made, "max_box_acc_v2") is None
    assert compare(made, "top1_cls").value == 66.6


def test_the_map_decides_and_the_name_does_not():
    def cub(model, side=None, **settings):
        made = record(model, dataset="CUB", split="test", images=5794, max_box_acc_v2=65.0)
        made.settings |= settings
        if side is not None:
            made.cost = Cost(flops=1, map_size=(side, side))
        found = compare(made, "max_box_acc_v2")
        return None if found is None else found.value

    assert cub("resnet50 (output stride 8)") == 63.0
    assert cub("resnet50 (output stride 8)", 28) == 63.0
    assert cub("resnet50 (output stride 16)") is None
    assert cub("resnet50", 7) is None
    assert cub("resnet50 (width 0.5, output stride 8)", 28) is None
    assert cub("inception_v3 (output stride 8)", 28) == 56.7
    # A name of an experiment's own, as in experiments/cub-methods.yaml.
    trained = "resnet50 (output stride 8, method acol)"
    assert cub("ResNet-50 ACoL", 28, network=trained, training_method="acol") == 66.5
    assert cub("ResNet-50 ACoL", 28, training_method="acol") is None


def test_a_training_method_meets_its_own_row():
    trained = record("resnet50", dataset="CUB", split="test", images=5794, max_box_acc_v2=65.0)
    assert compare(trained, "max_box_acc_v2").value == 63.0
    trained.settings["training_method"] = "has"
    assert compare(trained, "max_box_acc_v2").value == 64.7


def test_the_centre_of_cub_is_an_accuracy_at_one_iou():
    center = record("center", dataset="CUB", split="test", images=5794,
                    max_box_acc=59.6, max_box_acc_v2=56.8)  # fmt: skip
    center.cam_method = "none (baseline)"
    center.settings["baseline"] = "center"
    assert compare(center, "max_box_acc").difference == pytest.approx(-0.1)
    assert compare(center, "max_box_acc_v2") is None
