"""A TIFF's page described anew: what lays out its pixels, and none of its metadata.

libtiff stumbles over unusual metadata, and libvips makes black tiles of what it can't decode unless
warnings count as errors: so no warning must be about anything but pixels.
"""

from __future__ import annotations

import contextlib
import os
import struct
from typing import BinaryIO

from moce_cli.pictures import tiff
from moce_cli.pictures.ifd import DamagedError, pack

_JPEG_TABLES, _YCBCR = 347, (529, 530, 531, 532)
_LAYOUT = frozenset(
    {tiff.WIDTH, tiff.HEIGHT, tiff.BITS, tiff.COMPRESSION, tiff.PHOTOMETRIC, tiff.STRIP_OFFSETS}
    | {tiff.SAMPLES, tiff.STRIP_ROWS, tiff.STRIP_BYTES, tiff.PLANAR, tiff.PREDICTOR, tiff.EXTRA}
    | {tiff.SAMPLE_FORMAT, tiff.TILE_WIDTH, tiff.TILE_HEIGHT, tiff.TILE_OFFSETS, tiff.TILE_BYTES}
    | {tiff.FILL_ORDER, _JPEG_TABLES, *_YCBCR}
)


class Described:
    """The file with another header, which points to a table behind its end.

    Args:
        file: the TIFF.
        page: what its table says.

    Raises:
        DamagedError: pixels are missing, or a classic TIFF leaves no room below 4 GB.
    """

    def __init__(self, file: BinaryIO, page: tiff.Tiff) -> None:
        self._file, self._at = file, 0
        tables = page.tables
        order, at = tables.order, tables.length + tables.length % 2
        mark = b"II" if order == "<" else b"MM"
        if tables.big:
            self._head = mark + struct.pack(order + "HHHQ", 43, 8, 0, at)
        else:
            self._head = mark + struct.pack(order + "HI", 42, at & 0xFFFFFFFF)
        kept = [entry for tag, entry in page.tags.items() if tag in _LAYOUT]
        table = pack(kept, order, at, big=tables.big)
        places = page.values(tiff.TILE_OFFSETS) or page.values(tiff.STRIP_OFFSETS)
        for start, length in zip(places, page.lengths, strict=True):
            if start + length > tables.length:  # else the new table would be taken for pixels
                raise DamagedError("it is cut short")
        self._end = tables.length
        self._tail = bytes(at - tables.length) + table

    def read(self, count: int) -> bytes:
        """The next bytes; fewer at the end, or where the disk can't be read."""
        parts: list[bytes] = []
        with contextlib.suppress(OSError):  # libvips, which calls, takes no exceptions
            while count > 0 and (part := self._part(count)):
                self._at += len(part)
                count -= len(part)
                parts.append(part)
        return b"".join(parts)

    def _part(self, count: int) -> bytes:
        at, head_bytes = self._at, len(self._head)
        if at < head_bytes:
            return self._head[at : at + count]
        if at < self._end:
            self._file.seek(at)
            return self._file.read(min(count, self._end - at))
        return self._tail[at - self._end : at - self._end + count]

    def seek(self, offset: int, whence: int) -> int:
        """Go elsewhere; where that is."""
        start = {os.SEEK_CUR: self._at, os.SEEK_END: self._end + len(self._tail)}.get(whence, 0)
        self._at = start + offset
        return self._at
