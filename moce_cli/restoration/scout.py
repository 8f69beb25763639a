"""Tiles that are looked at before any is restored: they decide for all, or tell of the whole."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from moce_cli.network import block_means, scene_of
from moce_cli.restoration.canvas import Float
from moce_cli.restoration.view import Work
from moce_cli.tiling import Tile, TileGrid, sample_tiles

SCENE_TILES = 64
"""As many as tell of a scene, at most."""


@dataclass(slots=True)
class Scouted:
    """What was seen.

    Attributes:
        tiles: that decide which experts run.
        seen: of each, `(h, w, C)`.
        scene: `(1, SCENE_SIZE)`; None if nobody asked.
    """

    tiles: list[Tile]
    seen: list[Float]
    scene: Tensor | None


def scout(work: Work, deciding: int, *, scene: bool) -> Scouted:
    """Look at some tiles, from top to bottom: a file is read once.

    Args:
        work: the tiles of a picture, of which only those that are asked for are looked at.
        deciding: how many decide, at most.
        scene: whether to tell of the scene.
    """
    tiles = _spread(work, deciding) if deciding else []
    telling = set(_spread(work, SCENE_TILES)) if scene else set[Tile]()
    deciding_tiles, seen, means, last = set(tiles), list[Float](), list[Tensor](), None
    for tile in sorted(deciding_tiles | telling, key=lambda tile: (tile.top, tile.left)):
        if last is not None and last != tile.top:
            work.drop(last)
        last = tile.top
        pixels = work.seen(tile)
        if tile in deciding_tiles:
            seen.append(pixels)
        if tile in telling:
            batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].expand(-1, 3, -1, -1)
            means.append(block_means(batch))
    if last is not None:
        work.drop(last)
    return Scouted(tiles, seen, scene_of(torch.cat(means, dim=1)) if means else None)


def _spread(work: Work, most: int) -> list[Tile]:
    """Tiles from all over what is asked for, row by row."""
    grid: TileGrid = work.grid
    if len(work.asked) == len(grid):
        return sample_tiles(grid, most)
    ordered = [tile for tile in grid if tile in work.asked]
    count = min(most, len(ordered))
    return [ordered[i * len(ordered) // count] for i in range(count)]
