"""How tiles become one picture again, band by band."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from moce_cli.tiling.plan import Axis, Tile, TileGrid

Float = npt.NDArray[np.float32]


def ramps(axis: Axis) -> dict[int, Float]:
    """The weights of each interval of an axis, by its start; at every point they sum to one.

    Where neighbours overlap, one falls along a raised cosine as the other rises. At the ends of the
    axis there is no ramp.

    Returns:
        start -> `(size,)` float32.
    """
    raw: dict[int, npt.NDArray[np.float64]] = {}
    total = np.zeros(axis.length)
    for i, start in enumerate(axis.starts):
        weights = np.ones(axis.size)
        if i > 0 and (shared := axis.starts[i - 1] + axis.size - start) > 0:
            weights[:shared] *= _rise(shared)
        if i + 1 < len(axis.starts) and (shared := start + axis.size - axis.starts[i + 1]) > 0:
            weights[-shared:] *= _rise(shared)[::-1]
        raw[start] = weights
        total[start : start + axis.size] += weights
    return {
        start: (weights / total[start : start + axis.size]).astype(np.float32)
        for start, weights in raw.items()
    }


def _rise(length: int) -> npt.NDArray[np.float64]:
    return np.sin(np.pi / 2 * (np.arange(length) + 0.5) / length) ** 2


class BandBlender:
    """Adds tiles row by row and gives back the rows that no later tile touches.

    Memory is one tile row's height by the picture's width.
    """

    def __init__(self, grid: TileGrid, channels: int) -> None:
        self._rows, self._columns = ramps(grid.rows), ramps(grid.columns)
        self._band = np.zeros((grid.rows.size, grid.columns.length, channels), np.float32)
        self._first = 0  # the row of the picture that the band begins with
        self.top = 0
        """The first row of the picture that has not been given back."""

    def add(self, tile: Tile, pixels: Float) -> None:
        """Add `(height, width, C)`; tiles come row by row, within a row in any order."""
        if tile.top + tile.height > self._first + len(self._band):
            self._move_up()
        weights = np.multiply.outer(self._rows[tile.top], self._columns[tile.left])
        top = tile.top - self._first
        window = self._band[top : top + tile.height, tile.left : tile.left + tile.width]
        window += pixels * weights[..., None]

    def _move_up(self) -> None:
        """Make room for a row of tiles: what was given back is not needed any more."""
        given = self.top - self._first
        kept = len(self._band) - given
        for at in range(0, kept, given):  # in pieces that do not overlap what they are moved to
            part = self._band[given + at : given + min(at + given, kept)]
            self._band[at : at + len(part)] = part
        self._band[kept:] = 0
        self._first = self.top

    def finish(self, until: int) -> Float:
        """The rows from `top` to `until`, `(rows, width, C)`; they are complete."""
        done = self._band[self.top - self._first : until - self._first].copy()
        self.top = until
        return done
