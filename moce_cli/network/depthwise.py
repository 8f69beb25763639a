"""Depthwise convolution whose weights' gradient is quick on a CPU.

oneDNN has a fast kernel for that gradient only where a kernel is at most three wide; a wider one
takes many times the forward pass. A wide kernel's gradient is made in strips of three columns, each
of which is the gradient of a narrow kernel on a shifted input: the same sums, much sooner.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

_STRIP = 3
"""The widest kernel whose weights' gradient oneDNN computes quickly."""


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`(B, C, H, W)` by kernels `(C, 1, K, K)` of odd size, zero padding that keeps the size."""
    padding = weight.shape[-1] // 2
    if weight.shape[-1] <= _STRIP or not _pays(x, weight):
        return F.conv2d(x, weight, bias, padding=padding, groups=len(weight))
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    return _Strips.apply(x, weight, bias)  # pyright: ignore[reportReturnType] -- torch types it as anything


def _pays(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and torch.is_grad_enabled()
        and weight.requires_grad
        and not torch.compiler.is_compiling()
        and torch.backends.mkldnn.is_available()
    )


class _Context(Protocol):
    """What PyTorch hands from a forward to its backward pass, and does not type."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _Strips(torch.autograd.Function):
    """The native forward pass; a backward pass of narrow kernels."""

    @staticmethod
    def forward(ctx: _Context, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    def backward(ctx: _Context, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        x, weight = ctx.saved_tensors
        groups, padding = len(weight), weight.shape[-1] // 2
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_x = of_bias = None
        if ctx.needs_input_grad[0]:  # by the kernels turned around
            of_x = F.conv2d(gradient, weight.flip(2, 3), padding=padding, groups=groups)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(dim=(0, 2, 3))
        return of_x, _weights_gradient(x, gradient, weight), of_bias


def _weights_gradient(x: Tensor, gradient: Tensor, weight: Tensor) -> Tensor:
    size, width = weight.shape[-1], gradient.shape[-1]
    pad = size // 2
    x = F.pad(x, (pad, pad)).contiguous(memory_format=torch.channels_last)
    strips: list[Tensor] = []
    for left in range(0, size, _STRIP):
        columns = min(_STRIP, size - left)
        shifted = x[..., left : left + width + columns - 1]
        strip = torch.ops.aten.convolution_backward(
            gradient,
            shifted.contiguous(memory_format=torch.channels_last),
            weight[..., left : left + columns].contiguous(),
            None,
            [1, 1],
            [pad, 0],
            [1, 1],
            False,
            [0, 0],
            len(weight),
            [False, True, False],
        )[1]
        strips.append(strip)
    return torch.cat(strips, dim=-1)
