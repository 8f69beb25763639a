"""What bands of a picture have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from moce_cli.pictures.picture import Pixels, Source


@dataclass(frozen=True, slots=True)
class BandFacts:
    """A picture but for its pixels.

    Attributes:
        source: metadata, ready to be written again; as `Picture.source`.
        height: of the whole picture, upright.
        width: likewise.
        channels: 1 for grey, 3 for RGB.
        has_alpha: there is an alpha as well.
        dtype: of the samples: uint8, uint16 or float32.
    """

    source: Source
    height: int
    width: int
    channels: int
    has_alpha: bool
    dtype: np.dtype[Any]

    @property
    def depth(self) -> int:
        """Bits per sample: 8, 16 or 32."""
        return self.dtype.itemsize * 8

    @property
    def samples(self) -> int:
        """Samples of a pixel, alpha included."""
        return self.channels + self.has_alpha

    def fits(self, pixels: Pixels, alpha: Pixels | None) -> bool:
        """Whether these are rows of the picture."""
        shape = (len(pixels), self.width)
        return (
            pixels.shape == (*shape, self.channels)
            and pixels.dtype == self.dtype
            and (alpha is not None) == self.has_alpha
            and (alpha is None or (alpha.shape == shape and alpha.dtype == self.dtype))
        )


def joined(pixels: Pixels, alpha: Pixels | None) -> Pixels:
    """Pixels, (n, W, C), and alpha, (n, W), in one array (n, W, C + 1)."""
    return pixels if alpha is None else np.concatenate([pixels, alpha[:, :, None]], axis=2)
