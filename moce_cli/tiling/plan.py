"""Where tiles lie. Integers only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moce_cli.errors import UsageError

MULTIPLE = 8
"""Tiles are cut to multiples of the network's downscale, so that none is padded inside."""
SMALLEST_TILE = 32


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of the picture."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Axis:
    """Equal intervals that cover 0..length."""

    length: int
    size: int
    starts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Tiles of one size, row by row."""

    rows: Axis
    columns: Axis

    def __len__(self) -> int:
        return len(self.rows.starts) * len(self.columns.starts)

    def __iter__(self) -> Iterator[Tile]:
        for top in self.rows.starts:
            yield from self.row(top)

    def row(self, top: int) -> Iterator[Tile]:
        """The tiles of one row."""
        for left in self.columns.starts:
            yield Tile(top, left, self.rows.size, self.columns.size)


def plan_axis(length: int, tile_size: int, overlap: int) -> Axis:
    """Cover a length with the fewest equal intervals of at most a size.

    Args:
        length: pixels to cover, from 1 on.
        tile_size: the most an interval may hold; 0 is no limit.
        overlap: the least that neighbours share.
    """
    if tile_size == 0 or length <= tile_size:
        return Axis(length, length, (0,))
    count = -(-(length - overlap) // (tile_size - overlap))
    even = -(-(length + (count - 1) * overlap) // count)
    size = min(-(-even // MULTIPLE) * MULTIPLE, tile_size)
    slack = length - size
    return Axis(length, size, tuple(slack * i // (count - 1) for i in range(count)))


def plan_tiles(height: int, width: int, *, tile_size: int, overlap: int) -> TileGrid:
    """Cover a picture with equal tiles.

    Args:
        height: of the picture, from 1 on.
        width: of the picture, from 1 on.
        tile_size: the longest side of a tile, a multiple of 8; 0 is the whole picture in one.
        overlap: the least that neighbours share, at most half a tile.

    Raises:
        UsageError: tile size or overlap out of range.
    """
    check_tile(tile_size, overlap)
    return TileGrid(plan_axis(height, tile_size, overlap), plan_axis(width, tile_size, overlap))


def check_tile(tile_size: int, overlap: int) -> None:
    """Refuse sizes that cannot work.

    Raises:
        UsageError: with the value seen and what is allowed.
    """
    if tile_size and (tile_size < SMALLEST_TILE or tile_size % MULTIPLE):
        raise UsageError(
            f"a tile of {tile_size} px is not possible",
            f"--tile takes auto, 0 (the whole picture) or a multiple of {MULTIPLE} "
            f"from {SMALLEST_TILE} on",
        )
    if overlap < 0 or (tile_size and overlap > tile_size // 2):
        raise UsageError(
            f"an overlap of {overlap} px does not fit tiles of {tile_size} px",
            "--overlap takes 0 to half the tile",
        )


def sample_tiles(grid: TileGrid, most: int) -> list[Tile]:
    """Up to `most` tiles, spread evenly in both directions."""
    rows, columns = len(grid.rows.starts), len(grid.columns.starts)
    if rows * columns <= most:
        return list(grid)
    # as square a sub-grid as fits: its sides share `most` in the grid's own proportion
    sample_rows = max(1, min(rows, most, round((most * rows / columns) ** 0.5)))
    sample_columns = max(1, min(columns, most // sample_rows))
    tops = [grid.rows.starts[(2 * i + 1) * rows // (2 * sample_rows)] for i in range(sample_rows)]
    lefts = [
        grid.columns.starts[(2 * i + 1) * columns // (2 * sample_columns)]
        for i in range(sample_columns)
    ]
    return [Tile(t, x, grid.rows.size, grid.columns.size) for t in tops for x in lefts]
