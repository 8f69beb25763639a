"""What a GIF carries in application extensions: XMP and a colour profile.

Source: GIF89a section 26; XMP specification part 3, section 1.1.2 (the trailer that lets readers
who know nothing of XMP find its end); ICC's note on embedding in GIF ("ICCRGBG1", "012").
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from moce_cli.pictures.ifd import DamagedError

XMP, ICC = b"XMP DataXMP", b"ICCRGBG1012"
_TRAILER = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
_MOST_BYTES = 16 * 2**20
_EXTENSION, _IMAGE, _APPLICATION = 0x21, 0x2C, 0xFF


def carried(file: BinaryIO) -> tuple[bytes | None, bytes | None]:
    """The XMP packet and the profile of a GIF; what is cut short is left out."""
    found: dict[bytes, bytes] = {}
    file.seek(0)
    head = file.read(13)
    if len(head) < 13:
        return None, None
    file.seek(_table_bytes(head[10]), 1)
    while (kind := file.read(1)) in (bytes([_EXTENSION]), bytes([_IMAGE])):
        if kind[0] == _IMAGE:
            described = file.read(9)
            if len(described) < 9:
                break
            file.seek(_table_bytes(described[8]) + 1, 1)  # and the size of its codes
            _skip(file)
            continue
        if file.read(1) != bytes([_APPLICATION]):
            _skip(file)
            continue
        length = file.read(1)
        name = file.read(length[0]) if length else b""
        start = file.tell()
        data = _skip(file)
        if name == ICC:
            found.setdefault(ICC, data)
        elif name == XMP:
            end = file.tell()
            file.seek(start)
            raw = file.read(min(end - start, _MOST_BYTES))
            if raw.endswith(_TRAILER):
                found.setdefault(XMP, raw[: -len(_TRAILER)])
            file.seek(end)
    return found.get(XMP) or None, found.get(ICC) or None


def extent(file: BinaryIO) -> tuple[int, int]:
    """(height, width) that the canvas and all frames of a GIF reach to.

    Pillow widens the canvas for a frame that lies beyond it, as soon as it comes to that frame.

    Raises:
        DamagedError: it ends within its header.
    """
    file.seek(0)
    head = file.read(13)
    if len(head) < 13:
        raise DamagedError("it is cut short")
    width, height = struct.unpack_from("<HH", head, 6)
    file.seek(_table_bytes(head[10]), 1)
    while kind := file.read(1):  # other bytes between blocks are passed over, as Pillow does
        if kind[0] == _EXTENSION:
            file.seek(1, 1)
            _skip(file)
        elif kind[0] == _IMAGE:
            described = file.read(9)
            if len(described) < 9:
                break
            left, top, across, down = struct.unpack_from("<4H", described)
            height, width = max(height, top + down), max(width, left + across)
            file.seek(_table_bytes(described[8]) + 1, 1)
            _skip(file)
        elif kind == b";":
            break
    return height, width


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip(file: BinaryIO) -> bytes:
    """Read sub-blocks to their end; their data, up to a bound."""
    parts: list[bytes] = []
    size = 0
    while length := file.read(1):
        if not length[0]:
            break
        part = file.read(length[0])
        size += len(part)
        if size <= _MOST_BYTES:
            parts.append(part)
    return b"".join(parts)


def with_carried(data: bytes, xmp: bytes | None, icc: bytes | None) -> bytes:
    """A whole GIF with these extensions before all others."""
    at = 13 + _table_bytes(data[10])
    blocks = b""
    if icc:
        parts = [icc[n : n + 255] for n in range(0, len(icc), 255)]
        blocks += _named(ICC) + b"".join(bytes([len(p)]) + p for p in parts) + b"\0"
    if xmp:
        blocks += _named(XMP) + xmp + _TRAILER
    if not blocks:
        return data
    return b"GIF89a" + data[6:at] + blocks + data[at:]


def _named(name: bytes) -> bytes:
    return bytes([_EXTENSION, _APPLICATION, len(name)]) + name
