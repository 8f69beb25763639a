"""The machine: devices, precision, memory and threads."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from moce_cli.errors import DeviceError, UsageError

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
_CGROUP = Path("/sys/fs/cgroup")


def available_devices() -> list[str]:
    """Names that `--device` takes on this machine, the fastest first."""
    import torch

    names = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def choose_device(wanted: str = "auto") -> torch.device:
    """The device for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        UsageError: no such name.
        DeviceError: the device is not there; the message lists those that are.
    """
    import torch

    there = available_devices()
    if wanted == "auto":
        return torch.device(there[0])
    name = "cuda:0" if wanted == "cuda" else wanted
    if name in there:
        return torch.device(name)
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (
        index and not (kind == "cuda" and index.isdecimal() and index.isascii())
    ):
        raise UsageError(f"{wanted!r} is no device", "use --device auto, cpu, cuda, cuda:N or mps")
    raise DeviceError(
        f"the device {wanted!r} is not there; this machine has {', '.join(there)}",
        "use --device auto",
    )


def cpu_has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 natively (AVX512-BF16 or AMX, or Arm's BF16)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    words = set(flags.split())
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """What the network computes in; `auto` takes what is fast and right on the device.

    Raises:
        UsageError: no such precision.
    """
    import torch

    if wanted not in PRECISIONS:
        raise UsageError(f"{wanted!r} is no precision", f"use one of {', '.join(PRECISIONS)}")
    if wanted in ("fp32", "bf16", "fp16"):
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu" and cpu_has_bfloat16():
        return "bf16"
    return "fp32"


def torch_dtype(precision: Precision) -> torch.dtype:
    """The torch type of a precision."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def usable_cores() -> int:
    """Cores this process may use: its affinity, and the quota of its control group."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        quota, period = (_CGROUP / "cpu.max").read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return cores
    if quota == "max":
        return cores
    return max(1, min(cores, -(-int(quota) // int(period))))


def memory_bytes() -> int:
    """Memory this process may use: the machine's or its control group's limit.

    Not what happens to be free: a plan must be the same from one run to the next.
    """
    total = 8 * 2**30
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="utf-8").strip()
    except OSError:
        return total
    return total if limit == "max" else min(total, int(limit))


def device_memory_bytes(device: torch.device) -> int:
    """Memory of the device that computes."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return memory_bytes()


def peak_memory_bytes() -> int:
    """The most memory this process has held so far; 0 where the system does not tell."""
    try:  # what `getrusage` tells on Linux may be the parent's
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        pass
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
