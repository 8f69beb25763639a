"""Circular convolution within windows, by whatever is fastest at each size of window."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

_BY_PRODUCTS = (4, 8, 16)
"""Windows whose transforms are matrix products on a CPU: an FFT of few values is mostly calls."""
_AT_ONCE = 2**18
"""Values that a CPU transforms at once, so that they stay in its cache."""
_elsewhere: dict[str, str] = {}


def circular_convolution_on(device_type: str, other: str) -> None:
    """Let a kind of device leave this operation to another: some FFTs return wrong values."""
    _elsewhere[device_type] = other


def other_place(device_type: str) -> str | None:
    """Where a kind of device leaves this operation to, if it does."""
    return _elsewhere.get(device_type)


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
    if (other := other_place(a.device.type)) is not None:
        return windowed_circular_convolution(a.to(other), b.to(other), window).to(a.device)
    _, h, w, c = a.shape
    pad = (0, 0, 0, -w % window, 0, -h % window)
    if any(pad):
        a, b = F.pad(a, pad), F.pad(b, pad)
    on_cpu = a.device.type == "cpu"
    convolve = _by_products if on_cpu and window in _BY_PRODUCTS else _by_fft
    with torch.autocast(a.device.type, enabled=False):
        rows = max(1, _AT_ONCE // (len(a) * window * a.shape[2] * c)) * window
        if not on_cpu or torch.is_grad_enabled() or rows >= h:
            return convolve(a, b, window)[:, :h, :w]
        out = a.new_empty(a.shape, dtype=torch.float32)
        for top in range(0, h, rows):
            some = slice(top, top + rows)
            out[:, some] = convolve(a[:, some], b[:, some], window)
        return out[:, :h, :w]


def _by_fft(a: Tensor, b: Tensor, window: int) -> Tensor:
    """Of `(B, H, W, C)` whose height and width are whole windows, as are the result's."""
    batch, h, w, c = a.shape
    rows, columns = h // window, w // window

    def spectrum(x: Tensor) -> Tensor:
        x = x.float().reshape(batch, rows, window, columns, window, c)
        return torch.fft.rfft2(x.permute(0, 1, 3, 5, 2, 4))  # (B, rows, columns, C, p, p/2 + 1)

    product = torch.fft.irfft2(spectrum(a) * spectrum(b), s=(window, window))
    return product.permute(0, 1, 4, 2, 5, 3).reshape(batch, h, w, c)


def _by_products(a: Tensor, b: Tensor, window: int) -> Tensor:
    """As `_by_fft`; the places within a window come first, so that products transform them.

    Down the window goes a transform of real values, `f = window/2 + 1` frequencies with a real and
    an imaginary part; across it, for each of those, one of complex values.
    """
    batch, h, w, c = a.shape
    rows, columns = h // window, w // window
    down, across, back_across, back_down = _transforms(window)
    frequencies = window // 2 + 1

    def spectrum(x: Tensor) -> Tensor:
        x = x.reshape(batch, rows, window, columns, window, c).permute(2, 4, 0, 1, 3, 5)
        x = down @ x.reshape(window, -1).float()
        x = x.view(frequencies, 2 * window, -1)  # first the real parts, then the imaginary ones
        return torch.bmm(across.expand(frequencies, -1, -1), x)

    product = _complex_product(spectrum(a), spectrum(b))
    x = torch.bmm(back_across.expand(frequencies, -1, -1), product)
    x = back_down @ x.view(2 * frequencies, -1)
    x = x.view(window, window, batch, rows, columns, c)
    return x.permute(2, 3, 0, 4, 1, 5).reshape(batch, h, w, c)


def _complex_product(a: Tensor, b: Tensor) -> Tensor:
    """Of `(f, 2 * window, N)`, real parts before imaginary ones."""
    (re, im), (re_b, im_b) = a.chunk(2, dim=1), b.chunk(2, dim=1)
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return torch.cat((re * re_b - im * im_b, re * im_b + im * re_b), dim=1)
    out = torch.empty_like(a)
    out_re, out_im = out.chunk(2, dim=1)
    torch.mul(re, re_b, out=out_re).addcmul_(im, im_b, value=-1)
    torch.mul(re, im_b, out=out_im).addcmul_(im, re_b)
    return out


@lru_cache
def _transforms(window: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Matrices of `_by_products`: `(2f, p)`, `(2p, 2p)`, and back `(2p, 2p)`, `(p, 2f)`."""
    with torch.inference_mode(False), torch.no_grad():  # they may be used in training later
        places = torch.arange(window, device="cpu")
        turns = (torch.outer(places, places) % window).double() * (2 * math.pi / window)
        cos, sin = turns.cos(), turns.sin()
        f = window // 2 + 1
        down = torch.stack((cos[:f], -sin[:f]), dim=1).view(2 * f, window)
        across = torch.cat((torch.cat((cos, sin), 1), torch.cat((-sin, cos), 1)))
        # all frequencies but the first and the last stand for two
        twice = torch.full((2 * f, 1), 2.0, dtype=torch.float64, device="cpu")
        twice[:2] = twice[-2:] = 1
        made = (down, across, across.T / window, (twice * down).T / window)
        down, across, back_across, back_down = (m.float().contiguous() for m in made)
        return down, across, back_across, back_down
