"""Which position of a grid each element of a tensor belongs to, followed through a forward pass.

Networks lay the same positions out in many ways: channels first or last, flattened into tokens,
with a class token before them, cut into windows and put together again. Operations that only move
elements are applied to a tensor of positions as well, which then says, whatever the layout, where
every element came from. Convolutions and pooling begin a new grid, and operations that keep a
shape, or change the length of an axis along which the position is the same, keep the positions.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

# By name, as functions, methods of tensors, and operators of exported networks.
_MOVING = re.compile(
    r"__get(item)?__|_unsafe_view|cat|chunk|clone|concat(enate)?|constant_pad_nd|contiguous|"
    r"(expand|reshape|view)(_as)?|(un)?flatten|flip|index_select|move(axis|dim)|narrow|pad|permute|"
    r"repeat|roll|select|slice|split(_with_sizes)?|(un)?squeeze|stack|swap(axes|dims)|t|"
    r"tensor_split|tile|transpose|unbind|unfold"
)
_REDUCING = frozenset(["amax", "amin", "max", "mean", "min", "sum"])
_PRODUCTS = frozenset(["linear", "matmul", "__matmul__", "bmm", "mm"])
_GRID = re.compile(r"conv|pool|interpolate|upsample|grid_sample|pixel_(un)?shuffle")

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions of a tensor's elements.

    Attributes:
        index: int32 in the tensor's shape: 1 + y * width + x, or 0 for none.
        grid: (height, width).
    """

    index: Tensor
    grid: tuple[int, int]


def name_of(function: Function) -> str:
    """A torch function's name, without the overload of an operator."""
    return str(getattr(function, "__name__", "")).split(".")[0]


def is_moving(name: str) -> bool:
    """Whether the function of a name only moves elements."""
    return _MOVING.fullmatch(name) is not None


def makes_grid(function: Function) -> bool:
    """Whether a function's four-dimensional result is a grid of positions of its own."""
    return _GRID.search(name_of(function)) is not None


def of_grid(tensor: Tensor) -> Positions:
    """The positions of a tensor (B, K, h, w)."""
    height, width = tensor.shape[-2:]
    count = torch.arange(1, 1 + height * width, dtype=torch.int32, device=tensor.device)
    return Positions(count.view(1, 1, height, width).expand(tensor.shape), (height, width))


def positions_after(
    function: Function,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    results: list[Tensor],
    known: Callable[[Tensor], Positions | None],
) -> list[Positions | None]:
    """The positions of a function's results, from those that are known of its arguments."""
    if is_moving(name_of(function)):
        return _moved(function, args, kwargs, results, known)
    if results[0].ndim == 4 and makes_grid(function):
        given = known(args[0]) if args and isinstance(args[0], Tensor) else None
        if given is not None and not is_constant(given.index, 0):
            first: Positions | None = _strided(given, results[0])  # windows of images
        else:
            first = of_grid(results[0])
        return [first] + [None] * (len(results) - 1)
    if name_of(function) in _REDUCING and len(args) > 0 and isinstance(args[0], Tensor):
        positions = known(args[0])
        if positions is not None and results[0].numel() < args[0].numel():
            return [_reduced(args, kwargs, result, positions) for result in results]
    if name_of(function) in _PRODUCTS and len(args) > 1:
        return [_product(args[0], args[1], result, known) for result in results]
    sources: list[tuple[Tensor, Positions]] = []

    def collect(value: Any) -> Any:
        if isinstance(value, Tensor):
            positions = known(value)
            if positions is not None:
                sources.append((value, positions))
        return value

    tree_map(collect, (args, kwargs))
    return [_kept(result, sources) for result in results]


def _moved(
    function: Function,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    results: list[Tensor],
    known: Callable[[Tensor], Positions | None],
) -> list[Positions | None]:
    grids: list[tuple[int, int]] = []

    def index_of(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        positions = known(value)
        if positions is None:
            return torch.zeros(1, dtype=torch.int32, device=value.device).expand(value.shape)
        grids.append(positions.grid)
        return positions.index

    moved_args, moved_kwargs = tree_map(index_of, (args, kwargs))
    if name_of(function).endswith("_as"):  # the second argument only says the shape
        first = known(args[0])
        grids = [] if first is None else [first.grid]
    if len(set(grids)) != 1:
        return [None] * len(results)
    try:
        moved = function(*moved_args, **moved_kwargs)
    except (RuntimeError, TypeError, ValueError):  # takes no integers
        as_floats = tree_map(
            lambda value: value.float() if isinstance(value, Tensor) else value, moved_args
        )
        try:
            moved = function(*as_floats, **moved_kwargs)
        except (RuntimeError, TypeError, ValueError):
            return [None] * len(results)
    moved = [moved] if isinstance(moved, Tensor) else list(moved)
    return [
        Positions(index.int(), grids[0]) if index.shape == result.shape else None
        for index, result in zip(moved, results, strict=True)
    ]


def _kept(result: Tensor, sources: list[tuple[Tensor, Positions]]) -> Positions | None:
    for source, positions in sources:
        if source.shape == result.shape:
            return positions
    for source, positions in sources:
        if source.ndim != result.ndim:
            continue
        changed = [axis for axis in range(result.ndim) if source.shape[axis] != result.shape[axis]]
        if len(changed) == 1 and changed[0] > 0:
            first = positions.index.narrow(changed[0], 0, 1)
            if not is_constant(positions.index, changed[0]):
                return _merged(first, positions.grid, result)
            return Positions(first.expand(result.shape), positions.grid)
    return None


def _product(
    left: Tensor, right: Tensor, result: Tensor, known: Callable[[Tensor], Positions | None]
) -> Positions | None:
    """Positions of a product of matrices: the rows' where they have some, else the columns'."""
    rows, columns = known(left), known(right)
    if rows is not None and left.shape[:-1] == result.shape[:-1]:
        first = rows.index.narrow(-1, 0, 1)
        if is_constant(rows.index, left.ndim - 1):
            return Positions(first.expand(result.shape), rows.grid)
        return _merged(first, rows.grid, result)
    if columns is None or (right.ndim, right.shape[-1]) != (result.ndim, result.shape[-1]):
        return None
    if not is_constant(columns.index, right.ndim - 2):
        return None
    return Positions(columns.index.narrow(-2, 0, 1).expand(result.shape), columns.grid)


def _merged(first: Tensor, grid: tuple[int, int], result: Tensor) -> Positions | None:
    """Positions after neighbours have been joined into one: those of the first ones."""
    distinct = first[first > 0].unique().long()
    joined = part_of_grid(distinct, grid[1])
    if joined is None or 1 in joined:  # as after an average over rows alone
        return None
    renumbered = torch.zeros(1 + grid[0] * grid[1], dtype=torch.int32, device=first.device)
    numbers = torch.arange(1, 1 + len(distinct), dtype=torch.int32, device=first.device)
    renumbered[distinct] = numbers
    return Positions(renumbered[first.long()].expand(result.shape), joined)


def _strided(given: Positions, result: Tensor) -> Positions | None:
    """Positions after a convolution within windows: those of the pixels that it stands at."""
    index = given.index
    if index.ndim != 4 or len(index) != len(result):
        return None
    y, x = (max(1, index.shape[axis] // result.shape[axis]) for axis in (2, 3))
    first = index[:, :1, ::y, ::x][:, :, : result.shape[2], : result.shape[3]]
    if first.shape[2:] != result.shape[2:]:
        return None
    return Positions(first.expand(result.shape), given.grid)


def part_of_grid(distinct: Tensor, width: int) -> tuple[int, int] | None:
    """(height, width) of sorted positions that are some rows' and columns' of a grid."""
    rows, columns = ((distinct - 1) // width).unique(), ((distinct - 1) % width).unique()
    if len(distinct) == 0 or len(rows) * len(columns) != len(distinct):
        return None
    return len(rows), len(columns)


def _reduced(
    args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor, positions: Positions
) -> Positions | None:
    """Positions after a reduction over some axes: constant along them, or of joined neighbours."""
    axes = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis"))
    axes = [axes] if isinstance(axes, int) else axes
    if not axes or not all(isinstance(axis, int) for axis in axes):
        return None
    first, constant = positions.index, True
    for axis in axes:
        constant = constant and is_constant(positions.index, axis)
        first = first.narrow(axis, 0, 1)
    if result.ndim != first.ndim:
        first = first.squeeze(tuple(axes))
    if first.shape != result.shape:
        return None
    return Positions(first, positions.grid) if constant else _merged(first, positions.grid, result)


def is_constant(index: Tensor, axis: int) -> bool:
    """Whether positions are the same all along an axis."""
    return index.stride(axis) == 0 or bool((index == index.narrow(axis, 0, 1)).all())
