"""How a picture will be restored: chosen from the machine and the picture's size."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from moce_cli.errors import DeviceError, UsageError
from moce_cli.network import MoCEIRConfig
from moce_cli.restoration.replay import record_on
from moce_cli.runtime import Precision, device_memory_bytes
from moce_cli.tiling import MULTIPLE, SMALLEST_TILE, TileGrid, check_tile, plan_tiles

if TYPE_CHECKING:
    import torch

AUTO_TILE = {"cpu": (224, 288), "cuda": (512, 512), "mps": (512, 512)}
"""Tile sides by device, from and to: see the measured curve in the README. That one is taken which
covers the picture with the least work."""
WIDE_TILE = {"cpu": (448, 576), "cuda": (512, 512), "mps": (512, 512)}
"""The same for networks that are told of the whole picture: they decide the better the more they
see at once."""
AUTO_OVERLAP = 16
AUTO_BATCH = {"cpu": 1, "cuda": 8, "mps": 1}
MEMORY_SHARE = 0.5
"""Share of the memory that tiles may take; the rest is for the picture and other programs."""
MOST_WORKERS = 4
"""Tiles that a CPU computes at once, at most."""
_TILE_BYTES: dict[Precision, int] = {"fp32": 86, "bf16": 55, "fp16": 55}
"""Measured: growth of a forward pass's peak with tile pixels times the network's width."""
_FIXED_BYTES = 24 * 2**20
"""Measured: what a forward pass takes whatever the size."""
_WAITING_BYTES = 15
"""Measured: what a tile holds, for each pixel and channel, while it waits for a decision."""
_SAMPLE_PIXELS = 4 * 256 * 256
"""How much of a picture goes through the network at once to pin its routing."""
_SAMPLE_TILES = 16


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
    """See `why_not_compiled`."""

    def to_dict(self) -> dict[str, int | str | bool]:
        """The plan as plain JSON values; each can be given back as an option."""
        return asdict(self)

    def grid(self, height: int, width: int) -> TileGrid:
        """The tiles of a picture."""
        return plan_tiles(height, width, tile_size=self.tile, overlap=self.overlap)


def why_not_compiled(device: torch.device) -> str:
    """Why no plan has the network compiled by `torch.compile`."""
    if device.type == "cpu":
        return "on a CPU it was measured to be no faster, after minutes of compiling"
    if device.type == "cuda" and record_on(device) is not None:
        return "passes that repeat are replayed as CUDA graphs, without compiling"
    return "nobody has measured yet whether it pays on such a device"


def parse_tile(text: str) -> int | None:
    """`auto` (None), 0 or a number of pixels.

    Raises:
        UsageError: none of these.
    """
    if text == "auto":
        return None
    if not (text.isdecimal() and text.isascii()):
        raise UsageError(f"{text!r} is no tile size", "--tile takes auto, 0 or a number of pixels")
    return int(text)


def network_bytes(
    config: MoCEIRConfig,
    height: int,
    width: int,
    precision: Precision,
    *,
    waiting: int = 1,
    running: int = 1,
) -> int:
    """Estimated peak memory of tiles in the network.

    Args:
        config: of the network.
        height: of a tile.
        width: of a tile.
        precision: of the network.
        waiting: tiles that are in memory at once, see `at_once`.
        running: those of them that are computed.
    """
    pixels = height * width // config.unshuffle**2
    each = _TILE_BYTES[precision] * running + _WAITING_BYTES * (waiting - running)
    return _FIXED_BYTES + each * config.width * pixels


def workers_for(
    config: MoCEIRConfig, plan: Plan, device: torch.device, *, height: int, width: int, tiles: int
) -> int:
    """How many batches a CPU computes at once, as far as memory allows; another device one.

    Each has an equal share of the threads, and no more than a fifth of them is left idle.

    Args:
        config: of the network.
        plan: of which batch, threads and precision count.
        device: that computes.
        height: of a tile.
        width: of a tile.
        tiles: in all.
    """
    if device.type != "cpu":
        return 1
    threads, budget = plan.threads, device_memory_bytes(device) * MEMORY_SHARE
    for workers in range(min(threads, tiles, MOST_WORKERS), 1, -1):
        if 5 * workers * (threads // workers) < 4 * threads:
            continue
        waiting, running = at_once(plan.batch, workers, height, width, tiles)
        if budget >= network_bytes(
            config, height, width, plan.precision, waiting=waiting, running=running
        ):
            return workers
    return 1


def at_once(batch: int, workers: int, height: int, width: int, tiles: int) -> tuple[int, int]:
    """How many tiles of this size are in memory at once, and how many of them are computed."""
    if tiles < 2:
        return 1, 1
    running = min(tiles, batch * workers)
    return max(running, min(tiles, sample_size(batch, height * width))), running


def sample_size(batch: int, tile_pixels: int) -> int:
    """How many of a picture's tiles are asked, at most, before its routing is pinned.

    They wait for each other before every decision, so that memory bounds them; never fewer than
    two.
    """
    return max(batch, 2, min(_SAMPLE_TILES, _SAMPLE_PIXELS // tile_pixels))


def make_plan(
    config: MoCEIRConfig,
    device: torch.device,
    *,
    height: int,
    width: int,
    tile: int | None,
    overlap: int | None,
    batch: int | None,
    threads: int,
    precision: Precision,
    routing: str = "image",
) -> Plan:
    """Choose what was left open: the largest tile and batch, up to the usual, that fit the memory.

    Args:
        config: of the network.
        device: that computes.
        height: of the picture.
        width: of the picture.
        tile: None chooses; 0 is the whole picture.
        overlap: None chooses.
        batch: tiles that go through the network at once; None chooses.
        threads: of the CPU.
        precision: of the network.
        routing: where each tile is to choose its experts, tiles are small.

    Raises:
        UsageError: tile and overlap do not fit each other, or a batch of none.
        DeviceError: what was asked for, or the smallest tile, does not fit the memory.
    """
    if batch is not None and batch < 1:
        raise UsageError(f"a batch of {batch} tiles cannot work", "--batch takes 1 or more")
    memory = device_memory_bytes(device)
    budget = int(memory * MEMORY_SHARE)
    usual = (WIDE_TILE if config.scene and routing != "tile" else AUTO_TILE)[device.type]
    side = _cheapest(height, width, *usual, overlap) if tile is None else tile
    check_tile(side, overlap or 0)
    most = AUTO_BATCH[device.type] if batch is None else batch

    def needed() -> int:
        """Memory of the most that goes through the network at once."""
        h, w = (min(side, length) if side else length for length in (height, width))
        tiles = 1 if (h, w) == (height, width) else 2**30
        tried = Plan(side, 0, most, threads, precision)
        workers = workers_for(config, tried, device, height=h, width=w, tiles=tiles)
        waiting, running = at_once(most, workers, h, w, tiles)
        return network_bytes(config, h, w, precision, waiting=waiting, running=running)

    while needed() > budget and batch is None and most > 1:
        most //= 2
    least = max(SMALLEST_TILE, 2 * (overlap or 0))
    while needed() > budget and tile is None and side // 2 // MULTIPLE * MULTIPLE >= least:
        side = side // 2 // MULTIPLE * MULTIPLE
    # what was asked for may take all there is
    if needed() > (budget if tile is None else memory):
        what = "the smallest tile" if tile is None else f"--tile {tile}"
        if tile is None and least > SMALLEST_TILE:
            what += f" for --overlap {overlap}"
        raise DeviceError(
            f"{what} needs {needed() / 2**20:.0f} MiB of memory on {device}, which has "
            f"{memory / 2**20:.0f} MiB",
            "use a smaller --tile or --overlap, or another --device",
        )
    return Plan(side, _overlap(side, overlap), most, threads, precision)


def _overlap(side: int, wanted: int | None) -> int:
    if wanted is not None:
        return wanted
    return min(AUTO_OVERLAP, side // 4) if side else AUTO_OVERLAP


def _cheapest(height: int, width: int, least: int, most: int, overlap: int | None) -> int:
    """The tile side that makes the network see the fewest pixels; of several the smallest."""

    def pixels(side: int) -> int:
        shared = min(_overlap(side, overlap), side // 2)
        grid = plan_tiles(height, width, tile_size=side, overlap=shared)
        return len(grid) * grid.rows.size * grid.columns.size

    return min(range(least, most + 1, MULTIPLE), key=lambda side: (pixels(side), side))
