"""Between encoded values and linear light.

Source: IEC 61966-2-1 (sRGB).
"""

from __future__ import annotations

import torch
from torch import Tensor


def to_linear(encoded: Tensor) -> Tensor:
    """Linear light in [0, 1] from sRGB values in [0, 1]."""
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055).pow(2.4))


def to_encoded(linear: Tensor) -> Tensor:
    """SRGB values in [0, 1] from linear light; light beyond [0, 1] is clipped."""
    light = linear.clamp(0.0, 1.0)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.pow(1 / 2.4) - 0.055)


def normal(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """White noise of variance 1, from the generator's device."""
    return torch.randn(shape, generator=generator, device=generator.device).to(like.device)


def uniform(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Values in [0, 1), from the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device).to(like.device)
