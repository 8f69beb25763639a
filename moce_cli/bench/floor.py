"""What this machine can do at best: a large matrix product and a copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from moce_cli.runtime import Precision, torch_dtype

_SIDE = {"cpu": 2048, "cuda": 8192, "mps": 4096}
_COPY_BYTES = 256 * 2**20
_RUNS = 5


@dataclass(frozen=True, slots=True)
class Floor:
    """The best of several runs, on one device."""

    device: str
    precision: Precision
    threads: int
    flops: float
    """Operations a second of a square matrix product, a multiplication and an addition each one."""
    copy_bytes: float
    """Bytes copied a second; each is read and written."""

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        return {"kind": "floor", **asdict(self)}


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _best(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the quickest run, the first not counted."""
    best = float("inf")
    for run in range(_RUNS + 1):
        begun = time.perf_counter()
        work()
        synchronise(device)
        if run:
            best = min(best, time.perf_counter() - begun)
    return best


@torch.inference_mode()
def measure_floor(device: torch.device, precision: Precision, threads: int) -> Floor:
    """Measure the device with so many CPU threads; a second or two."""
    torch.set_num_threads(threads)
    side = _SIDE[device.type]
    a = torch.rand(side, side, device=device).to(torch_dtype(precision))
    source = torch.zeros(_COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = _best(lambda: a @ a, device)
    copy = _best(lambda: target.copy_(source), device)
    return Floor(str(device), precision, threads, 2 * side**3 / product, _COPY_BYTES / copy)
