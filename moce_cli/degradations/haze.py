"""Haze: light lost on its way, and light that joined it.

    seen = scene * t + airlight * (1 - t),    t = (1 - strength) ^ depth

Source: Koschmieder (1924); Narasimhan and Nayar, "Vision and the Atmosphere" (IJCV 2002).

Light adds up linearly, so half of the draws mix in linear light. The other half mix encoded values,
as the field's synthetic sets do (RESIDE and its kin), because that is what a network meets there.
The airlight is what the eye sees at the horizon, so it is given as an encoded value for both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from moce_cli.degradations.light import to_encoded, to_linear
from moce_cli.degradations.spectrum import fractal
from moce_cli.degradations.step import Step, Value, columns

SHAPES = ("plane", "ramp", "fractal", "blend")


def draw_haze(strength: float, rng: np.random.Generator, extent: float) -> dict[str, Value]:
    """What a scene's haze needs.

    Args:
        strength: share of light lost at the farthest point.
        rng: draws the rest.
        extent: longest side of the scene in pixels; a crop is a piece of it.
    """
    shape = str(rng.choice(SHAPES, p=(0.15, 0.35, 0.15, 0.35)))
    # most scenes go away upwards
    angle = rng.normal(0.0, 25.0) if rng.random() < 0.75 else rng.uniform(-180.0, 180.0)
    near = {"plane": 1.0, "fractal": rng.uniform(0.2, 0.7)}.get(shape, rng.uniform(0.0, 0.4))
    rough = {"plane": 0.0, "ramp": 0.0, "fractal": 1.0, "blend": rng.uniform(0.15, 0.5)}[shape]
    grey = rng.uniform(0.72, 1.0)
    warm = rng.normal(0.0, 0.03)  # along daylight's way from blue to yellow
    airlight = np.clip(grey + warm * np.array([1.0, 0.1, -1.1]), 0.7, 1.0)
    return {
        "light": "linear" if rng.random() < 0.5 else "encoded",
        "airlight": [round(float(v), 4) for v in airlight],
        "shape": shape,
        "near": round(float(near), 4),
        "angle": round(float(angle), 2),
        "curve": round(float(np.exp(rng.uniform(math.log(0.6), math.log(2.2)))), 4),
        "rough": round(float(rough), 4),
        "exponent": round(float(rng.uniform(1.6, 2.4)), 4),
        "extent": round(extent, 1),
        "left": round(float(rng.random()), 4),
        "top": round(float(rng.random()), 4),
    }


def depth(steps: Sequence[Step], like: Tensor, generator: torch.Generator) -> Tensor:
    """How far each point is, `(B, 1, H, W)` in [0, 1].

    The farthest point of the scene is 1. A picture that is as large as the scene is the scene.
    """
    height, width = like.shape[-2:]
    names = ("near", "angle", "curve", "rough", "exponent", "extent", "left", "top")
    near, angle, curve, rough, exponent, extent, left, top = columns(steps, names, like)
    extent = extent.clamp(min=max(height, width, 8))
    angle = angle.deg2rad()
    rows = torch.arange(height, device=like.device, dtype=like.dtype)[:, None] + 0.5
    across = torch.arange(width, device=like.device, dtype=like.dtype)[None, :] + 0.5
    # the scene keeps the picture's proportions, with `extent` as its longest side
    grow = extent / max(height, width)
    y = (rows + top * (grow - 1) * height) / (grow * height) - 0.5
    x = (across + left * (grow - 1) * width) / (grow * width) - 0.5
    span = angle.sin().abs() + angle.cos().abs()
    ramp = (0.5 + (x * angle.sin() - y * angle.cos()) / span).clamp(0.0, 1.0).pow(curve)
    if any(step.number("rough") > 0 for step in steps):
        waves = 0.5 + 0.25 * fractal((height, width), extent, exponent, generator)
        ramp = torch.lerp(ramp, waves.clamp(0.0, 1.0), rough)
    return near + (1 - near) * ramp


def haze(pictures: Tensor, steps: Sequence[Step], generator: torch.Generator) -> Tensor:
    """Hazy pictures `(B, 3, H, W)`."""
    (strength,) = columns(steps, ("strength",), pictures)
    transmission = (1 - strength).pow(depth(steps, pictures, generator))
    airlight = torch.tensor([step.numbers("airlight") for step in steps])
    airlight = airlight.to(pictures)[:, :, None, None]
    linear = [step.word("light") == "linear" for step in steps]
    if all(linear):
        return to_encoded(torch.lerp(to_linear(airlight), to_linear(pictures), transmission))
    seen = torch.lerp(airlight, pictures, transmission)
    if any(linear):
        rows = torch.tensor([i for i, yes in enumerate(linear) if yes], device=pictures.device)
        mixed = torch.lerp(to_linear(airlight[rows]), to_linear(pictures[rows]), transmission[rows])
        seen = seen.index_copy(0, rows, to_encoded(mixed))
    return seen
