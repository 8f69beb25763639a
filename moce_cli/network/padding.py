"""More pixels at the bottom and the right, so that the network can halve its input."""

from __future__ import annotations

import torch
from torch import Tensor


def _reflected(size: int, padded: int, device: torch.device) -> Tensor:
    """Indices that continue 0..size-1 by reflection, to and fro as often as it takes."""
    period = max(2 * (size - 1), 1)
    index = torch.arange(padded, device=device) % period
    return torch.minimum(index, period - index) if size > 1 else torch.zeros_like(index)


def pad_by_reflection(x: Tensor, height: int, width: int) -> Tensor:
    """Continue `(B, C, H, W)` at the bottom and the right by reflection, however small it is."""
    h, w = x.shape[-2:]
    if height != h:
        x = x.index_select(-2, _reflected(h, height, x.device))
    if width != w:
        x = x.index_select(-1, _reflected(w, width, x.device))
    return x
