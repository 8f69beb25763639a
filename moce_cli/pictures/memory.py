"""How much memory a picture takes, told before it is read."""

from __future__ import annotations

from moce_cli.errors import DeviceError
from moce_cli.runtime import memory_bytes


def picture_bytes(height: int, width: int, depth: int) -> int:
    """Memory that a picture takes while it is restored: as read, written, encoded and verified."""
    return 4 * height * width * 3 * (1 if depth <= 8 else 2 if depth <= 16 else 4)


def fits(height: int, width: int, depth: int) -> bool:
    """Whether this machine can hold a picture."""
    return picture_bytes(height, width, depth) <= memory_bytes()


def check_fits(name: str, height: int, width: int, depth: int, hint: str) -> None:
    """Refuse a picture that this machine cannot hold, before it is read.

    Raises:
        DeviceError: with what it needs and what there is.
    """
    needed, there = picture_bytes(height, width, depth), memory_bytes()
    if needed > there:
        raise DeviceError(
            f"{name} has {width} x {height} pixels and needs {needed / 2**30:.1f} GiB of memory; "
            f"{there / 2**30:.1f} GiB may be used",
            hint,
        )
