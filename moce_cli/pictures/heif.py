"""HEIC read, by libheif and libde265 (both LGPL), as the package pi-heif brings them.

Source: ISO/IEC 23008-12. Turns and mirrors are part of its pixels' description and applied by
libheif; the EXIF orientation says the same again and must not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from moce_cli.pictures import avif, exif
from moce_cli.pictures.boxes import boxes
from moce_cli.pictures.decode import Samples
from moce_cli.pictures.extras import needed
from moce_cli.pictures.ifd import DamagedError
from moce_cli.pictures.picture import Source


@dataclass(frozen=True, slots=True)
class Heif:
    """A file that was opened, not decoded."""

    height: int
    width: int
    source: Source
    image: Any
    depth: int

    def decode(self) -> Samples:
        """The primary picture's pixels."""
        array = np.array(self.image)  # its memory goes with the file
        if array.dtype == np.uint16:  # in the upper bits of 16
            array = array | array >> self.depth
        array = array[:, :, None] if array.ndim == 2 else array
        colours = 1 if array.shape[2] < 3 else 3
        alpha = array[:, :, colours].copy() if array.shape[2] > colours else None
        return Samples(np.ascontiguousarray(array[:, :, :colours]), alpha, self.source.icc)


def open_heif(file: BinaryIO) -> Heif:
    """Read a file's header.

    Raises:
        InputError: pi-heif is not installed.
        Exception: of several kinds, when the file is damaged.
    """
    pi_heif = needed("HEIC")
    file.seek(0)
    data = file.read()
    head = data[: avif.HEAD_BYTES]
    _check_items(memoryview(data))
    file.seek(0)
    opened = pi_heif.open_heif(file, convert_hdr_to_8bit=False)
    image = opened[opened.primary_index]
    info = image.info
    width, height = image.size
    depth = int(info.get("bit_depth", 8))
    block = info.get("exif")
    packet = info.get("xmp")
    icc = info.get("icc_profile") or None
    grey, alpha = image.mode.startswith("L"), "A" in image.mode
    count = len(opened)
    source = Source(
        format="HEIC",
        depth=depth,
        mode=("grey" if grey else "RGB") + ("+alpha" if alpha else ""),
        icc=icc,
        exif=exif.bare(block) if block else None,
        xmp=packet.rstrip(b"\0") if packet else None,
        png_chunks=() if icc else avif.coded_colours(head),
        lossy=True,
        notes=(f"it holds {count} pictures: the main one was taken",) if count > 1 else (),
    )
    return Heif(height, width, source, image, depth)


def _check_items(data: memoryview) -> None:
    """Refuse items whose kinds or names are no text: pi-heif would crash on them.

    Raises:
        DamagedError: there is such an item, or a table that can't be followed.
    """
    meta = next((body for kind, body in boxes(data) if kind == b"meta"), memoryview(b""))
    for kind, table in boxes(meta[4:]):
        if kind != b"iinf":
            continue
        start = 6 if bytes(table[:1]) == b"\0" else 8  # behind the version and a count
        for name, item in boxes(table[start:]):
            if name == b"infe":
                _check_text(bytes(item))


def _check_text(item: bytes) -> None:
    start = 10 if item[:1] == b"\3" else 8  # behind version, number and protection
    try:
        item[start:].decode()
    except UnicodeDecodeError as error:
        raise DamagedError("the kind or name of an item is no text") from error
