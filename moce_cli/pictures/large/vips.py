"""libvips, asked for a file's rows from top to bottom."""

from __future__ import annotations

import functools
from typing import Any, BinaryIO

import numpy as np

from moce_cli.errors import InputError
from moce_cli.pictures.decode import UnsupportedError
from moce_cli.pictures.examine import Facts
from moce_cli.pictures.extras import needed
from moce_cli.pictures.ifd import DamagedError
from moce_cli.pictures.large.described import Described
from moce_cli.pictures.picture import Pixels

_LOADERS = {"PNG": "pngload_source", "JPEG": "jpegload_source", "TIFF": "tiffload_source"}
# unless warnings count, libvips makes black tiles of a TIFF's damaged ones, and libjpeg grey rows
_FAIL_ON = {"PNG": "error", "JPEG": "warning", "TIFF": "warning"}
_FETCH_ROWS = 16  # at a time: libvips keeps several times as many
_TYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32, "double": np.float64}


class DecodeError(ValueError):
    """What libvips says of a file that it can't decode."""


@functools.cache
def vips() -> Any:  # noqa: ANN401 - a module that may be missing has no type
    """The module pyvips, told to keep nothing and to start no threads of its own.

    These are settings of the whole process.

    Raises:
        InputError: it is not installed.
    """
    module = needed("a picture in bands")
    module.cache_set_max(0)
    module.concurrency_set(1)
    return module


def library() -> str:
    """The library that decodes in bands, and its version; or how it is had."""
    try:
        module = vips()
    except InputError as error:
        return f"not usable: {error.message}; {error.hint}"
    return f"libvips {module.version(0)}.{module.version(1)}.{module.version(2)}"


class AsItIs:
    """A file from its beginning, for libvips, which takes no exceptions."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)

    def read(self, count: int) -> bytes:
        """The next bytes; fewer at the end, or where the disk can't be read."""
        try:
            return self._file.read(count)
        except OSError:
            return b""

    def seek(self, offset: int, whence: int) -> int:
        """Go elsewhere; where that is, or -1."""
        try:
            return self._file.seek(offset, whence)
        except OSError:
            return -1


class Stream:
    """One pass over a file.

    Args:
        file: a file on a disk.
        facts: what `examine` found in it: of a PNG, a JPEG or a TIFF.
        samples: of a pixel, at least.

    Raises:
        DecodeError: it can't be decoded.
        DamagedError: it is not what its header states.
    """

    def __init__(self, file: BinaryIO, facts: Facts, samples: int) -> None:
        module, kind = vips(), facts.source.format
        try:
            # a name would be parsed, and a descriptor's file be mapped into memory, all of it
            read = AsItIs(file) if facts.tiff is None else Described(file, facts.tiff)
            source = module.SourceCustom()
            source.on_read(read.read)
            source.on_seek(read.seek)
            self._image = getattr(module.Image, _LOADERS[kind])(
                source,
                access="sequential",
                fail_on=_FAIL_ON[kind],
                unlimited=True,  # sizes were checked by us, as for Pillow
            )
        except module.Error as error:
            raise DecodeError(_words(error)) from error
        self._region = module.Region.new(self._image)
        self._source = source  # last: libvips calls it as long as the others live
        found = self._image.height, self._image.width
        if found != (facts.height, facts.width) or self._image.bands < samples:
            raise DamagedError(f"its pixels are {found}, not as its header says")
        if self._image.format not in _TYPES:
            raise UnsupportedError(f"samples of the kind {self._image.format!r}")
        self.dtype = np.dtype(_TYPES[self._image.format])

    def rows(self, top: int, bottom: int) -> Pixels:
        """Rows as stored, (bottom - top, W, all samples); `top` must not lie above the last bottom.

        Raises:
            DecodeError: they are damaged or missing.
        """
        width, bands = self._image.width, self._image.bands
        found = np.empty((bottom - top, width, bands), self.dtype)
        for start in range(top, bottom, _FETCH_ROWS):
            count = min(_FETCH_ROWS, bottom - start)
            try:
                data = self._region.fetch(0, start, width, count)
            except vips().Error as error:
                raise DecodeError(_words(error)) from error
            part = np.frombuffer(data, self.dtype).reshape(count, width, bands)
            found[start - top : start - top + count] = part
        return found


def _words(error: Exception) -> str:
    """The last thing that went wrong; before it stands how the caller called it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "it can't be decoded"
