"""TIFF read: its tags, and the 16-bit pixels that Pillow would cut to 8.

A 16-bit picture is described anew as a wider 8-bit grey one without a predictor. Its packed bytes
mean the same in both, so Pillow unpacks them whatever the compression, and the samples are put
together here.

Source: TIFF 6.0; Adobe's technical note 3 (predictors).
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image

from moce_cli.pictures.decode import Samples, UnsupportedError
from moce_cli.pictures.ifd import LONG, SHORT, DamagedError, Directories, Entry, entry, pack
from moce_cli.pictures.picture import Pixels

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, SAMPLES, STRIP_ROWS, STRIP_BYTES = 273, 277, 278, 279
PLANAR, PREDICTOR, EXTRA, SAMPLE_FORMAT = 284, 317, 338, 339
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
XMP, IPTC, ICC = 700, 33723, 34675
MAX_PAGES = 10_000

_MODES = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
# none, LZW, Deflate (both numbers), PackBits, LZMA, Zstandard: they know bytes, not samples
_BYTE_COMPRESSIONS = (1, 5, 8, 32946, 32773, 34925, 50000)
_LOSSY = (6, 7, 34712, 50001, 50002)


@dataclass(frozen=True, slots=True)
class Tiff:
    """What the first table of a TIFF says.

    Attributes:
        tables: to read further tables with.
        tags: the first table.
        pages: pages in the file.
    """

    tables: Directories
    tags: dict[int, Entry]
    pages: int

    def values(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """A tag's integers."""
        found = self.tags.get(tag)
        return (found.integers(self.tables.order) if found else ()) or default

    def value(self, tag: int, default: int = 0) -> int:
        """A tag's first integer."""
        return self.values(tag, (default,))[0]

    @property
    def depth(self) -> int:
        """Bits per sample, those of the largest."""
        return max(self.values(BITS, (1,)))

    @property
    def mode(self) -> str:
        """See `Source.mode`."""
        photometric = self.value(PHOTOMETRIC)
        name = _MODES.get(photometric, f"photometric {photometric}")
        return name + "+alpha" if self.alpha_kind else name

    @property
    def alpha_kind(self) -> int:
        """0: no alpha; 1: premultiplied; 2: not."""
        colours = _COLOURS.get(self.value(PHOTOMETRIC), 64)
        extra = self.values(EXTRA)
        if not extra and colours == 3 and self.value(SAMPLES, 1) == 4:
            return 2  # as Pillow and others take a fourth sample without a word about it
        return extra[0] if extra and extra[0] in (1, 2) and colours <= 3 else 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What reading, here or by Pillow, can't keep of such samples."""
        notes: list[str] = []
        if self.alpha_kind == 1:
            notes.append("colours stored multiplied by alpha were divided by it, with rounding")
        if self.depth == 16 and not self.is_ours:
            notes.append(f"{self.mode} samples of 16 bits were read with 8")
        colours = _COLOURS.get(self.value(PHOTOMETRIC), 64)
        further = self.value(SAMPLES, 1) - colours - bool(self.alpha_kind)
        if further > 0:
            notes.append(f"{further} further channels were left out")
        return tuple(notes)

    @property
    def lossy(self) -> bool:
        """Stored with loss."""
        return self.value(COMPRESSION, 1) in _LOSSY

    @property
    def is_ours(self) -> bool:
        """Read here rather than by Pillow."""
        return (
            self.depth == 16
            and self.value(PHOTOMETRIC) in (0, 1, 2)
            and set(self.values(SAMPLE_FORMAT, (1,))) == {1}
        )

    def check_supported(self) -> None:
        """Refuse samples that are neither 8-bit nor 16-bit unsigned.

        Raises:
            UnsupportedError: with what they are.
        """
        kinds = {2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
        kind = kinds.get(max(self.values(SAMPLE_FORMAT, (1,))))
        if self.depth > 16 or (kind and self.depth > 8):
            raise UnsupportedError(f"{kind or 'integer'} samples of {self.depth} bits")


def scan(file: BinaryIO) -> Tiff:
    """Read the tables.

    Raises:
        DamagedError: there is no picture.
    """
    tables = Directories(file)
    tags, following = tables.read(tables.first, strict=True)
    seen = {tables.first}
    while following and following not in seen and len(seen) < MAX_PAGES:
        seen.add(following)
        try:
            following = tables.following(following)
        except DamagedError:
            break
    tiff = Tiff(tables, tags, len(seen))
    if tiff.value(WIDTH) < 1 or tiff.value(HEIGHT) < 1:
        raise DamagedError("it states no size")
    return tiff


def resolution(tiff: Tiff) -> tuple[float, float] | None:
    """Dots per inch, (vertical, horizontal)."""
    found: list[float] = []
    for tag in (283, 282):
        stored = tiff.tags.get(tag)
        if stored is None or stored.kind != 5 or stored.number < 1:
            return None
        over, under = struct.unpack(tiff.tables.order + "II", stored.data[:8])
        if not over or not under:
            return None
        found.append(over / under)
    scale = {2: 1.0, 3: 2.54}.get(tiff.value(296, 2))
    return (found[0] * scale, found[1] * scale) if scale else None


def decode16(file: BinaryIO, tiff: Tiff, icc: bytes | None) -> Samples:
    """The pixels of a 16-bit grey or RGB picture, as stored.

    Raises:
        DamagedError: tables that do not fit together, or pixels that are missing.
        UnsupportedError: a compression that knows samples.
    """
    compression, photometric = tiff.value(COMPRESSION, 1), tiff.value(PHOTOMETRIC)
    if compression not in _BYTE_COMPRESSIONS:
        raise UnsupportedError(f"16-bit samples in compression {compression}")
    if tiff.value(PREDICTOR, 1) not in (1, 2) or tiff.value(266, 1) != 1:
        raise UnsupportedError("16-bit samples in an unusual bit order or predictor")
    channels, colours = tiff.value(SAMPLES, 1), 3 if photometric == 2 else 1
    if set(tiff.values(BITS)) != {16} or not colours <= channels <= 64:
        raise DamagedError(f"{channels} samples of {tiff.values(BITS)} bits make no picture")
    file.seek(0)
    stored = file.read()
    if tiff.value(PLANAR, 1) == 2:
        planes = [_unpack(stored, tiff, 1, plane, channels) for plane in range(channels)]
        array = np.concatenate(planes, axis=2)
    else:
        array = _unpack(stored, tiff, channels, 0, 1)
    pixels = np.ascontiguousarray(array[:, :, :colours])
    if photometric == 0:
        pixels = ~pixels
    kind = tiff.alpha_kind
    alpha = array[:, :, colours].copy() if kind else None
    if alpha is not None and kind == 1:
        pixels = _unmultiply(pixels, alpha)
    return Samples(pixels, alpha, icc)


def _unpack(stored: bytes, tiff: Tiff, channels: int, plane: int, planes: int) -> Pixels:
    """The samples of all channels, or of one plane, (H, W, channels) uint16."""
    height, width, order = tiff.value(HEIGHT), tiff.value(WIDTH), tiff.tables.order
    sample_bytes = 2 * channels
    tiled = TILE_OFFSETS in tiff.tags
    offsets = tiff.values(TILE_OFFSETS if tiled else STRIP_OFFSETS)
    lengths = tiff.values(TILE_BYTES if tiled else STRIP_BYTES)
    each = len(offsets) // planes
    part = slice(plane * each, (plane + 1) * each)
    block_width = tiff.value(TILE_WIDTH) if tiled else width
    rows = tiff.value(TILE_HEIGHT) if tiled else min(tiff.value(STRIP_ROWS, height), height)
    if not each or len(lengths) != len(offsets) or block_width < 1 or rows < 1:
        raise DamagedError("its strips or tiles are missing")
    blocks = -(-height // rows) * -(-width // block_width)
    if each < blocks:
        raise DamagedError(f"it has {each} of {blocks} strips or tiles")
    spans = zip(offsets[part], lengths[part], strict=True)
    if any(at + length > len(stored) for at, length in spans):
        raise DamagedError("it is cut short")
    names = (TILE_OFFSETS, TILE_BYTES) if tiled else (STRIP_OFFSETS, STRIP_BYTES)
    tags = [
        entry(order, WIDTH, LONG, width * sample_bytes),
        entry(order, HEIGHT, LONG, height),
        entry(order, BITS, SHORT, 8),
        entry(order, COMPRESSION, SHORT, tiff.value(COMPRESSION, 1)),
        entry(order, PHOTOMETRIC, SHORT, 1),
        entry(order, SAMPLES, SHORT, 1),
        entry(order, names[0], LONG, *offsets[part]),
        entry(order, names[1], LONG, *lengths[part]),
    ]
    if tiled:
        tags += [entry(order, TILE_WIDTH, LONG, block_width * sample_bytes)]
        tags += [entry(order, TILE_HEIGHT, LONG, rows)]
    else:
        tags += [entry(order, STRIP_ROWS, LONG, rows)]
    at = len(stored) + len(stored) % 2
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(order + "I", at)
    described = head + stored[8:].ljust(at - 8, b"\0") + pack(tags, order, at)
    with Image.open(io.BytesIO(described), formats=["TIFF"]) as image:
        image.load()
        raw = np.asarray(image)
    samples = raw.view(order + "u2").astype(np.uint16).reshape(height, width, channels)
    if tiff.value(PREDICTOR, 1) == 2 and tiff.value(COMPRESSION, 1) in (5, 8, 32946, 34925, 50000):
        for left in range(0, width, block_width):
            block = samples[:, left : left + block_width]
            np.cumsum(block, axis=1, dtype=np.uint16, out=block)
    return samples


def _unmultiply(pixels: Pixels, alpha: Pixels) -> Pixels:
    divisor = np.maximum(alpha, 1).astype(np.uint64)[:, :, None]
    restored = (pixels.astype(np.uint64) * 65535 + divisor // 2) // divisor
    return np.minimum(restored, 65535).astype(np.uint16)
