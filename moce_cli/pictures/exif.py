"""EXIF and XMP made true for a picture that now stands upright.

An EXIF block is changed in place where it can be, so that makers' notes, which hold offsets of
their own, stay readable.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import struct
from collections.abc import Callable
from fractions import Fraction

from moce_cli.pictures.ifd import (
    EXIF_POINTER,
    GPS_POINTER,
    INTEROP_POINTER,
    LONG,
    ORIENTATION,
    RESOLUTION_UNIT,
    SHORT,
    SIZES,
    X_RESOLUTION,
    Y_RESOLUTION,
    DamagedError,
    Directories,
    Entry,
    entry,
    pack,
)

PREFIX = b"Exif\0\0"
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)([1-8])(?=\D)")

# Tags of a TIFF's first table that lay out its pixels, or that are carried by other means.
STRUCTURE = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, ORIENTATION, 277, 278, 279, 280}
    | {281, X_RESOLUTION, Y_RESOLUTION, 284, 288, 289, 290, 291, 292, 293, RESOLUTION_UNIT, 297}
    | {301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 326, 327, 328, 330, 332, 333, 334, 336}
    | {337, 338, 339, 340, 341, 342, 343, 344, 345, 346, 347, 400, 700, 33723, 34377, 34675, 37724}
    | {512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 50838, 50839}
)
_SIZE_TAGS = {256: "width", 257: "height", 0xA002: "width", 0xA003: "height"}
_POINTERS = (EXIF_POINTER, GPS_POINTER, INTEROP_POINTER)


def bare(exif: bytes) -> bytes:
    """The block from its TIFF header on, with or without "Exif" before it."""
    return exif.removeprefix(PREFIX)


def orientation(exif: bytes | None, xmp: bytes | None) -> int:
    """The orientation, 1 to 8: EXIF's, else XMP's, else 1 (as Pillow's exif_transpose does)."""
    if exif:
        with contextlib.suppress(DamagedError):
            tables = Directories(io.BytesIO(exif))
            found = tables.read(tables.first)[0].get(ORIENTATION)
            if found is not None:
                value = (*found.integers(tables.order), 1)[0]
                return value if 1 <= value <= 8 else 1
    match = _XMP_ORIENTATION.search(xmp or b"")
    return int(match[2]) if match else 1


def upright_xmp(xmp: bytes) -> bytes:
    """The packet, its tiff:Orientation set to 1."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def upright(exif: bytes, *, height: int, width: int, transposed: bool = False) -> bytes:
    """The block for an upright picture of this size, without its thumbnail.

    Args:
        exif: a block that starts with its TIFF header.
        height: of the picture.
        width: of the picture.
        transposed: rows have become columns, so the two resolutions change places.

    Raises:
        DamagedError: the block's tables can't be read.
    """
    block = bytearray(exif)
    tables = Directories(io.BytesIO(exif))
    main, thumbnail_at = tables.read(tables.first)
    if ORIENTATION in main:
        _set_integer(block, tables.order, main[ORIENTATION], 1)
    directories = [main]
    pointer = main.get(EXIF_POINTER)
    if pointer and (places := pointer.integers(tables.order)):
        directories.append(tables.read(places[0])[0])
    for directory in directories:
        for tag, side in _SIZE_TAGS.items():
            if tag in directory:
                value = height if side == "height" else width
                _set_integer(block, tables.order, directory[tag], value)
    if transposed and X_RESOLUTION in main and Y_RESOLUTION in main:
        x, y = main[X_RESOLUTION].at + 2, main[Y_RESOLUTION].at + 2  # behind the tag's number
        block[x : x + 10], block[y : y + 10] = block[y : y + 10], block[x : x + 10]
    if thumbnail_at:
        _drop_thumbnail(block, tables, thumbnail_at)
    return bytes(block)


def _set_integer(block: bytearray, order: str, found: Entry, value: int) -> None:
    """Write one integer into its entry, as SHORT where it fits."""
    if value < 65536:
        inline = struct.pack(order + "HIHH", SHORT, 1, value, 0)
    else:
        inline = struct.pack(order + "HII", LONG, 1, value)
    block[found.at + 2 : found.at + 12] = inline


def _drop_thumbnail(block: bytearray, tables: Directories, at: int) -> None:
    """Unlink the second table and erase the small picture it points to."""
    (stored,) = struct.unpack_from(tables.order + "H", block, tables.first)
    struct.pack_into(tables.order + "I", block, tables.first + 2 + 12 * stored, 0)
    try:
        second, _ = tables.read(at)
    except DamagedError:
        return
    for offset_tag, length_tag in ((513, 514), (273, 279)):
        if offset_tag not in second or length_tag not in second:
            continue
        starts = second[offset_tag].integers(tables.order)
        lengths = second[length_tag].integers(tables.order)
        for start, length in zip(starts, lengths, strict=False):
            if at < start and start + length >= len(block):
                del block[start:]  # the usual place: at the end, where nothing else lies
            elif start > 8 and start + length <= len(block):
                block[start : start + length] = bytes(length)


def from_tiff(tables: Directories, first: dict[int, Entry]) -> bytes | None:
    """What a TIFF's own tables say about the picture, as an EXIF block; None if nothing.

    Raises:
        DamagedError: they are too large to be copied.
    """
    order = tables.order
    block = bytearray(struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8))

    def place(entries: list[Entry], tag: int) -> Entry:
        at = len(block)
        block.extend(pack(entries, order, at))
        return entry(order, tag, LONG, at)

    kept = carried(tables, first, place)
    if not kept:
        return None
    main_at = len(block)
    block += pack(kept, order, main_at)
    struct.pack_into(order + "I", block, 4, main_at)
    return bytes(block)


def carried(
    tables: Directories, first: dict[int, Entry], place: Callable[[list[Entry], int], Entry]
) -> list[Entry]:
    """The tags of a first table that say something about the picture, further tables copied.

    Args:
        tables: what the first table comes from.
        first: the table.
        place: writes a further table somewhere; gives the entry, of this tag, that points to it.
    """

    def copy(parent: dict[int, Entry], tag: int, children: tuple[int, ...] = ()) -> list[Entry]:
        """Copy the table that `tag` points to, its children before it."""
        pointer = parent.get(tag)
        try:
            found = tables.read((*pointer.integers(tables.order), 0)[0])[0] if pointer else {}
        except DamagedError:
            return []
        kept = [e for e in found.values() if e.tag not in _POINTERS and e.kind in SIZES]
        for child in children:
            kept += copy(found, child)
        return [place(kept, tag)] if kept else []

    kept = [
        e
        for e in first.values()
        if e.tag not in STRUCTURE and e.tag not in _POINTERS and e.kind in SIZES
    ]
    return kept + copy(first, EXIF_POINTER, (INTEROP_POINTER,)) + copy(first, GPS_POINTER)


def with_resolution(exif: bytes | None, dpi: tuple[float, float]) -> bytes:
    """The block, or a new one, that states this resolution, (vertical, horizontal).

    Only the first table is written anew, behind the rest: what lies elsewhere stays in its place.

    Raises:
        DamagedError: the block's tables can't be read.
    """
    block = exif or b"II*\0\0\0\0\0"
    tables = Directories(io.BytesIO(block))
    order = tables.order
    main = tables.read(tables.first)[0] if exif else {}
    stated = {RESOLUTION_UNIT: entry(order, RESOLUTION_UNIT, SHORT, 2)}  # per inch
    for tag, dots in ((Y_RESOLUTION, dpi[0]), (X_RESOLUTION, dpi[1])):
        exact = Fraction(dots).limit_denominator(10_000)
        ratio = struct.pack(order + "II", exact.numerator, exact.denominator)
        stated[tag] = Entry(tag, 5, 1, ratio)
    said = {RESOLUTION_UNIT: stated[RESOLUTION_UNIT]} | main  # which may be left out
    if all(tag in said and said[tag].data == stated[tag].data for tag in stated):
        return block
    kept = {tag: e for tag, e in main.items() if e.kind in SIZES}
    at = len(block) + len(block) % 2
    table = pack((kept | stated).values(), order, at)
    return block[:4] + struct.pack(order + "I", at) + block[8:].ljust(at - 8, b"\0") + table


def without_orientation(exif: bytes) -> bytes:
    """The block without the tag, all else in its place; empty if it says nothing else.

    Raises:
        DamagedError: the block's tables can't be read.
    """
    tables = Directories(io.BytesIO(exif))
    main, _ = tables.read(tables.first)
    if ORIENTATION not in main:
        return exif
    if len(main) == 1:
        return b""
    block, at = bytearray(exif), main[ORIENTATION].at
    (stored,) = struct.unpack_from(tables.order + "H", block, tables.first)
    struct.pack_into(tables.order + "H", block, tables.first, stored - 1)
    end = tables.first + 2 + 12 * stored + 4  # with the offset of the next table
    block[at:end] = block[at + 12 : end] + bytes(12)
    return bytes(block)


def facts(exif: bytes) -> dict[tuple[int, int], bytes]:
    """(table, tag): value, of what a block says of a picture; those of its makers' notes aside.

    Nothing of a damaged block, whose values lie on its tables: they change with those.

    Raises:
        DamagedError: the block's tables can't be read.
    """
    tables = Directories(io.BytesIO(exif))
    main, _ = tables.read(tables.first)
    found = {
        (0, tag): e.data for tag, e in main.items() if tag not in STRUCTURE and e.kind in SIZES
    }
    places = [(0, 8), *_places(exif, tables, tables.first, main)]
    for pointer in (EXIF_POINTER, GPS_POINTER):
        found.pop((0, pointer), None)
        if pointer not in main:
            continue
        with contextlib.suppress(DamagedError):
            at = (*main[pointer].integers(tables.order), 0)[0]
            table, _ = tables.read(at)
            places += _places(exif, tables, at, table)
            told = {(pointer, tag): e.data for tag, e in table.items() if e.kind in SIZES}
            found |= {key: data for key, data in told.items() if key[1] not in _POINTERS}
    places.sort()
    apart = all(end <= start for (_, end), (start, _) in itertools.pairwise(places))
    return found if apart else {}


def _places(
    exif: bytes, tables: Directories, at: int, entries: dict[int, Entry]
) -> list[tuple[int, int]]:
    """From where to where a table and each of its longer values lie."""
    (stored,) = struct.unpack_from(tables.order + "H", exif, at)
    found = [(at, at + 2 + 12 * stored)]
    for one in entries.values():
        if len(one.data) > 4:
            (start,) = struct.unpack_from(tables.order + "I", exif, one.at + 8)
            found.append((start, start + len(one.data)))
    return found
