"""Rain and snow: bright things that fall through the exposure, and the thin veil of those far off.

    seen = background * (1 - veil) + light * veil,  then  background * (1 - a) + light * a

where `a` is the share of the exposure for which something bright covered the point. Composed on
encoded values, as the field's sets are: how bright a streak is was drawn anyway.

Source: Garg and Nayar, "Vision and Rain" (IJCV 2007), for streaks as time-averaged bright drops;
Liu et al., "DesnowNet" (TIP 2018), for flakes of several sizes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from moce_cli.degradations.spectrum import scatter, soft_noise
from moce_cli.degradations.step import Step, Value, columns, lists

Draws = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
VIEW = 800.0  # longest side in pixels of the picture that the sizes below are meant for


def _falling(
    strength: float, rng: np.random.Generator, scale: float, light: float, veil: float
) -> dict[str, Value]:
    return {
        "scale": round(scale, 4),
        "light": [round(float(np.clip(light + t, 0.0, 1.0)), 4) for t in rng.normal(0, 0.01, 3)],
        "veil": round(strength * veil, 4),
    }


def _scale(rng: np.random.Generator, extent: float) -> float:
    """How large drops and flakes are against a picture with its longest side of `VIEW`."""
    return float(np.clip(extent / VIEW, 0.35, 8.0) * np.exp(rng.normal(0, 0.2)))


def _plain(values: Draws) -> list[float]:
    return [float(f"{v:.5g}") for v in values]


def draw_rain(strength: float, rng: np.random.Generator, extent: float) -> dict[str, Value]:
    """Four layers of streaks, the farthest first: short, thin, many; then long, wide, few."""
    scale = _scale(rng, extent)
    slow = np.exp(rng.uniform(-0.5, 0.8))  # a longer exposure
    length = np.array([9.0, 18.0, 34.0, 60.0]) * rng.uniform(0.7, 1.4, 4) * slow
    width = np.array([0.5, 0.6, 0.8, 1.3]) * rng.uniform(0.85, 1.25, 4)
    cover = np.array([0.14, 0.10, 0.06, 0.02]) * rng.uniform(0.4, 1.8, 4) * strength
    peak = np.array([0.34, 0.48, 0.58, 0.40]) * rng.uniform(0.7, 1.4, 4)
    peak = np.minimum(peak * rng.uniform(0.7, 1.2) * (0.6 + 0.4 * strength), 0.95)
    angle = float(np.clip(rng.normal(0, 16), -50, 50))
    length, width = length * scale, np.maximum(width * np.sqrt(scale), 0.45)
    return _falling(strength, rng, scale, rng.uniform(0.75, 0.97), rng.uniform(0.08, 0.4)) | {
        "angle": round(angle, 2),
        "angles": _plain(angle + rng.normal(0, 2.5, 4)),
        "lengths": _plain(length),
        "widths": _plain(width),
        "densities": _plain(cover / (length * width * 2.5)),
        "peaks": _plain(peak),
    }


def draw_snow(strength: float, rng: np.random.Generator, extent: float) -> dict[str, Value]:
    """Four layers of flakes, the farthest first: small, many; then large, ragged, few."""
    scale = _scale(rng, extent)
    width = np.array([0.7, 1.2, 2.3, 4.6]) * rng.uniform(0.75, 1.35, 4) * scale
    width = np.maximum(width, 0.5)
    length = width * np.exp(rng.uniform(-1.2, 1.2)) * rng.uniform(0.6, 1.4, 4)
    cover = np.array([0.05, 0.05, 0.05, 0.04]) * rng.uniform(0.4, 1.8, 4) * strength
    peak = np.array([0.7, 1.1, 1.5, 1.1]) * rng.uniform(0.7, 1.2, 4)
    angle = float(np.clip(rng.normal(0, 30), -80, 80))
    return _falling(strength, rng, scale, rng.uniform(0.88, 1.0), rng.uniform(0.05, 0.3)) | {
        "angle": round(angle, 2),
        "angles": _plain(angle + rng.normal(0, 12.0, 4)),
        "lengths": _plain(length),
        "widths": _plain(width),
        "densities": _plain(cover / (6.3 * width * width + 2.5 * width * length)),
        "peaks": _plain(peak),
        "ragged": round(float(rng.uniform(0.3, 0.75)), 4),
        "grain": round(float(rng.uniform(1.4, 2.4)) * scale, 4),
    }


def _clear(
    pictures: Tensor,
    steps: Sequence[Step],
    generator: torch.Generator,
    faintest: float,
    texture: Tensor | None = None,
) -> Tensor:
    """The share of each point's light that comes through, `(B, 1, H, W)`."""
    names = ("densities", "lengths", "widths", "angles", "peaks")
    layers = zip(*(row.unbind(1) for row in lists(steps, names, pictures)), strict=True)
    size = (pictures.shape[-2], pictures.shape[-1])
    (veil,) = columns(steps, ("veil",), pictures)
    clear = 1 - veil
    for layer in layers:
        density, length, width, angle, peak = (value[:, None] for value in layer)
        field = scatter(size, density, faintest, length, width, angle.deg2rad(), generator)
        field = field * peak if texture is None else field * (peak * texture)
        clear = clear * (1 - field.clamp(0.0, 1.0))
    return clear


def _lit(pictures: Tensor, steps: Sequence[Step], clear: Tensor) -> Tensor:
    (light,) = lists(steps, ("light",), pictures)
    return torch.lerp(light, pictures, clear)


def rain(pictures: Tensor, steps: Sequence[Step], generator: torch.Generator) -> Tensor:
    """Pictures `(B, 3, H, W)` seen through rain."""
    return _lit(pictures, steps, _clear(pictures, steps, generator, 0.25))


def snow(pictures: Tensor, steps: Sequence[Step], generator: torch.Generator) -> Tensor:
    """Pictures `(B, 3, H, W)` seen through falling snow.

    A texture finer than the near flakes and coarser than the far ones makes the first ragged and
    the second unequal.
    """
    ragged, grain = columns(steps, ("ragged", "grain"), pictures)
    size = (pictures.shape[-2], pictures.shape[-1])
    texture = (1 + ragged * soft_noise(size, grain, generator)).clamp(min=0.0)
    return _lit(pictures, steps, _clear(pictures, steps, generator, 0.4, texture))
