"""TIFF written: 8, 16 bits or floats, grey or RGB, with alpha, EXIF, XMP, IPTC and profile.

An EXIF block is a small TIFF, so the file begins with it as it is, at offset 0: every offset in
it, also within makers' notes, stays true. Strips follow, then a first table that holds the
block's tags and the picture's.

Source: TIFF 6.0; compression 8 (Deflate) and predictor 2 from Adobe's technical note 3.
"""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction
from typing import Literal

import numpy as np

from moce_cli.pictures import tiff, tiff_predict
from moce_cli.pictures.exif import STRUCTURE
from moce_cli.pictures.ifd import (
    EXIF_POINTER,
    GPS_POINTER,
    INTEROP_POINTER,
    LONG,
    SHORT,
    UNDEFINED,
    DamagedError,
    Directories,
    Entry,
    pack,
)
from moce_cli.pictures.ifd import entry as integers
from moce_cli.pictures.picture import Picture

STRIP_TARGET_BYTES = 2**20
_LEVEL = 4  # as for PNG
_UNASSOCIATED_ALPHA = 2


def encode(pages: tuple[Picture, ...]) -> bytes:
    """The pages as a TIFF.

    Raises:
        DamagedError: it would pass 4 GB.
    """
    order, block, kept = _base(pages[0].source.exif)
    out = io.BytesIO()
    out.write(block)
    link = 4  # where the offset of the next table is to be written
    for index, page in enumerate(pages):
        if index:
            kept = _plain_tags(page.source.exif, order)
        link = _write_page(out, page, order, kept, link)
    return out.getvalue()


def _write_page(
    out: io.BytesIO, picture: Picture, order: Literal["<", ">"], kept: list[Entry], link: int
) -> int:
    """Append a page and link it in; where its own table is to point to the next."""
    source = picture.source
    offsets, lengths, rows = _write_strips(out, picture, order)
    channels = picture.channels + (picture.alpha is not None)
    entries = [
        integers(order, tiff.WIDTH, LONG, picture.width),
        integers(order, tiff.HEIGHT, LONG, picture.height),
        integers(order, tiff.BITS, SHORT, *[picture.depth] * channels),
        integers(order, tiff.COMPRESSION, SHORT, 8),
        integers(order, tiff.PHOTOMETRIC, SHORT, 2 if picture.channels == 3 else 1),
        integers(order, tiff.STRIP_OFFSETS, LONG, *offsets),
        integers(order, tiff.SAMPLES, SHORT, channels),
        integers(order, tiff.STRIP_ROWS, LONG, rows),
        integers(order, tiff.STRIP_BYTES, LONG, *lengths),
        integers(order, tiff.PLANAR, SHORT, 1),
        integers(order, tiff.PREDICTOR, SHORT, 3 if picture.depth == 32 else 2),
        integers(order, 274, SHORT, 1),
    ]
    if picture.depth == 32:
        entries.append(integers(order, tiff.SAMPLE_FORMAT, SHORT, *[3] * channels))
    if picture.alpha is not None:
        entries.append(integers(order, tiff.EXTRA, SHORT, _UNASSOCIATED_ALPHA))
    if source.dpi is not None:
        for tag, value in ((283, source.dpi[0]), (282, source.dpi[1])):
            exact = Fraction(value).limit_denominator(10_000)
            ratio = struct.pack(order + "II", exact.numerator, exact.denominator)
            entries.append(Entry(tag, 5, 1, ratio))
        entries.append(integers(order, 296, SHORT, 2))  # per inch
    for tag, kind, data in (
        (tiff.XMP, 1, source.xmp),
        (tiff.IPTC, UNDEFINED, source.iptc),
        (tiff.ICC, UNDEFINED, source.icc),
    ):
        if data:
            entries.append(Entry(tag, kind, len(data), data))
    at = out.seek(0, 2)
    out.write(b"\0" * (at % 2))
    at += at % 2
    tags = {tag.tag: tag for tag in [*kept, *entries]}  # the picture's own come last and count
    out.write(pack(tags.values(), order, at))
    out.seek(link)
    out.write(struct.pack(order + "I", at))
    out.seek(0, 2)
    return at + 2 + 12 * len(tags)


def _plain_tags(exif: bytes | None, order: str) -> list[Entry]:
    """A further page's tags that need no table of their own."""
    if not exif:
        return []
    try:
        tables = Directories(io.BytesIO(exif))
        tags, _ = tables.read(tables.first)
    except DamagedError:
        return []
    pointers = (EXIF_POINTER, GPS_POINTER, INTEROP_POINTER)
    return [
        tag
        for tag in tags.values()
        if tag.tag not in STRUCTURE
        and tag.tag not in pointers
        and (tables.order == order or tag.kind in (1, 2, 7))
    ]


def _base(exif: bytes | None) -> tuple[Literal["<", ">"], bytes, list[Entry]]:
    """Byte order, first bytes of the file, and the tags to take over from an EXIF block."""
    empty = b"II*\0\0\0\0\0"
    if not exif:
        return "<", empty, []
    try:
        tables = Directories(io.BytesIO(exif))
        tags, _ = tables.read(tables.first)
    except DamagedError:
        return "<", empty, []
    kept = [e for e in tags.values() if e.tag not in STRUCTURE]
    return tables.order, exif + b"\0" * (len(exif) % 2), kept


def _write_strips(
    out: io.BytesIO, picture: Picture, order: Literal["<", ">"]
) -> tuple[list[int], list[int], int]:
    """Write the pixels; offsets and lengths of the strips, and the rows in each."""
    channels = picture.channels + (picture.alpha is not None)
    row_bytes = picture.width * channels * picture.pixels.dtype.itemsize
    rows = max(1, min(picture.height, STRIP_TARGET_BYTES // row_bytes))
    offsets: list[int] = []
    lengths: list[int] = []
    for top in range(0, picture.height, rows):
        strip = picture.pixels[top : top + rows]
        if picture.alpha is not None:
            strip = np.concatenate([strip, picture.alpha[top : top + rows, :, None]], axis=2)
        if strip.dtype == np.float32:
            stored = tiff_predict.split(strip)
        else:
            difference = strip.copy()
            difference[:, 1:] -= strip[:, :-1]  # modulo 256 or 65536, as the predictor wants
            stored = difference.astype(difference.dtype.newbyteorder(order)).tobytes()
        packed = zlib.compress(stored, _LEVEL)
        at = out.tell()
        if at + len(packed) > 0xFFFFFFFF:
            raise DamagedError("a TIFF of more than 4 GB is not written")
        out.write(packed + b"\0" * (len(packed) % 2))
        offsets.append(at)
        lengths.append(len(packed))
    return offsets, lengths, rows
