"""Blocks shared by encoder and decoder, on features `(B, H, W, C)`; see `primitives`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from moce_cli.network.primitives import (
    ROWS,
    Conv2d,
    Linear,
    Norm,
    add,
    bias_of,
    depthwise,
    filtered_parts,
    pointwise,
)


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


def channel_attention_weights(query: Tensor, key: Tensor, temperature: Tensor) -> Tensor:
    """How much each channel takes of each other, over all pixels.

    The unit length of q and k is brought in after their product, which is small: normalising them
    first would pass over all pixels twice more.

    Args:
        query: `(B, N, C)`.
        key: as query.
        temperature: `(heads, 1, 1)`; heads are contiguous groups of channels.

    Returns:
        `(B, heads, C/heads, C/heads)`, float32, rows that sum to one.

    Source: Restormer (CVPR 2022), multi-Dconv head transposed attention.
    """
    b, _, c = query.shape
    heads = temperature.shape[0]
    if query.dtype == torch.float16:  # a product over many pixels would overflow
        query, key = (F.normalize(t.float(), dim=1, eps=1e-12).half() for t in (query, key))
        scores = torch.bmm(query.transpose(1, 2), key).float()  # (B, C, C)
    else:
        q_length, k_length = (
            (t * t).sum(dim=1).float().sqrt().clamp_min(1e-12) for t in (query, key)
        )
        scores = torch.bmm(query.transpose(1, 2), key).float()
        scores = scores / (q_length[:, :, None] * k_length[:, None, :])
    # all heads at once, of which the diagonal blocks count: (B, C', C', heads)
    blocks = scores.view(b, heads, c // heads, heads, c // heads).diagonal(dim1=1, dim2=3)
    return (blocks.permute(0, 3, 1, 2) * temperature.float()).softmax(dim=-1)


def attend_and_project(
    query: Tensor, key: Tensor, value: Tensor, temperature: Tensor, project: nn.Linear
) -> Tensor:
    """Attention between channels, then a 1x1 convolution.

    Both are products with a small matrix from the left, so one product of the small matrices spares
    a pass over all pixels.

    Args:
        query: `(B, H, W, C)`.
        key: as query.
        value: as query.
        temperature: `(heads, 1, 1)`.
        project: C to C channels.

    Returns:
        `(B, H, W, C)`.
    """
    b, h, w, c = query.shape
    q, k, v = (t.reshape(b, h * w, c) for t in (query, key, value))
    weights = channel_attention_weights(q, k, temperature)
    heads = weights.shape[1]
    outer = project.weight.float().view(c, heads, c // heads)
    matrix = torch.einsum("ohi,bhij->bohj", outer, weights).reshape(b, c, c)
    matrix, bias = matrix.to(project.weight.dtype), bias_of(project)
    if b == 1:
        return pointwise(value, matrix[0], bias)
    out = torch.bmm(v.to(matrix.dtype), matrix.transpose(1, 2))
    return (out if bias is None else out + bias).view(b, h, w, c)


class TransposedAttention(nn.Module):
    """Self-attention over channels: 1x1 and depthwise 3x3 to q, k, v; 1x1 out."""

    def __init__(self, channels: int, heads: int, *, bias: bool) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = Linear(channels, 3 * channels, bias=bias)
        self.qkv_depthwise = depthwise(3 * channels, 3, bias=bias)
        self.project = Linear(channels, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, H, W, C)` to `(B, H, W, C)`."""
        q, k, v = filtered_parts(self.qkv, self.qkv_depthwise, x, 3)
        return attend_and_project(q, k, v, self.temperature, self.project)


class CrossAttention(nn.Module):
    """Attention over channels: the query from one source, key and value from another."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.query = Linear(channels, channels, bias=False)
        self.query_depthwise = depthwise(channels, 3, bias=False)
        self.key_value = Linear(channels, 2 * channels, bias=False)
        self.key_value_depthwise = depthwise(2 * channels, 7, bias=False)
        self.project = Linear(channels, channels, bias=False)

    def forward(self, query_from: Tensor, value_from: Tensor) -> Tensor:
        """Two `(B, H, W, C)` to one `(B, H, W, C)`."""
        q = self.query_depthwise(self.query(query_from))
        k, v = filtered_parts(self.key_value, self.key_value_depthwise, value_from, 2)
        return attend_and_project(q, k, v, self.temperature, self.project)


class GatedFeedForward(nn.Module):
    """Restormer's gated feed-forward: `gelu(a) * b` between two 1x1 convolutions."""

    def __init__(self, channels: int, hidden: int, *, bias: bool) -> None:
        super().__init__()
        self.expand = Linear(channels, 2 * hidden, bias=bias)
        self.depthwise = depthwise(2 * hidden, 3, bias=bias)
        self.project = Linear(hidden, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, H, W, C)` to `(B, H, W, C)`."""
        a, b = filtered_parts(self.expand, self.depthwise, x, 2)
        # in place where it may be: the memory that is touched is what this costs
        a = F.gelu(a) * b if torch.is_grad_enabled() else torch.ops.aten.gelu_(a).mul_(b)
        del b
        return pointwise(a, self.project.weight, self.project.bias)


class EncoderBlock(nn.Module):
    """Attention over channels and a gated feed-forward, each with a norm before and a residual."""

    def __init__(self, channels: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.attention_norm = Norm(channels)
        self.attention = TransposedAttention(channels, heads, bias=True)
        self.ffn_norm = Norm(channels)
        self.ffn = GatedFeedForward(channels, expansion * channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, H, W, C)` to `(B, H, W, C)`."""
        x = add(x, self.attention(self.attention_norm(x)))
        n = self.ffn_norm(x)
        whole = self.ffn.depthwise.weight.dtype == torch.float32
        if not whole or torch.is_grad_enabled() or x.device.type != "cpu":
            return add(x, self.ffn(n))
        # a feed-forward looks one row far: in strips a CPU needs half the memory, and no more time
        for top in range(0, x.shape[1], ROWS):
            bottom, first = top + ROWS, max(0, top - 1)
            made = self.ffn(n[:, first : bottom + 1])
            x[:, top:bottom] += made[:, top - first : bottom - first]
        return x
