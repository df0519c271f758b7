"""Top-k Cls, Top-k Loc and GT-known Loc are what one counts, image by image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.errors import InputError
from wsol.metrics.classification import LocalizationCounts

CLASSES = 3
IMAGES = st.lists(
    st.tuples(
        st.sampled_from([None, False, True]),
        st.sampled_from([None, 0, 1, 4, 5, 9]),
        st.sampled_from([None, False, True]),
        st.integers(0, CLASSES - 1),
    ),
    max_size=12,
)


def counted(images):
    counts = LocalizationCounts(CLASSES)
    for localized, rank, top_k, label in images:
        counts.update(localized, rank, top_k=top_k, label=label)
    return counts


def percent(right):
    return pytest.approx(100 * sum(right) / len(right))


def right_in(k, images):
    """Of each image with boxes, whether it is right for Top-k Loc."""
    return [
        rank is not None and rank < k and (localized if top_k is None else top_k)
        for localized, rank, top_k, _ in images
        if localized is not None
    ]


@given(IMAGES)
def test_percentages_are_shares_of_the_images_they_are_about(images):
    found = counted(images).compute()
    ranks = [rank for _, rank, _, _ in images if rank is not None]
    boxed = [localized for localized, *_ in images if localized is not None]
    expected = {}
    for k in (1, 5):
        if ranks:
            expected[f"top{k}_cls"] = percent([rank < k for rank in ranks])
        if ranks and boxed:
            expected[f"top{k}_loc"] = percent(right_in(k, images))
    if boxed:
        expected["gt_known_loc"] = percent(boxed)
    assert found == expected


@given(IMAGES)
def test_class_means_are_means_of_the_classes_own_shares(images):
    by_class = [[image for image in images if image[3] == label] for label in range(CLASSES)]
    boxed = [own for own in by_class if any(image[0] is not None for image in own)]
    found = counted(images).class_means()
    if not boxed:
        assert found == {}
        return
    shares = [np.mean([i[0] for i in own if i[0] is not None]) for own in boxed]
    assert found.pop("gt_known_loc_class_mean") == percent(shares)
    answered = any(rank is not None for _, rank, _, _ in images)
    expected = {
        f"top{k}_loc_class_mean": percent([np.mean(right_in(k, own)) for own in boxed])
        for k in (1, 5)
    }
    assert found == (expected if answered else {})


@given(IMAGES, st.integers(0, 12))
def test_parts_add_up(images, cut):
    one, other = counted(images[:cut]), counted(images[cut:])
    one.merge(other)
    whole = counted(images)
    assert one.compute() == whole.compute() and one.class_means() == whole.class_means()
    again = LocalizationCounts(CLASSES)
    again.load_state(one.state())
    assert again.compute() == whole.compute()
    assert whole.localized == sum(
        bool(localized) for localized, *_ in images if localized is not None
    ) + sum(right_in(1, images))


def test_counts_of_other_classes_are_refused():
    with pytest.raises(InputError, match="of another version"):
        LocalizationCounts(2).load_state(LocalizationCounts(3).state())
