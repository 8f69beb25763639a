"""A file written from top to bottom, some rows at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Self

import numpy as np

from moce_cli.errors import MoceError, OutputError, UsageError
from moce_cli.pictures.encode import check_sides
from moce_cli.pictures.extras import needed
from moce_cli.pictures.fitting import CLIPPED, fit, stripped
from moce_cli.pictures.formats import FORMATS
from moce_cli.pictures.guard import pillow_guard
from moce_cli.pictures.large.check import Check
from moce_cli.pictures.large.encoders import encoder_of
from moce_cli.pictures.large.facts import BandFacts, joined
from moce_cli.pictures.large.reader import BandReader
from moce_cli.pictures.picture import Picture, Pixels
from moce_cli.pictures.storage import Storage
from moce_cli.pictures.writing import check_free, reason

_WRITTEN = ("PNG", "JPEG", "TIFF")


def why_not_written(format: str) -> str | None:
    """A clause why a format, a key of `FORMATS`, can't be written in bands; None if it can."""
    return None if format in _WRITTEN else f"{format} is none of {', '.join(_WRITTEN)}"


class BandWriter:
    """A picture's file, of which a few rows are in memory at a time.

    A context manager; unless `finish` has come to its end, leaving it removes the file. What a
    format can't hold is treated as `write` treats it. A JPEG's tables and chroma are those that
    `write` takes, and its pixels are the same; it has restart markers besides.

    Args:
        target: where nothing is yet; written in its place.
        like: a reader, or facts: the size, the samples and the metadata of what will be given.
        format: "PNG", "JPEG" or "TIFF", as `FORMATS` names them.
        storage: see `write`.

    Raises:
        OutputExistsError: something is there already.
        OutputError: it can't be written, or the format can't hold the size.
    """

    def __init__(
        self, target: Path, like: BandReader | BandFacts, *, format: str, storage: Storage
    ) -> None:
        self._given = given = like.facts if isinstance(like, BandReader) else like
        if reason := why_not_written(format):
            raise OutputError(f"{target} can't be written in bands: {reason}")
        needed("a picture in bands", writing=True)  # to read it again
        self._target, self._format, self._strip = target, FORMATS[format], storage.strip_metadata
        check_sides(given.height, given.width, self._format)
        self._notes: list[str] = []
        self._rows = 0
        self._waiting: list[Pixels] = []
        shape = (1, 1, given.channels)
        alpha = np.ones((1, 1), given.dtype) if given.has_alpha else None
        one = self._fitted(Picture(np.ones(shape, given.dtype), alpha, given.source))
        self._notes = [note.removesuffix(CLIPPED) for note in self._notes]
        self._notes += storage.unused(self._format)
        self.facts = BandFacts(
            source=one.source,
            height=given.height,
            width=given.width,
            channels=one.channels,
            has_alpha=one.alpha is not None,
            dtype=one.pixels.dtype,
        )
        check_free(target)
        self._file = None
        self._finished = False
        try:
            with self._told():
                self._file = target.open("xb")
                self._encoder = encoder_of(self._file, format, self.facts, storage)
        except BaseException:
            self._remove()
            raise
        self._check = Check(self.facts, self._encoder.rows, lossless=format != "JPEG")

    def write(self, pixels: Pixels, alpha: Pixels | None) -> None:
        """The next rows.

        Args:
            pixels: (n, W, C), of any number of rows.
            alpha: (n, W), or None.

        Raises:
            UsageError: they are not of the picture that was told, or too many.
            OutputError: they can't be written; a full disk.
        """
        given = self._given
        if not given.fits(pixels, alpha) or self._rows + len(pixels) > given.height:
            raise UsageError(
                f"{pixels.shape} {pixels.dtype} pixels after {self._rows} rows are none of a "
                f"picture of {(given.height, given.width, given.channels)} {given.dtype} ones"
            )
        if not len(pixels):
            return
        self._rows += len(pixels)
        with self._told():
            band = self._fitted(Picture(pixels, alpha, given.source))
            for group in self._groups(joined(band.pixels, band.alpha)):
                self._encoder.add(group)
                self._check.written(group)

    def _fitted(self, band: Picture) -> Picture:
        """Rows as the format holds them."""
        if self._strip:
            band = stripped(band)
        size = self._given.height, self._given.width
        band, notes = fit(band, self._format, size=size)
        self._notes += notes
        self._notes = list(dict.fromkeys(self._notes))
        return band

    def _groups(self, rows: Pixels) -> Iterator[Pixels]:
        """All rows that wait, in groups of as many as the encoder takes."""
        size = self._encoder.rows
        while len(rows):
            missing = size - sum(map(len, self._waiting))
            self._waiting.append(rows[:missing].copy() if len(rows) < missing else rows[:missing])
            rows = rows[missing:]
            full = sum(map(len, self._waiting)) == size
            if full or (not len(rows) and self._rows == self.facts.height):
                group = np.concatenate(self._waiting)
                self._waiting = []
                yield group

    def finish(self) -> tuple[str, ...]:
        """Close the file, read it again and compare it: size, samples, metadata, pixels.

        Returns:
            a sentence for each thing the format could not hold or use.

        Raises:
            UsageError: rows are missing.
            OutputError: it can't be written, or it is not what was given.
        """
        if self._rows < self._given.height:
            raise UsageError(f"{self._rows} of {self._given.height} rows were given")
        assert self._file is not None
        with self._told():
            self._encoder.end()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        self._check.read_again(self._target)
        self._finished = True
        told = dict.fromkeys(note.removesuffix(CLIPPED) for note in self._notes)
        return tuple(n + CLIPPED if n + CLIPPED in self._notes else n for n in told)

    @contextlib.contextmanager
    def _told(self) -> Generator[None, None, None]:
        """Turn what goes wrong into one sentence."""
        target = self._target
        try:
            with pillow_guard():
                yield
        except MoceError:
            raise
        except MemoryError as error:
            raise OutputError(f"{target}: there is not enough memory to encode it") from error
        except OSError as error:
            if not target.parent.is_dir():
                raise OutputError(
                    f"{target} can't be written: there is no folder {target.parent}"
                ) from error
            raise OutputError(f"{target} can't be written: {reason(error)}") from error
        except Exception as error:  # whatever an encoder dislikes
            told = f"{target} can't be encoded as {self._format.name}: {error}"
            raise OutputError(told) from error

    def _remove(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what could not be written before
                self._file.close()
            with contextlib.suppress(OSError):
                self._target.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._finished:
            self._remove()


def disk_bytes(height: int, width: int, channels: int, depth: int, format: str) -> int:
    """Disk that a picture's file takes at most, its metadata aside.

    PNG and TIFF are taken for noise, which packs to no less than itself; a JPEG for noise with
    quality 100 and full chroma. A photograph takes about half of a PNG's and a tenth to a third of
    a JPEG's.

    Args:
        height: of the picture.
        width: likewise.
        channels: samples of a pixel, alpha included.
        depth: bits per sample as they are given: 8, 16 or 32.
        format: "PNG", "JPEG" or "TIFF".
    """
    held = min(depth, max(FORMATS[format].depths))
    raw_bytes = height * width * channels * held // 8
    if format == "JPEG":
        return raw_bytes * 3 // 2 + 2**16
    return raw_bytes + raw_bytes // 1000 + height + 2**16
