"""Image file directories: the tables of tags that TIFF and EXIF share.

Pillow reads TIFF's pixels; this reads and writes the tables, because Pillow loses 16-bit colour
and moves the blocks of makers' notes, whose inner offsets then point nowhere.

Source: TIFF 6.0 section 2; EXIF 2.32 section 4.6.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import BinaryIO, Literal, NamedTuple

SHORT, LONG, UNDEFINED, LONG8 = 3, 4, 7, 16
MOST_CLASSIC = 2**32 - 1
"""The last offset that a classic table can state."""
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
BIG_SIZES = {16: 8, 17: 8, 18: 8}
_CLASSIC, _BIG = (12, 4, "I", 2), (20, 8, "Q", 8)  # bytes of a tag, of its value; offset; count
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}

EXIF_POINTER, GPS_POINTER, INTEROP_POINTER = 0x8769, 0x8825, 0xA005
ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 274, 282, 283, 296


class DamagedError(ValueError):
    """A table that points outside its file, or makes no sense."""


class Entry(NamedTuple):
    """One tag. `at` is where the entry itself lies, `data` its value's bytes."""

    tag: int
    kind: int
    number: int
    data: bytes
    at: int = 0

    def integers(self, order: str) -> tuple[int, ...]:
        """The value as unsigned integers; empty if it is of another kind."""
        code = _INTEGERS.get(self.kind)
        return struct.unpack(f"{order}{self.number}{code}", self.data) if code else ()


class Directories:
    """Reads the tables of a TIFF, a BigTIFF or an EXIF block.

    Attributes:
        order: "<" or ">", as `struct` spells the byte order.
        first: offset of the first table.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read the header of a seekable file.

        Raises:
            DamagedError: there is none.
        """
        self.file = file
        self.length = file.seek(0, 2)
        head = self._take(0, 8)
        if head[:2] not in (b"II", b"MM"):
            raise DamagedError("it has no byte order mark")
        self.order: Literal["<", ">"] = "<" if head[:2] == b"II" else ">"
        version = self._unpack("H", head[2:4])
        self.big = version == 43
        if version not in (42, 43):
            raise DamagedError(f"its version is {version}")
        self.first = self._unpack(
            "Q" if self.big else "I", self._take(8, 8) if self.big else head[4:8]
        )

    def _unpack(self, code: str, data: bytes) -> int:
        return struct.unpack(self.order + code, data)[0]

    def _take(self, at: int, count: int) -> bytes:
        if at < 0 or at + count > self.length:
            raise DamagedError("it points outside the file")
        self.file.seek(at)
        data = self.file.read(count)
        if len(data) != count:
            raise DamagedError("it ends early")
        return data

    def read(self, at: int, *, strict: bool = False) -> tuple[dict[int, Entry], int]:
        """The table at an offset and the offset of the next one (0: none).

        Args:
            at: the offset.
            strict: refuse a tag whose value lies outside; else it is left out.

        Raises:
            DamagedError: there is no such table.
        """
        entry_bytes, inline, offset_code, head_bytes = _BIG if self.big else _CLASSIC
        count, end = self._extent(at)
        table = self._take(at + head_bytes, count * entry_bytes)
        budget = self.length  # values that overlap again and again are an attack
        entries: dict[int, Entry] = {}
        for index in range(count):
            raw = table[index * entry_bytes : (index + 1) * entry_bytes]
            tag, kind = struct.unpack(self.order + "HH", raw[:4])
            values = self._unpack(offset_code, raw[4 : 4 + inline])
            size = (SIZES | BIG_SIZES).get(kind, 0) * values
            place = at + head_bytes + index * entry_bytes
            budget -= size
            if budget < 0:
                raise DamagedError("its values overlap")
            if size <= inline:
                data = raw[4 + inline : 4 + inline + size]
            else:
                try:
                    data = self._take(self._unpack(offset_code, raw[4 + inline :]), size)
                except DamagedError:
                    if strict:
                        raise
                    continue
            entries.setdefault(tag, Entry(tag, kind, values, data, place))
        return entries, self._next(end)

    def following(self, at: int) -> int:
        """The offset of the table after the one at an offset (0: none)."""
        return self._next(self._extent(at)[1])

    def _extent(self, at: int) -> tuple[int, int]:
        """How many tags a table has, and where they end."""
        entry_bytes, _, _, head_bytes = _BIG if self.big else _CLASSIC
        if at < 8:
            raise DamagedError("a table lies in the header")
        count = self._unpack("Q" if self.big else "H", self._take(at, head_bytes))
        if not 0 < count <= 65535:
            raise DamagedError(f"a table of {count} tags")
        return count, at + head_bytes + count * entry_bytes

    def _next(self, end: int) -> int:
        size = 8 if self.big else 4
        if end + size > self.length:
            return 0
        return self._unpack("Q" if self.big else "I", self._take(end, size))


def pack(
    entries: Iterable[Entry], order: str, at: int, *, big: bool = False, most: int = MOST_CLASSIC
) -> bytes:
    """A table to stand at offset `at`, its longer values behind it.

    Args:
        entries: the tags.
        order: "<" or ">".
        at: where it will stand.
        big: as BigTIFF has it, else classic.
        most: the last offset in a classic table.

    Raises:
        DamagedError: an offset of a classic table would pass it.
    """
    entries = sorted(entries)
    entry_bytes, inline, code, head_bytes = _BIG if big else _CLASSIC
    table = struct.pack(order + ("Q" if big else "H"), len(entries))
    values = b""
    values_at = at + head_bytes + entry_bytes * len(entries) + inline
    for entry in entries:
        table += struct.pack(order + "HH" + code, entry.tag, entry.kind, entry.number)
        if len(entry.data) <= inline:
            table += entry.data.ljust(inline, b"\0")
            continue
        offset = values_at + len(values)
        if not big and offset + len(entry.data) > most:
            raise DamagedError("its offsets pass 4 GB")
        table += struct.pack(order + code, offset)
        values += entry.data + b"\0" * (len(entry.data) % 2)
    return table + bytes(inline) + values


def entry(order: str, tag: int, kind: int, *values: int) -> Entry:
    """A tag of SHORT, LONG or LONG8 integers."""
    data = struct.pack(f"{order}{len(values)}{_INTEGERS[kind]}", *values)
    return Entry(tag, kind, len(values), data)
