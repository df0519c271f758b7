"""Every layout of precomputed score maps, and what goes wrong in each."""

import os
import warnings
import zipfile

import numpy as np
import pytest

from wsol.errors import InputError
from wsol.maps.files import ScoreMaps, save_score_map

IDS = ["val/a.JPEG", "val/b.JPEG", "c.png"]


def arrays():
    return {name: np.full((4, 5), i / 4, dtype=np.float32) for i, name in enumerate(IDS)}


def check(maps):
    assert maps.missing == [] and maps.extra == []
    for name, array in arrays().items():
        np.testing.assert_array_equal(maps.read(name), array)


def test_folder_written_by_save(tmp_path):
    for name, array in arrays().items():
        save_score_map(tmp_path, name, array)
    assert (tmp_path / "val" / "a.JPEG.npy").is_file()
    check(ScoreMaps(tmp_path, IDS))


def test_folder_without_suffixes(tmp_path):
    (tmp_path / "val").mkdir()
    for name, array in arrays().items():
        np.save(tmp_path / f"{name.rsplit('.', 1)[0]}.npy", array)
    check(ScoreMaps(tmp_path, IDS))


def test_npz(tmp_path):
    np.savez(tmp_path / "maps.npz", **arrays())
    check(ScoreMaps(tmp_path / "maps.npz", IDS))


def test_stack_with_index(tmp_path):
    order = IDS[::-1]
    np.save(tmp_path / "maps.npy", np.stack([arrays()[name] for name in order]))
    (tmp_path / "maps.txt").write_text("\n".join(order) + "\n")
    check(ScoreMaps(tmp_path / "maps.npy", IDS))


def test_stack_with_a_wrong_index(tmp_path):
    np.save(tmp_path / "maps.npy", np.zeros((3, 4, 5)))
    with pytest.raises(InputError, match=r"maps\.txt: does not exist"):
        ScoreMaps(tmp_path / "maps.npy", IDS)
    (tmp_path / "maps.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match=r"maps\.txt: has 2 lines"):
        ScoreMaps(tmp_path / "maps.npy", IDS)
    (tmp_path / "maps.txt").write_text("a\nb\na\n")
    with pytest.raises(InputError, match=r"maps\.txt: lists an image id twice"):
        ScoreMaps(tmp_path / "maps.npy", IDS)


def test_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        for name, array in arrays().items():
            file[name] = array
    check(ScoreMaps(tmp_path / "maps.h5", IDS))


def test_missing_and_extra_maps_are_listed(tmp_path):
    save_score_map(tmp_path, "val/a.JPEG", np.zeros((2, 2), np.float32))
    save_score_map(tmp_path, "val/z.JPEG", np.zeros((2, 2), np.float32))
    (tmp_path / "val" / ".half-written.npy").write_bytes(b"")
    maps = ScoreMaps(tmp_path, IDS)
    assert maps.missing == ["val/b.JPEG", "c.png"]
    assert maps.extra == ["val/z.JPEG"]
    with pytest.raises(InputError, match=r"c\.png\.npy: there is no score map"):
        maps.read("c.png")


def test_two_maps_of_one_image(tmp_path):
    save_score_map(tmp_path, "c.png", np.zeros((2, 2), np.float32))
    save_score_map(tmp_path, "c", np.zeros((2, 2), np.float32))
    with pytest.raises(InputError, match=r"c\.png: has two score maps"):
        ScoreMaps(tmp_path, IDS)


def test_one_map_of_two_images(tmp_path):
    save_score_map(tmp_path, "c", np.zeros((2, 2), np.float32))
    with pytest.raises(InputError, match=r"'c' fits two images, c\.png and c\.jpg"):
        ScoreMaps(tmp_path, ["c.png", "c.jpg"])


def test_an_object_array_is_never_unpickled(tmp_path):
    np.save(tmp_path / "c.png.npy", np.array([{"harm": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"c\.png\.npy: .*holds Python objects, which are never"):
        ScoreMaps(tmp_path, ["c.png"]).read("c.png")


@pytest.mark.parametrize("content", [b"", b"junk", b"\x93NUMPY\x01\x00"])
def test_an_unreadable_map_is_named(tmp_path, content):
    (tmp_path / "c.png.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"c\.png\.npy: cannot be read as an array"):
        ScoreMaps(tmp_path, ["c.png"]).read("c.png")


def test_a_truncated_map_is_named(tmp_path):
    save_score_map(tmp_path, "c.png", np.zeros((50, 50), np.float32))
    path = tmp_path / "c.png.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"c\.png\.npy: cannot be read as an array"):
        ScoreMaps(tmp_path, ["c.png"]).read("c.png")


def test_unknown_layouts(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        ScoreMaps(tmp_path / "none", IDS)
    (tmp_path / "maps.mat").write_bytes(b"")
    with pytest.raises(InputError, match=r"maps\.mat: not a layout"):
        ScoreMaps(tmp_path / "maps.mat", IDS)
    (tmp_path / "maps.npz").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"maps\.npz: is not a file of score maps"):
        ScoreMaps(tmp_path / "maps.npz", IDS)


def test_names_that_fit_nothing_show_both_sides(tmp_path):
    for name in ("x1", "x2", "x3", "x4"):
        save_score_map(tmp_path, name, np.zeros((2, 2), np.float32))
    with pytest.raises(
        InputError,
        match=r"an image: there are x1, x2, x3 and 1 more; expected val/a\.JPEG or val/a, and",
    ):
        ScoreMaps(tmp_path, IDS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no score maps; expected one named val/a\.JPEG or"):
        ScoreMaps(tmp_path / "empty", IDS)


def written(header, data=b""):
    """A .npy file of this header and these bytes."""
    text = repr(header).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def claimed(shape, descr="<f4"):
    return {"descr": descr, "fortran_order": False, "shape": shape}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (written(claimed((2, 2)), bytes(17)), "has 17 bytes of data where its header says 16"),
        (written(claimed((2, 2)), bytes(15)), "has 15 bytes of data where its header says 16"),
        (written(claimed((1000, 10**9)), bytes(16)), r"has the shape \(1000, 1000000000\); a map"),
        (written(claimed((2**13, 2**13 + 1))), "a map has at most 67,108,864 pixels"),
        (written(claimed((-2, 2)), bytes(16)), r"has the shape \(-2, 2\)"),
        (written(claimed((1, 1), "<f16"), bytes(16)), "has the type float128; expected"),
        (written(claimed((1, 1), "<c8"), bytes(8)), "has the type complex64; expected"),
        (written(claimed((1, 1), "|S4"), bytes(4)), r"has the type \|S4; expected"),
        (written(claimed((1, 1), "<U0")), "has the type <U0; expected"),
        (b"\x93NUMPY\x03\x00" + bytes(60), r"the \.npy version 3\.0, which no plain array has"),
        (written({"descr": "<f4"}), "does not contain the correct keys"),
    ],
)
def test_a_header_is_held_against_the_file(tmp_path, content, message):
    (tmp_path / "c.png.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "maps.npz", "w") as archive:
        archive.writestr("c.png.npy", content)
    for place in (tmp_path, tmp_path / "maps.npz"):
        with pytest.raises(InputError, match=rf"c\.png.*: cannot be read as an array.*{message}"):
            ScoreMaps(place, ["c.png"]).read("c.png")


@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_bytes_and_columns_in_any_order(tmp_path, dtype, order):
    array = np.asarray(np.arange(20).reshape(4, 5) / 32, dtype=dtype, order=order)
    np.save(tmp_path / "c.png.npy", array)
    np.save(tmp_path / "maps.npy", np.asarray(array[None], order=order))
    (tmp_path / "maps.txt").write_text("c.png\r\n")
    np.savez_compressed(tmp_path / "maps.npz", **{"c.png": array})
    for place in (tmp_path, tmp_path / "maps.npy", tmp_path / "maps.npz"):
        read = ScoreMaps(place, ["c.png"]).read("c.png")
        assert read.dtype.isnative and read.dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(read, array)


def test_a_stack_is_as_long_as_it_says(tmp_path):
    np.save(tmp_path / "maps.npy", np.zeros((1, 4, 5)))
    (tmp_path / "maps.txt").write_text("c.png\n")
    with (tmp_path / "maps.npy").open("ab") as stream:
        stream.write(bytes(8))
    with pytest.raises(InputError, match=r"maps\.npy: .*has 296 bytes where its header says 288"):
        ScoreMaps(tmp_path / "maps.npy", ["c.png"])


def test_damaged_and_locked_archives(tmp_path):
    np.savez(tmp_path / "maps.npz", **{"c.png": np.zeros((4, 5))})
    content = bytearray((tmp_path / "maps.npz").read_bytes())
    changed = content.copy()
    changed[content.index(b"NUMPY") + 130] ^= 1
    (tmp_path / "maps.npz").write_bytes(changed)
    with pytest.raises(InputError, match=r"cannot be read as an array \(Bad CRC-32"):
        ScoreMaps(tmp_path / "maps.npz", ["c.png"]).read("c.png")
    central = content.index(b"PK\x01\x02")
    for flags in (6, central + 8):
        content[flags] |= 1
    (tmp_path / "maps.npz").write_bytes(content)
    with pytest.raises(InputError, match="is encrypted, password required"):
        ScoreMaps(tmp_path / "maps.npz", ["c.png"]).read("c.png")
    with zipfile.ZipFile(tmp_path / "maps.npz", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("c.png.npy", b"1")
        archive.writestr("c.png.npy", b"2")
    with pytest.raises(InputError, match=r"holds two score maps called 'c\.png'"):
        ScoreMaps(tmp_path / "maps.npz", ["c.png"])


def test_hdf5_opens_no_other_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret.bin").write_bytes(bytes(80))
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file.create_dataset("a", (4, 5), "f4", external=[(str(tmp_path / "secret.bin"), 0, 80)])
        layout = h5py.VirtualLayout((4, 5), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (4, 5))
        file.create_virtual_dataset("b", layout)
        file["c"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "x")
        file["d"] = h5py.Empty("f4")
        file["e"] = "text"
        file["f"] = np.float32(3)
        file["g"] = np.arange(20, dtype=">f8").reshape(4, 5)
        file.create_dataset("h", (10**5, 10**5), "f4")
    maps = ScoreMaps(tmp_path / "maps.h5", list("abdefgh"))
    for name, message in {
        "a": "keeps its values in other files",
        "b": "keeps its values in other files",
        "d": "is empty",
        "e": "holds Python objects",
        "f": "is no array",
        "h": "a map has at most",
    }.items():
        with pytest.raises(InputError, match=rf"maps\.h5\[{name}\]: .*{message}"):
            maps.read(name)
    assert maps.read("g").dtype == np.float64
    assert "c" not in ScoreMaps(tmp_path / "maps.h5", ["a", "c"]).extra


def test_a_map_that_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "c.png.npy")
    with pytest.raises(InputError, match=r"c\.png\.npy: is not a file"):
        ScoreMaps(tmp_path, ["c.png"]).read("c.png")
    os.mkfifo(tmp_path / "maps.npz")
    with pytest.raises(InputError, match=r"maps\.npz: is not a file"):
        ScoreMaps(tmp_path / "maps.npz", ["c.png"])


def test_an_image_id_cannot_escape_the_folder(tmp_path):
    with pytest.raises(InputError, match="leaves its folder"):
        save_score_map(tmp_path, "../evil", np.zeros((2, 2), np.float32))
