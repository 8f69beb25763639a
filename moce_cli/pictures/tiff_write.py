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
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO, Literal

import numpy as np

from moce_cli.pictures import tiff, tiff_predict
from moce_cli.pictures.exif import STRUCTURE
from moce_cli.pictures.ifd import (
    EXIF_POINTER,
    GPS_POINTER,
    INTEROP_POINTER,
    LONG,
    LONG8,
    MOST_CLASSIC,
    SHORT,
    UNDEFINED,
    DamagedError,
    Directories,
    Entry,
    pack,
)
from moce_cli.pictures.ifd import entry as integers
from moce_cli.pictures.picture import Picture, Pixels, Source

STRIP_TARGET_BYTES = 2**20
_LEVEL = 4  # as for PNG
_UNASSOCIATED_ALPHA = 2


def encode(pages: tuple[Picture, ...]) -> bytes:
    """The pages as a TIFF.

    Raises:
        DamagedError: it would pass 4 GB.
    """
    order, block, kept = base(pages[0].source.exif)
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
    samples = picture.channels + (picture.alpha is not None)
    row_bytes = picture.width * samples * picture.pixels.dtype.itemsize
    strips = Strips(out, order, strip_rows(picture.height, row_bytes))
    for top in range(0, picture.height, strips.rows):
        strip = picture.pixels[top : top + strips.rows]
        if picture.alpha is not None:
            alpha = picture.alpha[top : top + strips.rows, :, None]
            strip = np.concatenate([strip, alpha], axis=2)
        strips.add(strip)
    if out.tell() > MOST_CLASSIC:
        raise DamagedError("a TIFF of more than 4 GB is not written")
    page = Page(picture.height, picture.width, samples, picture.depth, picture.alpha is not None)
    entries = page.entries(order, strips, picture.source)
    at = align(out)
    tags = merged(kept, entries)
    out.write(pack(tags, order, at))
    out.seek(link)
    out.write(struct.pack(order + "I", at))
    out.seek(0, 2)
    return at + 2 + 12 * len(tags)


def merged(kept: list[Entry], entries: list[Entry]) -> list[Entry]:
    """Tags of both, the picture's own in place of those that were kept."""
    return list({tag.tag: tag for tag in [*kept, *entries]}.values())


def align(out: BinaryIO) -> int:
    """Go on at an even offset, as tables must; that offset."""
    at = out.seek(0, 2)
    out.write(b"\0" * (at % 2))
    return at + at % 2


def strip_rows(height: int, row_bytes: int) -> int:
    """Rows of a strip."""
    return max(1, min(height, STRIP_TARGET_BYTES // row_bytes))


@dataclass(slots=True)
class Strips:
    """Strips written one after another.

    Attributes:
        out: the file, where the next strip goes.
        order: "<" or ">".
        rows: of each strip but the last.
        offsets: of the strips written.
        lengths: likewise.
    """

    out: BinaryIO
    order: Literal["<", ">"]
    rows: int
    offsets: list[int] = field(default_factory=list[int])
    lengths: list[int] = field(default_factory=list[int])

    def add(self, strip: Pixels) -> None:
        """Write a strip, (rows, W, samples)."""
        if strip.dtype == np.float32:
            stored = tiff_predict.split(strip)
        else:
            difference = strip.copy()
            difference[:, 1:] -= strip[:, :-1]  # modulo 256 or 65536, as the predictor wants
            stored = difference.astype(difference.dtype.newbyteorder(self.order)).tobytes()
        packed = zlib.compress(stored, _LEVEL)
        self.offsets.append(self.out.tell())
        self.lengths.append(len(packed))
        self.out.write(packed + b"\0" * (len(packed) % 2))


@dataclass(frozen=True, slots=True)
class Page:
    """What a page is: its size, its samples (alpha included), their bits."""

    height: int
    width: int
    samples: int
    depth: int
    has_alpha: bool

    def entries(
        self, order: Literal["<", ">"], strips: Strips, source: Source, *, big: bool = False
    ) -> list[Entry]:
        """The tags of the pixels, and of the metadata other than EXIF."""
        colours = self.samples - self.has_alpha
        places = LONG8 if big else LONG
        entries = [
            integers(order, tiff.WIDTH, LONG, self.width),
            integers(order, tiff.HEIGHT, LONG, self.height),
            integers(order, tiff.BITS, SHORT, *[self.depth] * self.samples),
            integers(order, tiff.COMPRESSION, SHORT, 8),
            integers(order, tiff.PHOTOMETRIC, SHORT, 2 if colours == 3 else 1),
            integers(order, tiff.STRIP_OFFSETS, places, *strips.offsets),
            integers(order, tiff.SAMPLES, SHORT, self.samples),
            integers(order, tiff.STRIP_ROWS, LONG, strips.rows),
            integers(order, tiff.STRIP_BYTES, LONG, *strips.lengths),
            integers(order, tiff.PLANAR, SHORT, 1),
            integers(order, tiff.PREDICTOR, SHORT, 3 if self.depth == 32 else 2),
            integers(order, 274, SHORT, 1),
        ]
        if self.depth == 32:
            entries.append(integers(order, tiff.SAMPLE_FORMAT, SHORT, *[3] * self.samples))
        if self.has_alpha:
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
        return entries


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


def base(exif: bytes | None) -> tuple[Literal["<", ">"], bytes, list[Entry]]:
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
