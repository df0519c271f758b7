"""Per-image outcomes say exactly what the record says, however often the run was interrupted."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.shapes import generate_shapes, read_shapes
from wsol.errors import InputError
from wsol.evaluation.judging import Classification, judge, prepare
from wsol.evaluation.lifecycle import Place
from wsol.evaluation.loop import evaluate
from wsol.evaluation.options import EvaluationOptions, ScoreOptions
from wsol.evaluation.precomputed import score
from wsol.evaluation.protocol import Protocol
from wsol.evaluation.rows import _ROWS, OutcomeFile, largest_boxes, outcome_row, reduced_map
from wsol.maps.baselines import center_map
from wsol.models.classifier import Classifier, Preprocessing
from wsol.records.outcomes import correct_from, read_outcomes, to_outcomes

CLASSES = ("ant", "bee", "cat")
COARSE = Protocol(threshold_step=0.05)


def blobs(seed, shape=(224, 224)):
    """A map of a few soft bumps, so that the largest component changes with the threshold."""
    rng = np.random.default_rng(seed)
    bumps = np.zeros(shape)
    for _ in range(4):
        y, x = (
            np.exp(-(((np.arange(side) - rng.uniform(0, side)) / rng.uniform(12, 60)) ** 2))
            for side in shape
        )
        bumps += rng.uniform(0.3, 1) * np.outer(y, x)
    return ((bumps - bumps.min()) / np.ptp(bumps)).astype(np.float32)


@pytest.fixture
def data(tmp_path):
    """Thirty annotated images without pixels, and their maps in a folder; the last has no box."""
    samples = []
    for number in range(30):
        rng = np.random.default_rng(1000 + number)
        corner = rng.integers(0, 120, 2)
        box = np.concatenate([corner, corner + rng.integers(30, 150, 2)]).astype(float)[None]
        if number == 29:
            box = np.zeros((0, 4))
        samples.append(Sample(f"n/{number:02}.jpg", None, number % 3, box, (300, 260)))
        path = tmp_path / "maps" / f"{samples[-1].image_id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, blobs(number))
    return Dataset("blobs", "test", samples, ("n0", "n1", "n2"), CLASSES)


@pytest.fixture
def scored(data, tmp_path):
    """Score the maps with outcomes; returns the record, the rows as a table, and their info."""

    def run(protocol=COARSE, resume=False, **options):
        place = Place(tmp_path, "maps", resume)
        chosen = ScoreOptions(protocol=protocol, curves=True, per_image=True, threads=1)
        record = score(tmp_path / "maps", data, chosen, place=place, **options)
        return record, *read_outcomes(place.outcomes)

    return run


@pytest.mark.parametrize("convention", ["choe2020", "exact"])
def test_the_rows_add_up_to_the_record(scored, data, convention):
    record, table, info = scored(COARSE.replaced(convention=convention))
    rows = to_outcomes(table, info)
    assert [row.image_id for row in rows] == [sample.image_id for sample in data.samples]
    for kind in ("largest", "all"):
        for level, counts in getattr(record.curves, kind).items():
            correct = [correct_from(r.switches[f"{kind}@{level}"], len(counts)) for r in rows]
            assert np.sum(correct, axis=0).tolist() == counts
    judged = [row.fixed_iou >= 0.5 for row in rows if row.fixed_iou is not None]
    assert len(judged) == 29
    assert 100 * np.mean(judged) == pytest.approx(record.metrics.gt_known_loc, abs=0)


@pytest.mark.parametrize("convention", ["choe2020", "exact"])
@pytest.mark.parametrize("contours", ["both", "all"])
def test_the_largest_box_at_every_threshold(convention, contours):
    protocol = COARSE.replaced(convention=convention, contours=contours)
    truth = np.array([[20.0, 30, 150, 160]])
    sample = Sample("a", None, 0, truth, (224, 224))
    for seed in range(6):
        prepared = prepare(blobs(seed), protocol)
        starts, boxes, ious = largest_boxes(prepared, truth, protocol)
        assert starts[0] == 0 and (np.diff(boxes, axis=0) != 0).any(axis=1).all()
        # The slow way: every threshold as the fixed one of a protocol of its own.
        for index, threshold in enumerate(protocol.thresholds):
            fixed = protocol.replaced(threshold=float(threshold))
            outcome = judge(prepare(blobs(seed), fixed), sample, fixed)
            row = np.searchsorted(starts, index, side="right") - 1
            assert boxes[row].tolist() == outcome.fixed_box.tolist(), (seed, threshold)
            assert ious[row] == np.float32(outcome.fixed_iou)


@pytest.mark.parametrize(("convention", "iou"), [("choe2020", 0.25), ("exact", 0.0)])
def test_a_map_without_foreground(convention, iou):
    protocol = COARSE.replaced(convention=convention)
    prepared = prepare(np.zeros((224, 224), np.float32), protocol)
    starts, boxes, ious = largest_boxes(prepared, np.array([[0.0, 0, 1, 1]]), protocol)
    assert starts.tolist() == [0] and boxes.tolist() == [[0, 0, 0, 0]]
    assert ious.tolist() == [iou]
    _, _, unknown = largest_boxes(prepared, np.zeros((0, 4)), protocol)
    assert np.isnan(unknown).all()


def test_what_a_classifier_said():
    protocol = Protocol(threshold_step=0.1)
    data = Dataset("one", "val", [], ("n0", "n1", "n2"), CLASSES)
    sample = Sample("a.jpg", None, 2, np.array([[0.0, 0, 10, 10]]), None)
    prepared = prepare(blobs(0), protocol)
    said = Classification(1, np.array([0, 2, 1]), np.array([0.5, 0.3, 0.2]), None)
    outcome = judge(prepared, sample, protocol, size=(30, 20), classification=said)
    row = outcome_row(prepared, outcome, sample, data, protocol)
    assert (row.rank, row.predicted, row.class_name) == (1, ("ant", "cat", "bee"), "cat")
    assert row.scores.tolist() == [0.5, 0.3, 0.2] and row.size == (30, 20)


def test_a_reduced_map_is_the_mean_over_areas():
    whole = np.random.default_rng(0).random((224, 224))
    cells = whole.reshape(28, 8, 28, 8).mean((1, 3))
    np.testing.assert_array_equal(reduced_map(whole), np.rint(cells * 255))
    # Cells that cross pixels: repeat every pixel 28 times, then average whole blocks.
    odd = np.random.default_rng(1).integers(0, 256, (37, 20)).astype(np.uint8)
    fine = odd.repeat(28, 0).repeat(28, 1).reshape(28, 37, 28, 20).mean((1, 3))
    np.testing.assert_allclose(reduced_map(odd), fine, atol=0.5 + 1e-9)
    assert reduced_map(np.ones((224, 224), np.float16)).min() == 255


def test_rows_of_a_run_through_a_network(tmp_path):
    generate_shapes(tmp_path, train=1, val=1, test=20, size=64, seed=0)
    shapes = read_shapes(tmp_path, "test")
    count = len(shapes.classes)
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    network = Classifier(
        "small",
        nn.Sequential(*layers, nn.Linear(8, count)).eval(),
        shapes.classes,
        Preprocessing(size=64),
    )
    options = EvaluationOptions(protocol=COARSE, size=64, batch_size=8, per_image=True, curves=True)
    place = Place(tmp_path, "a")
    record = evaluate(network, shapes, options, place=place)
    rows = to_outcomes(*read_outcomes(place.outcomes))
    top1 = np.array([row.rank == 0 for row in rows])
    right = np.array([row.fixed_iou >= 0.5 for row in rows])
    assert 100 * top1.mean() == record.metrics.top1_cls
    assert 100 * (top1 & right).mean() == record.metrics.top1_loc
    for row, sample in zip(rows, shapes.samples, strict=True):
        assert row.path == str(sample.path) and row.size == (64, 64)
        assert (row.predicted[0] == row.class_name) == (row.rank == 0)
        assert len(row.predicted) == len(row.scores) == min(5, len(shapes.classes))


def interrupted(run, tmp_path, after):
    seen = 0

    def interrupt(images):
        nonlocal seen
        seen += images
        if seen == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(advance=interrupt)


def test_an_interrupted_run_goes_on_to_the_identical_rows(scored, tmp_path):
    whole = scored()[1]
    (tmp_path / "maps.outcomes.parquet").unlink()
    interrupted(scored, tmp_path, 7)
    assert not (tmp_path / "maps.outcomes.parquet").exists()
    assert (tmp_path / ".maps.outcomes" / "part-0000.parquet").exists()
    resumed = scored(resume=True)[1]
    np.testing.assert_equal(resumed.to_pylist(), whole.to_pylist())  # NaN equals NaN
    assert not (tmp_path / ".maps.outcomes").exists()


def test_images_evaluated_again_after_a_kill_count_once(scored, tmp_path):
    """A kill between the rows and the progress leaves rows that progress does not know."""
    whole = scored()[1]
    interrupted(scored, tmp_path, 7)
    early = (tmp_path / ".maps.progress.npz").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        scored(
            resume=True,
            advance=lambda n: (_ for _ in ()).throw(KeyboardInterrupt) if n == 1 else None,
        )
    (tmp_path / ".maps.progress.npz").write_bytes(early)
    resumed = scored(resume=True)[1]
    np.testing.assert_equal(resumed.to_pylist(), whole.to_pylist())


def test_without_resume_nothing_old_is_kept(scored, tmp_path):
    interrupted(scored, tmp_path, 7)
    _, table, _ = scored()
    assert table.num_rows == 30


def test_going_on_with_a_run_that_kept_no_outcomes(scored, data, tmp_path):
    def without(**arguments):
        options = ScoreOptions(protocol=COARSE, threads=1)
        score(tmp_path / "maps", data, options, place=Place(tmp_path, "maps"), **arguments)

    interrupted(without, tmp_path, 7)
    with pytest.raises(InputError, match=r"n/00\.jpg is not there.*--per-image"):
        scored(resume=True)


def test_more_rows_than_are_held_in_memory(tmp_path):
    count = 2 * _ROWS + 5
    box = np.array([[10.0, 10, 100, 100]])
    samples = [Sample(str(number), None, 0, box, (224, 224)) for number in range(count)]
    data = Dataset("many", "test", samples, ("a",), ("a",))
    protocol = Protocol(threshold_step=0.25)
    prepared = prepare(center_map((224, 224)), protocol)
    file = OutcomeFile(tmp_path / "many.outcomes.parquet", data, protocol)
    file.begin([])
    outcome = judge(prepared, samples[0], protocol)
    row = outcome_row(prepared, outcome, samples[0], data, protocol)
    for sample in reversed(samples):  # as in no real run; the file has the data set's order
        file.add(dataclasses.replace(row, image_id=sample.image_id))
    assert len(list((tmp_path / ".many.outcomes").iterdir())) == 2
    file.join(range(count))
    table, _ = read_outcomes(tmp_path / "many.outcomes.parquet")
    assert table["image_id"].to_pylist() == [sample.image_id for sample in samples]
