"""PNG written, at 8 or 16 bits, with every kind of metadata that it holds."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from PIL import Image

from moce_cli.pictures import iptc, png
from moce_cli.pictures.picture import Picture, Pixels, Source, to_depth

_LEVEL = 4  # a photograph takes half the time of 6 and becomes no larger than 4 % more
_BAND_BYTES = 2**20
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def encode(frames: tuple[Picture, ...], level: int | None = None) -> bytes:
    """The picture as a PNG, animated if there are several frames of one size.

    Args:
        frames: with the metadata of the first.
        level: of zlib, 0 to 9.
    """
    level = _LEVEL if level is None else level
    alike = _alike(frames)
    parts = [_chunks(samples, level) for samples in alike]
    start, first = parts[0][0], [c for c in parts[0] if c[0] == b"IDAT"]
    control: list[tuple[bytes, bytes]] = []
    further: list[tuple[bytes, bytes]] = []
    if len(parts) > 1:
        plays = frames[0].source.loops or 0
        control = [(b"acTL", struct.pack(">II", len(parts), plays)), _control(frames, 0)]
        number = 1
        for index in range(1, len(parts)):
            name, data = _control(frames, index)
            further.append((name, struct.pack(">I", number) + data[4:]))
            number += 1
            for kind, data in parts[index]:
                if kind == b"IDAT":
                    further.append((b"fdAT", struct.pack(">I", number) + data))
                    number += 1
    told = metadata(frames[0].source)
    return png.assemble([start, *told, *control, *first, *further, (b"IEND", b"")])


def _alike(frames: tuple[Picture, ...]) -> list[Pixels]:
    """Samples with alpha; all frames in the channels and depth that the richest one has."""
    alpha = any(frame.alpha is not None for frame in frames)
    channels = max(frame.channels for frame in frames)
    depth = max(frame.depth for frame in frames)
    found: list[Pixels] = []
    for frame in frames:
        samples = to_depth(frame.pixels, depth)
        if samples.shape[2] < channels:
            samples = samples.repeat(channels, axis=2)
        if alpha:
            most = np.full(samples.shape[:2], np.iinfo(samples.dtype).max, samples.dtype)
            given = most if frame.alpha is None else to_depth(frame.alpha, depth)
            samples = np.concatenate([samples, given[:, :, None]], axis=2)
        found.append(samples)
    return found


def _control(frames: tuple[Picture, ...], index: int) -> tuple[bytes, bytes]:
    """A frame control chunk: it takes the whole place of the one before."""
    frame = frames[index]
    milliseconds = frame.source.duration_ms or 0
    delay = Fraction(milliseconds / 1000).limit_denominator(1000)
    over, under = (delay.numerator, delay.denominator) if delay < 65 else (65535, 1000)
    size = struct.pack(">IIIII", 0, frame.width, frame.height, 0, 0)
    return b"fcTL", size + struct.pack(">HHBB", over, under, 0, 0)


def _chunks(samples: Pixels, level: int) -> list[tuple[bytes, bytes]]:
    return _sixteen(samples, level) if samples.dtype == np.uint16 else _eight(samples, level)


def metadata(source: Source) -> list[tuple[bytes, bytes]]:
    """The chunks for what came with the picture, all of which may stand before the pixels."""
    chunks: list[tuple[bytes, bytes]] = []
    if source.icc:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(source.icc)))
    chunks += [c for c in source.png_chunks if not (source.icc and c[0] == b"sRGB")]
    if source.dpi:
        down, across = (round(dots / png.METRES_PER_INCH) for dots in source.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", across, down, 1)))
    if source.exif:
        chunks.append((b"eXIf", source.exif))
    if source.xmp:
        chunks.append((b"iTXt", png.XMP_KEYWORD.encode() + b"\0\0\0\0\0" + source.xmp))
    if source.iptc:
        key = iptc.KEYWORD.encode()
        chunks.append((b"zTXt", key + b"\0\0" + zlib.compress(iptc.text(source.iptc).encode())))
    for keyword, text in source.text:
        key = keyword.encode("latin-1", "replace")[:79] or b"Comment"
        try:
            chunks.append((b"tEXt", key + b"\0" + text.encode("latin-1")))
        except UnicodeEncodeError:
            chunks.append((b"iTXt", key + b"\0\0\0\0\0" + text.encode("utf-8")))
    return chunks


def _eight(samples: Pixels, level: int) -> list[tuple[bytes, bytes]]:
    out = io.BytesIO()
    Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples).save(
        out, "PNG", compress_level=level
    )
    return list(png.chunks_of(out.getvalue()))


def header(height: int, width: int, samples: int, depth: int) -> tuple[bytes, bytes]:
    """The first chunk: a picture of so many samples a pixel, alpha included."""
    data = struct.pack(">IIBBBBB", width, height, depth, _COLOUR_TYPES[samples], 0, 0, 0)
    return b"IHDR", data


class Packer:
    """Rows filtered and packed as a PNG's pixels, some at a time.

    Args:
        level: of zlib, 0 to 9; None for the usual one.
    """

    def __init__(self, level: int | None = None) -> None:
        self._packer = zlib.compressobj(_LEVEL if level is None else level)
        self._above: Pixels | None = None

    def add(self, samples: Pixels) -> Iterator[bytes]:
        """The next rows, (n, W, samples) uint8 or uint16; what is ready of the packed data."""
        _, width, channels = samples.shape
        size = samples.dtype.itemsize
        row_bytes = width * channels * size
        rows = max(1, _BAND_BYTES // row_bytes)
        for top in range(0, len(samples), rows):
            band = samples[top : top + rows].astype(f">u{size}").view(np.uint8)
            band = band.reshape(-1, row_bytes)
            above = np.zeros(row_bytes, np.uint8) if self._above is None else self._above
            packed = self._packer.compress(_filter(band, above, channels * size).tobytes())
            self._above = band[-1]
            if packed:
                yield packed

    def end(self) -> bytes:
        """The rest."""
        return self._packer.flush()


def _sixteen(samples: Pixels, level: int) -> list[tuple[bytes, bytes]]:
    """Neither Pillow nor OpenCV writes all of grey, RGB and both with alpha at 16 bits."""
    packer = Packer(level)
    packed = [*packer.add(samples), packer.end()]
    height, width, channels = samples.shape
    chunks = [header(height, width, channels, 16), *((b"IDAT", data) for data in packed)]
    return [*chunks, (b"IEND", b"")]


def _filter(band: Pixels, above: Pixels, pixel_bytes: int) -> Pixels:
    """Each row by whichever of Sub, Up and Paeth leaves the smallest differences.

    Source: PNG specification, sections 9.2 and 12.7 (the heuristic).
    """
    up = np.vstack([above[None], band[:-1]])
    left, corner = np.zeros_like(band), np.zeros_like(band)
    left[:, pixel_bytes:] = band[:, :-pixel_bytes]
    corner[:, pixel_bytes:] = up[:, :-pixel_bytes]
    a, b, c = (part.astype(np.int16) for part in (left, up, corner))
    from_a, from_b, from_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    nearest = np.where(from_b <= from_c, up, corner)
    paeth = np.where((from_a <= from_b) & (from_a <= from_c), left, nearest)
    filtered = np.stack([band - left, band - up, band - paeth])
    cost = np.minimum(filtered, -filtered).sum(axis=2, dtype=np.int64)  # modulo 256, about zero
    best = cost.argmin(axis=0)
    types = np.array([1, 2, 4], np.uint8)[best]
    return np.concatenate([types[:, None], filtered[best, np.arange(len(band))]], axis=1)
