"""Photographs in tar files and Parquet files: joined by name, read in order, the same as loose."""

import gzip
import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from wsol.datasets.base import Packed
from wsol.datasets.image_sources import Shards, class_in, image_source, without_class
from wsol.datasets.loading import image_size, open_image
from wsol.datasets.packing import images_below, pack_folder, pattern_of
from wsol.datasets.reading_order import in_turns, reading_order
from wsol.datasets.registry import open_dataset
from wsol.datasets.shards import expanded, index_of, means_shards, read_packed
from wsol.datasets.weak import open_training_set
from wsol.errors import InputError

from support.data_files import lines

BIRDS = ["001.Auk/a.jpg", "001.Auk/b.jpg", "002.Wren/c.jpg", "002.Wren/d.jpg"]


def content(number, suffix="jpg"):
    """An image file of its own."""
    pixels = np.random.default_rng(number).integers(0, 255, (20, 30, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG" if suffix == "png" else "JPEG")
    return stream.getvalue()


def write_tar(path, members, mode="w"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def write_parquet(path, names, group=2, **columns):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    images = [{"bytes": content(number), "path": name} for number, name in enumerate(names)]
    table = pa.table({"image": images, "label": list(range(len(names))), **columns})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group)
    return path


@pytest.fixture
def folder(tmp_path):
    """A four-file folder of four birds, and their photographs as files."""
    root = tmp_path / "birds" / "test"
    lines(root / "image_ids.txt", *BIRDS)
    lines(root / "class_labels.txt", *(f"{name},{i // 2}" for i, name in enumerate(BIRDS)))
    lines(root / "image_sizes.txt", *(f"{name},30,20" for name in BIRDS))
    lines(root / "localization.txt", *(f"{name},1,2,{9 + i},9" for i, name in enumerate(BIRDS)))
    for number, name in enumerate(BIRDS):
        path = tmp_path / "loose" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(number))
    return root


def pixels_of(data):
    return {s.image_id: np.asarray(open_image(s.path)).tobytes() for s in data.samples}


# --- which files --------------------------------------------------------------------------------


def test_patterns_mean_shards(tmp_path):
    for name in ("a-000.tar", "a-001.tar", "a-002.tar.gz", "b.parquet", ".c.tar"):
        (tmp_path / name).write_bytes(b"")

    def names(text):
        return [path.name for path in expanded(tmp_path / text)]

    assert names("a-{000..001}.tar") == ["a-000.tar", "a-001.tar"]
    assert names("{a-000,a-001}.tar") == ["a-000.tar", "a-001.tar"]
    assert names("a-*") == ["a-000.tar", "a-001.tar", "a-002.tar.gz"]
    assert names("b.parquet") == ["b.parquet"]
    assert names("") == ["a-000.tar", "a-001.tar", "a-002.tar.gz", "b.parquet"]
    with pytest.raises(InputError, match=r"a-002\.tar: does not exist; expected a shard"):
        names("a-{000..002}.tar")
    with pytest.raises(InputError, match=r"no range of shards"):
        names("a-{5..2}.tar")
    with pytest.raises(InputError, match=r"no range of shards"):
        names("a-{0..99999999}.tar")
    with pytest.raises(InputError, match="there are no shards"):
        names("z*.tar")
    assert means_shards(tmp_path) and not means_shards(tmp_path / "nothing")
    (tmp_path / "plain").mkdir()
    assert not means_shards(tmp_path / "plain")


# --- joining ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelled",
    [
        lambda name: name,
        lambda name: name.replace("/", "-x/").replace("-x/", "/"),
        lambda name: name.rpartition("/")[2],
        lambda name: name.replace(".jpg", "_n01440764.jpg").rpartition("/")[2],
        lambda name: "somewhere/else/" + name,
    ],
)
@pytest.mark.parametrize("kind", ["tar", "tar.gz", "parquet"])
def test_shards_are_read_like_files(folder, tmp_path, spelled, kind):
    loose = open_dataset("protocol", folder, images=tmp_path / "loose")
    names = [spelled(name) for name in BIRDS]
    if kind == "parquet":
        place = write_parquet(tmp_path / "shards" / "a.parquet", names)
    else:
        members = [(name, content(number)) for number, name in enumerate(names)]
        mode = "w:gz" if kind == "tar.gz" else "w"
        write_tar(tmp_path / "shards" / f"0.{kind}", members[:1], mode)
        write_tar(tmp_path / "shards" / f"1.{kind}", members[1:], mode)
        place = tmp_path / "shards"
    packed = open_dataset("protocol", folder, images=place)
    assert [s.image_id for s in packed.samples] == BIRDS
    assert [s.boxes.tolist() for s in packed.samples] == [s.boxes.tolist() for s in loose.samples]
    assert pixels_of(packed) == pixels_of(loose)
    assert {image_size(s.path) for s in packed.samples} == {(30, 20)}


def test_a_json_beside_an_image_names_it(folder, tmp_path):
    members = []
    for number, name in enumerate(BIRDS):
        members.append((f"{number:06d}.jpg", content(number)))
        members.append((f"{number:06d}.cls", b"3"))
        members.append((f"{number:06d}.json", json.dumps({"filename": name, "n": 1}).encode()))
    shard = write_tar(tmp_path / "a.tar", members)
    data = open_dataset("protocol", folder, images=shard)
    assert [s.path.member for s in data.samples] == [f"{i:06d}.jpg" for i in range(4)]
    bad = [(name, b"{" if name.endswith("json") else data) for name, data in members]
    write_tar(shard, bad)
    with pytest.raises(InputError, match=r"a\.tar::000000\.json: is not JSON"):
        open_dataset("protocol", folder, images=shard)


def test_another_column_names_an_image(folder, tmp_path):
    shard = write_parquet(tmp_path / "a.parquet", [None] * 4, image_id=BIRDS)
    data = open_dataset("protocol", folder, images=shard)
    assert [s.path.place for s in data.samples] == [0, 1, 2, 3]


def test_what_does_not_join_is_refused_with_both_sides(folder, tmp_path):
    shard = write_tar(tmp_path / "a.tar", [("x.jpg", content(0)), ("y.jpg", content(1))])
    with pytest.raises(
        InputError,
        match=r"a\.tar: none of .* such as 001\.Auk/a\.jpg, .*; the shards have x\.jpg, y",
    ):
        open_dataset("protocol", folder, images=shard)
    # One that is missing is told when it is asked for, as a missing file is.
    members = [(name, content(number)) for number, name in enumerate(BIRDS[1:], 1)]
    data = open_dataset("protocol", folder, images=write_tar(tmp_path / "b.tar", members))
    with pytest.raises(InputError, match=r"b\.tar::001\.Auk/a\.jpg: the shards have no such image"):
        open_image(data.samples[0].path)
    assert not data.samples[0].path.exists() and data.samples[1].path.exists()
    # Two that spell a name alike find neither.
    twice = [("p/a.jpg", content(0)), ("q/a.jpg", content(1)), *members]
    data = open_dataset("protocol", folder, images=write_tar(tmp_path / "c.tar", twice))
    assert not data.samples[0].path.exists()


def test_the_split_that_joins_is_looked_for(folder, tmp_path):
    write_parquet(tmp_path / "data" / "train-00000-of-00002.parquet", ["t1.jpg", "t2.jpg"])
    write_parquet(tmp_path / "data" / "train-00001-of-00002.parquet", ["t3.jpg", "t4.jpg"])
    write_parquet(tmp_path / "data" / "validation-00000-of-00001.parquet", BIRDS)
    data = open_dataset("protocol", folder, images=tmp_path / "data")
    assert {s.path.shard.name for s in data.samples} == {"validation-00000-of-00001.parquet"}


# --- every layout -------------------------------------------------------------------------------


def loose_and_packed(name, tmp_path, images, options, train=True):
    """A layout opened with loose images and with shards of them, as sets and as training sets."""
    pack_folder(images, tmp_path / "shards", shard_bytes=4000)
    shards = tmp_path / "shards"
    one, other = (
        open_dataset(name, images=place, **options) for place in (options.get("images"), shards)
    )
    return one, other


def same(one, other):
    assert len(one) > 0 and one.classes == other.classes and one.notes == other.notes
    for left, right in zip(one.samples, other.samples, strict=True):
        assert (left.image_id, left.label, left.size) == (right.image_id, right.label, right.size)
        assert left.boxes.tolist() == right.boxes.tolist()
        assert isinstance(right.path, Packed) and not isinstance(left.path, Packed)
        assert np.asarray(open_image(left.path)).tobytes() == (
            np.asarray(open_image(right.path)).tobytes()
        )


def write_images(root, names):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(number))


def test_cub_coco_and_imagefolder(tmp_path):
    cub = tmp_path / "cub"
    write_images(cub / "images", BIRDS)
    lines(cub / "images.txt", *(f"{i} {name}" for i, name in enumerate(BIRDS, 1)))
    lines(cub / "classes.txt", "1 001.Auk", "2 002.Wren")
    lines(cub / "image_class_labels.txt", "1 1", "2 1", "3 2", "4 2")
    lines(cub / "train_test_split.txt", "1 0", "2 1", "3 0", "4 1")
    lines(cub / "bounding_boxes.txt", *(f"{i} 1 1 9 9" for i in range(1, 5)))
    pack_folder(cub / "images", tmp_path / "packed", shard_bytes=3000)
    shards = tmp_path / "packed" / "images-*.tar"
    same(open_dataset("cub", cub), open_dataset("cub", cub, images=shards))
    same(open_training_set("cub", cub), open_training_set("cub", cub, images=shards))

    data = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(BIRDS)],
        "categories": [{"id": 1, "name": "bird"}],
        "annotations": [{"image_id": i, "category_id": 1, "bbox": [1, 2, 9, 9]} for i in range(4)],
    }
    (cub / "a.json").write_text(json.dumps(data))
    root = cub / "a.json"
    same(
        open_dataset("coco", root, images=cub / "images"), open_dataset("coco", root, images=shards)
    )

    lines(cub / "images" / "boxes.csv", "image,x0,y0,x1,y1", *(f"{n},1,2,3,4" for n in BIRDS))
    lines(cub / "boxes.csv", "image,x0,y0,x1,y1", *(f"{n},1,2,3,4" for n in BIRDS))
    same(
        open_dataset("imagefolder", cub, images=cub / "images"),
        open_dataset("imagefolder", cub, images=shards),
    )
    same(
        open_training_set("imagefolder", cub / "images"),
        open_training_set("imagefolder", cub, images=shards),
    )


def test_ilsvrc_flat_in_class_folders_and_from_the_hub(tmp_path):
    wnids = ["n01616318", "n01440764", "n01443537"]
    names = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in (1, 2, 3)]
    write_images(tmp_path / "set" / "val", names)
    for name, wnid in zip(names, wnids, strict=True):
        lines(
            tmp_path / "set" / "bbox" / "val" / name.replace(".JPEG", ".xml"),
            "<annotation><size><width>30</width><height>20</height></size><object>",
            f"<name>{wnid}</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax>",
            "<ymax>9</ymax></bndbox></object></annotation>",
        )
    root = tmp_path / "set"
    loose = open_dataset("ilsvrc", root)
    pack_folder(root / "val", tmp_path / "tar", shard_bytes=3000)
    same(loose, open_dataset("ilsvrc", root, images=tmp_path / "tar"))
    hub = [name.replace(".JPEG", f"_{wnid}.JPEG") for name, wnid in zip(names, wnids, strict=True)]
    write_parquet(tmp_path / "hub" / "validation-00000-of-00001.parquet", hub)
    same(loose, open_dataset("ilsvrc", root, images=tmp_path / "hub"))
    # The class behind the name counts where the annotation does not say.
    for path in (root / "bbox" / "val").iterdir():
        path.write_text(path.read_text().replace("<name>n", "<name>u"))
    labels = [s.label for s in open_dataset("ilsvrc", root, images=tmp_path / "hub").samples]
    assert labels == [s.label for s in loose.samples]
    train = open_training_set("ilsvrc", root, images=tmp_path / "hub")
    assert [s.label for s in train.samples] == labels


def test_tiny_imagenet(tmp_path):
    root = tmp_path / "tiny"
    lines(root / "wnids.txt", "n02", "n01")
    lines(root / "words.txt", "n01\tone", "n02\ttwo")
    lines(root / "val" / "val_annotations.txt", "val_0.JPEG\tn01\t1\t2\t3\t4",
          "val_1.JPEG\tn02\t1\t2\t3\t4")  # fmt: skip
    write_images(root / "val" / "images", ["val_0.JPEG", "val_1.JPEG"])
    for wnid in ("n01", "n02"):
        write_images(root / "train" / wnid / "images", [f"{wnid}_{i}.JPEG" for i in (2, 10)])
        lines(root / "train" / wnid / f"{wnid}_boxes.txt",
              *(f"{wnid}_{i}.JPEG\t1\t2\t3\t4" for i in (2, 10, 11)))  # fmt: skip
    for split in ("train", "val"):
        pack_folder(root / split, tmp_path / split, shard_bytes=3000)
        same(
            open_dataset("tiny-imagenet", root, split=split),
            open_dataset("tiny-imagenet", root, split=split, images=tmp_path / split),
        )
    same(
        open_training_set("tiny-imagenet", root),
        open_training_set("tiny-imagenet", root, images=tmp_path / "train"),
    )


# --- damage -------------------------------------------------------------------------------------


def test_a_truncated_shard_is_named_with_its_member(folder, tmp_path):
    members = [(name, content(number)) for number, name in enumerate(BIRDS)]
    for shard in (
        write_tar(tmp_path / "a.tar", members),
        write_tar(tmp_path / "a.tar.gz", members, "w:gz"),
    ):
        whole = shard.read_bytes()
        for share in (0.3, 0.6, 0.75):
            shard.write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(
                InputError,
                match=rf"{shard.name}: is damaged after (the member \w+\.|its beginning)",
            ):
                open_dataset("protocol", folder, images=shard)
        shard.write_bytes(whole)
        data = open_dataset("protocol", folder, images=shard)
        shard.write_bytes(whole[: len(whole) // 3])
        with pytest.raises(InputError, match=r"a\.tar.*::002\.Wren/d\.jpg: is not an image in a"):
            open_image(data.samples[3].path)
        shard.unlink()
        with pytest.raises(InputError, match=r"(does not exist|is not an image)"):
            read_packed(Packed(shard.with_name("gone.tar"), "x", 0, 5))


def test_a_shard_cut_between_two_members_has_no_end(tmp_path):
    members = [(name, content(number)) for number, name in enumerate(BIRDS)]
    shard = write_tar(tmp_path / "a.tar", members)
    end = index_of(shard).images[-1].place
    shard.write_bytes(shard.read_bytes()[: end - 512])
    with pytest.raises(InputError, match=r"after the member 002\.Wren/c\.jpg \(it ends without"):
        index_of(shard)


def test_a_damaged_gzip_is_noticed(tmp_path):
    shard = write_tar(tmp_path / "a.tar.gz", [("a.jpg", content(0))], "w:gz")
    data = bytearray(gzip.decompress(shard.read_bytes()))
    packed = bytearray(gzip.compress(bytes(data)))
    packed[-6] ^= 1  # of the checksum
    shard.write_bytes(packed)
    with pytest.raises(InputError, match=r"a\.tar\.gz: is damaged after the member a\.jpg \(CRC"):
        index_of(shard)


def test_parquet_files_that_hold_no_images(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: has no column of images; expected `image`"):
        index_of(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"b\.parquet: is not a Parquet file"):
        index_of(tmp_path / "b.parquet")
    pq.write_table(
        pa.table({"image": [{"bytes": None, "path": "x.jpg"}, {"bytes": b"1", "path": "y.jpg"}]}),
        tmp_path / "c.parquet",
    )
    found = index_of(tmp_path / "c.parquet").images
    with pytest.raises(InputError, match=r"c\.parquet::x\.jpg: .*it has a path and no bytes"):
        open_image(found[0])
    with pytest.raises(InputError, match=r"c\.parquet::y\.jpg: the image cannot be decoded"):
        open_image(found[1])


def test_members_that_are_no_images_are_passed_over(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, kind in (("d.jpg", tarfile.DIRTYPE), ("l.jpg", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    assert index_of(tmp_path / "a.tar").images == []


# --- packing ------------------------------------------------------------------------------------


def test_packing_is_the_same_whoever_does_it(tmp_path):
    write_images(tmp_path / "in", [*BIRDS, "z.png", "long/" + 120 * "x" + ".jpg"])
    (tmp_path / "in" / "notes.txt").write_text("no image")
    one = pack_folder(tmp_path / "in", tmp_path / "one", shard_bytes=3000)
    seen = []
    two = pack_folder(tmp_path / "in", tmp_path / "two", shard_bytes=3000, advance=seen.append)
    assert len(one) > 2 and sum(seen) == 6
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    zipped = pack_folder(tmp_path / "in", tmp_path / "gz", shard_bytes=10**6, zipped=True)
    again = pack_folder(tmp_path / "in", tmp_path / "gz2", shard_bytes=10**6, zipped=True)
    assert zipped[0].read_bytes() == again[0].read_bytes() and len(zipped) == 1
    members = [packed.member for shard in one for packed in index_of(shard).images]
    assert members == images_below(tmp_path / "in") and len(members) == 6
    assert expanded(type(tmp_path)(pattern_of(one))) == one
    assert pattern_of(zipped) == str(zipped[0])
    for shard in one[:-1]:
        assert shard.stat().st_size < 3000 + 11_000  # the padding of a tar file


def test_packing_refuses_what_it_cannot_do(tmp_path):
    with pytest.raises(InputError, match="does not exist; expected a folder of images"):
        pack_folder(tmp_path / "none", tmp_path / "out", shard_bytes=1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no images in it"):
        pack_folder(tmp_path / "empty", tmp_path / "out", shard_bytes=1)
    write_images(tmp_path / "in", BIRDS)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    with pytest.raises(InputError, match="is there already"):
        pack_folder(tmp_path / "in", tmp_path / "full", shard_bytes=1)
    shards = pack_folder(tmp_path / "in", tmp_path / "out", shard_bytes=1)
    assert len(shards) == 4
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "in", "full", "out"}


# --- order --------------------------------------------------------------------------------------


def test_photographs_are_read_from_front_to_back(folder, tmp_path):
    order = [2, 0, 3, 1]
    write_tar(tmp_path / "s" / "0.tar", [(BIRDS[i], content(i)) for i in order[:2]])
    write_tar(tmp_path / "s" / "1.tar", [(BIRDS[i], content(i)) for i in order[2:]])
    packed = open_dataset("protocol", folder, images=tmp_path / "s")
    assert reading_order(packed.samples).tolist() == order
    loose = open_dataset("protocol", folder, images=tmp_path / "loose")
    assert reading_order(loose.samples).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("items", range(12))
@pytest.mark.parametrize("workers", [0, 1, 2, 3, 5])
def test_workers_who_take_turns_get_runs(items, workers):
    turns = in_turns(list(range(items)), workers)
    assert sorted(turns) == list(range(items))
    for worker in range(max(workers, 1)):
        mine = turns[worker :: max(workers, 1)]
        assert mine == list(range(mine[0], mine[0] + len(mine))) if mine else True


def test_names_from_the_hub():
    assert without_class("a/b_n01440764.JPEG") == "a/b.JPEG"
    assert without_class("n01440764_10026.JPEG") == "n01440764_10026.JPEG"
    packed = Packed(None, "x/ILSVRC2012_val_00000025_n01616318.JPEG", 0, 1)
    assert class_in(packed) == "n01616318" and class_in(None) is None


def test_a_folder_is_a_folder(tmp_path):
    with pytest.raises(InputError, match="does not exist; expected the image root"):
        image_source(tmp_path / "none", "the image root")
    (tmp_path / "images").mkdir()
    assert not isinstance(image_source(tmp_path / "images", "the image root"), Shards)
