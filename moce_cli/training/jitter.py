"""Clean pictures in other tones: darker, flatter, greyer, warmer, as undamaged photographs may be.

A few hundred pictures hold a few hundred scenes; a network learns them by heart and takes a scene
that is unlike them for a damaged one. Among pictures whose tones were changed before any damage it
meets grey, flat and dark ones that are to stay so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moce_cli.training.looks import RGB

GREY, DARK, BRIGHT, FLAT, PALE = 0.2, 0.15, 0.15, 0.3, 0.15
"""Chances that a changed picture loses all colour, that it becomes one of the night with bright
lights left, or a bright one, that it loses black, and white, or both and much of its colour."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class Jitter:
    """A change of tones; the result of each step lies in [0, 1].

    Attributes:
        gamma: exponent of all values; above 1 is darker.
        gains: of R, G and B, after that.
        saturation: 0 is grey, 1 leaves colours alone.
        black: what black becomes.
        white: what white becomes.
    """

    gamma: float
    gains: tuple[float, float, float]
    saturation: float
    black: float
    white: float

    def __call__(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """Change `(..., 3)` in [0, 1]."""
        x = np.asarray(picture**self.gamma * np.array(self.gains, np.float32), np.float32)
        grey = (x @ _LUMA)[..., None]
        x = (grey + (x - grey) * self.saturation).clip(0, 1)
        return np.asarray(self.black + x * (self.white - self.black), np.float32)

    def bytes(self, picture: RGB) -> RGB:
        """Change `(..., 3)` uint8, rounded."""
        changed = self((picture / 255).astype(np.float32))
        return np.rint(changed * 255).astype(np.uint8)


def draw_jitter(probability: float, rng: np.random.Generator) -> Jitter | None:
    """A change as photographs differ, or none.

    Args:
        probability: that there is one.
        rng: draws; where the probability is zero it is left as it was.
    """
    if not probability or rng.random() >= probability:
        return None
    red, green, blue = np.exp(rng.normal(0, 0.06, 3)).tolist()
    gamma = np.exp(np.clip(rng.normal(0, 0.25), -0.6, 0.6))
    tone = rng.random()
    if tone < DARK:
        gamma = rng.uniform(1.6, 3)
    elif tone > 1 - BRIGHT:
        gamma = rng.uniform(0.4, 0.7)
    if rng.random() < PALE:
        saturation, black = float(rng.uniform(0, 0.5)), float(rng.uniform(0.08, 0.3))
        gains = (red, green, blue)
        return Jitter(float(gamma), gains, saturation, black, float(rng.uniform(0.75, 1)))
    return Jitter(
        gamma=float(gamma),
        gains=(red, green, blue),
        saturation=0.0 if rng.random() < GREY else float(rng.uniform(0.5, 1.25)),
        black=float(rng.uniform(0, 0.22)) if rng.random() < FLAT else 0.0,
        white=float(rng.uniform(0.7, 1)) if rng.random() < FLAT else 1.0,
    )
