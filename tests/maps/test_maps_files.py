"""Every layout of precomputed score maps, and what goes wrong in each."""

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
    with pytest.raises(InputError, match=r"c\.png\.npy: holds Python objects"):
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
    with pytest.raises(InputError, match=r"maps\.npz: cannot be read"):
        ScoreMaps(tmp_path / "maps.npz", IDS)


def test_an_image_id_cannot_escape_the_folder(tmp_path):
    with pytest.raises(InputError, match="leaves its folder"):
        save_score_map(tmp_path, "../evil", np.zeros((2, 2), np.float32))
