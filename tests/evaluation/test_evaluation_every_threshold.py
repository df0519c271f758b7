"""Conventions that ask for one box, searched: each threshold is a run of its own at it."""

import base64
import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from wsol.boxes.rules import with_corners
from wsol.datasets.base import Dataset, MaskFiles, Sample
from wsol.errors import InputError
from wsol.evaluation.conventions import PRESETS
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.every_threshold import every_box, largest_over_thresholds
from wsol.evaluation.judging import Classification
from wsol.evaluation.lifecycle import Place
from wsol.evaluation.loop import evaluate
from wsol.evaluation.one_box import BoxJudge, foreground_at, threshold_of
from wsol.evaluation.options import EvaluationOptions, ScoreOptions
from wsol.evaluation.precomputed import score
from wsol.evaluation.protocol import Protocol
from wsol.evaluation.settings import add_chosen
from wsol.maps.normalize import on_grid
from wsol.metrics.iou import iou_of_corners
from wsol.records.outcomes import read_outcomes, to_outcomes
from wsol.records.record import Metrics, read_records, write_record
from wsol.records.thresholds import ChosenThresholds
from wsol.results.figures import save_figure
from wsol.results.image_facts import contributions, facts_of
from wsol.results.image_plots import iou_figure, reliability_figure
from wsol.results.optimism import Bootstrap
from wsol.results.recorded_run import read_run
from wsol.results.report import ReportOptions, write_report
from wsol.results.report_data import curves_of
from wsol.results.sources import read_sources
from wsol.results.statistics import intervals
from wsol.results.verify import verify

ONE_BOX = ("zhou2016", "ts-cam", "psol", "bas", "sat", "danet")
VARIANTS = [
    *(PRESETS[name] for name in ONE_BOX),
    PRESETS["danet"].with_parts(component="box"),
    PRESETS["choe2020"].with_parts(foreground="reaching", nowhere="nothing"),
    PRESETS["exact"].with_parts(corners="exclusive", hit="above"),
]


def bumps(seed, side, kind):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    if kind == "noise":
        return rng.random((side, side)).astype(np.float32)
    if kind == "flat":
        return np.full((side, side), 0.25, np.float32)
    if kind == "steps":
        return (rng.integers(0, 4, (side, side)) / 3).astype(np.float32)
    found = sum(
        rng.uniform(0.4, 1)
        * np.exp(-((x - rng.random()) ** 2 + (y - rng.random()) ** 2) * rng.uniform(8, 60))
        for _ in range(3)
    )
    return (found / found.max()).astype(np.float32)


def every_component(foreground, component):
    """The tight boxes of all components, slowly; holes have boxes where outlines are asked for."""
    if component == "union":
        parts = [foreground] if foreground.any() else []
    elif component == "contour":
        found = cv2.findContours(
            foreground.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE
        )[0]
        corners = [cv2.boundingRect(one) for one in found]
        return np.array([[x, y, x + w - 1, y + h - 1] for x, y, w, h in corners]).reshape(-1, 4)
    else:
        labels = label(foreground, connectivity=1 if component == "box" else 2)
        parts = [labels == number for number in range(1, labels.max() + 1)]
    ends = [(np.nonzero(part.any(0))[0], np.nonzero(part.any(1))[0]) for part in parts]
    boxes = [[columns[0], rows[0], columns[-1], rows[-1]] for columns, rows in ends]
    return np.array(boxes).reshape(-1, 4)


@pytest.mark.parametrize("rules", VARIANTS, ids=lambda rules: rules.name)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    side=st.sampled_from([3, 7, 14]),
    kind=st.sampled_from(["noise", "bumps", "flat", "steps"]),
)
def test_each_threshold_is_one_alone(rules, seed, side, kind):
    size, thresholds = (40, 32), np.arange(0, 1, 0.125)
    if rules.grid != "original":
        rules = replace(rules, grid=(32, 32))
    judge = BoxJudge(rules, tuple(thresholds.tolist()), "ILSVRC")
    grid, score_map = judge.grid_of(size), bumps(seed, side, kind)
    truth = np.array([[2.0, 3, 20, 18], [5, 5, 31, 31]])
    values = on_grid(score_map, grid, rules.upsampling, rules.normalization)
    found = every_box(values, rules, grid, thresholds, ("largest", "all"))
    alone = judge.boxes(score_map, size)
    starts, boxes, ious = largest_over_thresholds(found, truth, rules)
    rows = np.searchsorted(starts, np.arange(len(thresholds)), side="right") - 1
    np.testing.assert_array_equal(boxes[rows], np.nan_to_num(alone))
    plus_one = rules.overlap == "plus-one"
    expected = iou_of_corners(np.nan_to_num(alone), truth, plus_one=plus_one).max(axis=1)
    expected[np.isnan(alone[:, 0])] = 0
    np.testing.assert_array_equal(found.best_ious("largest", truth, rules), expected)
    np.testing.assert_array_equal(ious[rows], expected.astype(np.float32))
    every = found.best_ious("all", truth, rules)
    for place, threshold in enumerate(thresholds.tolist()):
        tight = every_component(foreground_at(values, rules, threshold), rules.component)
        if len(tight):
            all_boxes = with_corners(tight, rules.corners, grid)
            assert every[place] == iou_of_corners(all_boxes, truth, plus_one=plus_one).max()
        else:
            assert every[place] == expected[place]


@pytest.fixture(scope="module")
def given_maps(tmp_path_factory):
    """Annotated images of two sizes, their maps, and what a classifier said about them."""
    folder = tmp_path_factory.mktemp("one-box") / "maps"
    folder.mkdir()
    rng = np.random.default_rng(0)
    samples, lines = [], ["image_id,c1,c2,c3,c4,c5"]
    for number in range(24):
        size = (60, 48) if number % 2 else (48, 48)
        near = rng.integers(0, 16, 2)
        box = np.concatenate([near, near + rng.integers(12, 30, 2)]).astype(float)[None]
        samples.append(Sample(f"{number}.png", None, number % 6, box, size))
        np.save(folder / f"{number}.npy", bumps(number, 7, "bumps"))
        ranked = np.roll(np.arange(6), -(number % 6) + number % 4)[:5]
        lines.append(f"{number}.png," + ",".join(map(str, ranked)))
    (folder.parent / "said.csv").write_text("\n".join(lines) + "\n")
    classes = tuple("abcdef")
    return folder, Dataset("ILSVRC", "test", samples, classes, classes)


def scored(given_maps, place, convention, *, dataset=None, **options):
    folder, data = given_maps
    protocol = {"convention": convention, "threshold_step": 0.05, **options.pop("protocol", {})}
    if convention not in ("sat", "ts-cam"):
        protocol.setdefault("threshold", 0.3)
    asked = ScoreOptions(
        protocol=Protocol(**protocol), predictions=folder.parent / "said.csv", per_image=True,
        threads=1, **options,
    )  # fmt: skip
    return score(folder, dataset or data, asked, place=Place(place, "run"))


@pytest.mark.parametrize("convention", ONE_BOX)
def test_everything_that_is_read_from_records(given_maps, tmp_path, convention):
    """Per-image file, curves, metrics an image, intervals, and whether it all adds up."""
    more = {"search": True, "metric": ("pointing_game", "energy_pointing_game")}
    record = scored(given_maps, tmp_path, convention, protocol=more, curves=True)
    metrics = record.metrics
    assert None not in (metrics.max_box_acc, metrics.max_box_acc_v2, metrics.top5_loc)
    assert metrics.max_box_acc >= metrics.gt_known_loc >= metrics.top5_loc
    assert 0 < metrics.model_extra["pointing_game"] <= 100
    found = verify(tmp_path / "run.json")
    assert found.ious and found.taken == ()
    run = read_run(tmp_path / "run.json")
    assert {"max_box_acc", "top1_loc", "pointing_game"} <= set(contributions(run.facts))
    for low, high in ((e.low, e.high) for e in intervals(run.facts, Bootstrap(40)).values()):
        assert 0 <= low <= high <= 100
    table, info = read_outcomes(tmp_path / "run.outcomes.parquet")
    for kind, levels in curves_of(table, info).items():
        for level, shares in levels.items():
            counts = np.array(getattr(record.curves, kind)[level])
            np.testing.assert_allclose(shares, np.round(100 * counts / 24, 2))
    rows = to_outcomes(table, info)
    assert info.convention == convention and info.rules == PRESETS[convention].parts()
    alone = scored(given_maps, tmp_path / "alone", convention)
    for name, value in alone.metrics:
        if name in Metrics.single_numbers() and value is not None:
            assert getattr(metrics, name) == value
    if convention != "sat":
        return
    corrected = intervals(run.facts, Bootstrap(60))["gt_known_loc"].corrected
    assert metrics.gt_known_loc - 10 < corrected < metrics.gt_known_loc
    assert info.candidates == (0.3, 0.35, 0.4, 0.45)
    place = info.candidates.index(metrics.loc_threshold)
    for row in rows:
        assert row.fixed_box.tolist() == row.candidates[place, :4].tolist()
        assert row.fixed_iou == row.candidates[place, 4]


@pytest.mark.parametrize("convention", ONE_BOX)
def test_without_a_search(given_maps, tmp_path, convention):
    """The numbers of the convention alone, and boxes at all thresholds for who looks at images."""
    record = scored(given_maps, tmp_path, convention)
    assert record.metrics.max_box_acc is None and record.metrics.box_acc is None
    assert record.curves is None and "threshold_step" not in record.settings
    found = verify(tmp_path / "run.json")
    localized = ("top1_loc", "top5_loc", "gt_known_loc")
    means = [f"{name}_class_mean" for name in localized]
    assert found.ious and {*found.recomputed} == {"top1_cls", "top5_cls", *localized, *means}
    table, info = read_outcomes(tmp_path / "run.outcomes.parquet")
    assert info.kinds == () and max(map(len, table["box_starts"].to_pylist())) > 2


@pytest.mark.parametrize(
    ("convention", "more"),
    [("psol", {}), ("sat", {}), ("danet", {}), ("bas", {"search": True}), ("ts-cam", {})],
)
def test_page_and_plots_are_drawn(given_maps, tmp_path, convention, more):
    """Boxes lie in the photograph where the convention found them, also of a crop."""
    record = scored(given_maps, tmp_path / "run", convention, protocol=more)
    sources = read_sources([tmp_path / "run"])
    for number, figure in enumerate((iou_figure(sources), reliability_figure(sources))):
        save_figure(figure, tmp_path / f"{number}.svg")
    assert len(sources) == 1
    assert ("Best threshold" in (tmp_path / "0.svg").read_text()) == bool(
        record.metrics.best_threshold_largest
    )
    page = write_report(sources, tmp_path / "page", ReportOptions(photographs=False)).read_text()
    data = json.loads(re.search(r'type="application/json" id="data">(.*?)</script>', page)[1])
    (model,) = data["models"]
    rules = PRESETS[convention]
    assert model["fixed"] == (record.metrics.loc_threshold or record.settings["thresholds"][0])
    assert model["above"] == (rules.hit == "above") and len(model["thresholds"]) == 20
    rows = {row.image_id: row for row in to_outcomes(*read_outcomes(sources[0].outcomes))}
    for example in data["examples"]:
        row = rows[data["images"][example["image"]]["id"]]
        boxes = np.frombuffer(base64.b64decode(example["boxes"]), "<i2").reshape(-1, 4)
        x0, y0, x1, y1 = row.boxes.T
        margin = 16 if rules.frame == "crop" else 0
        far = 1 if rules.corners == "exclusive" else 0
        moved = np.stack([x0 + margin, y0 + margin, x1 + margin - far, y1 + margin - far], axis=1)
        moved[~row.boxes.any(axis=1)] = 0
        np.testing.assert_array_equal(boxes, moved)
        whole = row.size if rules.grid == "original" else (224 + 2 * margin,) * 2
        assert example["grid"] == list(whole)
        if rules.frame == "crop":  # nothing is known beyond it
            assert not row.score_map[0].any() and row.score_map[14, 14] > 0


def test_the_candidate_that_is_the_best_is_verified(given_maps, tmp_path):
    record = scored(given_maps, tmp_path, "sat")
    (written,) = read_records(tmp_path / "run.json")
    assert written.metrics.loc_threshold == record.metrics.best_threshold_largest["0.5"]
    other = next(t for t in (0.3, 0.35) if t != record.metrics.loc_threshold)
    written.metrics.loc_threshold = other
    write_record(written, tmp_path / "run.json")
    with pytest.raises(InputError, match="localized best at the threshold"):
        verify(tmp_path / "run.json")


@pytest.mark.parametrize(
    ("convention", "photograph", "true", "right"),
    [
        ("psol", (256, 256), [16, 16, 128, 240], (False, False)),
        ("bas", (256, 256), [16, 16, 127, 239], (False, False)),
        ("sat", (256, 256), [16, 16, 127, 239], (True, True)),
        ("exact", (224, 224), [0, 0, 111, 223], (True, True)),
        ("danet", (224, 224), [0, 0, 111, 223], (False, False)),
        ("zhou2016", (224, 224), [0, 0, 111, 223], (True, True)),
        ("ts-cam", (224, 224), [0, 0, 111, 223], (True, False)),
        ("choe2020", (224, 224), [0, 0, 111, 223], (True, True)),
    ],
)
def test_an_iou_of_one_half_is_what_the_convention_makes_of_it(
    tmp_path, convention, photograph, true, right
):
    """In the record, in the per-image file's readers, in curves, and for boxes as given."""
    sample = Sample("a.png", None, 0, np.array([true], float), photograph)
    data = Dataset("ILSVRC", "test", [sample], tuple("abcde"), tuple("abcde"))
    far = 224 if convention == "psol" else 223
    (tmp_path / "boxes.csv").write_text(f"image_id,x0,y0,x1,y1\na.png,0,0,{far},{far}\n")
    (tmp_path / "said.csv").write_text("image_id,c1,c2,c3,c4,c5\na.png,a,b,c,d,e\n")
    options = ScoreOptions(
        protocol=Protocol(convention=convention, search=True), box_pixels="grid", per_image=True,
        predictions=tmp_path / "said.csv",
    )  # fmt: skip
    record = score(tmp_path / "boxes.csv", data, options, place=Place(tmp_path, "run"))
    percent = tuple(100.0 * one for one in right)
    metrics = record.metrics
    assert (metrics.gt_known_loc, metrics.top1_loc) == percent
    assert metrics.max_box_acc == percent[0] == metrics.box_acc["0.5"]
    assert metrics.box_acc["0.3"] == 100.0 and metrics.box_acc["0.7"] == 0.0
    parts = contributions(read_run(tmp_path / "run.json").facts)
    assert (parts["gt_known_loc"].percent, parts["top1_loc"].percent) == percent
    assert verify(tmp_path / "run.json").taken == ()


def test_images_without_a_box_of_their_label(given_maps, tmp_path):
    _, data = given_maps
    lines = ["image_id,x0,y0,x1,y1,score,class"]
    for number, sample in enumerate(data.samples):
        other = (sample.label + (number % 3 == 0)) % 6
        lines.append(f"{sample.image_id},2.5,3,30.25,31,0.5,{'abcdef'[other]}")
    (tmp_path / "boxes.csv").write_text("\n".join(lines) + "\n")
    for convention in ("bas", "danet", "choe2020", "exact"):
        protocol = Protocol(convention=convention, search=True)
        options = ScoreOptions(protocol=protocol, per_image=True)
        record = score(
            tmp_path / "boxes.csv", data, options, place=Place(tmp_path / convention, "run")
        )
        assert "8 images have boxes, but none of their label" in " ".join(record.notes)
        assert record.metrics.max_box_acc == record.metrics.gt_known_loc
        assert verify(tmp_path / convention / "run.json").ious


def test_top_k_at_best_and_chosen_thresholds_is_that_of_a_run_at_them(given_maps, tmp_path):
    for convention in ("psol", "ts-cam", "exact"):
        more = {"search": True, "also_at": ("best",), "threshold": 0.3}
        found = scored(given_maps, tmp_path / convention, convention, protocol=more).metrics
        best = found.best_threshold_largest["0.5"]
        again = {"threshold": best}
        at_best = scored(given_maps, tmp_path / "best", convention, protocol=again).metrics
        names = ("gt_known_loc", "top1_loc", "top5_loc")
        assert found.loc_at["best"] == {name: getattr(at_best, name) for name in names}
        # The same threshold, as if it had been chosen elsewhere: of images, and of their file.
        table, info = read_outcomes(tmp_path / convention / "run.outcomes.parquet")
        chosen = {"largest": dict.fromkeys(("0.3", "0.5", "0.7"), best)}
        parts = contributions(facts_of(table, info, chosen))
        assert parts["max_box_acc_chosen"].percent == pytest.approx(at_best.gt_known_loc)
        if convention == "ts-cam":  # whose Top-k Loc asks for more than the curves say
            assert "top1_loc_chosen" not in parts
        else:
            assert parts["top1_loc_chosen"].percent == pytest.approx(at_best.top1_loc)
            assert parts["top5_loc_chosen"].percent == pytest.approx(at_best.top5_loc)


@pytest.mark.parametrize("convention", ["psol", "ts-cam", "choe2020"])
def test_top_k_at_a_threshold_of_another_set(given_maps, convention):
    _, data = given_maps
    wide = [replace(sample, boxes=np.array([[4.0, 4, 43, 43]])) for sample in data.samples]
    data = replace(data, samples=wide)

    def run(**options):
        protocol = Protocol(
            convention=convention,
            threshold_step=0.05,
            search=True,
            **({"threshold": 0.3} | options),
        )
        evaluator = Evaluator(data, protocol)
        for number, sample in enumerate(data.samples):
            said = Classification(number % 7, np.array([0]), np.array([1.0]), None)
            evaluator.update(bumps(number, 7, "bumps"), sample.image_id, said)
        return evaluator

    evaluator = run()
    metrics = evaluator.compute()
    levels = dict.fromkeys(("0.3", "0.5", "0.7"), 0.15)
    add_chosen(metrics, evaluator, ChosenThresholds("elsewhere", None, levels))
    there = run(threshold=0.15).compute()
    assert metrics.max_box_acc_chosen == there.gt_known_loc
    assert (metrics.top1_loc_chosen, metrics.top5_loc_chosen) == (there.top1_loc, there.top5_loc)
    assert there.top1_loc < there.top5_loc <= there.gt_known_loc


@pytest.mark.parametrize("rules", VARIANTS[:7], ids=lambda rules: rules.name)
def test_every_component_at_the_threshold_that_a_map_chooses(rules):
    size, truth = (40, 32), np.array([[2.0, 3, 20, 18]])
    sample = Sample("a.png", None, 0, truth, size)
    parts = {"component": rules.component} if rules.name.startswith("danet (") else {}
    protocol = Protocol(
        convention=rules.name.partition(" ")[0], threshold=0.3, search=True, threshold_step=0.25,
        also_at=("otsu",), **parts,
    )  # fmt: skip
    score_map = bumps(3, 7, "noise")
    data = Dataset("ILSVRC", "test", [sample], ("a",), ("a",))
    evaluator = Evaluator(data, protocol)
    evaluator.update(score_map, "a.png")
    assert evaluator.box_judge is not None
    judge = evaluator.box_judge
    grid = judge.grid_of(size)
    values = on_grid(score_map, grid, rules.upsampling, rules.normalization)
    foreground = foreground_at(values, rules, threshold_of(values, rules, "otsu"))
    tight = with_corners(every_component(foreground, rules.component), rules.corners, grid)
    placed = judge.truth(sample, size)
    best = iou_of_corners(tight, placed, plus_one=rules.overlap == "plus-one").max()
    hits = [best > level if rules.hit == "above" else best >= level for level in protocol.iou]
    found = evaluator.compute().loc_at["otsu"]["max_box_acc_v2"]
    assert found == pytest.approx(100 * np.mean(hits))


def test_masks_are_seen_where_the_convention_looks(tmp_path):
    """PxAP of a perfect map is 100, on the whole photograph as on its crop."""
    mask = np.zeros((256, 256), np.uint8)
    mask[60:180, 80:200] = 255
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    sample = Sample(
        "a.png", None, 0, np.zeros((0, 4)), (256, 256), MaskFiles((tmp_path / "m.png",))
    )
    data = Dataset("masks", "test", [sample], ("a",), ("a",))
    whole = (mask > 0).astype(np.float32)
    squashed = cv2.resize(whole, (224, 224), interpolation=cv2.INTER_NEAREST)
    for convention, score_map in (("psol", whole[16:240, 16:240]), ("ts-cam", squashed)):
        protocol = Protocol(
            convention=convention, threshold=0.5, search=True, metric=("pointing_game",)
        )
        evaluator = Evaluator(data, protocol)
        evaluator.update(score_map, "a.png")
        metrics = evaluator.compute()
        assert metrics.pxap == pytest.approx(100, abs=0.5)
        assert metrics.model_extra["pointing_game"] == 100.0


def test_a_baseline_and_merged_shards(given_maps, tmp_path):
    _, data = given_maps
    protocol = Protocol(
        convention="bas", threshold=0.4, search=True, threshold_step=0.1, also_at=("best",)
    )
    for name in ("center", "full"):
        options = EvaluationOptions(protocol=protocol, per_image=True)
        record = evaluate(name, data, options, place=Place(tmp_path, name))
        assert verify(tmp_path / f"{name}.json").ious
        assert record.settings["threshold_policy"] == {
            "max_box_acc": "best on the evaluated split (oracle)", "gt_known_loc": "fixed at 0.4"
        }  # fmt: skip
        assert record.metrics.max_box_acc >= record.metrics.gt_known_loc
    assert record.metrics.max_box_acc == record.metrics.gt_known_loc  # the frame has no threshold
    whole, *shards = (Evaluator(data, protocol) for _ in range(3))
    for number, sample in enumerate(data.samples):
        said = Classification(number % 6, np.array([0]), np.array([1.0]), None)
        for evaluator in (whole, shards[number % 2]):
            evaluator.update(bumps(number, 7, "bumps"), sample.image_id, said)
    again = Evaluator(data, protocol)
    again.load_state(shards[1].state())
    shards[0].merge(again)
    assert shards[0].compute() == whole.compute()
    earlier = {key: value for key, value in whole.state().items() if "best_top1_loc" not in key}
    with pytest.raises(InputError, match="of another version; repeat"):
        again.load_state(earlier)


def test_thresholds_of_some_conventions(given_maps):
    protocol = Protocol(convention="psol,sat,bas", threshold="psol=0.3,bas=otsu")
    assert [own.threshold for own in protocol.each()] == [0.3, None, "otsu"]
    assert protocol == Protocol(
        convention=("psol", "sat", "bas"), threshold={"psol": 0.3, "bas": "otsu"}
    )
    assert Protocol(convention="psol", threshold={"psol": 0.3}) == Protocol(
        convention="psol", threshold=0.3
    )
    assert [own.threshold for own in protocol.replaced(threshold=0.5).each()] == [0.5] * 3
    for threshold, message in (
        ("psol=0.3,exact=0.2", "names exact, which is none of the conventions psol, sat, bas"),
        ("psol=0.3,psol=0.4", "twice"),
        ("psol=high", "should be a number or"),
        ({"psol": 2}, "from 0 to 1"),
    ):
        with pytest.raises(InputError, match=message):
            Protocol(convention="psol,sat,bas", threshold=threshold)


def test_a_threshold_by_network_needs_the_network(given_maps, tmp_path):
    folder, data = given_maps
    bas = Protocol(convention="bas")
    with pytest.raises(InputError, match=r"not named on ILSVRC .*--threshold, or .*--network"):
        score(folder, data, ScoreOptions(protocol=bas, name="resnet50"))
    record = score(folder, data, ScoreOptions(protocol=bas, network="resnet50"))
    assert record.settings["thresholds"] == [0.45] and record.settings["network"] == "resnet50"
    assert bas.asked_thresholds("CUB", "vgg16") == (0.15,)
    with pytest.raises(InputError, match="not named on CUB"):
        bas.asked_thresholds("CUB", None)
    assert Protocol(convention="ts-cam").asked_thresholds("CUB", None) == (0.1,)
