"""What follows when a device has too little memory: less at once, then smaller tiles."""

from __future__ import annotations

from dataclasses import replace

import torch

from moce_cli.errors import DeviceError
from moce_cli.restoration.plan import Plan
from moce_cli.tiling import MULTIPLE, SMALLEST_TILE, TileGrid


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device had too little memory: only CUDA has an error of its own for it."""
    told = ("out of memory", "can't allocate memory", "ALLOC_FAILED")  # the last: cuBLAS, cuFFT
    return isinstance(error, torch.OutOfMemoryError) or any(t in str(error) for t in told)


def smaller(plan: Plan, grid: TileGrid, error: Exception) -> Plan:
    """The next plan to try after running out of memory: half the batch, then half the tile.

    Raises:
        DeviceError: there is nothing smaller.
    """
    if plan.batch > 1:
        return replace(plan, batch=plan.batch // 2)
    side = max(grid.rows.size, grid.columns.size)
    half = side // 2 // MULTIPLE * MULTIPLE
    if half < SMALLEST_TILE:
        raise DeviceError(
            f"out of memory at a tile of {side} px, and the smallest is {SMALLEST_TILE}",
            "close other programs or use --device cpu",
        ) from error
    return replace(plan, tile=half, overlap=min(plan.overlap, half // 4))
