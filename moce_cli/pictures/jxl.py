"""JPEG XL read, by imagecodecs where it is installed.

Source: ISO/IEC 18181-1 annex D (size and image headers), 18181-2 (boxes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from moce_cli.pictures.boxes import boxes
from moce_cli.pictures.decode import Samples, UnsupportedError
from moce_cli.pictures.extras import needed
from moce_cli.pictures.formats import JXL_CODESTREAM, JXL_CONTAINER
from moce_cli.pictures.ifd import DamagedError
from moce_cli.pictures.picture import Source
from moce_cli.pictures.tiff_pixels import finite

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_STREAMS = (b"jxlc", b"jxlp")


@dataclass(frozen=True, slots=True)
class Jxl:
    """A file whose header was read."""

    height: int
    width: int
    source: Source
    data: bytes

    def decode(self) -> Samples:
        """The pixels, standing upright."""
        array = np.asarray(needed("JXL").jpegxl_decode(self.data, index=0))  # all may be too many
        if array.ndim == 2:
            array = array[:, :, None]
        if array.dtype.kind == "f":
            array = finite(array)
        elif array.dtype.name not in ("uint8", "uint16"):
            raise UnsupportedError(f"{array.dtype} samples")
        if array.shape[:2] != (self.height, self.width):
            raise DamagedError(f"its pixels are {array.shape[:2]}, not as its header says")
        colours = 1 if array.shape[2] < 3 else 3
        alpha = array[:, :, colours].copy() if array.shape[2] > colours else None
        return Samples(np.ascontiguousarray(array[:, :, :colours]), alpha)


class _Bits:
    """Bits of a codestream, the lowest first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._at, self._length = int.from_bytes(data, "little"), 0, 8 * len(data)

    def take(self, count: int) -> int:
        """The next bits as a number."""
        if self._at + count > self._length:
            raise DamagedError("it is cut short")
        found = self._value >> self._at & ((1 << count) - 1)
        self._at += count
        return found

    def side(self) -> int:
        """A length of the size header."""
        return 1 + self.take((9, 13, 18, 30)[self.take(2)])

    def size(self) -> tuple[int, int]:
        """(height, width) as a size header states them."""
        small = self.take(1)
        height = 8 * (1 + self.take(5)) if small else self.side()
        ratio = self.take(3)
        if ratio:
            over, under = _RATIOS[ratio - 1]
            return height, height * over // under
        return height, 8 * (1 + self.take(5)) if small else self.side()


def open_jxl(file: BinaryIO) -> Jxl:
    """Read a file's header.

    Raises:
        InputError: imagecodecs is not installed.
        DamagedError: it makes no sense.
    """
    needed("JXL")
    file.seek(0)
    data = file.read()
    found = _boxes(data) if data.startswith(JXL_CONTAINER) else {}
    parts = (body[4 * (kind == b"jxlp") :] for kind, body in found.items() if kind in _STREAMS)
    stream = next(parts, data)  # the decoder, too, takes what comes first
    if not stream.startswith(JXL_CODESTREAM):
        raise DamagedError("it holds no picture")
    bits = _Bits(stream[2:42])
    height, width = bits.size()
    plain = bits.take(1)
    turned = moving = False
    if not plain and bits.take(1):
        turned = bits.take(3) >= 4  # its decoder turns it upright
        if bits.take(1):
            bits.size()  # at which it wants to be shown
        moving = not bits.take(1) and bits.take(1) == 1  # where no preview is described before
    notes: tuple[str, ...] = (
        () if plain else ("a colour profile, if it has one, can't be read: taken for sRGB",)
    )
    if moving:
        notes += ("the first of several frames was taken",)
    block = found.get(b"Exif", b"")
    source = Source(
        format="JXL",
        exif=block[4 + int.from_bytes(block[:4], "big") :] or None,
        xmp=found.get(b"xml ") or None,
        lossy=True,
        notes=notes,
    )
    return Jxl(width if turned else height, height if turned else width, source, data)


def _boxes(data: bytes) -> dict[bytes, bytes]:
    """The first box of each kind, in their order."""
    found: dict[bytes, bytes] = {}
    for kind, body in boxes(memoryview(data)):
        if kind not in found:
            found[kind] = bytes(body)
    return found
