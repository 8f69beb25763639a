"""How fast a machine prepares what a network is trained on."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from moce_cli.training.sampling import Sampler, finish, loader


def measure_rate(
    sampler: Sampler,
    device: torch.device,
    workers: int,
    seconds: float,
    stop: Callable[[], bool] = lambda: False,
) -> float:
    """Crops a second that come ready on the device, after the first batch of every worker.

    Args:
        sampler: draws them, in its stage.
        device: where `finish` brings them.
        workers: as for `loader`.
        seconds: how long to measure.
        stop: asked after every batch whether to end early.
    """
    batches = loader(sampler, 0, None, workers)
    for _ in range(max(workers, 1)):
        finish(next(batches), device)
    crops, begun = 0, time.monotonic()
    while not crops or (time.monotonic() - begun < seconds and not stop()):
        _, clean = finish(next(batches), device)
        crops += len(clean)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return crops / (time.monotonic() - begun)
