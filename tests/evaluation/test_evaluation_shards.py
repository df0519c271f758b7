"""Evaluations of photographs in shards are those of the same photographs as files."""

import io
import tarfile
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.image_sources import Shards
from wsol.datasets.reading_order import in_turns, reading_order
from wsol.errors import InputError
from wsol.evaluation.lifecycle import Place
from wsol.evaluation.loop import evaluate
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.shares import Share
from wsol.models.classifier import Classifier, Preprocessing
from wsol.processes import Processes
from wsol.records.outcomes import read_outcomes, to_outcomes
from wsol.training.images import TrainingImages

COUNT = 23


def network():
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 5, 4, 2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, 2, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 4),
    )
    return Classifier("small", layers.eval(), None, Preprocessing(size=64))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Photographs as files, and the same in shards of every kind in a shuffled order."""
    root = tmp_path_factory.mktemp("shards")
    contents = {}
    for number in range(COUNT):
        rng = np.random.default_rng(number)
        pixels = np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((10, 10, 1))).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG")
        contents[f"{number:02d}.jpg"] = stream.getvalue()
    for name, data in contents.items():
        (root / "loose").mkdir(exist_ok=True)
        (root / "loose" / name).write_bytes(data)
    order = np.random.default_rng(1).permutation(sorted(contents)).tolist()
    for start in range(0, COUNT, 6):
        part = order[start : start + 6]
        for kind, mode in (("tar", "w"), ("tar.gz", "w:gz")):
            (root / kind).mkdir(exist_ok=True)
            with tarfile.open(root / kind / f"{start:02d}.{kind}", mode) as tar:
                for name in part:
                    member = tarfile.TarInfo(name)
                    member.size = len(contents[name])
                    tar.addfile(member, io.BytesIO(contents[name]))
        (root / "parquet").mkdir(exist_ok=True)
        images = [{"bytes": contents[name], "path": name} for name in part]
        file = root / "parquet" / f"{start:02d}.parquet"
        pq.write_table(pa.table({"image": images}), file, row_group_size=4)
    return root


def opened(place, kind):
    names = [f"{number:02d}.jpg" for number in range(COUNT)]
    if kind == "loose":
        paths = [place / "loose" / name for name in names]
    else:
        source = Shards(place / kind)
        source.expect(names)
        paths = [source.find(name, "") for name in names]
    samples = [
        Sample(name, path, number % 4, np.array([[5.0, 5, 40, 30 + number]]))
        for number, (name, path) in enumerate(zip(names, paths, strict=True))
    ]
    classes = tuple("abcd")
    return Dataset("d", "test", samples, classes, classes)


def run(data, folder, **options):
    options = EvaluationOptions(batch_size=4, curves=True, per_image=True, **options)
    record = evaluate(network(), data, options, place=Place(folder, "r"))
    rows = to_outcomes(*read_outcomes(folder / "r.outcomes.parquet"))
    return record, [replace(row, path=None, score_map=None, fixed_box=None) for row in rows]


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "parquet"])
@pytest.mark.parametrize("workers", [0, 2])
def test_shards_give_the_records_of_files(place, tmp_path, kind, workers):
    loose, rows = run(opened(place, "loose"), tmp_path / "loose")
    packed, packed_rows = run(opened(place, kind), tmp_path / kind, workers=workers)
    for part in ("metrics", "curves", "settings", "notes", "num_images", "skipped"):
        assert getattr(packed, part) == getattr(loose, part), part
    assert [row.image_id for row in packed_rows] == [row.image_id for row in rows]
    for one, other in zip(packed_rows, rows, strict=True):
        np.testing.assert_array_equal(one.ious, other.ious)
        np.testing.assert_array_equal(one.scores, other.scores)
        assert (one.rank, one.predicted, one.fixed_iou) == (
            other.rank, other.predicted, other.fixed_iou,
        )  # fmt: skip


def test_baselines_measure_photographs_in_shards(place):
    loose = evaluate("center", opened(place, "loose"))
    for kind in ("tar", "tar.gz", "parquet"):
        assert evaluate("center", opened(place, kind)).metrics == loose.metrics


def test_a_missing_member_is_told_or_left_out(place, tmp_path):
    data = opened(place, "tar")
    source = Shards(place / "tar")
    source.expect(["00.jpg"])
    samples = [*data.samples]
    samples[3] = replace(samples[3], path=source.find("gone.jpg", ""))
    data = replace(data, samples=samples)
    with pytest.raises(InputError, match=r"tar::gone\.jpg: the shards have no such image"):
        evaluate(network(), data, EvaluationOptions(batch_size=4))
    record = evaluate(network(), data, EvaluationOptions(batch_size=4, skip_bad_images=True))
    assert record.num_images == COUNT - 1 and record.skipped[0].image_id == "03.jpg"


def test_processes_and_workers_read_shards_of_their_own(place):
    data = opened(place, "tar")
    order = reading_order(data.samples)
    done = np.zeros(COUNT, dtype=bool)

    def shards_of(batches):
        positions = [position for batch in batches for position in order[batch]]
        return [data.samples[position].path.shard.name for position in positions]

    seen = []
    for rank in range(2):
        batches = Share(done[order], Processes(rank, 2)).batches(3)
        seen.append(shards_of(batches))
        runs = [shards_of(in_turns(batches, 2)[worker::2]) for worker in range(2)]
        for names in (seen[-1], *runs):
            assert names == sorted(names)  # each from front to back
        assert len(set(runs[0]) & set(runs[1])) <= 1
    assert len(set(seen[0]) & set(seen[1])) <= 1
    assert sorted(seen[0] + seen[1]) == sorted(s.path.shard.name for s in data.samples)


def test_training_reads_shards_in_any_order(place):
    def images(kind):
        return TrainingImages(
            opened(place, kind), size=32, interpolation="bilinear", seed=0, cache=False
        )

    loose = images("loose")
    for kind in ("tar", "parquet"):
        packed = images(kind)
        for index in (22, 0, 13, 5):
            one, other = packed[index, 1], loose[index, 1]
            assert torch.equal(one[0], other[0]) and one[1] == other[1]
