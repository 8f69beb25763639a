"""One complexity expert: low rank, and a window in which it mixes by circular convolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from moce_cli.network.layers import (
    Linear,
    Norm,
    depthwise,
    filtered_parts,
)

_elsewhere: dict[str, str] = {}


def circular_convolution_on(device_type: str, other: str) -> None:
    """Let a kind of device leave this operation to another: some FFTs return wrong values."""
    _elsewhere[device_type] = other


def windowed_circular_convolution(a: Tensor, b: Tensor, window: int) -> Tensor:
    """Convolve two feature maps circularly, window by window and channel by channel.

    Args:
        a: `(B, H, W, C)`.
        b: as a.
        window: side of the windows, anchored at the top left; what is missing at the right and the
            bottom is zero.

    Returns:
        `(B, H, W, C)`, float32.

    Source: FFTformer (CVPR 2023), frequency-domain self-attention.
    """
    if (other := _elsewhere.get(a.device.type)) is not None:
        return windowed_circular_convolution(a.to(other), b.to(other), window).to(a.device)
    batch, h, w, c = a.shape
    rows, columns = -(-h // window), -(-w // window)
    pad = (0, 0, 0, columns * window - w, 0, rows * window - h)

    def spectrum(x: Tensor) -> Tensor:
        x = F.pad(x.float(), pad).reshape(batch, rows, window, columns, window, c)
        return torch.fft.rfft2(x.permute(0, 1, 3, 5, 2, 4))  # (B, rows, columns, C, p, p/2 + 1)

    with torch.autocast(a.device.type, enabled=False):
        product = torch.fft.irfft2(spectrum(a) * spectrum(b), s=(window, window))
    product = product.permute(0, 1, 4, 2, 5, 3).reshape(batch, rows * window, columns * window, c)
    return product[:, :h, :w]


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
