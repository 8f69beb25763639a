"""How a picture's numbers stand for colours, and the way from there to sRGB's encoding and back.

The network has learnt on sRGB. Colours outside sRGB become values outside [0, 1] here, not clipped
ones, so that they can go back where they came from.

Source: IEC 61966-2-1 (sRGB); ICC.1:2022 section 10.18 (parametric curves).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]

# linear sRGB to XYZ relative to D50 (the profile connection space), by Bradford adaptation
SRGB_TO_XYZ = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
NEAR = 3 / 255
"""An encoding that differs from sRGB's by less than this is taken for it."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """From stored values to light, and back; odd around 0, so that it knows no bounds.

    Attributes:
        power: (g, a, b, c, d): light is `(a v + b) ** g` from `v = d` on, `c v` below.
        table: light at evenly spread values, in place of the power; must not fall.
    """

    power: tuple[float, float, float, float, float] = (1.0, 1.0, 0.0, 1.0, 0.0)
    table: NDArray[np.float64] | None = None

    def light(self, values: Floats) -> Floats:
        """Stored values as linear light."""
        size = np.abs(values)
        if self.table is not None:
            grid = np.linspace(0, 1, len(self.table))
            found = np.where(size > 1, size * self.table[-1], np.interp(size, grid, self.table))
        else:
            g, a, b, c, d = self.power
            if g == 1 and (a, b) == (1, 0):
                return values
            found = np.where(size < d, c * size, np.maximum(a * size + b, 0) ** np.float32(g))
        return np.copysign(found, values).astype(np.float32)

    def stored(self, light: Floats) -> Floats:
        """Linear light as stored values."""
        size = np.abs(light)
        if self.table is not None:
            grid = np.linspace(0, 1, len(self.table))
            last = self.table[-1]
            found = np.where(size > last, size / last, np.interp(size, self.table, grid))
        else:
            g, a, b, c, d = self.power
            if g == 1 and (a, b) == (1, 0):
                return light
            below = size / (c or 1)
            found = np.where(size < c * d, below, (size ** np.float32(1 / g) - b) / a)
        return np.copysign(found, light).astype(np.float32)


SRGB_CURVE = Curve((2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
LINEAR = Curve()


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """What the samples of a picture stand for.

    Attributes:
        name: for messages.
        curves: one for grey, or one of each colour.
        matrix: from linear light in its own colours to linear sRGB; None for grey.
    """

    name: str
    curves: tuple[Curve, ...]
    matrix: Matrix | None = None

    def to_srgb(self, values: NDArray[Any]) -> Floats:
        """(..., C) in [0, 1] as sRGB's encoding; beyond [0, 1] where sRGB ends."""
        light = self._each(values.astype(np.float32), "light")
        if self.matrix is not None and light.shape[-1] == 3:
            light = light @ self.matrix.T.astype(np.float32)
        return SRGB_CURVE.stored(light)

    def from_srgb(self, values: Floats) -> Floats:
        """The way back; beyond [0, 1] where this encoding ends."""
        light = SRGB_CURVE.light(values)
        if self.matrix is not None and light.shape[-1] == 3:
            light = light @ np.linalg.inv(self.matrix).T.astype(np.float32)
        return self._each(light, "stored")

    def _each(self, values: Floats, way: str) -> Floats:
        if len(self.curves) == 1 or values.shape[-1] == 1:
            return getattr(self.curves[0], way)(values)
        parts = [getattr(c, way)(values[..., i]) for i, c in enumerate(self.curves)]
        return np.stack(parts, axis=-1)

    @property
    def is_linear(self) -> bool:
        """Its samples are light."""
        return all(c.table is None and c.power[:3] == LINEAR.power[:3] for c in self.curves)

    @property
    def is_wide(self) -> bool:
        """Its colours are not those of sRGB."""
        return self.matrix is not None and bool(np.abs(self.matrix - np.eye(3)).max() > 0.01)

    def bent(self) -> Encoding:
        """The same colours, fit for whole numbers: light gets sRGB's curve."""
        return replace(self, curves=(SRGB_CURVE,)) if self.is_linear else self

    def from_light(self, light: Floats) -> Floats:
        """Linear light in its own colours as stored values."""
        return self._each(light, "stored")

    @property
    def is_srgb(self) -> bool:
        """It is sRGB's own, but for rounding."""
        steps = np.linspace(0, 1, 9, dtype=np.float32)
        if self.matrix is None:
            samples = steps[:, None]
        else:
            samples = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
        return bool(np.abs(self.to_srgb(samples) - samples).max() < NEAR)


def gamma(exponent: float) -> Curve:
    """A plain power."""
    return Curve((exponent, 1.0, 0.0, 0.0, 0.0))


def from_primaries(
    red: tuple[float, float],
    green: tuple[float, float],
    blue: tuple[float, float],
    white: tuple[float, float],
) -> Matrix:
    """From chromaticities (x, y) to the matrix from linear light to linear sRGB.

    Source: SMPTE RP 177; Bradford adaptation as in ICC.1:2022 annex E.
    """
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in (red, green, blue)]).T
    x, y = white
    own_white = np.array([x / y, 1.0, (1 - x - y) / y])
    to_xyz = columns * np.linalg.solve(columns, own_white)
    adapt = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ own_white))
    return np.linalg.inv(SRGB_TO_XYZ) @ np.linalg.inv(_BRADFORD) @ adapt @ _BRADFORD @ to_xyz


D65 = (0.3127, 0.3290)
PRIMARIES = {
    "sRGB": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65),
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
    "Adobe RGB": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65),
    "BT.2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
}
LINEAR_SRGB = Encoding("linear light", (LINEAR,), np.eye(3))
ADOBE_RGB = Encoding("Adobe RGB", (gamma(563 / 256),), from_primaries(*PRIMARIES["Adobe RGB"]))
