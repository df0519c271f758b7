"""Positions are followed through a pass, whatever way a network lays them out."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from wsol.maps.layout import layout_of
from wsol.maps.positions import of_grid, positions_after

BATCH, CHANNELS, HEIGHT, WIDTH = 2, 5, 4, 6


def followed(function, *args, known, **kwargs):
    """A function's first result and its positions, kept in `known` by the result's identity."""
    result = function(*args, **kwargs)
    results = [result] if isinstance(result, torch.Tensor) else list(result)
    found = positions_after(function, args, kwargs, results, lambda t: known.get(id(t)))
    known[id(results[0])] = found[0]
    known.setdefault("alive", []).append(results[0])
    return results[0]


def begun():
    """Features whose values tell channel and position apart, and what is known of them."""
    features = torch.arange(BATCH * CHANNELS * HEIGHT * WIDTH, dtype=torch.float32)
    features = features.view(BATCH, CHANNELS, HEIGHT, WIDTH)
    known = {id(features): of_grid(features), "alive": [features]}
    return features, known


MOVES = {
    "channels last": lambda x, go: go(torch.permute, x, (0, 2, 3, 1)),
    "flat": lambda x, go: go(torch.flatten, x, 2),
    "tokens": lambda x, go: go(torch.transpose, go(torch.flatten, x, 2), 1, 2),
    "tokens turned round": lambda x, go: go(
        torch.flip, go(torch.transpose, go(torch.flatten, x, 2), 1, 2), (1,)
    ),
    "class token first": lambda x, go: go(
        torch.cat, [torch.zeros(BATCH, 1, CHANNELS), MOVES["tokens"](x, go)], 1
    ),
    "registers at both ends": lambda x, go: go(
        torch.cat,
        [torch.zeros(BATCH, 3, CHANNELS), MOVES["tokens"](x, go), torch.ones(BATCH, 2, CHANNELS)],
        1,
    ),
    "rolled": lambda x, go: go(torch.roll, x, (1, -2), (2, 3)),
    "padded and cut": lambda x, go: go(
        torch.Tensor.__getitem__, go(F.pad, x, (1, 2, 3, 1)), (..., slice(3, 7), slice(1, 7))
    ),
}


@pytest.mark.parametrize("move", MOVES)
def test_moved_features_are_found_again(move):
    features, known = begun()
    moved = MOVES[move](features, lambda f, *a, **k: followed(f, *a, known=known, **k))
    layout = layout_of(known[id(moved)])
    assert layout.grid == (HEIGHT, WIDTH)
    assert torch.equal(layout.features(moved), features)


def test_windows_are_put_together_again():
    features, known = begun()

    def go(function, *args):
        return followed(function, *args, known=known)

    cut = go(torch.permute, go(torch.reshape, features, (2, 5, 2, 2, 3, 2)), (0, 2, 4, 3, 5, 1))
    windows = go(torch.reshape, cut, (12, 4, 5))
    # A window is no grid of the image: its positions differ from image to image.
    assert layout_of(known[id(windows)]) is None
    seen = go(F.linear, windows, torch.randn(5, 5))
    back = go(torch.permute, go(torch.reshape, seen, (2, 2, 3, 2, 2, 5)), (0, 5, 1, 3, 2, 4))
    whole = go(torch.reshape, back, (2, 5, 4, 6))
    assert layout_of(known[id(whole)]).grid == (4, 6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["roll", "flip", "permute", "split", "expand"]), max_size=6))
def test_any_chain_of_moves_ends_in_the_features(moves):
    features, known = begun()

    def go(function, *args):
        return followed(function, *args, known=known)

    moved, channels, times = features, 1, 1
    for move in moves:
        if move == "roll":
            moved = go(torch.roll, moved, 1, 2)
        elif move == "flip":
            moved = go(torch.flip, moved, (3 if channels == 1 else 1,))
        elif move == "permute":
            order = (0, 2, 3, 1) if channels == 1 else (0, 3, 1, 2)
            moved, channels = go(torch.permute, moved, order), 4 - channels
        elif move == "split":
            moved = go(torch.clone, moved)
        elif moved.shape[channels] < 40:
            moved, times = go(torch.cat, [moved, moved], channels), 2 * times
    layout = layout_of(known[id(moved)])
    assert (layout.channels, layout.grid) == (channels, (HEIGHT, WIDTH))
    assert torch.equal(layout.features(moved), features.repeat(1, times, 1, 1))


def test_the_same_position_stays_under_maps_of_channels():
    features, known = begun()
    tokens = MOVES["class token first"](features, lambda f, *a: followed(f, *a, known=known))
    wide = followed(F.linear, tokens, torch.randn(8, CHANNELS), known=known)
    summed = followed(torch.add, torch.zeros_like(wide), wide, known=known)
    normed = followed(F.layer_norm, summed, (8,), known=known)
    assert layout_of(known[id(normed)]).grid == (HEIGHT, WIDTH)
    queries = followed(torch.matmul, normed, torch.randn(BATCH, 8, 25), known=known)
    assert layout_of(known[id(queries)]).features(queries).shape == (BATCH, 25, HEIGHT, WIDTH)


def test_neighbours_that_are_joined_make_a_coarser_grid():
    features, known = begun()

    def go(function, *args, **kwargs):
        return followed(function, *args, known=known, **kwargs)

    joined = go(torch.permute, go(torch.reshape, features, (2, 5, 2, 2, 3, 2)), (0, 2, 4, 3, 5, 1))
    merged = go(F.linear, go(torch.reshape, joined, (2, 2, 3, 20)), torch.randn(7, 20))
    assert layout_of(known[id(merged)]).grid == (2, 3)
    pooled = go(torch.amax, go(torch.reshape, features, (2, 5, 2, 2, 3, 2)), (3, 5))
    assert layout_of(known[id(pooled)]).grid == (2, 3)
    assert torch.equal(pooled, F.max_pool2d(features, 2))
    every_other = go(torch.Tensor.__getitem__, features, (..., slice(0, 4, 2), slice(0, 6, 3)))
    assert layout_of(known[id(every_other)]).grid == (2, 2)


@pytest.mark.parametrize(
    "reduced",
    [
        lambda x: (torch.mean, x, 3),
        lambda x: (torch.mean, x, (2, 3)),
        lambda x: (torch.mean, x, (2, 3), True),
        lambda x: (torch.sum, x, 2),
        lambda x: (torch.Tensor.__getitem__, x, (..., 0, 0)),
        lambda x: (F.linear, x.flatten(1), torch.ones(16, CHANNELS * HEIGHT * WIDTH)),
        lambda x: (F.linear, x.flatten(2), torch.ones(16, HEIGHT * WIDTH)),
        lambda x: (F.adaptive_avg_pool2d, x, 1),
    ],
    ids=["columns", "all", "kept axes", "rows", "corner", "dense", "across tokens", "pooled"],
)
def test_what_is_no_grid_any_more_is_none(reduced):
    features, known = begun()
    function, *args = reduced(features)
    known[id(args[0])] = known[id(features)] if args[0] is features else known.get(id(args[0]))
    result = followed(function, *args, known=known)
    positions = known[id(result)]
    layout = None if positions is None else layout_of(positions)
    assert layout is None or layout.grid == (1, 1)


def test_the_mean_over_channels_keeps_the_grid():
    features, known = begun()
    mean = followed(torch.mean, features, 1, True, known=known)
    assert layout_of(known[id(mean)]).grid == (HEIGHT, WIDTH)
