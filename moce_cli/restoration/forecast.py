"""What restoring a picture will take, told before it begins: tiles, time, memory.

Memory is counted from measured costs a pixel; time from a few runs of one tile on this machine,
now.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from moce_cli.network import MoCEIRConfig
from moce_cli.restoration.bands import AHEAD, ROWS
from moce_cli.restoration.crew import Crew
from moce_cli.restoration.engine import Engine
from moce_cli.restoration.plan import Plan, at_once, network_bytes, workers_for
from moce_cli.tiling import Tile, TileGrid

_TRIALS = 3
_ENCODED_SHARE = 0.6
"""Of the raw size: a photograph's PNG, held while it is written and compared."""
_SCATTERED_BYTES = 48 * 2**20
"""Measured: what threads and freed blocks of odd sizes add."""
_FLOATS_A_SAMPLE = 3
"""Measured, in floats of each sample in a row of tiles: blended, on the way, not used again yet."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a picture will take.

    Attributes:
        tiles: that go through the network, of all frames.
        seconds: of the network, blending included; None where no tile was tried.
        host_bytes: the most memory the process will hold.
        device_bytes: the most memory of the device, where it has its own; else 0.
        disk_bytes: that the output and temporary files take, at most.
        in_bands: the picture is never whole in memory.
    """

    tiles: int
    seconds: float | None
    host_bytes: int
    device_bytes: int
    disk_bytes: int
    in_bands: bool

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Asked:
    """A picture, as far as it decides what it takes.

    Attributes:
        height: upright.
        width: likewise.
        channels: alpha included.
        sample_bytes: of a sample as it is held.
        frames: pages or frames.
        in_bands: it is never whole in memory.
        disk_bytes: that its output and temporary files take, at most.
        turns: 8 for an ensemble, else 1.
        part: height and width of what the network sees of it, if that is not all.
        wanted: whether a tile is asked for; None for all.
        mask_bytes: of a mask that is held.
    """

    height: int
    width: int
    channels: int = 3
    sample_bytes: int = 1
    frames: int = 1
    in_bands: bool = False
    disk_bytes: int = 0
    turns: int = 1
    part: tuple[int, int] | None = None
    wanted: Callable[[Tile], bool] | None = None
    mask_bytes: int = 0

    @property
    def seen(self) -> tuple[int, int]:
        """Height and width of what the network sees."""
        return self.part or (self.height, self.width)

    @property
    def raw_bytes(self) -> int:
        """One frame's pixels."""
        return self.height * self.width * self.channels * self.sample_bytes


def tile_seconds(engine: Engine, crew: Crew, height: int, width: int) -> float:
    """How long a tile of this size takes now, among as many as the crew computes at once."""
    tile = np.random.default_rng(0).random((height, width, 3), np.float32)
    _, routing = engine.start([tile], None).land()
    tiles = [tile] * crew.workers
    taken: list[float] = []
    for _ in range(_TRIALS):
        begun = time.perf_counter()
        crew.map(lambda one: engine.start([one], routing).land(), tiles)
        taken.append((time.perf_counter() - begun) / crew.workers)
    return statistics.median(taken)


def forecast(
    config: MoCEIRConfig,
    plan: Plan,
    asked: Asked,
    *,
    idle_bytes: int,
    device: torch.device,
    seconds_a_tile: float | None,
) -> Forecast:
    """Add up what a picture takes.

    Args:
        config: of the network.
        plan: for a picture of this size.
        asked: the picture.
        idle_bytes: that the process held before its first tile, the network among them.
        device: that computes; a CPU's memory is the host's.
        seconds_a_tile: see `tile_seconds`; None if no tile was tried.
    """
    grid = plan.grid(*asked.seen)
    tiles = len(grid) if asked.wanted is None else sum(map(asked.wanted, grid))
    network, on_cpu = _network_bytes(config, plan, grid, device), device.type == "cpu"
    host = idle_bytes + _SCATTERED_BYTES + asked.mask_bytes + _picture_bytes(asked, grid)
    seconds = (
        None if seconds_a_tile is None else tiles * asked.frames * asked.turns * seconds_a_tile
    )
    return Forecast(
        tiles * asked.frames,
        None if seconds is None else round(seconds, 1),
        host + (network if on_cpu else 0),
        0 if on_cpu else network,
        asked.disk_bytes,
        asked.in_bands,
    )


def _network_bytes(config: MoCEIRConfig, plan: Plan, grid: TileGrid, device: torch.device) -> int:
    height, width, tiles = grid.rows.size, grid.columns.size, len(grid)
    workers = workers_for(config, plan, device, height=height, width=width, tiles=tiles)
    waiting, running = at_once(plan.batch, workers, height, width, tiles)
    return network_bytes(config, height, width, plan.precision, waiting=waiting, running=running)


def _picture_bytes(asked: Asked, grid: TileGrid) -> int:
    """Pixels on their way, beside the network."""
    row = asked.width * asked.channels
    strip = row * grid.rows.size * (4 * _FLOATS_A_SAMPLE + 2 * asked.sample_bytes)
    if asked.in_bands:
        return strip + row * asked.sample_bytes * ROWS * 2 * AHEAD
    # read, restored, packed; and read again to be compared, when the strips are gone; Pillow has
    # a copy of its own, with four bytes for a colour of three
    raw = asked.raw_bytes * asked.frames
    return 2 * raw + max(strip, int(raw * (_ENCODED_SHARE + 1 + 4 / 3)))
