"""The operations that all blocks are made of, each as a device does it fastest.

Convention: inside the network features are `(B, H, W, C)`, contiguous. A 1x1 convolution is then a
matrix product, a layer norm is the native one, and a view with the axes swapped is what PyTorch
calls channels-last, so that no operation copies to change the layout. Where a convolution's output
falls into parts (q, k, v), each part is computed on its own: a slice of channels is not contiguous,
and element-wise work on one is many times slower on a CPU.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from moce_cli.network.depthwise import depthwise_conv

ROWS = 64
"""Rows that are brought into another precision, or go through a feed-forward, at once."""
_NARROW = 16
"""Channels up to which a norm by products is faster than the native one."""


class Linear(nn.Linear):
    """A product of channels; on the meta device no time goes into first values."""

    def reset_parameters(self) -> None:
        """Draw first values, where there is room for them."""
        if not self.weight.is_meta:
            super().reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """`(..., in_features)` to `(..., out_features)`."""
        if input.dim() == 4 and _by_onednn(input, self.weight):
            return _convolved(input, self.weight, bias_of(self))
        return super().forward(input)


class Conv2d(nn.Conv2d):
    """Convolution of stride 1 on `(B, H, W, C)`, zero padding that keeps height and width."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, groups: int = 1, bias: bool
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel, padding=kernel // 2, groups=groups, bias=bias
        )

    def reset_parameters(self) -> None:
        """Draw first values, except on the meta device."""
        if not self.weight.is_meta:
            super().reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """`(B, H, W, in_channels)` to `(B, H, W, out_channels)`."""
        x = input.permute(0, 3, 1, 2).to(self.weight.dtype)
        if self.groups == self.in_channels > 1:
            return depthwise_conv(x, self.weight, bias_of(self)).permute(0, 2, 3, 1)
        return super().forward(x).permute(0, 2, 3, 1)


def depthwise(channels: int, kernel: int, *, bias: bool) -> Conv2d:
    """A convolution that keeps every channel to itself."""
    return Conv2d(channels, channels, kernel, groups=channels, bias=bias)


class Norm(nn.LayerNorm):
    """Layer norm over channels in its weights' precision; what follows may use a lower one."""

    compute_dtype: torch.dtype | None = None

    def forward(self, input: Tensor) -> Tensor:
        """`(B, H, W, C)` to `(B, H, W, C)`."""
        x = input.to(self.weight.dtype)
        narrow = x.shape[-1] <= _NARROW and _by_onednn(x, self.weight)
        normed = self._by_products(x) if narrow else super().forward(x)
        return normed if self.compute_dtype is None else normed.to(self.compute_dtype)

    def _by_products(self, x: Tensor) -> Tensor:
        """Half the native norm's time, which is spent on beginning each pixel's few channels."""
        channels = x.shape[-1]
        off_mean = torch.eye(channels, dtype=x.dtype, device=x.device) - 1 / channels
        x = _convolved(x, off_mean, None)
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        x *= length.square_().div_(channels).add_(self.eps).rsqrt_()
        return torch.addcmul(self.bias, x, self.weight)


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 1x1 convolution of `(B, H, W, C)` by a matrix, in the matrix's precision.

    A matrix product spends another pass on its bias; a convolution does not.
    """
    if x.dtype != weight.dtype:
        if not torch.is_grad_enabled() and x.shape[1] > ROWS:  # no copy of all in that precision
            out = x.new_empty((*x.shape[:3], len(weight)), dtype=weight.dtype)
            for top in range(0, x.shape[1], ROWS):
                rows = slice(top, top + ROWS)
                out[:, rows] = pointwise(x[:, rows].to(weight.dtype), weight, bias)
            return out
        x = x.to(weight.dtype)
    if _by_onednn(x, weight):
        return _convolved(x, weight, bias)
    if bias is None or torch.is_grad_enabled():  # one thread's float32 has no fast one to train by
        return F.linear(x, weight, bias)
    return F.conv2d(x.permute(0, 3, 1, 2), weight[:, :, None, None], bias).permute(0, 2, 3, 1)


def _by_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether PyTorch must be told to use oneDNN: for one thread and float32 it does not."""
    return (
        x.dtype == weight.dtype == torch.float32
        and x.device.type == "cpu"
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and torch.get_num_threads() == 1
        and torch.backends.mkldnn.is_available()
    )


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 1x1 convolution of `(B, H, W, C)` by oneDNN."""
    x, kernel = x.permute(0, 3, 1, 2), weight[:, :, None, None]
    out = torch.mkldnn_convolution(x, kernel, bias, (0, 0), (1, 1), (1, 1), 1)
    return out.permute(0, 2, 3, 1)


def add(stream: Tensor, change: Tensor) -> Tensor:
    """What runs through the blocks, changed; in its own place where no gradient needs it."""
    return stream + change if torch.is_grad_enabled() else stream.add_(change)


def bias_of(layer: nn.Linear | nn.Conv2d) -> Tensor | None:
    """A layer's bias, which its type says is always there."""
    return layer.bias


def filtered_parts(project: nn.Linear, filter: Conv2d, x: Tensor, parts: int) -> list[Tensor]:
    """A 1x1 and a depthwise convolution whose output falls into equal parts, each contiguous.

    One part is made after the other, so that what lies between its two steps is there once.
    """

    def split(layer: nn.Linear | nn.Conv2d) -> list[tuple[Tensor, Tensor | None]]:
        bias = bias_of(layer)
        biases = [None] * parts if bias is None else bias.chunk(parts)
        return list(zip(layer.weight.chunk(parts), biases, strict=True))

    made: list[Tensor] = []
    for matrix, (kernel, bias) in zip(split(project), split(filter), strict=True):
        part = pointwise(x, *matrix).permute(0, 3, 1, 2)
        made.append(depthwise_conv(part, kernel, bias).permute(0, 2, 3, 1))
    return made
