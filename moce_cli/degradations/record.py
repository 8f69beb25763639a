"""What was done to a picture, written into its metadata."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import replace
from pathlib import Path

from moce_cli.degradations.step import Plan
from moce_cli.pictures import FORMATS, Picture
from moce_cli.pictures.ifd import SIZES, DamagedError, Directories, Entry, pack

KEYWORD = "moce:degradations"
"""Of the PNG text chunk."""
DESCRIPTION, ASCII = 270, 2  # EXIF's ImageDescription, and the kind of its value
COMMENT, BYTE = 40092, 1  # Windows' XPComment, in UTF-16


def as_json(plan: Plan, seed: int, picture: int) -> str:
    """The plan as one line of ASCII JSON; a kernel's file without the folders it lies in.

    Args:
        plan: what was done.
        seed: that it was drawn with.
        picture: its place in the run, from 0, which the draws depend on as well.
    """
    steps = [step.to_dict() for step in plan]
    for step in steps:
        if "file" in step:
            step["file"] = Path(str(step["file"])).name
    return json.dumps({KEYWORD: steps, "seed": seed, "picture": picture}, allow_nan=False)


def with_record(picture: Picture, record: str, format: str) -> tuple[Picture, tuple[str, ...]]:
    """The picture with a record of its damage, and a sentence if the format can't take it.

    PNG gets a text chunk; the others EXIF's ImageDescription, or its XPComment where that tells
    something already: what the source said stays.

    Args:
        picture: to be written.
        record: ASCII.
        format: a key of `FORMATS`.
    """
    source, holds = picture.source, FORMATS[format].holds
    if "text" in holds:
        text = (*source.text, (KEYWORD, record))
        return replace(picture, source=replace(source, text=text)), ()
    if "exif" not in holds:
        return picture, (f"{format} can't say what was done to the picture; --json does",)
    block = _described(source.exif, record)
    if block is None:
        return picture, ("its EXIF was kept, which has no place left for the record of damage",)
    return replace(picture, source=replace(source, exif=block)), ()


def _described(exif: bytes | None, record: str) -> bytes | None:
    """An EXIF block with this description, or comment; None if it has both, or can't be read.

    The first table is written again behind everything else, so that nothing moves to which a
    maker's note may point.
    """
    texts = record.encode("ascii") + b"\0", record.encode("utf-16-le") + b"\0\0"
    described = Entry(DESCRIPTION, ASCII, len(texts[0]), texts[0])
    commented = Entry(COMMENT, BYTE, len(texts[1]), texts[1])
    if exif is None:
        return struct.pack("<2sHI", b"II", 42, 8) + pack([described], "<", 8)
    try:
        tables = Directories(io.BytesIO(exif))
        main, _ = tables.read(tables.first)
        for told in (described, commented):
            if main.get(told.tag, told).data.strip(b"\0 ") in (b"", told.data.strip(b"\0 ")):
                break
        else:
            return None
        kept = [e for e in main.values() if e.kind in SIZES and e.tag != told.tag]
        at = len(exif) + len(exif) % 2
        block = bytearray(exif.ljust(at, b"\0") + pack([*kept, told], tables.order, at))
        struct.pack_into(tables.order + "I", block, 4, at)
    except DamagedError:
        return None
    return bytes(block)
