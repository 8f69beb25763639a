"""One complexity expert: low rank, and a window in which it mixes by circular convolution."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from moce_cli.network.circular import windowed_circular_convolution
from moce_cli.network.primitives import Linear, Norm, depthwise, filtered_parts


class FFTAttention(nn.Module):
    """Mix within windows by a product in the frequency domain, then gate the values."""

    def __init__(self, channels: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.query = Linear(channels, channels, bias=False)
        self.query_depthwise = depthwise(channels, 3, bias=True)
        self.key_value = Linear(channels, 2 * channels, bias=False)
        self.key_value_depthwise = depthwise(2 * channels, 7, bias=True)
        self.norm = Norm(channels)
        self.project = Linear(channels, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, H, W, r)` to `(B, H, W, r)`."""
        q = self.query_depthwise(self.query(x))
        k, v = filtered_parts(self.key_value, self.key_value_depthwise, x, 2)
        return self.project(self.norm(windowed_circular_convolution(q, k, self.window)) * v)


class ComplexityExpert(nn.Module):
    """An expert: down to its rank, FFT attention, modulation by the shared expert, up again.

    Source: MoCE-IR, equation 4.
    """

    def __init__(self, channels: int, rank: int, window: int) -> None:
        super().__init__()
        self.reduce = Linear(channels, rank, bias=False)
        self.reduce_shared = Linear(channels, rank, bias=False)
        self.expand = Linear(rank, channels, bias=False)
        self.attention = FFTAttention(rank, window)

    def forward(self, x: Tensor, shared: Tensor) -> Tensor:
        """`(B, H, W, C)` features and shared features to `(B, H, W, C)`."""
        gate = F.silu(self.reduce_shared(shared))
        return x + self.expand(self.attention(self.reduce(x)) * gate)
