"""What a run says of itself while it runs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from moce_cli.training.distributed import Place, mean_over_processes
from moce_cli.training.objective import Losses
from moce_cli.training.state import Counters


@dataclass(frozen=True, slots=True)
class Moment:
    """What a run is doing, for whoever watches it."""

    step: int
    spent: float
    """Share of the budget, 0 to 1."""
    seconds: float
    loss: float
    crops_per_second: float
    shares: tuple[float, ...]
    """How often each expert ran lately."""
    psnr: Mapping[str, float] = field(default_factory=dict[str, float])
    """The last validation, by row."""


def processor_seconds() -> float:
    """Of this process and those it started, workers for one, as far as they have ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


class Clock:
    """Time and processor time that a run has spent, those of earlier parts too.

    Args:
        counters: written to.
        processes: that train together, each for as long as this one.
    """

    def __init__(self, counters: Counters, processes: int = 1) -> None:
        self._counters, self._processes = counters, processes
        self._began = time.monotonic() - counters.seconds
        self._cpu_before, self._cpu_began = counters.cpu_seconds, processor_seconds()
        self._saved = time.monotonic()

    def seconds(self) -> float:
        """Spent so far."""
        return time.monotonic() - self._began

    def update(self) -> None:
        """Write down what was spent."""
        self._counters.seconds = self.seconds()
        here = processor_seconds() - self._cpu_began
        self._counters.cpu_seconds = self._cpu_before + self._processes * here

    def since_saved(self) -> float:
        """Seconds since the state was kept."""
        return time.monotonic() - self._saved

    def saved(self) -> None:
        """The state was kept just now."""
        self._saved = time.monotonic()


class Window:
    """The means of the last steps. Values stay on the device until they are asked for."""

    NAMES = ("restoration", "balance", "cost", "degradation")

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._steps = 0
        self._crops = 0
        self._began = time.monotonic()

    def __bool__(self) -> bool:
        return self._steps > 0

    def add(self, losses: Losses, crops: int) -> None:
        """Take the losses of a step that was not skipped."""
        scalars = torch.stack([getattr(losses, name).float() for name in self.NAMES])
        values = torch.cat((scalars, losses.shares.float()))
        self._sum = values if self._sum is None else self._sum + values
        self._steps += 1
        self._crops += crops

    def leave_out(self, seconds: float) -> None:
        """Time in which no step was taken."""
        self._began += seconds

    def line(self, place: Place) -> dict[str, float | list[float]]:
        """What a record keeps of these steps; every process must ask for it."""
        assert self._sum is not None
        values = mean_over_processes(self._sum / self._steps, place).tolist()
        named: dict[str, float | list[float]] = dict(zip(self.NAMES, values, strict=False))
        named["shares"] = values[len(self.NAMES) :]
        named["crops_per_second"] = self._crops / (time.monotonic() - self._began)
        return named

    def moment(self, counters: Counters, spent: float, psnr: Mapping[str, float]) -> Moment:
        """What is shown of these steps, of this process alone."""
        values = [0.0] * len(self.NAMES)
        if self._sum is not None:
            values = (self._sum / self._steps).tolist()
        return Moment(
            counters.step,
            spent,
            counters.seconds,
            values[0],
            self._crops / max(time.monotonic() - self._began, 1e-9),
            tuple(values[len(self.NAMES) :]),
            psnr,
        )
