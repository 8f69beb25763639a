"""Bright specks that belong to a clean picture: drops of dew, glitter, lights at night.

Falling snow and rain are bright specks too. Few pictures have any of their own, and a network that
has seen none takes them off. Those drawn here are what snow is not: opaque, sharp at the edge, and
shaded from one side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moce_cli.training.looks import RGB

RADII = (1.0, 12.0)
"""Of the specks, in pixels."""
COVER = (0.02, 0.35)
"""Share of the picture that they cover."""
MOST = 400
"""Specks of one picture."""


def with_glints(picture: RGB, probability: float, rng: np.random.Generator) -> RGB:
    """The picture, perhaps with bright specks in it.

    Args:
        picture: `(H, W, 3)` uint8; left as it is.
        probability: that there are some.
        rng: draws; where the probability is zero it is left as it was.
    """
    if not probability or rng.random() >= probability:
        return picture
    height, width = picture.shape[:2]
    seen = picture.astype(np.float32)
    least, most = RADII
    typical = least * (most / least) ** rng.random()
    area = rng.uniform(*COVER) * height * width
    number = int(np.clip(area / (np.pi * typical**2), 1, MOST))
    light = rng.uniform(0, 2 * np.pi)  # where it comes from
    ground = picture.reshape(-1, 3).mean(axis=0)
    tint = np.clip(rng.uniform(190, 255) + rng.normal(0, 8, 3), 0, 255)
    shade = rng.uniform(0, 2.5)  # from bright all over to a highlight
    for _ in range(number):
        radius = float(np.clip(typical * np.exp(rng.normal(0, 0.4)), least, most))
        middle = rng.uniform(0, (height, width))
        toward = light, shade
        _draw(seen, middle, radius, float(rng.uniform(0.5, 1)), toward, (ground, tint), rng)
    return np.rint(seen).astype(np.uint8)


def _draw(
    seen: NDArray[np.float32],
    middle: NDArray[np.float64],
    radius: float,
    roundness: float,
    toward: tuple[float, float],
    colours: tuple[NDArray[np.float64], NDArray[np.float64]],
    rng: np.random.Generator,
) -> None:
    """One speck, in place: an ellipse from its own dark side to its bright one."""
    top, left = (max(0, int(m - radius - 1)) for m in middle)
    patch = seen[top : int(middle[0] + radius + 2), left : int(middle[1] + radius + 2)]
    if not patch.size:
        return
    rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]]
    y, x = rows + top - middle[0], columns + left - middle[1]
    angle = rng.uniform(0, np.pi)
    along = (x * np.cos(angle) + y * np.sin(angle)) / radius
    across = (y * np.cos(angle) - x * np.sin(angle)) / (radius * roundness)
    inside = np.clip((1 - np.hypot(along, across)) * radius + 0.5, 0, 1)[..., None]
    light, shade = toward
    lit = np.clip(0.5 + (x * np.cos(light) + y * np.sin(light)) / (2 * radius), 0, 1)[..., None]
    ground, tint = colours
    dark = ground * rng.uniform(0.2, 1)
    patch += inside * (dark + (tint - dark) * lit**shade - patch)
