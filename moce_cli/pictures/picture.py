"""What a picture is between a file and the network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moce_cli.errors import UsageError

Pixels = NDArray[Any]  # np.uint8, np.uint16 or np.float32, as Picture checks


@dataclass(frozen=True, slots=True)
class Source:
    """What a file said about its picture, beyond the pixels.

    The metadata is ready to be written again: orientation reset to 1, embedded thumbnail gone.

    Attributes:
        format: a key of `FORMATS`; "" for a picture made in memory.
        depth: bits per sample as stored: 1, 2, 4, 8, 10, 12, 16; 32 for floating-point samples.
        mode: as stored: "grey", "RGB", "palette", "CMYK", "YCbCr", "Lab"; "+alpha" if transparent.
        icc: the colour profile that describes `Picture.pixels`.
        exif: a block that starts with its TIFF header (no "Exif" prefix).
        xmp: the packet, in UTF-8.
        iptc: IPTC records (the data of Photoshop's resource 0x0404).
        dpi: dots per inch, (vertical, horizontal).
        text: (keyword, text) pairs: PNG's text chunks; a JPEG's or GIF's comment as "Comment".
        png_chunks: (name, data) of PNG chunks that say how colours are encoded without a profile;
            what AVIF and HEIC say of it is put into a cICP chunk.
        quantisation: a JPEG's tables, each 64 values in row order.
        subsampling: a JPEG's chroma: 0 for 4:4:4, 1 for 4:2:2, 2 for 4:2:0; else None.
        lossy: the file was stored with loss.
        duration_ms: how long a frame of an animation is shown; None for a still or a page.
        loops: how often an animation is played; 0 for ever; None for a still.
        notes: a sentence for each thing that reading could not keep.
    """

    format: str = ""
    depth: int = 8
    mode: str = "RGB"
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: tuple[tuple[str, str], ...] = ()
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    quantisation: tuple[tuple[int, ...], ...] = ()
    subsampling: int | None = None
    lossy: bool = False
    duration_ms: float | None = None
    loops: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """What can be known of a picture without decoding it.

    Attributes:
        height: of the picture standing upright, as `read` gives it.
        width: likewise.
        format: a key of `FORMATS`.
        depth: bits per sample as stored.
        mode: as in `Source`.
        orientation: the EXIF orientation, 1 to 8, that reading will apply.
        frames: pages or frames in the file; reading takes the first.
        indivisible: why its pixels can only be decoded all at once, as a clause; "" if nothing in
            its header says so.
    """

    height: int
    width: int
    format: str
    depth: int
    mode: str
    orientation: int = 1
    frames: int = 1
    indivisible: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Pixels standing upright, and all that came with them.

    Attributes:
        pixels: (H, W, C) uint8, uint16 or float32, C = 1 (grey) or 3 (RGB), C-contiguous, encoded
            as the file had them (see `profile`). Floats are finite; 1 is white, and what is
            brighter lies above.
        alpha: (H, W), the same dtype, not premultiplied; or None.
        source: what the file said.
        further: the pages or frames after this one, each a picture without further ones.

    Raises:
        UsageError: the arrays are not as described.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    source: Source = field(default_factory=Source)
    further: tuple[Picture, ...] = ()

    def __post_init__(self) -> None:
        """Check the arrays."""
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if len(shape) != 3 or shape[2] not in (1, 3) or min(shape) < 1:
            raise UsageError(f"pixels of shape {shape} are no picture: (H, W, 1 or 3) is")
        if dtype.name not in ("uint8", "uint16", "float32"):
            raise UsageError(f"pixels of type {dtype} are no picture: uint8, uint16 or float32 are")
        if self.alpha is not None and (self.alpha.shape, self.alpha.dtype) != (shape[:2], dtype):
            raise UsageError(
                f"an alpha of shape {self.alpha.shape} and type {self.alpha.dtype} does not fit "
                f"pixels of shape {shape} and type {dtype}"
            )
        object.__setattr__(self, "pixels", np.ascontiguousarray(self.pixels))
        if self.alpha is not None:
            object.__setattr__(self, "alpha", np.ascontiguousarray(self.alpha))

    @property
    def height(self) -> int:
        """Rows."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.pixels.shape[1]

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB; alpha is not counted."""
        return self.pixels.shape[2]

    @property
    def depth(self) -> int:
        """Bits per sample of `pixels`: 8, 16 or 32 (`source.depth` is what the file stored)."""
        return self.pixels.dtype.itemsize * 8

    def with_pixels(self, pixels: Pixels) -> Picture:
        """The same picture with other pixels; alpha follows their depth.

        Raises:
            UsageError: alpha is there and the size differs.
        """
        alpha = None if self.alpha is None else to_depth(self.alpha, pixels.dtype.itemsize * 8)
        return replace(self, pixels=pixels, alpha=alpha)


def to_depth(samples: Pixels, depth: int) -> Pixels:
    """Change samples to 8, 16 or 32 bits: exactly upwards, to the nearest downwards.

    From 8 to 16 bits is times 257; 32 bits are floats in which white is 1.
    """
    if samples.dtype.itemsize * 8 == depth:
        return samples
    if depth == 32:
        return samples.astype(np.float32) / np.float32(np.iinfo(samples.dtype).max)
    if samples.dtype.kind == "f":
        most = 2**depth - 1
        return (samples.clip(0, 1) * most).round().astype(np.uint16 if depth == 16 else np.uint8)
    if depth == 16:
        return samples.astype(np.uint16) * np.uint16(257)
    # (v * 255 + 32895) >> 16 is v / 257 to the nearest, for every v.
    return ((samples.astype(np.uint32) * 255 + 32895) >> 16).astype(np.uint8)
