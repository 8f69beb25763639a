"""How a picture will be restored: chosen from the machine and the picture's size."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from moce_cli.errors import DeviceError, UsageError
from moce_cli.network import MoCEIRConfig
from moce_cli.runtime import Precision, device_memory_bytes, memory_bytes
from moce_cli.tiling import MULTIPLE, SMALLEST_TILE, TileGrid, check_tile, plan_tiles

if TYPE_CHECKING:
    import torch

AUTO_TILE = {"cpu": 256, "cuda": 512, "mps": 512}
"""Tile side by device: see the measured table in the README."""
AUTO_OVERLAP = 32
AUTO_BATCH = {"cpu": 1, "cuda": 8, "mps": 1}
MEMORY_SHARE = 0.5
"""Share of the memory that tiles may take; the rest is for the picture and other programs."""
_BYTES_PER_PIXEL_AND_CHANNEL = 120
"""Measured: peak of a forward pass over tile pixels and the network's width; half precision hardly
lowers it, since FFTs and norms are done in float32."""
_SAMPLE_PIXELS = 4 * 256 * 256
"""How much of a picture goes through the network at once to pin its routing: memory bounds it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides a result beside the picture, the weights and the routing."""

    tile: int
    """Longest side of a tile; 0 is the whole picture."""
    overlap: int
    batch: int
    threads: int
    precision: Precision
    compiled: bool = False

    def to_dict(self) -> dict[str, int | str | bool]:
        """The plan as plain JSON values; each can be given back as an option."""
        return asdict(self)

    def grid(self, height: int, width: int) -> TileGrid:
        """The tiles of a picture."""
        return plan_tiles(height, width, tile_size=self.tile, overlap=self.overlap)


def parse_tile(text: str) -> int | None:
    """`auto` (None), 0 or a number of pixels.

    Raises:
        UsageError: none of these.
    """
    if text == "auto":
        return None
    if not text.isdigit():
        raise UsageError(f"{text!r} is no tile size", "--tile takes auto, 0 or a number of pixels")
    return int(text)


def tile_bytes(config: MoCEIRConfig, height: int, width: int) -> int:
    """Estimated peak memory of one tile's forward pass."""
    return _BYTES_PER_PIXEL_AND_CHANNEL * config.width * height * width


def sample_size(tile_pixels: int) -> int:
    """How many of a picture's tiles are asked, at most, before its routing is pinned."""
    return max(1, _SAMPLE_PIXELS // tile_pixels)


def picture_bytes(height: int, width: int, depth: int) -> int:
    """Memory that a picture takes while it is restored: as read, as written, and encoded."""
    return 3 * height * width * 3 * (2 if depth > 8 else 1)


def check_fits(name: str, height: int, width: int, depth: int) -> None:
    """Refuse a picture that this machine cannot hold, before it is read.

    Raises:
        DeviceError: with what it needs and what there is.
    """
    needed, there = picture_bytes(height, width, depth), memory_bytes()
    if needed > there:
        raise DeviceError(
            f"{name} has {width} x {height} pixels and needs {needed / 2**30:.1f} GiB of memory; "
            f"{there / 2**30:.1f} GiB may be used",
            "cut the picture into parts",
        )


def make_plan(
    config: MoCEIRConfig,
    device: torch.device,
    *,
    height: int,
    width: int,
    tile: int | None,
    overlap: int | None,
    threads: int,
    precision: Precision,
) -> Plan:
    """Choose what was left open.

    Args:
        config: of the network.
        device: that computes.
        height: of the picture.
        width: of the picture.
        tile: None chooses; 0 is the whole picture.
        overlap: None chooses.
        threads: of the CPU.
        precision: of the network.

    Raises:
        UsageError: tile and overlap do not fit each other.
        DeviceError: not even the smallest tile fits the memory.
    """
    if tile is not None:
        check_tile(tile, overlap or 0)
        fitting = min(AUTO_OVERLAP, tile // 4) if overlap is None else overlap
        return Plan(tile, fitting, AUTO_BATCH[device.type] if tile else 1, threads, precision)
    memory = min(device_memory_bytes(device), memory_bytes() if device.type == "cpu" else 2**62)
    budget = int(memory * MEMORY_SHARE)
    batch, side = AUTO_BATCH[device.type], AUTO_TILE[device.type]
    while tile_bytes(config, side, side) * batch > budget:
        if batch > 1:
            batch //= 2
        elif side // 2 >= SMALLEST_TILE:
            side = side // 2 // MULTIPLE * MULTIPLE
        else:
            raise DeviceError(
                f"{device} has {memory / 2**20:.0f} MiB, too little for the smallest tile "
                f"of {SMALLEST_TILE} px"
            )
    if overlap is None:
        overlap = min(AUTO_OVERLAP, side // 4)
    check_tile(side, overlap)
    if max(height, width) <= side:
        batch = 1
    return Plan(side, overlap, batch, threads, precision)
