"""What the network sees of a picture, and how what it makes of it goes back.

The network's change is added to what was there, in the picture's own encoding: where nothing
changed, nothing changes, to the last bit, whatever the profile; and what the network can't see
(colours outside sRGB, light above white, what a mask keeps) passes it by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from moce_cli.pictures import Encoding
from moce_cli.restoration.hidden import carried_on
from moce_cli.tiling import Tile

Array = npt.NDArray[Any]
"""uint8, uint16 or float32."""
Float = npt.NDArray[np.float32]


def full_scale(dtype: np.dtype) -> float:
    """The value that stands for white."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """A picture as the network sees it.

    Attributes:
        pixels: `(H, W, C)`, C 1 or 3; uint8, uint16 or float32.
        shown: the same, hidden colours carried on: see `Canvas.of`.
        encoding: of the pixels; None for sRGB's.
        alpha: `(H, W)`, which goes back as it came; or None.
        hidden: `(H, W)` bool, where alpha is 0; or None.
        weight: `(H, W)` float32 in [0, 1], how much is restored where; None for all everywhere.
        strength: 1 is the result, 0 the input.
    """

    pixels: Array
    shown: Array
    encoding: Encoding | None = None
    alpha: Array | None = None
    hidden: Array | None = None
    weight: Float | None = None
    strength: float = 1.0

    @classmethod
    def of(
        cls,
        pixels: Array,
        *,
        alpha: Array | None = None,
        encoding: Encoding | None = None,
        weight: Float | None = None,
        strength: float = 1.0,
    ) -> Canvas:
        """A canvas of a picture; colours where `alpha` is 0 neither count nor change."""
        shown, hidden = pixels, None
        if alpha is not None:
            shown = carried_on(pixels, alpha)
            hidden = alpha == 0 if shown is not pixels else None
        return cls(pixels, shown, encoding, alpha, hidden, weight, strength)

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
        """1 or 3."""
        return self.pixels.shape[2]

    def cut(self, top: int, left: int, height: int, width: int) -> Canvas:
        """A part of the canvas, which shares its memory."""
        part = np.s_[top : top + height, left : left + width]
        return replace(
            self,
            pixels=self.pixels[part],
            shown=self.shown[part],
            alpha=None if self.alpha is None else self.alpha[part],
            hidden=None if self.hidden is None else self.hidden[part],
            weight=None if self.weight is None else self.weight[part],
        )

    def rows(self, top: int, bottom: int) -> Canvas:
        """Rows of the canvas, which share its memory."""
        return self.cut(top, 0, bottom - top, self.width)

    def asks_for(self, tile: Tile) -> bool:
        """Whether anything in the tile is to be restored."""
        if self.weight is None:
            return True
        rows = self.weight[tile.top : tile.top + tile.height]
        return bool(rows[:, tile.left : tile.left + tile.width].any())

    def seen(self, tile: Tile | None = None) -> Float:
        """What the network sees, `(h, w, C)` in [0, 1] in sRGB's encoding; all without a tile."""
        return self._extended(self._shown(tile)).clip(0, 1)

    def _shown(self, tile: Tile | None) -> Array:
        if tile is None:
            return self.shown
        rows = self.shown[tile.top : tile.top + tile.height]
        return rows[:, tile.left : tile.left + tile.width]

    def _extended(self, shown: Array) -> Float:
        """In sRGB's encoding, unclipped."""
        values = shown.astype(np.float32)
        if shown.dtype.kind != "f":
            values /= np.float32(full_scale(shown.dtype))
        return values if self.encoding is None else self.encoding.to_srgb(values)

    def finish(self, restored: Float) -> tuple[Array, Float, Float]:
        """Put the network's answer for the whole canvas to work.

        Args:
            restored: `(h, w, C)`, in [0, 1] or a little beyond.

        Returns:
            the pixels as they go back; and what the network saw and what was made of it, both in
            [0, 1], to be compared.
        """
        extended = self._extended(self.shown)
        seen = extended.clip(0, 1)
        mixed = restored.clip(0, 1)
        if self.strength != 1:
            mixed = seen + np.float32(self.strength) * (mixed - seen)
        scale = full_scale(self.pixels.dtype)
        if self.weight is None and self.hidden is None and self.encoding is None:
            if self.pixels.dtype.kind != "f":
                return (mixed * scale).round().astype(self.pixels.dtype), seen, mixed
            return (mixed + (extended - seen)).astype(np.float32), seen, mixed
        change = mixed - seen
        if self.weight is not None:
            change *= self.weight[..., None]
            mixed = seen + change
        if self.hidden is not None:
            change[self.hidden] = 0
        values = self.pixels.astype(np.float32) / np.float32(scale)
        if self.encoding is None:
            values += change
        else:
            # both through the same rounding, so that no change is none
            before = self.encoding.from_srgb(extended)
            values += self.encoding.from_srgb(extended + change) - before
        if self.pixels.dtype.kind != "f":
            values = (values.clip(0, 1) * scale).round()
        return values.astype(self.pixels.dtype), seen, mixed
