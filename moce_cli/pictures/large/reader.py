"""A file read from top to bottom, some rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from moce_cli.errors import InputError, UsageError
from moce_cli.pictures.assemble import depth_notes, upright_source
from moce_cli.pictures.examine import Facts, examine
from moce_cli.pictures.large.facts import BandFacts
from moce_cli.pictures.large.spool import Spool, spool_bytes
from moce_cli.pictures.large.vips import Stream, vips
from moce_cli.pictures.picture import Header, Pixels, Source
from moce_cli.pictures.reading import MAX_PIXELS, explained, recognise, why_not_opened
from moce_cli.pictures.tiff_pixels import finite

_FORMATS = ("PNG", "JPEG", "TIFF")
_COLOURS = {"grey": 1, "RGB": 3, "YCbCr": 3}
_DTYPES = {8: np.uint8, 16: np.uint16, 32: np.float32}


def why_not_bands(header: Header) -> str | None:
    """Why a picture can't be read in bands: a clause such as "it is a progressive JPEG", or None.

    Args:
        header: from `probe`.
    """
    if header.format not in _FORMATS:
        return f"{header.format or 'it'} is none of {', '.join(_FORMATS)}"
    if header.frames > 1:
        return f"it has {header.frames} pages or frames"
    if header.mode.removesuffix("+alpha") not in _COLOURS:
        return f"it holds {header.mode} samples"
    if header.indivisible:
        return header.indivisible
    try:
        vips()
    except InputError as error:
        return f"{error.message} ({error.hint})"
    return None


def open_bands(path: Path, *, max_pixels: int = MAX_PIXELS, name: str | None = None) -> BandReader:
    """Open a picture to read it in bands.

    Args:
        path: a file, not a pipe.
        max_pixels: as for `read`.
        name: as for `read`.

    Raises:
        InputError: as for `read`, or it can't be read in bands.
    """
    called = name or str(path)
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise InputError(why_not_opened(called, error)) from error
    try:
        with explained(called):
            if not file.seekable():
                raise InputError("a pipe can't be read in bands", hint="store it in a file first")
            kind = recognise(file)
            facts = examine(file, kind, max_pixels=max_pixels, check_data=False)
            if reason := why_not_bands(facts.header):
                raise InputError(f"it can't be read in bands: {reason}")
            if facts.tiff is not None:
                facts.tiff.check_supported()
            return BandReader(file, facts, called)
    except BaseException:
        file.close()
        raise


class BandReader:
    """A picture, upright, of which a few rows are in memory at a time.

    A picture that its file holds turned (an EXIF orientation other than 1 and 2) is decoded to a
    temporary file when the first rows are asked for; `disk_bytes` says how large. A context
    manager; made by `open_bands`.

    Attributes:
        header: as `probe` gives it.
        facts: size, samples and metadata, as `Picture` has them.
        disk_bytes: of the temporary file; 0 if none is needed.
        while_turning: called again and again while that file is written, by who asks for rows; what
            it raises ends the writing.
    """

    while_turning: Callable[[], None] | None = None

    def __init__(self, file: BinaryIO, facts: Facts, name: str) -> None:
        self._file, self._stored, self._name = file, facts, name
        self._orientation = facts.orientation
        self.header = header = facts.header
        channels = _COLOURS[header.mode.removesuffix("+alpha")]
        has_alpha = header.mode.endswith("+alpha")
        dtype: np.dtype[Any] = np.dtype(_DTYPES[max(8, header.depth)])
        source = upright_source(facts.source, facts.orientation, header, depth_notes(header))
        self.facts = BandFacts(source, header.height, header.width, channels, has_alpha, dtype)
        self._stream: Stream | None = None
        self._spool: Spool | None = None
        self._bottom = 0
        self.disk_bytes = 0
        if facts.orientation > 2:
            pixel_bytes = self.facts.samples * dtype.itemsize
            self.disk_bytes = spool_bytes(facts.height, facts.width, pixel_bytes)

    @property
    def source(self) -> Source:
        """Metadata, ready to be written again; as `Picture.source`."""
        return self.facts.source

    @property
    def height(self) -> int:
        """Rows of the upright picture."""
        return self.facts.height

    @property
    def width(self) -> int:
        """Columns of the upright picture."""
        return self.facts.width

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB; alpha is not counted."""
        return self.facts.channels

    @property
    def has_alpha(self) -> bool:
        """There is an alpha."""
        return self.facts.has_alpha

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples: uint8, uint16 or float32."""
        return self.facts.dtype

    def rows(self, top: int, bottom: int) -> tuple[Pixels, Pixels | None]:
        """Some rows: pixels (bottom - top, W, C), and alpha (bottom - top, W) or None.

        Rows are given from top to bottom. A `top` above the last `bottom` begins a new pass over
        the file; a gap is decoded and skipped.

        Raises:
            UsageError: there are no such rows.
            InputError: they are damaged, or there is no disk to turn the picture on.
        """
        if not 0 <= top < bottom <= self.height:
            raise UsageError(f"rows {top} to {bottom} are none of {self.height}")
        with explained(self._name):
            return self._separated(self._upright(top, bottom))

    def _upright(self, top: int, bottom: int) -> Pixels:
        if self._orientation <= 2:
            if self._stream is None or top < self._bottom:
                self._stream = None  # before the next: both move the file's position
                self._stream = self._opened()
            self._bottom = bottom
            rows = self._wanted(self._stream.rows(top, bottom))
            return rows[:, ::-1] if self._orientation == 2 else rows
        try:
            if self._spool is None:
                stream = self._opened()

                def stored(first: int, after: int) -> Pixels:
                    if self.while_turning is not None:
                        self.while_turning()
                    return self._wanted(stream.rows(first, after))

                self._spool = Spool(
                    stored,
                    self._stored.height,
                    self._stored.width,
                    self._orientation,
                )
            return self._spool.rows(top, bottom)
        except OSError as error:
            raise InputError(
                f"it can't be turned upright on disk, which takes {self.disk_bytes} bytes: "
                f"{error.strerror or error}",
                hint="set TMPDIR to a folder with room for it",
            ) from error

    def _opened(self) -> Stream:
        return Stream(self._file, self._stored, self.facts.samples)

    def _wanted(self, rows: Pixels) -> Pixels:
        """Colours and alpha alone, of the type that was told."""
        rows = rows[:, :, : self.facts.samples]
        if rows.dtype.kind == "f":
            rows = finite(rows)
        if rows.dtype != self.dtype:
            raise InputError(f"its samples are {rows.dtype}, not {self.dtype} as its header says")
        return rows

    def _separated(self, rows: Pixels) -> tuple[Pixels, Pixels | None]:
        pixels = np.ascontiguousarray(rows[:, :, : self.channels])
        alpha = np.ascontiguousarray(rows[:, :, self.channels]) if self.has_alpha else None
        return pixels, alpha

    def close(self) -> None:
        """Close the file, and give back the temporary one."""
        self._stream = None
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
