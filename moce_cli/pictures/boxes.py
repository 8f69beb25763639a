"""The boxes that HEIC and JPEG XL are made of. Source: ISO/IEC 14496-12 section 4.2."""

from __future__ import annotations

from collections.abc import Iterator

from moce_cli.pictures.ifd import DamagedError

_MOST = 100_000


def boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """(kind, contents) of each box that lies in `data` side by side.

    Raises:
        DamagedError: one reaches beyond the end.
    """
    at = 0
    for _ in range(_MOST):
        if at + 8 > len(data):
            return
        length, kind, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if length == 1:
            length, start = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = at + length if length else len(data)
        if end < at + start or end > len(data):
            raise DamagedError("a box points outside")
        yield bytes(kind), data[at + start : end]
        at = end
