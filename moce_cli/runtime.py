"""The machine: devices, precision, memory and threads."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from moce_cli.errors import DeviceError, UsageError

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
_CGROUP = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


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
        with torch.cuda.device(device):  # what is asked is the current one
            if torch.cuda.is_bf16_supported(including_emulation=False):
                return "bf16"
        # cards before Ampere: tensor cores since Volta
        return "fp16" if torch.cuda.get_device_capability(device) >= (7, 0) else "fp32"
    if device.type == "cpu" and cpu_has_bfloat16():
        return "bf16"
    return "fp32"


@contextlib.contextmanager
def whole_float32(device: torch.device) -> Generator[None, None, None]:
    """On CUDA what is float32 is computed as that within, not in TF32, as convolutions would be."""
    import torch

    if device.type != "cuda":
        yield
        return
    places: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [place.allow_tf32 for place in places]
    for place in places:
        place.allow_tf32 = False
    try:
        yield
    finally:
        for place, allowed in zip(places, before, strict=True):
            place.allow_tf32 = allowed


def torch_dtype(precision: Precision) -> torch.dtype:
    """The torch type of a precision."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def usable_cores() -> int:
    """Cores this process may use: its affinity, and the quotas of its control groups."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    for folder in _control_groups("cpu"):
        words = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]):
            cores = min(cores, -(-int(words[0]) // int(words[1])))
    return max(1, cores)


def use_threads(threads: int | None) -> None:
    """Let torch compute with so many threads in this process; None takes the usable cores.

    Raises:
        UsageError: a number that cannot work.
    """
    import torch

    check_threads(threads)
    torch.set_num_threads(threads or usable_cores())


def memory_bytes() -> int:
    """Memory this process may use: the machine's or its control groups' limit.

    Not what happens to be free: a plan must be the same from one run to the next.
    """
    total = 8 * 2**30
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for folder in _control_groups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            words = _words(folder / name)
            if words and words[0].isdecimal():
                total = min(total, int(words[0]))
    return total


def _control_groups(controller: str) -> list[Path]:
    """Folders of the groups that this process is in, nested ones too; each may set a limit.

    In a container they may be seen from within, so that the outermost folder is its own; what a
    path names and is not there does no harm.
    """
    folders = [_CGROUP]
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return folders
    for line in lines:  # version 2 is `0::/path`, version 1 `4:cpu,cpuacct:/path`
        _, _, rest = line.partition(":")
        kinds, _, path = rest.partition(":")
        if kinds and controller not in kinds.split(","):
            continue
        names = [name for name in path.split("/") if name not in ("", "..")]
        for root in (_CGROUP / controller, _CGROUP / kinds) if kinds else (_CGROUP,):
            folders += [root.joinpath(*names[:depth]) for depth in range(len(names) + 1)]
    return folders


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return []


def device_memory_bytes(device: torch.device) -> int:
    """Memory of the device that computes."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return memory_bytes()


def peak_memory_bytes() -> int:
    """The most memory this process has held so far; 0 where the system does not tell."""
    if peak := peak_memory_bytes_of("self"):  # what `getrusage` tells on Linux may be the parent's
        return peak
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def peak_memory_bytes_of(process: int | str) -> int:
    """The same of another process, by its number; 0 on other systems than Linux."""
    return _status(process, "VmHWM:")


def held_memory_bytes() -> int:
    """The memory this process holds now; its peak where the system does not tell."""
    return _status("self", "VmRSS:") or peak_memory_bytes()


def _status(process: int | str, field: str) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
        return int(status.partition(field)[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return 0


MOST_THREADS = 512


def check_threads(threads: int | None) -> None:
    """Refuse a number of threads that cannot work.

    Raises:
        UsageError: with what is allowed.
    """
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise UsageError(f"{threads} threads cannot work", f"--threads takes 1 to {MOST_THREADS}")


_MALLOPT_KEEP = {-3: (2**30, 2**25), -1: (2**31 - 1,), -8: (1,)}
"""glibc's M_MMAP_THRESHOLD (older ones take 32 MiB at most), M_TRIM_THRESHOLD and M_ARENA_MAX."""


def keep_freed_memory() -> bool:
    """Let the C library keep what tensors give back, for the next ones; tells whether it does.

    By default glibc returns large blocks to the system, and every tensor of the network begins
    with a page fault for each of its pages: a quarter of the time on a CPU. All threads share one
    arena, as others hold blocks of up to 64 MiB only.

    Source: mallopt(3).
    """
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library, such as musl
        return False
    taken = [
        any(mallopt(name, value) == 1 for value in values) for name, values in _MALLOPT_KEEP.items()
    ]
    return all(taken)
