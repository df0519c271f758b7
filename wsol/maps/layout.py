"""How the features of a layer lie in its tensor."""

from dataclasses import dataclass

from torch import Tensor

from wsol.maps.positions import Positions, is_constant, part_of_grid


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """How (B, K, h, w) features lie in a tensor.

    Attributes:
        channels: the axis of K.
        cells: where each position is among the tensor's other axes, flattened; None where they
            are the grid as it is.
        grid: (h, w).
        images: the axis of B: 0, or of tokens before images, as in (tokens, B, K), 1.
    """

    channels: int
    cells: Tensor | None
    grid: tuple[int, int]
    images: int = 0

    def features(self, tensor: Tensor) -> Tensor:
        """The (B, K, h, w) features in a tensor; a view where that is possible."""
        moved = tensor.movedim((self.images, self.channels), (0, 1))
        if self.cells is None:
            return moved.reshape(*moved.shape[:2], *self.grid) if moved.ndim == 3 else moved
        cells = self.cells.to(tensor.device)
        return moved.flatten(2).index_select(2, cells).unflatten(2, self.grid)


def layout_of(positions: Positions) -> Layout | None:
    """The layout of a tensor with these positions, or None where it is no grid of features."""
    index, width = positions.index, positions.grid[1]
    if index.ndim not in (3, 4):
        return None
    images = 0 if is_constant(index, 0) else 1
    if images and (index.ndim != 3 or not is_constant(index, 1)):
        return None
    constant = [
        axis for axis in range(1, index.ndim) if axis != images and is_constant(index, axis)
    ]
    several = [axis for axis in constant if index.shape[axis] > 1] or constant[:1]
    if len(several) != 1:
        return None
    channels = several[0]
    places = index.movedim((images, channels), (0, 1))[0, 0].flatten()
    present = (places > 0).nonzero()[:, 0]
    distinct = places[present].unique()
    grid = part_of_grid(distinct, width)
    if grid is None or len(distinct) != len(present):
        return None
    cells = present[places[present].argsort()]
    as_it_is = len(cells) == len(places) and bool((cells[1:] > cells[:-1]).all())
    return Layout(channels, None if as_it_is else cells, grid, images)
