"""Where in a picture, how strongly and how thoroughly it is restored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from moce_cli.errors import InputError, UsageError
from moce_cli.pictures import read, to_depth
from moce_cli.restoration.canvas import full_scale
from moce_cli.tiling import MULTIPLE, Tile

Array = npt.NDArray[Any]
Float = npt.NDArray[np.float32]
CONTEXT = 32
"""Pixels around what is asked for that the network sees as well."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of an upright picture.

    Raises:
        UsageError: no such rectangle.
    """

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        """Check the numbers."""
        if min(self.top, self.left) < 0 or min(self.height, self.width) < 1:
            raise UsageError(
                f"a region {self} is none", "--region takes TOP,LEFT,HEIGHT,WIDTH in pixels"
            )

    def __str__(self) -> str:
        return f"{self.top},{self.left},{self.height},{self.width}"

    @classmethod
    def parse(cls, text: str) -> Region:
        """From "TOP,LEFT,HEIGHT,WIDTH".

        Raises:
            UsageError: it is not that.
        """
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != 4 or not all(p.isdecimal() and p.isascii() for p in parts):
            raise UsageError(
                f"{text!r} is no region", "--region takes TOP,LEFT,HEIGHT,WIDTH in pixels"
            )
        return cls(*map(int, parts))


def _is_grey(pixels: Array) -> bool:
    """Whether all channels of `(H, W, C)` are one, looked at in strips."""
    strips = (pixels[top : top + 64] for top in range(0, len(pixels), 64))
    return pixels.shape[2] == 1 or all((strip == strip[:, :, :1]).all() for strip in strips)


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A mask from a file; its text is its hash, which tells it from others.

    Attributes:
        pixels: `(H, W)`, uint8 or uint16 as in a grey file, else float32 in [0, 1].
        sha256: of the pixels.
    """

    pixels: Array
    sha256: str

    def __str__(self) -> str:
        return self.sha256

    @classmethod
    def read(cls, path: Path) -> Mask:
        """Read a picture as a mask: how light it is, times how opaque.

        Raises:
            InputError: it can't be read.
        """
        picture = read(path)
        pixels, alpha = picture.pixels, picture.alpha
        if alpha is None and pixels.dtype.kind == "u" and _is_grey(pixels):
            pixels = np.ascontiguousarray(pixels[:, :, 0])
        else:
            pixels = to_depth(pixels, 32).mean(axis=2, dtype=np.float32)
            if alpha is not None:
                pixels *= to_depth(alpha, 32)
        digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype.name} ".encode())
        digest.update(pixels.data)  # no copy: it may be large
        return cls(pixels, digest.hexdigest())


@dataclass(frozen=True, slots=True, eq=False)
class How:
    """What is asked for of one picture.

    Attributes:
        strength: 1 is the result, 0 the input, between them a mixture.
        region: restore only here.
        mask: `(H, W)`, bool, uint8, uint16 or floats in [0, 1]: white is restored, black is
            kept, between them a mixture.
        ensemble: the mean over eight flips and rotations, in eight times the time.

    Raises:
        UsageError: strength out of range.
        InputError: no mask.
    """

    strength: float = 1.0
    region: Region | None = None
    mask: Array | None = None
    ensemble: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 <= self.strength <= 1:
            raise UsageError(f"a strength of {self.strength} is not possible", "use 0 to 1")
        mask = self.mask
        if mask is None:
            return
        known = mask.dtype.name in ("bool", "uint8", "uint16") or mask.dtype.kind == "f"
        if mask.ndim != 2 or not known:
            raise InputError(
                f"an array of shape {mask.shape} and type {mask.dtype} is no mask",
                "give (H, W): bool, uint8, uint16 or floats in [0, 1]",
            )
        if mask.dtype.kind == "f" and not (mask.min() >= 0 and mask.max() <= 1):
            raise InputError(f"the mask's values reach from {mask.min():g} to {mask.max():g}")

    def weight(
        self, height: int, width: int, top: int = 0, bottom: int | None = None
    ) -> Float | None:
        """How much is restored where; None for all everywhere.

        Args:
            height: of the picture.
            width: of the picture.
            top: the first row that is asked for.
            bottom: the row after the last; by default the picture's last.

        Returns:
            `(bottom - top, width)` in [0, 1].

        Raises:
            InputError: region or mask do not fit a picture of this size.
        """
        if self.region is None and self.mask is None:
            return None
        region = self.region or Region(0, 0, height, width)
        if region.top + region.height > height or region.left + region.width > width:
            raise InputError(
                f"the region {region} lies outside the picture, which is {width} x {height}"
            )
        if self.mask is not None and self.mask.shape != (height, width):
            raise InputError(
                f"the mask is {self.mask.shape[1]} x {self.mask.shape[0]} pixels, the picture "
                f"{width} x {height}",
                "a mask has the size of the picture as it is shown, upright",
            )
        bottom = height if bottom is None else bottom
        weight = np.zeros((bottom - top, width), np.float32)
        rows = slice(max(top, region.top), min(bottom, region.top + region.height))
        if rows.start >= rows.stop:
            return weight
        columns = slice(region.left, region.left + region.width)
        inside = weight[rows.start - top : rows.stop - top, columns]
        if self.mask is None:
            inside[:] = 1
        else:
            scale = 1.0 if self.mask.dtype.kind == "b" else full_scale(self.mask.dtype)
            inside[:] = self.mask[rows, columns].astype(np.float32) / np.float32(scale)
        return weight


def keeps_all() -> InputError:
    """What is said of a mask that leaves nothing to restore."""
    return InputError("the mask keeps all of the picture", "restored is where it is white")


class Wanted:
    """Which tiles of a picture are asked for; they come row by row.

    Args:
        how: the picture is restored.
        height: of the picture.
        width: of the picture.

    Raises:
        InputError: region or mask do not fit, or the mask keeps all.
    """

    def __init__(self, how: How, height: int, width: int) -> None:
        self._how, self._height, self._width = how, height, width
        self._row: tuple[int, int, Float] | None = None
        if not any(self._columns(top, CONTEXT) for top in range(0, height, CONTEXT)):
            raise keeps_all()

    def _columns(self, top: int, height: int) -> bool:
        bottom = min(top + height, self._height)
        weight = self._how.weight(self._height, self._width, top, bottom)
        return weight is None or bool(weight.any())

    def __call__(self, tile: Tile) -> bool:
        """Whether anything in the tile is to be restored."""
        bottom = tile.top + tile.height
        if self._row is None or self._row[:2] != (tile.top, bottom):
            weight = self._how.weight(self._height, self._width, tile.top, bottom)
            if weight is None:
                return True
            self._row = tile.top, bottom, weight.max(axis=0)
        return bool(self._row[2][tile.left : tile.left + tile.width].any())


def part_seen(weight: Float | None, height: int, width: int) -> Region:
    """What the network sees of a picture in memory: all, or what is asked for with context.

    Its top and left are multiples of the tiles' own, so that the network's windows fall alike.

    Args:
        weight: `(H, W)`; None for all everywhere.
        height: of the picture.
        width: of the picture.

    Raises:
        InputError: the mask keeps all.
    """
    if weight is None:
        return Region(0, 0, height, width)
    rows, columns = np.flatnonzero(weight.any(axis=1)), np.flatnonzero(weight.any(axis=0))
    if not len(rows):
        raise keeps_all()
    top = max(0, int(rows[0]) - CONTEXT) // MULTIPLE * MULTIPLE
    left = max(0, int(columns[0]) - CONTEXT) // MULTIPLE * MULTIPLE
    bottom = min(height, int(rows[-1]) + 1 + CONTEXT)
    right = min(width, int(columns[-1]) + 1 + CONTEXT)
    return Region(top, left, bottom - top, right - left)
