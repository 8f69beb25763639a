"""PNG: its chunks, and the 16-bit pixels that Pillow would cut to 8.

Source: PNG specification, third edition.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from PIL import Image

from moce_cli.pictures.decode import Samples, samples
from moce_cli.pictures.ifd import DamagedError
from moce_cli.pictures.opencv import opencv
from moce_cli.pictures.picture import Pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = "XML:com.adobe.xmp"
METRES_PER_INCH = 0.0254
TEXT_BYTES = 16 * 2**20  # of one unpacked text or profile; more is a bomb
_MODES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey+alpha", 6: "RGB+alpha"}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = (  # top, left, down, right
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)),
    (1, 0, 2, 1),
)
_COLOUR_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP")
_OPENCV_SIDE, _OPENCV_PIXELS = 2**20, 2**30  # its own limits, fixed when it is loaded


@dataclass(frozen=True, slots=True)
class Png:
    """What a PNG's chunks say.

    Attributes:
        height: as stored.
        width: as stored.
        depth: bits per sample.
        colour_type: 0, 2, 3, 4 or 6.
        interlaced: stored in Adam7's seven passes.
        chunks: (name, data) of all chunks but IDAT.
        data: (offset, bytes) of the IDAT chunks' data.
    """

    height: int
    width: int
    depth: int
    colour_type: int
    interlaced: bool
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    data: tuple[tuple[int, int], ...] = ()

    def first(self, name: bytes) -> bytes | None:
        """The data of the first chunk of this name."""
        return next((data for found, data in self.chunks if found == name), None)

    @property
    def mode(self) -> str:
        """See `Source.mode`."""
        name = _MODES[self.colour_type]
        return name + "+alpha" if self.first(b"tRNS") is not None and "+" not in name else name

    @property
    def frames(self) -> int:
        """Frames of an animated PNG, else 1."""
        control = self.first(b"acTL")
        return max(1, int.from_bytes(control[:4], "big")) if control else 1

    @property
    def colour_chunks(self) -> tuple[tuple[bytes, bytes], ...]:
        """The chunks that say how colours are encoded, other than a profile."""
        return tuple((name, data) for name, data in self.chunks if name in _COLOUR_CHUNKS)


def scan(file: BinaryIO, *, check_data: bool) -> Png:
    """Read all chunks but the pixels'; `check_data` also reads those, for their checksums.

    Raises:
        DamagedError: cut short, a wrong checksum, or no such picture.
    """
    size = file.seek(0, 2)
    file.seek(len(SIGNATURE))
    png: Png | None = None
    chunks: list[tuple[bytes, bytes]] = []
    data: list[tuple[int, int]] = []
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise DamagedError("it is cut short")
        length, name = struct.unpack(">I4s", head)
        if png is None and (name != b"IHDR" or length != 13):
            raise DamagedError("its header is missing")
        at = file.tell()
        if at + length + 4 > size:
            raise DamagedError("it is cut short")
        if name == b"IDAT" and not check_data:
            data.append((at, length))
            file.seek(length + 4, 1)
            continue
        body = file.read(length)
        stated = file.read(4)
        if zlib.crc32(body, zlib.crc32(name)) != int.from_bytes(stated, "big"):
            raise DamagedError(f"the checksum of its {name.decode('latin-1')!r} chunk is wrong")
        if png is None:
            png = _header(body)
        if name == b"IEND":
            return replace(png, chunks=tuple(chunks), data=tuple(data))
        if name == b"IDAT":
            data.append((at, length))
        else:
            chunks.append((name, body))


def _header(body: bytes) -> Png:
    width, height, depth, colour_type, _, _, interlace = struct.unpack(">IIBBBBB", body)
    allowed = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    if depth not in allowed.get(colour_type, ()):
        raise DamagedError(f"its header states depth {depth} and colour type {colour_type}")
    return Png(height, width, depth, colour_type, interlace == 1)


def texts(png: Png) -> list[tuple[str, str]]:
    """The (keyword, text) pairs; those that can't be read, or are bombs, are left out."""
    found: list[tuple[str, str]] = []
    for name, data in png.chunks:
        if sum(len(text) for _, text in found) > TEXT_BYTES:
            break
        keyword, _, rest = data.partition(b"\0")
        try:
            if name == b"tEXt":
                text = rest.decode("latin-1")
            elif name == b"zTXt":
                text = _inflate(rest[1:]).decode("latin-1")
            elif name == b"iTXt":
                _language, _translated, body = rest[2:].split(b"\0", 2)
                text = (_inflate(body) if rest[:1] == b"\1" else body).decode("utf-8")
            else:
                continue
        except (DamagedError, ValueError):
            continue
        found.append((keyword.decode("latin-1"), text))
    return found


def profile(png: Png) -> bytes | None:
    """The colour profile.

    Raises:
        DamagedError: it can't be unpacked.
    """
    data = png.first(b"iCCP")
    return _inflate(data.partition(b"\0")[2][1:]) if data else None


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        result = inflater.decompress(data, TEXT_BYTES)
    except zlib.error as error:
        raise DamagedError("packed data is damaged") from error
    if inflater.unconsumed_tail:
        raise DamagedError(f"packed data is larger than {TEXT_BYTES} bytes")
    return result


def decode(file: BinaryIO, png: Png, icc: bytes | None) -> Samples:
    """The pixels, at the depth they have in the file.

    Raises:
        DamagedError: too few pixels, or packed wrongly.
    """
    plain = _pixels_alone(file, png)
    _check_amount(plain, png)
    key = png.first(b"tRNS") if png.colour_type in (0, 2) else None
    if png.depth == 16 and png.colour_type != 0:
        found = _decode_colour16(plain, png)
    else:
        with Image.open(io.BytesIO(plain), formats=["PNG"]) as image:
            found = samples(image, None)
    alpha = found.alpha if key is None else _alpha_from_key(found.pixels, key, png.depth)
    return Samples(found.pixels, alpha, icc)


def _pixels_alone(file: BinaryIO, png: Png) -> bytes:
    """The same picture with nothing but its pixels: decoders get nothing else to interpret."""
    header = struct.pack(
        ">IIBBBBB", png.width, png.height, png.depth, png.colour_type, 0, 0, int(png.interlaced)
    )
    kept = [(b"IHDR", header)]
    if png.colour_type == 3:
        kept += [(n, d) for n in (b"PLTE", b"tRNS") if (d := png.first(n)) is not None]
    for at, length in png.data:
        file.seek(at)
        kept.append((b"IDAT", file.read(length)))
    return assemble([*kept, (b"IEND", b"")])


def _alpha_from_key(pixels: Pixels, key: bytes, depth: int) -> Pixels:
    """Transparent where a pixel has the one colour that the file calls transparent."""
    if len(key) != 2 * pixels.shape[2]:
        raise DamagedError("its transparent colour is damaged")
    colour = np.frombuffer(key, ">u2").astype(np.uint32) & (2**depth - 1)
    if depth < 8:
        colour = colour * 255 // (2**depth - 1)
    opaque = (pixels != colour.astype(pixels.dtype)).any(axis=2)
    return opaque.astype(pixels.dtype) * pixels.dtype.type(np.iinfo(pixels.dtype).max)


def _decode_colour16(plain: bytes, png: Png) -> Samples:
    if max(png.height, png.width) > _OPENCV_SIDE or png.height * png.width > _OPENCV_PIXELS:
        raise DamagedError(
            f"16-bit colour of {png.width} x {png.height} pixels is more than OpenCV reads"
        )
    cv2 = opencv()
    pixels = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.shape[:2] != (png.height, png.width):
        raise DamagedError("its pixels are damaged")
    if png.colour_type == 4:  # OpenCV gives the grey three times
        return Samples(pixels[:, :, :1].copy(), pixels[:, :, 3].copy())
    return Samples(
        np.ascontiguousarray(pixels[:, :, 2::-1]),
        pixels[:, :, 3].copy() if png.colour_type == 6 else None,
    )


def _check_amount(plain: bytes, png: Png) -> None:
    """Pillow and OpenCV fill what is missing with black, so count the bytes first."""
    passes = _ADAM7 if png.interlaced else ((0, 0, 1, 1),)
    wanted = 0
    for top, left, down, right in passes:
        rows, columns = -((top - png.height) // down), -((left - png.width) // right)
        if rows > 0 and columns > 0:
            bits = columns * _CHANNELS[png.colour_type] * png.depth
            wanted += rows * (1 + (bits + 7) // 8)
    inflater = zlib.decompressobj()
    found = 0
    try:
        for name, data in chunks_of(plain):
            while name == b"IDAT" and data and found < wanted:
                found += len(inflater.decompress(data, 2**20))
                data = inflater.unconsumed_tail
    except zlib.error as error:
        raise DamagedError("its pixels are packed wrongly") from error
    if found < wanted:
        raise DamagedError(f"it holds {found} of {wanted} bytes of pixels")


def chunks_of(encoded: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, data) of each chunk of a PNG that is known to be whole."""
    at = len(SIGNATURE)
    while at < len(encoded):
        length, name = struct.unpack_from(">I4s", encoded, at)
        yield name, encoded[at + 8 : at + 8 + length]
        at += length + 12


def assemble(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these chunks."""
    out = io.BytesIO()
    out.write(SIGNATURE)
    for name, data in chunks:
        write_chunk(out, name, data)
    return out.getvalue()


def write_chunk(out: BinaryIO, name: bytes, data: bytes) -> None:
    """Append a chunk with its length and checksum."""
    out.write(struct.pack(">I4s", len(data), name))
    out.write(data)
    out.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(name))))
