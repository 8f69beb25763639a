"""A picture that the engine looks at from top to bottom, whether it is held in memory or not."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field, replace
from typing import Protocol

from moce_cli.restoration.canvas import Array, Canvas, Float
from moce_cli.tiling import Tile, TileGrid

Sink = Callable[[Array, Canvas], None]
"""Takes finished rows, `(n, W, C)` in the picture's type, and the canvas they were made of."""


class View(Protocol):
    """Rows of a picture; a `Canvas` is one, and so is a file that is read in bands."""

    @property
    def height(self) -> int:
        """Rows."""
        ...

    @property
    def width(self) -> int:
        """Columns."""
        ...

    @property
    def channels(self) -> int:
        """1 or 3."""
        ...

    def rows(self, top: int, bottom: int) -> Canvas:
        """Rows of the picture. What begins above what was asked for last may take long."""
        ...

    def asks_for(self, tile: Tile) -> bool:
        """Whether anything in the tile is to be restored."""
        ...


def lowered(tile: Tile, by: int) -> Tile:
    """A tile further down."""
    return replace(tile, top=tile.top + by) if by else tile


@dataclass(slots=True)
class Work:
    """The tiles of what is left of a picture.

    Attributes:
        view: of the whole picture.
        start: its row where the grid begins.
        grid: where tiles lie.
        asked: those of them in which anything is to be restored.
        batch: how many go through the network at once.
    """

    view: View
    start: int
    grid: TileGrid
    asked: Set[Tile]
    batch: int
    _strips: dict[int, Canvas] = field(default_factory=dict[int, Canvas], init=False)

    def strip(self, top: int) -> Canvas:
        """The rows of the tiles that begin at `top` of the grid; held until they are dropped."""
        if top not in self._strips:
            first = self.start + top
            self._strips[top] = self.view.rows(first, first + self.grid.rows.size)
        return self._strips[top]

    def drop(self, top: int) -> None:
        """These rows are not needed any more."""
        self._strips.pop(top, None)

    def seen(self, tile: Tile) -> Float:
        """What the network sees of a tile."""
        return self.strip(tile.top).seen(replace(tile, top=0))
