"""Blocks shared by encoder and decoder.

Convention: inside the network features are `(B, H, W, C)`, contiguous. A 1x1 convolution is then a
matrix product, a layer norm is the native one, and a view with the axes swapped is what PyTorch
calls channels-last, so that no operation copies to change the layout.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Conv2d(nn.Conv2d):
    """Convolution of stride 1 on `(B, H, W, C)`, zero padding that keeps height and width."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, groups: int = 1, bias: bool
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel, padding=kernel // 2, groups=groups, bias=bias
        )

    def forward(self, input: Tensor) -> Tensor:
        """`(B, H, W, in_channels)` to `(B, H, W, out_channels)`."""
        return super().forward(input.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def depthwise(channels: int, kernel: int, *, bias: bool) -> Conv2d:
    """A convolution that keeps every channel to itself."""
    return Conv2d(channels, channels, kernel, groups=channels, bias=bias)


class Downsample(nn.Module):
    """Half the height and width, twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv2d(channels, channels // 2, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, H, W, C)` with even H and W to `(B, H/2, W/2, 2C)`."""
        x = self.conv(x)
        b, h, w, c = x.shape
        x = x.reshape(b, h // 2, 2, w // 2, 2, c)
        return x.permute(0, 1, 3, 5, 2, 4).reshape(b, h // 2, w // 2, 4 * c)


class Upsample(nn.Module):
    """Twice the height and width, half the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv2d(channels, 2 * channels, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, H, W, C)` to `(B, 2H, 2W, C/2)`."""
        x = self.conv(x)
        b, h, w, c = x.shape
        x = x.reshape(b, h, w, c // 4, 2, 2)
        return x.permute(0, 1, 4, 2, 5, 3).reshape(b, 2 * h, 2 * w, c // 4)


def channel_attention(query: Tensor, key: Tensor, value: Tensor, temperature: Tensor) -> Tensor:
    """Attention between channels, its weights taken over all pixels.

    Args:
        query: `(B, H, W, C)`.
        key: as query.
        value: as query.
        temperature: `(heads, 1, 1)`; heads are contiguous groups of channels.

    Returns:
        `(B, H, W, C)`.

    Source: Restormer (CVPR 2022), multi-Dconv head transposed attention.
    """
    b, h, w, c = query.shape
    heads = temperature.shape[0]
    q, k, v = (
        # float16 products over many pixels overflow unless q and k are of unit length first
        t.reshape(b, h * w, heads, c // heads).permute(0, 2, 3, 1)
        for t in (query, key, value)
    )  # (B, heads, c, N)
    q = F.normalize(q, dim=-1, eps=1e-12)
    k = F.normalize(k, dim=-1, eps=1e-12)
    weights = (q @ k.transpose(-2, -1)) * temperature  # (B, heads, c, c)
    out = weights.softmax(dim=-1).to(v.dtype) @ v  # (B, heads, c, N)
    return out.permute(0, 3, 1, 2).reshape(b, h, w, c)


class TransposedAttention(nn.Module):
    """Self-attention over channels: 1x1 and depthwise 3x3 to q, k, v; 1x1 out."""

    def __init__(self, channels: int, heads: int, *, bias: bool) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Linear(channels, 3 * channels, bias=bias)
        self.qkv_depthwise = depthwise(3 * channels, 3, bias=bias)
        self.project = nn.Linear(channels, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, H, W, C)` to `(B, H, W, C)`."""
        q, k, v = self.qkv_depthwise(self.qkv(x)).chunk(3, dim=-1)
        return self.project(channel_attention(q, k, v, self.temperature))


class CrossAttention(nn.Module):
    """Attention over channels: the query from one source, key and value from another."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.query = nn.Linear(channels, channels, bias=False)
        self.query_depthwise = depthwise(channels, 3, bias=False)
        self.key_value = nn.Linear(channels, 2 * channels, bias=False)
        self.key_value_depthwise = depthwise(2 * channels, 7, bias=False)
        self.project = nn.Linear(channels, channels, bias=False)

    def forward(self, query_from: Tensor, value_from: Tensor) -> Tensor:
        """Two `(B, H, W, C)` to one `(B, H, W, C)`."""
        q = self.query_depthwise(self.query(query_from))
        k, v = self.key_value_depthwise(self.key_value(value_from)).chunk(2, dim=-1)
        return self.project(channel_attention(q, k, v, self.temperature))


class GatedFeedForward(nn.Module):
    """Restormer's gated feed-forward: `gelu(a) * b` between two 1x1 convolutions."""

    def __init__(self, channels: int, expansion: int, *, bias: bool) -> None:
        super().__init__()
        hidden = channels * expansion
        self.expand = nn.Linear(channels, 2 * hidden, bias=bias)
        self.depthwise = depthwise(2 * hidden, 3, bias=bias)
        self.project = nn.Linear(hidden, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, H, W, C)` to `(B, H, W, C)`."""
        a, b = self.depthwise(self.expand(x)).chunk(2, dim=-1)
        return self.project(F.gelu(a) * b)


class EncoderBlock(nn.Module):
    """Attention over channels and a gated feed-forward, each with a norm before and a residual."""

    def __init__(self, channels: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = TransposedAttention(channels, heads, bias=True)
        self.ffn_norm = nn.LayerNorm(channels)
        self.ffn = GatedFeedForward(channels, expansion, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, H, W, C)` to `(B, H, W, C)`."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.ffn(self.ffn_norm(x))
