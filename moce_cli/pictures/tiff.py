"""TIFF read: what its tags say.

Source: TIFF 6.0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import BinaryIO

from moce_cli.pictures.decode import UnsupportedError
from moce_cli.pictures.ifd import DamagedError, Directories, Entry
from moce_cli.wording import counted

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, SAMPLES, STRIP_ROWS, STRIP_BYTES = 273, 277, 278, 279
SUBFILE = 254
PLANAR, PREDICTOR, EXTRA, SAMPLE_FORMAT = 284, 317, 338, 339
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
FILL_ORDER = 266
XMP, IPTC, ICC = 700, 33723, 34675
RESOURCES, _LAYERS = 34377, 37724  # Photoshop's
MAX_PAGES = 10_000

_MODES = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
# that libtiff unpacks some rows at a time, whatever they hold
_DIVISIBLE = (1, 5, 7, 8, 32946, 32773)
_MOST_PACKED = 16 * 2**20  # of a strip or tile: it is read at once, and moved for each row
_LOSSY = (6, 7, 34712, 50001, 50002)


@dataclass(frozen=True, slots=True)
class Tiff:
    """What the first table of a TIFF says.

    Attributes:
        tables: to read further tables with.
        tags: the first table.
        offsets: where the tables of the file's pages lie; previews and masks are no pages.
        index: which of the file's tables this is, as Pillow counts them.
        skipped: previews and masks.
    """

    tables: Directories
    tags: dict[int, Entry]
    offsets: tuple[tuple[int, int], ...]
    index: int = 0
    skipped: int = 0

    @property
    def pages(self) -> int:
        """Pages in the file."""
        return len(self.offsets)

    def page(self, number: int) -> Tiff:
        """Another page."""
        at, index = self.offsets[number]
        tags, _ = self.tables.read(at, strict=True)
        return replace(self, tags=tags, index=index)

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
            some = counted(further, "further channel was", "further channels were")
            notes.append(f"{some} left out")
        if _LAYERS in self.tags:
            notes.append("Photoshop's layers were left out")
        return tuple(notes)

    @property
    def lossy(self) -> bool:
        """Stored with loss."""
        return self.value(COMPRESSION, 1) in _LOSSY

    @property
    def lengths(self) -> tuple[int, ...]:
        """Bytes of each strip or tile."""
        return self.values(TILE_BYTES if TILE_OFFSETS in self.tags else STRIP_BYTES)

    @property
    def indivisible(self) -> str:
        """See `Header.indivisible`."""
        compression, photometric = self.value(COMPRESSION, 1), self.value(PHOTOMETRIC)
        if compression not in _DIVISIBLE:
            return f"its pixels are stored in TIFF's compression {compression}"
        if photometric == 6 and compression != 7:
            return "its pixels are stored as YCbCr without JPEG's compression"
        if self.value(FILL_ORDER, 1) != 1:
            return "its bits are stored backwards"
        if self.depth not in (1, 2, 4, 8, 16, 32) or len(set(self.values(BITS, (1,)))) > 1:
            bits = ", ".join(map(str, dict.fromkeys(self.values(BITS))))
            return f"it holds samples of {bits} bits"
        if photometric == 0 and (self.is_float or self.alpha_kind):
            return "its samples count from white down"
        if self.value(PLANAR, 1) == 2 and TILE_OFFSETS in self.tags:
            return "each of its channels is stored in tiles of its own"
        if self.alpha_kind == 1:
            return "its colours are stored multiplied by alpha"
        largest = max(self.lengths, default=0)
        if len(self.lengths) != len(self.values(TILE_OFFSETS) or self.values(STRIP_OFFSETS)):
            return "it does not say how long each of its strips or tiles is"
        if compression != 1 and largest > _MOST_PACKED:
            return f"{largest} bytes of it are packed into one strip or tile"
        return ""

    @property
    def is_ours(self) -> bool:
        """Read here rather than by Pillow."""
        return (
            self.value(PHOTOMETRIC) in (0, 1, 2)
            and len(set(self.values(BITS))) == 1
            and (
                (self.depth == 16 and set(self.values(SAMPLE_FORMAT, (1,))) == {1}) or self.is_float
            )
        )

    @property
    def is_float(self) -> bool:
        """Floating-point samples."""
        return self.depth in (16, 32, 64) and set(self.values(SAMPLE_FORMAT, (1,))) == {3}

    def check_supported(self) -> None:
        """Refuse samples that are neither 8-bit nor 16-bit unsigned, nor floats of a picture.

        Raises:
            UnsupportedError: with what they are.
            DamagedError: they are missing, or lie outside the file.
        """
        tiles = self.values(TILE_OFFSETS)
        places = tiles or self.values(STRIP_OFFSETS)
        width, height = self.value(WIDTH), self.value(HEIGHT)
        across = self.value(TILE_WIDTH, width) if tiles else width
        rows = self.value(TILE_HEIGHT, height) if tiles else self.value(STRIP_ROWS, height)
        wanted = -(-width // max(across, 1)) * -(-height // max(rows, 1))
        if len(places) < wanted:  # Pillow leaves them black
            raise DamagedError(f"it has {len(places)} of {wanted} strips or tiles")
        if any(at >= self.tables.length for at in places):
            raise DamagedError(f"its pixels lie at {max(places)}, outside the file")
        kinds = {2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
        kind = kinds.get(max(self.values(SAMPLE_FORMAT, (1,))))
        if self.is_float and self.is_ours:
            return
        if self.depth > 16 or (kind and self.depth > 8):
            raise UnsupportedError(f"{kind or 'integer'} samples of {self.depth} bits")


def scan(file: BinaryIO) -> Tiff:
    """Read the tables.

    Raises:
        DamagedError: there is no picture.
    """
    tables = Directories(file)
    tags, following = tables.read(tables.first, strict=True)
    seen = {tables.first: 0}
    pages = [(tables.first, 0)]
    while following and following not in seen and len(seen) < MAX_PAGES:
        seen[following] = len(seen)
        try:
            kind, after = tables.read(following)
        except DamagedError:
            break
        subfile = (*(kind[SUBFILE].integers(tables.order) if SUBFILE in kind else ()), 0)[0]
        if not subfile & 5:  # neither a preview nor a mask of another page
            pages.append((following, seen[following]))
        following = after
    tiff = Tiff(tables, tags, tuple(pages), skipped=len(seen) - len(pages))
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
