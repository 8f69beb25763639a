"""What a WebP's chunks say.

Source: RFC 9649.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from moce_cli.pictures.ifd import DamagedError


def extent(file: BinaryIO) -> tuple[int, int]:
    """(height, width) of a WebP's canvas."""
    file.seek(12)
    head = file.read(18)
    kind, body = head[:4], head[8:]
    if len(head) < 18:
        raise DamagedError("it is cut short")
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[7:10], "little"), 1 + int.from_bytes(body[4:7], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        return height & 0x3FFF, width & 0x3FFF
    raise DamagedError("its first chunk is unknown")


def is_lossless(file: BinaryIO) -> bool:
    """Its first picture is stored without loss."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        if name in (b"VP8 ", b"VP8L"):
            return name == b"VP8L"
        file.seek(16 if name == b"ANMF" else length + length % 2, 1)
    return False
