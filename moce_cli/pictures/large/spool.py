"""Rows of a picture that is stored turned: first decoded to a temporary file, in tiles."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from moce_cli.pictures.decode import upright
from moce_cli.pictures.picture import Pixels

_SIDE = 64  # of a tile; a column of tiles is read for a band of a picture on its side


def spool_bytes(height: int, width: int, pixel_bytes: int) -> int:
    """Disk that a spool takes, where temporary files lie (`TMPDIR`)."""
    return -(-height // _SIDE) * -(-width // _SIDE) * _SIDE * _SIDE * pixel_bytes


class Spool:
    """All stored rows on disk, to be had upright.

    Args:
        rows: gives stored rows, (bottom - top, width, samples), when told top and bottom; asked
            once for each, from the top on.
        height: as stored.
        width: as stored.
        orientation: 2 to 8.

    Raises:
        OSError: the disk is full.
    """

    def __init__(
        self, rows: Callable[[int, int], Pixels], height: int, width: int, orientation: int
    ) -> None:
        self._height, self._width, self._orientation = height, width, orientation
        self._across = -(-width // _SIDE)
        self._samples, self._dtype = 0, np.dtype(np.uint8)
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - until close
        try:
            for top in range(0, height, _SIDE):
                self._put(rows(top, min(top + _SIDE, height)))
        except BaseException:
            self.close()
            raise

    def _put(self, rows: Pixels) -> None:
        count, width, self._samples = rows.shape
        self._dtype: np.dtype[Any] = rows.dtype
        tiles = np.zeros((_SIDE, self._across * _SIDE, self._samples), rows.dtype)
        tiles[:count, :width] = rows
        tiles = tiles.reshape(_SIDE, self._across, _SIDE, self._samples).swapaxes(0, 1)
        data = memoryview(tiles.tobytes())
        while data:
            data = data[self._file.write(data) :]

    def rows(self, top: int, bottom: int) -> Pixels:
        """Upright rows, (bottom - top, W, samples).

        Raises:
            OSError: the disk can't be read.
        """
        turned = self._orientation >= 5
        last = self._width if turned else self._height
        if self._orientation in (3, 4, 7, 8):
            top, bottom = last - bottom, last - top
        if turned:
            stored = self._part(0, self._height, top, bottom)
        else:
            stored = self._part(top, bottom, 0, self._width)
        return upright(stored, self._orientation)

    def _part(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        """Stored rows and columns."""
        first, after = left // _SIDE, -(-right // _SIDE)
        tile_bytes = _SIDE * _SIDE * self._samples * self._dtype.itemsize
        found = np.empty((bottom - top, right - left, self._samples), self._dtype)
        for down in range(top // _SIDE, -(-bottom // _SIDE)):
            self._file.seek((down * self._across + first) * tile_bytes)
            data = self._read((after - first) * tile_bytes)
            tiles = np.frombuffer(data, self._dtype)
            tiles = tiles.reshape(after - first, _SIDE, _SIDE, self._samples).swapaxes(0, 1)
            rows = tiles.reshape(_SIDE, (after - first) * _SIDE, self._samples)
            start = down * _SIDE
            begin, end = max(top, start), min(bottom, start + _SIDE)
            columns = slice(left - first * _SIDE, right - first * _SIDE)
            found[begin - top : end - top] = rows[begin - start : end - start, columns]
        return found

    def _read(self, count: int) -> bytearray:
        data = bytearray(count)
        view = memoryview(data)
        while view:
            taken = self._file.readinto(view)
            if not taken:
                raise OSError(f"the temporary file ends {len(view)} bytes early")
            view = view[taken:]
        return data

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()
