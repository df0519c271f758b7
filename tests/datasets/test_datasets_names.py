"""Names that two sides spell differently."""

from hypothesis import given
from hypothesis import strategies as st

from wsol.datasets.names import joined


def test_each_way_of_spelling():
    asked = ["val/ILSVRC2012_val_00000025.JPEG", "n01440764/n01440764_7.JPEG", "001.Auk/Auk_1.jpg"]
    for available in (
        asked,
        ["val/ILSVRC2012_val_00000025.jpg", "n01440764/n01440764_7.jpg", "001.Auk/Auk_1"],
        ["ILSVRC2012_val_00000025.JPEG", "n01440764_7.JPEG", "Auk_1.png"],
        ["x/ILSVRC2012_val_00000025_n01616318.JPEG", "n01440764_7_n01440764.JPEG", "Auk_1.jpg"],
    ):
        assert joined(asked, available) == dict(zip(asked, available, strict=True))


def test_a_name_that_two_share_finds_neither():
    assert joined(["a.jpg"], ["x/a.jpg", "y/a.jpg"]) == {}
    assert joined(["x/a.jpg", "a.png"], ["x/a.jpg", "y/a.jpg"]) == {"x/a.jpg": "x/a.jpg"}
    assert joined(["b"], ["a"]) == {} and joined([], ["a"]) == {} and joined(["a"], []) == {}


@given(st.lists(st.text("ab/.", max_size=6)), st.lists(st.text("ab/.", max_size=6)))
def test_what_is_there_under_its_own_name_is_found_by_it(asked, available):
    found = joined(asked, available)
    assert set(found) <= set(asked) and set(found.values()) <= set(available)
    for name in asked:
        if available.count(name) == 1:
            assert found[name] == name
