"""A file's bytes, made of a picture's rows as they come.

Each encoder takes groups of as many rows as it says, the last group with what is left.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import replace
from typing import BinaryIO, Literal, Protocol

from moce_cli.pictures import exif, jpeg_write, png, png_write, tiff_write
from moce_cli.pictures.ifd import LONG8, MOST_CLASSIC, DamagedError, Directories, Entry, pack
from moce_cli.pictures.ifd import entry as integers
from moce_cli.pictures.large.facts import BandFacts
from moce_cli.pictures.picture import Pixels, Source
from moce_cli.pictures.storage import Storage

_GROUP_BYTES = 4 * 2**20
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")  # in coded data other bytes of 255 precede a 0


class Encoder(Protocol):
    """One format.

    Attributes:
        rows: of a group.
    """

    rows: int

    def add(self, samples: Pixels) -> None:
        """The next group, (rows, W, samples)."""
        ...

    def end(self) -> None:
        """All rows were given."""
        ...


def encoder_of(out: BinaryIO, kind: str, facts: BandFacts, storage: Storage) -> Encoder:
    """The encoder of a format.

    Args:
        out: an empty file.
        kind: "PNG", "JPEG" or "TIFF".
        facts: of the picture, as the format holds it.
        storage: see `write`.
    """
    if kind == "PNG":
        return PngEncoder(out, facts, storage)
    return JpegEncoder(out, facts, storage) if kind == "JPEG" else TiffEncoder(out, facts)


def _group(facts: BandFacts) -> int:
    """Rows of a group, a multiple of 16."""
    row_bytes = facts.width * facts.samples * facts.dtype.itemsize
    return 16 * max(1, _GROUP_BYTES // (16 * row_bytes))


class PngEncoder:
    """All metadata before the pixels, as `png_write` has it."""

    def __init__(self, out: BinaryIO, facts: BandFacts, storage: Storage) -> None:
        self._out, self.rows = out, _group(facts)
        self._packer = png_write.Packer(storage.png_compression)
        out.write(png.SIGNATURE)
        start = png_write.header(facts.height, facts.width, facts.samples, facts.depth)
        for name, data in [start, *png_write.metadata(facts.source)]:
            png.write_chunk(out, name, data)

    def add(self, samples: Pixels) -> None:
        """See `Encoder`."""
        for packed in self._packer.add(samples):
            png.write_chunk(self._out, b"IDAT", packed)

    def end(self) -> None:
        """See `Encoder`."""
        png.write_chunk(self._out, b"IDAT", self._packer.end())
        png.write_chunk(self._out, b"IEND", b"")


class TiffEncoder:
    """The strips of `tiff_write`, the table behind them: a BigTIFF's where 4 GB do not suffice.

    In a BigTIFF the EXIF block lies at offset 0 as well, its first 16 bytes overwritten by the
    longer header, so that offsets within makers' notes stay true; its tables are written anew.

    Args:
        out: an empty file.
        facts: of the picture.
        most_classic: the last offset in a classic TIFF.
    """

    def __init__(
        self, out: BinaryIO, facts: BandFacts, *, most_classic: int = MOST_CLASSIC
    ) -> None:
        self._out, self._source, self._most = out, facts.source, most_classic
        self._page = tiff_write.Page(
            facts.height, facts.width, facts.samples, facts.depth, facts.has_alpha
        )
        self._order: Literal["<", ">"]  # else taken for any string
        self._order, block, self._kept = tiff_write.base(facts.source.exif)
        out.write(block.ljust(16, b"\0"))
        row_bytes = facts.width * facts.samples * facts.dtype.itemsize
        self.rows = tiff_write.strip_rows(facts.height, row_bytes)
        self._strips = tiff_write.Strips(out, self._order, self.rows)

    def add(self, samples: Pixels) -> None:
        """See `Encoder`."""
        self._strips.add(samples)

    def end(self) -> None:
        """See `Encoder`."""
        at = tiff_write.align(self._out)
        try:
            table = self._classic_table(at)
        except DamagedError:
            self._end_big()
            return
        self._out.write(table)
        self._out.seek(4)
        self._out.write(struct.pack(self._order + "I", at))

    def _classic_table(self, at: int) -> bytes:
        if at > self._most:
            raise DamagedError("its strips pass 4 GB")
        entries = self._page.entries(self._order, self._strips, self._source)
        return pack(tiff_write.merged(self._kept, entries), self._order, at, most=self._most)

    def _end_big(self) -> None:
        kept: list[Entry] = []
        if self._kept and self._source.exif:
            tables = Directories(io.BytesIO(self._source.exif))
            kept = exif.carried(tables, tables.read(tables.first)[0], self._place)
        entries = self._page.entries(self._order, self._strips, self._source, big=True)
        at = tiff_write.align(self._out)
        self._out.write(pack(tiff_write.merged(kept, entries), self._order, at, big=True))
        self._out.seek(0)
        mark = b"II" if self._order == "<" else b"MM"
        self._out.write(mark + struct.pack(self._order + "HHHQ", 43, 8, 0, at))

    def _place(self, entries: list[Entry], tag: int) -> Entry:
        at = tiff_write.align(self._out)
        self._out.write(pack(entries, self._order, at, big=True))
        return integers(self._order, tag, LONG8, at)


class JpegEncoder:
    """Each group compressed as a JPEG of its own, and their coded data joined by restart markers.

    So tables, chroma and pixels are those of `jpeg_write`. A file has a restart marker after each
    row of blocks, which its decoder expects: nothing else differs.

    Source: ITU-T T.81, annex B and F.1.1.5.2 (restart intervals).
    """

    def __init__(self, out: BinaryIO, facts: BandFacts, storage: Storage) -> None:
        self._out, self._height, self._storage = out, facts.height, storage
        self.rows = _group(facts)
        self._source = facts.source
        self._restarts = 0
        self._started = False

    def add(self, samples: Pixels) -> None:
        """See `Encoder`."""
        data = jpeg_write.compress(samples, self._source, self._storage, restart_rows=1)
        size_at, start = _coded(data)
        if self._started:
            self._out.write(self._next_restart())
        else:
            height = struct.pack(">H", self._height)
            self._out.write(data[:size_at] + height + data[size_at + 2 : start])
            self._started = True
            tables = Source(
                quantisation=self._source.quantisation, subsampling=self._source.subsampling
            )
            self._source = replace(tables, lossy=self._source.lossy)
        self._out.write(_RESTART.sub(lambda _: self._next_restart(), data[start:-2]))

    def _next_restart(self) -> bytes:
        mark = bytes((0xFF, 0xD0 + self._restarts % 8))
        self._restarts += 1
        return mark

    def end(self) -> None:
        """See `Encoder`."""
        self._out.write(b"\xff\xd9")


def _coded(data: bytes) -> tuple[int, int]:
    """Where a JPEG's header states its height, and where its coded data starts."""
    at, size_at = 2, 0
    while True:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (0xC0, 0xC1):  # the frame: its length, its precision, its height
            size_at = at + 5
        at += 2 + length
        if marker == 0xDA:
            if not size_at:
                raise DamagedError("a JPEG without a frame")
            return size_at, at
