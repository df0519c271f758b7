"""Damaged files of every kind: each reader either gives what the whole file gives, or something
valid where the format has no checksum, or refuses it in one line that names a file."""

import csv
import json
import signal
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from wsol.datasets.base import Dataset, Sample
from wsol.datasets.classes import imagenet_classes
from wsol.datasets.loading import image_size, open_image
from wsol.datasets.masks import read_mask
from wsol.datasets.parsing import Problems
from wsol.datasets.registry import open_dataset
from wsol.datasets.shapes import generate_shapes
from wsol.datasets.weak import open_training_set
from wsol.errors import InputError
from wsol.evaluation.box_reading import read_boxes
from wsol.evaluation.predictions import read_map_classes, read_predictions
from wsol.evaluation.provenance import environment
from wsol.experiment.file import read_experiment
from wsol.maps.files import ScoreMaps
from wsol.models.checkpoint import read_checkpoint, write_torch_file
from wsol.models.importers.caffe import message_class, read_blobs
from wsol.records.outcomes import read_outcomes, to_outcomes
from wsol.records.record import read_records, write_record
from wsol.records.thresholds import read_thresholds
from wsol.records.training import (
    Epoch,
    TrainingRecord,
    read_training_record,
    write_training_record,
)
from wsol.resume import SavedProgress
from wsol.training.run import _read_state

from support.data_files import lines, picture
from support.records import make, outcome, write_run

WNIDS = [wnid for wnid, _ in imagenet_classes()]
SECONDS = 20
TOKENS = (
    b"nan", b"-1", b"1e999", b"9" * 30, b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 3000, b"{}",
    b'"', b"'", b",", b"\t", b"\n", b"\r", b"../../x", b"/etc/passwd", b"0x10", b"1_0", b"null",
    b"\xe9", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"\x00\x00\x00\x00", b"\xff\xff\xff\xff",
    b"x" * 5000, b"NaN", b"-0", b" ", b"\xf0\x9f\x90\xa6",
)  # fmt: skip


@dataclass
class Reader:
    """One reader: the files to damage, and what to call; `exact` formats have checksums."""

    files: list
    read: Any
    exact: bool = False


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with one damage of a dozen kinds."""
    size = len(data)
    at = int(rng.integers(0, size + 1))
    length = int(rng.choice([1, 2, 7, 40, max(size // 3, 1)]))
    kind = int(rng.integers(0, 10))
    token = TOKENS[int(rng.integers(0, len(TOKENS)))]
    if kind == 0:
        return data[:at]
    if kind == 1 and size:
        flipped = bytearray(data)
        for place in rng.integers(0, size, int(rng.integers(1, 5))):
            flipped[place] ^= 1 << int(rng.integers(0, 8))
        return bytes(flipped)
    if kind == 2:
        return data[:at] + rng.bytes(length) + data[at + length :]
    if kind == 3:
        return data[:at] + rng.bytes(length) + data[at:]
    if kind == 4:
        return data[:at] + data[at + length :]
    if kind == 5:
        return data[:at] + data[at : at + length] * 2 + data[at + length :]
    if kind == 6:
        return data[:at] + token + data[at + length :]
    if kind == 7:
        return data[:at] + token + data[at:]
    if kind == 8:
        rows = data.split(b"\n")
        rng.shuffle(rows)
        return b"\n".join(rows)
    return data + (token if rng.random() < 0.5 else data[: int(rng.integers(0, size + 1))])


@contextmanager
def within(seconds):
    """Fails where a reader hangs."""

    def late(number, frame):
        raise AssertionError(f"still reading after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# --- the readers --------------------------------------------------------------------------------


def boxed(data: Dataset):
    """A data set in values that compare."""
    rows = [
        (s.image_id, s.label, s.boxes.tolist(), s.size, None if s.mask is None else str(s.mask))
        for s in data.samples
    ]
    return data.classes, rows


def layout(name, root, **options):
    """Everything that opens a layout: strictly, leaving out, listing."""

    def read():
        problems = Problems()
        listed = boxed(open_dataset(name, root, problems=problems, **options))
        if not problems.found:
            assert listed == boxed(open_dataset(name, root, **options))
        else:
            for problem in problems.found:
                assert "\n" not in problem.message and len(problem.message) < 2000
        return listed

    return read


def protocol(root):
    ids = [f"00{i % 3 + 1}.A/{i}.jpg" for i in range(6)]
    folder = root / "CUB" / "test"
    lines(folder / "image_ids.txt", *ids)
    lines(folder / "class_labels.txt", *(f"{n},{i % 3}" for i, n in enumerate(ids)))
    lines(folder / "image_sizes.txt", *(f"{n},60,40" for n in ids))
    boxes = [f"{n},{i},2,{30 + i}.5,20" for i, n in enumerate(ids)]
    lines(folder / "localization.txt", *boxes, f"{ids[0]},m/1.png,m/2.png", f"{ids[1]},m/3.png,")
    files = sorted(folder.iterdir())
    return Reader(files, layout("protocol", folder, images=root, masks=root))


def protocol_large(root):
    reader = protocol(root)
    for file in reader.files:
        rows = [row for row in file.read_text().split("\n") if row and ".png" not in row]
        many = [row.replace(".A/", f".A/{k}-") for k in range(400) for row in rows]
        lines(file, *many)
    return reader


def cub(root):
    names = ["001.A/a.jpg", "001.A/b.jpg", "002.B/c.jpg", "002.B/d.jpg"]
    for name in names:
        picture(root / "images" / name)
    lines(root / "images.txt", *(f"{i} {n}" for i, n in enumerate(names, 1)))
    lines(root / "classes.txt", "1 001.A", "2 002.B")
    lines(root / "image_class_labels.txt", "1 1", "2 1", "3 2", "4 2")
    lines(root / "train_test_split.txt", "1 0", "2 1", "3 0", "4 0")
    lines(root / "bounding_boxes.txt", *(f"{i} {i}.0 2.0 10.5 9.0" for i in range(1, 5)))
    read = layout("cub", root)
    return Reader(
        sorted(root.glob("*.txt")), lambda: (read(), boxed(open_training_set("cub", root)))
    )


def ilsvrc_xml(root):
    for number in (1, 2, 3):
        name = f"ILSVRC2012_val_{number:08d}"
        picture(root / "val" / f"{name}.JPEG")
        lines(
            root / "bbox" / "val" / f"{name}.xml",
            "<annotation><size><width>60</width><height>40</height></size><object>",
            f"<name>{WNIDS[number]}</name><bndbox><xmin>1</xmin><ymin>2</ymin>",
            "<xmax>30</xmax><ymax>20</ymax></bndbox></object></annotation>",
        )
    lines(root / "list.txt", "3", "ILSVRC2012_val_00000009.JPEG")
    files = [*(root / "bbox" / "val").iterdir(), root / "list.txt"]
    return Reader(files, layout("ilsvrc", root, exclude=root / "list.txt"))


def ilsvrc_csv(root):
    for number in (1, 2, 3):
        picture(root / "val" / f"ILSVRC2012_val_{number:08d}.JPEG")
    with (root / "LOC_val_solution.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["ImageId", "PredictionString"])
        for number in (1, 2, 3):
            wnid = WNIDS[4] if number < 3 else "unknown"
            text = f"{wnid} 3 4 10 12 {wnid} 1 1 2 2 "
            writer.writerow([f"ILSVRC2012_val_{number:08d}", text])
    devkit = root / "ILSVRC2012_devkit_t12" / "data"
    lines(devkit / "ILSVRC2012_validation_ground_truth.txt", 490, 361, 171)
    lines(devkit / "map_clsloc.txt", f"{WNIDS[7]} 490 a", f"{WNIDS[9]} 361 b", f"{WNIDS[2]} 171 c")
    files = [root / "LOC_val_solution.csv", *devkit.iterdir()]
    return Reader(files, layout("ilsvrc", root))


def tiny(root):
    lines(root / "wnids.txt", "n02000000", "n01000000")
    lines(root / "words.txt", "n01000000\tnewt, eft", "n02000000\tcrow")
    lines(root / "val" / "val_annotations.txt", "a.JPEG\tn02000000\t0\t1\t62\t63",
          "b.JPEG\tn01000000\t5\t5\t9\t9")  # fmt: skip
    files = [root / "wnids.txt", root / "words.txt", root / "val" / "val_annotations.txt"]
    return Reader(files, layout("tiny-imagenet", root))


def coco(root):
    data = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 60, "height": 40} for i in range(3)],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 18 - 15 * (i % 2), "bbox": [1.5, 2, 10, 20]}
            for i in range(3)
        ],
    }
    (root / "a.json").write_text(json.dumps(data))
    return Reader([root / "a.json"], layout("coco", root / "a.json"))


def imagefolder(root):
    for name in ("wren/a.jpg", "wren/b.jpg", "auk/c.jpg"):
        picture(root / name)
    lines(root / "boxes.csv", "class,image,x0,y0,x1,y1", "wren,wren/a.jpg,1,2,30,20",
          'wren,"b.jpg",1,2,30,20', "auk,auk/c.jpg,5,5,6,7")  # fmt: skip
    return Reader([root / "boxes.csv"], layout("imagefolder", root))


def shapes(root):
    generate_shapes(root / "s", train=0, test=4, size=32, seed=0)
    files = [root / "s" / "annotations.csv", root / "s" / "shapes.json"]
    return Reader(files, layout("shapes", root / "s"))


def images(root):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (24, 30, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    names = ["a.jpg", "b.png", "c.gif", "d.bmp", "e.webp", "f.tif", "g.ppm"]
    for name in names:
        Image.fromarray(pixels).save(root / name, exif=exif)
    Image.fromarray(rng.integers(0, 65535, (24, 30), np.uint16)).save(root / "h.png")
    Image.fromarray(pixels[..., 0]).save(root / "i.tif", compression="tiff_lzw")
    files = [root / name for name in (*names, "h.png", "i.tif")]

    def read():
        for file in files:
            assert open_image(file, upright=True).mode == "RGB"
            image_size(file)

    return Reader(files, read)


def masks(root):
    mask = np.zeros((24, 30), np.uint8)
    mask[5:10, 5:10] = 255
    Image.fromarray(mask).save(root / "a.png")
    Image.fromarray(mask > 0).save(root / "b.png")
    Image.fromarray(np.dstack([mask] * 4)).save(root / "c.png")
    Image.fromarray(mask).convert("P").save(root / "d.png")
    files = sorted(root.iterdir())
    return Reader(files, lambda: [read_mask(file).shape for file in files] and None)


MAPS = {f"{i}.jpg": np.random.default_rng(i).random((5, 6)).astype("f4") for i in range(3)}


def maps_of(path):
    found = ScoreMaps(path, MAPS)
    if found.missing or found.extra:  # which an evaluation refuses
        raise InputError(f"{path}: maps are missing.")
    return [found.read(name).tolist() for name in MAPS]


def maps_folder(root):
    for name, array in MAPS.items():
        np.save(root / f"{name}.npy", array)
    return Reader(sorted(root.iterdir()), lambda: maps_of(root) and None)


def maps_npz(root):
    np.savez(root / "m.npz", **MAPS)
    np.savez_compressed(root / "n.npz", **MAPS)
    files = sorted(root.iterdir())
    return Reader(files, lambda: [maps_of(file) for file in files], exact=True)


def maps_stack(root):
    np.save(root / "m.npy", np.stack(list(MAPS.values())))
    lines(root / "m.txt", *MAPS)
    return Reader([root / "m.npy", root / "m.txt"], lambda: maps_of(root / "m.npy") and None)


def maps_hdf5(root):
    h5py = pytest.importorskip("h5py")
    with h5py.File(root / "m.h5", "w") as file:
        for name, array in MAPS.items():
            file.create_dataset(name, data=array, compression="gzip", fletcher32=True)
    return Reader([root / "m.h5"], lambda: maps_of(root / "m.h5") and None)


def records(root):
    write_record(make("a", 5, max_box_acc_v2=50.0, best_threshold={"0.5": 0.25}), root / "a.json")

    def read():
        read_records(root / "a.json")
        read_thresholds(root / "a.json")

    return Reader([root / "a.json"], read)


def outcomes(root):
    write_run(root, "run", [outcome(i) for i in range(9)])
    path = root / "run.outcomes.parquet"

    def read():
        table, info = read_outcomes(path)
        rows = to_outcomes(table, info)
        return [(row.image_id, row.fixed_iou, row.score_map.tobytes()) for row in rows], str(info)

    return Reader([path], read, exact=True)


def progress(root):
    path = root / "p.npz"
    saved = SavedProgress(path, "run")
    saved.save({"seen": np.arange(50) % 2 == 0, "counts": np.arange(40)})

    def read():
        state = saved.load()
        return {name: array.tolist() for name, array in (state or {}).items()}

    return Reader([path], read, exact=True)


def experiment(root):
    lines(root / "e.yaml", "name: a", "title: '2024-01-05'", "data: {name: shapes, root: s}",
          "models: [center, {model: resnet50, weights: none}]", "options: {size: 64}",
          "outputs: {plots: [png]}")  # fmt: skip
    return Reader([root / "e.yaml"], lambda: read_experiment(root / "e.yaml") and None)


def annotated():
    boxes = np.array([[1.0, 2, 30, 20]])
    samples = [Sample(f"v/{i}.jpg", None, i, boxes, (60, 40)) for i in range(3)]
    keys = tuple(f"n{i}" for i in range(6))
    return Dataset("birds", "test", samples, keys, keys)


def predictions(root):
    said = [f"v/{i}.jpg,n0,n1,n2,n3,{4 + i % 2},.5,.2,.1,1e-1,0" for i in range(3)]
    lines(root / "a.csv", "image_id,c1,c2,c3,c4,c5,s1,s2,s3,s4,s5", *said)
    data = annotated()

    def read():
        read_predictions(root / "a.csv", data)
        read_map_classes(root / "a.csv", data)

    return Reader([root / "a.csv"], read)


def given_boxes(root):
    lines(root / "a.csv", "image_id,x0,y0,x1,y1,score,class", "v/0.jpg,1,2,30,20,.5,n0",
          '"v/1.jpg",1.5,2,30,20,1,1', "2,0,0,59,39,1e-3,n2")  # fmt: skip
    found = [
        {"image_id": i, "category_id": i, "bbox": [1.5, 2, 10, 20], "score": 0.5} for i in range(3)
    ]
    (root / "b.json").write_text(json.dumps(found))
    data = annotated()

    def read():
        for file in ("a.csv", "b.json"):
            for of_image in read_boxes(root / file, data, "inclusive").of.values():
                of_image.in_photograph((60, 40), "exclusive", "photograph")

    return Reader([root / "a.csv", root / "b.json"], read)


def packed(root, suffix):
    """The photographs of a four-file folder in one shard, all of which are read."""
    names = [f"00{i % 3 + 1}.A/{i}.png" for i in range(6)]
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        path = root / "loose" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(path)
        path.with_suffix(".json").write_text(json.dumps({"filename": name}))
    folder = root / "birds" / "test"
    lines(folder / "image_ids.txt", *names)
    lines(folder / "class_labels.txt", *(f"{n},{i % 3}" for i, n in enumerate(names)))
    lines(folder / "image_sizes.txt", *(f"{n},60,40" for n in names))
    lines(folder / "localization.txt", *(f"{n},1,2,30,20" for n in names))
    shard = root / f"images{suffix}"
    if suffix == ".parquet":
        rows = [{"bytes": (root / "loose" / n).read_bytes(), "path": n} for n in names]
        table = pa.table({"image": rows, "label": [0, 1, 2, 0, 1, 2]})
        pq.write_table(table, shard, row_group_size=2)
    else:
        with tarfile.open(shard, "w:gz" if suffix == ".tar.gz" else "w") as tar:
            for name in names:
                tar.add((root / "loose" / name).with_suffix(".json"), f"{name[:-4]}.json")
                tar.add(root / "loose" / name, name)

    def read():
        data = open_dataset("protocol", folder, images=shard)
        return [np.asarray(open_image(s.path)).tobytes() for s in data.samples]

    return Reader([shard], read, exact=suffix == ".tar.gz")


def shard_tar(root):
    reader = packed(root, ".tar")
    return Reader(reader.files, lambda: reader.read() and None)


def shard_gzip(root):
    return packed(root, ".tar.gz")


def shard_parquet(root):
    reader = packed(root, ".parquet")
    return Reader(reader.files, lambda: reader.read() and None)


def tensors_in(path):
    return {name: value.tolist() for name, value in read_checkpoint(path).tensors.items()}


def weights():
    generator = torch.Generator().manual_seed(0)
    return {f"{k}.weight": torch.randn(5, 4, generator=generator) for k in ("a", "fc")}


def checkpoints(root):
    torch.save({"state_dict": weights(), "epoch": 3}, root / "a.pth")
    return Reader([root / "a.pth"], lambda: tensors_in(root / "a.pth"), exact=True)


def checkpoints_without_checksums(root):
    torch.save(weights(), root / "old.pth", _use_new_zipfile_serialization=False)
    save_file(weights(), root / "b.safetensors")
    files = sorted(root.iterdir())
    return Reader(files, lambda: [sorted(read_checkpoint(file).tensors) for file in files] and None)


def training(root):
    """What a training run keeps: the state that it goes on from, and its record."""
    state = {
        "wsol_training": 1, "settings": "{}", "epochs": "[]", "chosen": "null",
        "training": {"network": weights(), "step": 3},
    }  # fmt: skip
    write_torch_file(state, root / "last.pt")
    record = TrainingRecord(
        model="a", parameters=4, method="cam", dataset="b", split="train", num_images=3,
        environment=environment("cpu"),
        settings={"epochs": 1}, epochs=[Epoch(epoch=1, loss=0.5, accuracy=20, seconds=1.5)],
    )  # fmt: skip
    write_training_record(record, root / "train.json")

    def read():
        read_training_record(root / "train.json")
        _read_state(root / "last.pt")

    return Reader([root / "last.pt", root / "train.json"], read)


def caffe(root):
    pytest.importorskip("google.protobuf")
    net = message_class("NetParameter")()
    for number in range(4):
        layer = net.layer.add()
        layer.name = f"conv{number}".encode()
        for shape in ((3, 2), (3,)):
            blob = layer.blobs.add()
            blob.shape.dim.extend(shape)
            blob.data.extend(np.arange(np.prod(shape), dtype=float))
    (root / "a.caffemodel").write_bytes(net.SerializeToString())
    return Reader([root / "a.caffemodel"], lambda: read_blobs(root / "a.caffemodel") and None)


READERS = {
    make.__name__: make
    for make in (
        protocol, protocol_large, cub, ilsvrc_xml, ilsvrc_csv, tiny, coco, imagefolder, shapes,
        images, masks, maps_folder, maps_npz, maps_stack, maps_hdf5, records, outcomes, progress,
        experiment, predictions, given_boxes, shard_tar, shard_gzip, shard_parquet, checkpoints,
        checkpoints_without_checksums, training, caffe,
    )
}  # fmt: skip
MUTATIONS = {"protocol_large": 40}
EACH = 125


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_damaged_files_give_the_same_or_are_refused_in_a_line(tmp_path, name):
    root = tmp_path / name
    root.mkdir()
    reader = READERS[name](root)
    good = reader.read()
    originals = {file: file.read_bytes() for file in reader.files}
    told = same = 0
    for number in range(MUTATIONS.get(name, EACH)):
        rng = np.random.default_rng([sum(map(ord, name)), number])
        file = reader.files[int(rng.integers(0, len(reader.files)))]
        damaged = mutated(originals[file], rng)
        file.write_bytes(damaged)
        try:
            with within(SECONDS):
                result = reader.read()
            assert not reader.exact or result == good, (
                f"mutation {number} of {file.name}: {damaged!r:.300}"
            )
            same += 1
        except InputError as error:
            text = str(error)
            lines_of = text.split("\n") if name == "experiment" else [text]
            assert all("\n" not in line and str(root) in line for line in lines_of), text
            assert len(text) < 3000, text
            told += 1
        except Exception as error:
            pytest.fail(f"mutation {number} of {file.name}: {type(error).__name__}: {error}\n"
                        f"{damaged!r:.400}")  # fmt: skip
        finally:
            file.write_bytes(originals[file])
    assert told > 5 and same + told == MUTATIONS.get(name, EACH)


def test_there_are_two_thousand():
    assert sum(MUTATIONS.get(name, EACH) for name in READERS) >= 2000
