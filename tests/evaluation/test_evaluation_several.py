"""Several conventions at once are what each is alone, at one forward pass a distinct view."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from wsol.api import evaluate as evaluate_by_name
from wsol.api import score as score_by_name
from wsol.datasets.registry import open_dataset
from wsol.datasets.shapes import generate_shapes
from wsol.errors import InputError
from wsol.evaluation.lifecycle import Place, places_of
from wsol.evaluation.loop import evaluate, evaluate_each
from wsol.evaluation.options import EvaluationOptions, ScoreOptions
from wsol.evaluation.precomputed import score, score_each
from wsol.evaluation.protocol import Protocol
from wsol.maps.methods import gradient as wsol_gradient
from wsol.maps.methods.localizer import Localizer
from wsol.models.classifier import Classifier, Preprocessing
from wsol.records.outcomes import read_outcomes, to_outcomes
from wsol.records.record import read_records
from wsol.results.columns import column_values, frame

from support.command import wsol

ALL = ("choe2020", "psol", "sat", "exact", "zhou2016", "ts-cam", "danet", "bas")


class Little(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 7, 4, 3), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, 8)

    def forward(self, images):
        return self.fc(self.pool(self.features(images)).flatten(1))


@pytest.fixture
def classifier():
    return Classifier("little", Little().eval(), None, Preprocessing(size=64))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several") / "shapes"
    generate_shapes(folder, train=2, val=2, test=10, size=48, seed=0)
    return open_dataset("shapes", folder, split="test")


def options(*conventions, **more):
    protocol = Protocol(convention=conventions, threshold=0.3, threshold_step=0.05)
    return EvaluationOptions(protocol=protocol, batch_size=4, workers=0, device="cpu", **more)


def told(record):
    return record.model_dump(mode="json", exclude={"timing", "environment"})


def test_the_records_are_those_of_each_alone(classifier, data):
    asked = options(*ALL, curves=True)
    together = evaluate_each(classifier, data, asked.each(), places=[None] * len(ALL))
    for name, record in zip(ALL, together, strict=True):
        alone = evaluate(classifier, data, options(name, curves=name in ("choe2020", "exact")))
        assert told(record) == told(alone)
        assert record.settings["convention"].startswith(name)
    assert together[0].curves is not None and together[1].curves is None


@pytest.mark.parametrize(
    ("conventions", "views"),
    [(("choe2020",), 1), (("choe2020", "exact", "ts-cam"), 1), (("psol", "choe2020"), 2)],
)
def test_one_pass_a_distinct_view(classifier, data, monkeypatch, conventions, views):
    seen, see = [], Localizer.see
    monkeypatch.setattr(Localizer, "see", lambda own, x: seen.append(len(x)) or see(own, x))
    asked = options(*conventions, coco=False)
    evaluate_each(classifier, data, asked.each(), places=[None] * len(conventions))
    assert seen == [4] * 3 * views  # three batches of four


class Hidden(Little):
    """With a hidden layer after the average, so that gradients need a backward pass."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 8))


GROUPS = {
    Little: [["cam", "gradcam", "layercam", "eigencam", "smoothgradcam++"]],
    Hidden: [["gradcam", "layercam", "smoothgradcam++"], ["eigencam"], ["torchcam:GradCAM"]],
}


@pytest.mark.parametrize("kind", GROUPS)
@pytest.mark.parametrize("conventions", [("choe2020",), ("exact", "psol")])
def test_methods_of_one_pass_are_what_each_is_alone(kind, conventions, data, monkeypatch):
    groups = GROUPS[kind]
    seen, see = [], Localizer.see
    monkeypatch.setattr(
        Localizer, "see", lambda own, x: seen.append(own.method.name) or see(own, x)
    )

    def made(*methods):
        classifier = Classifier("little", kind().eval(), None, Preprocessing(size=64))
        protocol = {"convention": list(conventions), "threshold": 0.3, "threshold_step": 0.05}
        seen.clear()
        return evaluate_by_name(
            classifier, data, method=methods, batch_size=4, workers=0, device="cpu", **protocol
        )

    methods = [method for group in groups for method in group][::-1]
    records = made(*methods)
    assert len(seen) == 3 * len(conventions) * len(groups)  # three batches of four a view
    alone = []
    for method in methods:
        found = made(method)
        alone += found if isinstance(found, list) else [found]
    assert [told(record) for record in records] == [told(record) for record in alone]
    assert [record.cam_method for record in records[:: len(conventions)]] == methods


def nan_of_one_class(network, images, classes):
    """A map method of one's own that fails for the images of one class."""
    maps = torch.rand(*classes.shape, 4, 4, generator=torch.Generator().manual_seed(0))
    return maps.masked_fill((classes == 3)[..., None, None], torch.nan)


OWN = f"{__name__}:nan_of_one_class"


@pytest.mark.parametrize("methods", [("cam", "layercam", "eigencam"), ("cam", OWN)])
def test_a_bad_map_of_one_method_skips_the_image_for_that_method(methods, data, monkeypatch):
    if OWN not in methods:  # one that shares the others' pass
        layercam = wsol_gradient.layercam

        def bad(view, classes):
            return layercam(view, classes) + nan_of_one_class(None, None, classes)[..., :1, :1] * 0

        monkeypatch.setattr(wsol_gradient, "layercam", bad)
    classifier = Classifier("little", Little().eval(), None, Preprocessing(size=64))
    more = {"batch_size": 4, "workers": 0, "device": "cpu", "threshold_step": 0.05}

    def made(method):
        return evaluate_by_name(classifier, data, method=method, skip_bad_images=True, **more)

    records = made(methods)
    assert [told(record) for record in records] == [told(made(method)) for method in methods]
    bad_ones = {sample.image_id for sample in data.samples if sample.label == 3}
    for record in records:
        of_bad = record.cam_method in ("layercam", OWN)
        assert {item.image_id for item in record.skipped} == (bad_ones if of_bad else set())
        assert record.num_images == len(data) - len(record.skipped)
    with pytest.raises(InputError, match="has NaN or infinite values"):
        evaluate_by_name(classifier, data, method=methods, **more)


def test_a_method_of_which_every_map_is_bad_leaves_the_others_records(data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        wsol_gradient,
        "layercam",
        lambda view, classes: torch.full((*classes.shape, 4, 4), torch.nan),
    )
    classifier = Classifier("little", Little().eval(), None, Preprocessing(size=64))
    with pytest.raises(InputError, match="every image was skipped"):
        evaluate_by_name(
            classifier, data, method=("layercam", "gradcam"), skip_bad_images=True, batch_size=4,
            workers=0, device="cpu", out=tmp_path,
        )  # fmt: skip
    assert [path.name for path in tmp_path.glob("*.json")] == ["little-gradcam.json"]


def test_methods_that_cannot_share_a_pass_are_not_put_together(data):
    classifier = Classifier("little", Hidden().eval(), None, Preprocessing(size=64))
    each = [options("exact", method=method) for method in ("gradcam", "eigencam")]
    with pytest.raises(ValueError, match="gradcam, eigencam: cannot share a view"):
        evaluate_each(classifier, data, each, places=[None, None])


def test_the_mean_of_the_maps_of_several_classes(classifier, data, tmp_path):
    """Of all classes it is the map of their mean weights; of one, that of the top-1 class."""

    def rows(model, place, **more):
        asked = options("psol", per_image=True, **more)
        place = Place(tmp_path, place)
        record = evaluate(model, data, asked, place=place)
        return record, to_outcomes(*read_outcomes(place.outcomes))

    usual, of_label = rows(classifier, "label")
    assert "mean_classes" not in usual.settings
    record, of_all = rows(classifier, "all", mean_classes=8)
    assert record.settings["mean_classes"] == 8
    assert column_values(frame([record]), "method") == ["CAM, mean of 8 classes"]
    averaged = Little().eval()
    averaged.fc.weight.data[:] = averaged.fc.weight.data.mean(0)
    _, expected = rows(Classifier("mean", averaged, None, Preprocessing(size=64)), "mean")
    maps = [np.stack([row.score_map.astype(int) for row in found]) for found in (of_all, expected)]
    assert np.abs(maps[0] - maps[1]).max() <= 1 and maps[0].std() > 0
    _, of_best = rows(classifier, "best", mean_classes=1)
    same = [(a.score_map == b.score_map).all() for a, b in zip(of_label, of_best, strict=True)]
    assert [row.rank == 0 for row in of_label] == same


def test_a_baseline_at_once(data):
    for name in ("center", "full"):
        together = evaluate_each(name, data, options(*ALL).each(), places=[None] * len(ALL))
        for convention, record in zip(ALL, together, strict=True):
            assert told(record) == told(evaluate(name, data, options(convention)))


def test_going_on_where_conventions_are_at_different_images(classifier, data, tmp_path):
    """One was interrupted early, another one late, and a third was not begun."""

    class EnoughError(Exception):
        pass

    def interrupted(asked, place, after):
        count = 0

        def advance(images):
            nonlocal count
            count += images
            if count >= after:
                raise EnoughError

        with pytest.raises(EnoughError):
            evaluate_each(classifier, data, asked.each(), places=[place], advance=advance)

    asked = options("choe2020", "psol", "danet")
    places = places_of(tmp_path, "run", asked.protocol.convention, resume=True)
    for own, place, after in zip(asked.each(), places, (3, 8), strict=False):
        interrupted(own, place, after)
    records = evaluate_each(classifier, data, asked.each(), places=places)
    for own, record in zip(asked.each(), records, strict=True):
        assert told(record) == told(evaluate(classifier, data, own))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "run-choe2020.json", "run-danet.json", "run-psol.json"
    ]  # fmt: skip


@pytest.mark.parametrize("convention", ALL)
@pytest.mark.parametrize("model", ["network", "center"])
def test_saved_maps_are_scored_as_the_network_was(classifier, data, tmp_path, convention, model):
    evaluated = options(
        convention, per_image=True, save_scoremaps=tmp_path / "maps", coco=False,
        curves=convention in ("choe2020", "exact"),
    )  # fmt: skip
    place = Place(tmp_path, "run")
    subject = classifier if model == "network" else model
    record = evaluate(subject, data, evaluated, place=place)
    said = {"predictions": place.outcomes} if model == "network" else {}
    asked = ScoreOptions(protocol=evaluated.protocol, curves=evaluated.curves, **said)
    # Views are what a network classifies; some conventions state a threshold by the network.
    again = score(tmp_path / "maps", data, asked)
    assert again.metrics == record.metrics
    assert again.curves == record.curves and again.num_images == record.num_images


def test_maps_of_one_frame_at_once(data, tmp_path):
    rng = np.random.default_rng(0)
    for sample in data.samples:
        path = tmp_path / f"{sample.image_id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, rng.random((7, 7)).astype(np.float32))
    asked = ScoreOptions(protocol=options("psol", "sat", "bas").protocol)
    together = score_each(tmp_path, data, asked.each(), places=[None] * 3)
    for own, record in zip(asked.each(), together, strict=True):
        assert told(record) == told(score(tmp_path, data, own))
    with pytest.raises(InputError, match="maps of choe2020 lie on the squashed photograph, those"):
        mixed = ScoreOptions(protocol=options("choe2020", "psol").protocol)
        score_each(tmp_path, data, mixed.each(), places=[None] * 2)
    records = score_by_name(tmp_path, data, convention=["psol", "sat"], threshold=0.3)
    assert [told(record) for record in records] == [told(record) for record in together[:2]]


def test_in_python_and_by_command(data, tmp_path):
    """What is resumed is not made again, and a new convention is made beside it."""
    by_name = evaluate_by_name(
        "center", data, convention="choe2020,ts-cam", threshold=0.3, out=tmp_path / "python"
    )
    assert [record.settings["convention"] for record in by_name] == ["choe2020", "ts-cam"]
    root = data.samples[0].path.parents[2]
    command = ["evaluate", "center", "--data", "shapes", "--root", str(root), "--split", "test",
               "--threshold", "0.3", "--out", "out"]  # fmt: skip
    wsol(tmp_path, *command, "--convention", "choe2020,ts-cam")
    first = (tmp_path / "out" / "center-ts-cam.json").stat().st_mtime_ns
    out, _ = wsol(tmp_path, *command, "--convention", "ts-cam,exact,choe2020", "--resume")
    assert (tmp_path / "out" / "center-ts-cam.json").stat().st_mtime_ns == first
    sections = [out.index(f"images, {name}") for name in ("ts-cam", "exact", "choe2020")]
    assert sections == sorted(sections)
    (record,) = read_records(tmp_path / "out" / "center-ts-cam.json")
    assert told(record) == told(by_name[1])
    assert json.loads((tmp_path / "out" / "order.json").read_text())[-3:] == [
        "center-ts-cam.json", "center-exact.json", "center-choe2020.json"
    ]  # fmt: skip


def test_what_takes_one_convention_says_so(classifier, data, tmp_path):
    several = options("choe2020", "exact")
    with pytest.raises(InputError, match="choe2020, exact are several"):
        evaluate(classifier, data, several)
    with pytest.raises(InputError, match="--save-scoremaps takes one convention"):
        asked = several.replaced(save_scoremaps=tmp_path)
        evaluate_each(classifier, data, asked.each(), places=[None, None])
    with pytest.raises(InputError, match="names exact twice"):
        Protocol(convention=("exact", "exact"))
    assert Place(tmp_path, "x") == places_of(tmp_path, "x", ["psol"], resume=False)[0]
