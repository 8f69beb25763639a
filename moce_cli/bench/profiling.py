"""Which operations of torch a restoration's time goes to."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

# nothing public lets the profiler see all threads, and on a CPU each tile has one of its own
from torch._C._profiler import _ExperimentalConfig  # pyright: ignore[reportPrivateUsage] -- as said
from torch.profiler import ProfilerActivity, profile

from moce_cli.errors import MoceError

MOST_NAMED = 15
"""Operations that are told."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What one kind of operation took."""

    name: str
    """As torch calls it; on CUDA the kernel's."""
    calls: int
    seconds: float
    """Its own, what it calls aside; of all threads together, and on CUDA of the device."""
    share: float
    """Of all operations together, those that are not told included."""

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        return asdict(self)


def profiled(
    work: Callable[[], object], device: torch.device, threads: int
) -> tuple[Operation, ...]:
    """Do the work once more, watched; which makes it slower.

    Args:
        work: ends when the device has done it.
        device: that computes.
        threads: that compute, on a CPU.

    Returns:
        the operations that took most, the longest first.

    Raises:
        MoceError: this torch sees one thread alone, and several compute.
    """
    on_cuda = device.type == "cuda"
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it tells of itself on stderr
    activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_cuda]
    with profile(activities=activities, experimental_config=_all_threads(device, threads)) as seen:
        work()
    kind = "CUDA" if on_cuda else "CPU"  # there kernels, here operations
    taken = {
        event.key: (
            event.count,
            event.self_device_time_total if on_cuda else event.self_cpu_time_total,
        )
        for event in seen.key_averages()
        if event.device_type.name == kind
        and not (on_cuda and event.is_user_annotation)  # spans kernels, which would count twice
    }
    total = sum(microseconds for _, microseconds in taken.values()) or 1.0
    ordered = sorted(taken.items(), key=lambda item: -item[1][1])
    return tuple(
        Operation(name, calls, microseconds / 1e6, microseconds / total)
        for name, (calls, microseconds) in ordered[:MOST_NAMED]
    )


def _all_threads(device: torch.device, threads: int) -> _ExperimentalConfig | None:
    try:
        return _ExperimentalConfig(profile_all_threads=True)
    except TypeError as error:
        if device.type == "cpu" and threads > 1:
            raise MoceError(
                f"torch {torch.__version__} cannot profile {threads} threads",
                "use --threads 1, or a newer torch",
            ) from error
        return None
