"""Where tiles lie, how they blend, and whether their borders show."""

from moce_cli.tiling.blend import BandBlender, ramps
from moce_cli.tiling.plan import (
    MULTIPLE,
    SMALLEST_TILE,
    Axis,
    Tile,
    TileGrid,
    check_tile,
    plan_axis,
    plan_tiles,
    sample_tiles,
)
from moce_cli.tiling.seam import SeamMeter

__all__ = [
    "MULTIPLE",
    "SMALLEST_TILE",
    "Axis",
    "BandBlender",
    "SeamMeter",
    "Tile",
    "TileGrid",
    "check_tile",
    "plan_axis",
    "plan_tiles",
    "ramps",
    "sample_tiles",
]
