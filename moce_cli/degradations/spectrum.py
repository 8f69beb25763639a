"""Fields and convolutions by way of the Fourier transform.

One transform costs the same for a short kernel as for a long one, and a batch with a kernel for
each sample is one product.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from moce_cli.degradations.light import normal, uniform

SMALLEST = 32  # of a canvas: fields on a picture of one pixel are cut from it


def canvas(side: int) -> int:
    """The smallest size from `side` on with no prime factor above 5, and even."""
    size = side + side % 2
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 2


def forward(field: Tensor) -> Tensor:
    """`rfft2`; MPS has returned wrong values, so its tensors travel to the CPU."""
    return torch.fft.rfft2(field.cpu() if field.device.type == "mps" else field)


def backward(spectrum: Tensor, height: int, width: int, device: torch.device) -> Tensor:
    """`irfft2` to a real field of this size."""
    return torch.fft.irfft2(spectrum, s=(height, width)).to(device)


def frequencies(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cycles a pixel, down `(height, 1)` and across `(1, width // 2 + 1)`."""
    home = torch.device("cpu") if device.type == "mps" else device
    down = torch.fft.fftfreq(height, device=home)[:, None]
    return down, torch.fft.rfftfreq(width, device=home)[None, :]


def mirrored(length: int, before: int, total: int, device: torch.device) -> Tensor:
    """Indices `(total,)` that continue `length` samples by reflection, edges repeated."""
    place = (torch.arange(total, device=device) - before) % (2 * length)
    return torch.minimum(place, 2 * length - 1 - place)


def reflected(field: Tensor, dim: int, before: int, after: int) -> Tensor:
    """The field continued along a dimension by reflection, edges repeated."""
    length = field.shape[dim]
    if max(before, after) > length:  # a short side is reflected again and again
        places = mirrored(length, before, before + length + after, field.device)
        return field.index_select(dim, places)
    start = field.narrow(dim, 0, before).flip(dim)
    end = field.narrow(dim, length - after, after).flip(dim)
    return torch.cat([start, field, end], dim)


def convolve(pictures: Tensor, kernels: Tensor) -> Tensor:
    """Convolve each picture with its own kernel; borders are reflected, edges repeated.

    Args:
        pictures: (B, C, H, W).
        kernels: (B, K, K), K odd; the middle is the origin.
    """
    height, width = pictures.shape[-2:]
    reach = kernels.shape[-1] // 2
    device = pictures.device
    tall, wide = canvas(height + 2 * reach), canvas(width + 2 * reach)
    padded = reflected(pictures, -2, reach, tall - height - reach)
    padded = reflected(padded, -1, reach, wide - width - reach)
    laid = torch.zeros((len(kernels), 1, tall, wide), device=device, dtype=pictures.dtype)
    laid[:, 0, : kernels.shape[-2], : kernels.shape[-1]] = kernels
    blurred = backward(forward(padded) * forward(laid), tall, wide, device)
    # the kernel's origin lies at `reach`, so the result has moved by as much
    top = 2 * reach
    return blurred[..., top : top + height, top : top + width]


def fractal(
    size: tuple[int, int], extent: Tensor, exponent: Tensor, generator: torch.Generator
) -> Tensor:
    """Smooth random fields of about unit variance over a scene that is `extent` pixels wide.

    A piece that is smaller than the scene gets the same amplitude at each frequency as the whole
    would have there, so it is nearly constant or slopes. The spectrum falls as
    `(f^2 + f0^2) ^ -exponent` with `f0 = 1 / extent`, scaled to an integral of 1 over the plane.

    Args:
        size: (H, W).
        extent: (B, 1, 1, 1), in pixels; its device is the result's.
        exponent: (B, 1, 1, 1), above 1; larger is smoother.
        generator: of the white noise that is filtered.

    Returns:
        (B, 1, H, W).
    """
    height, width = (canvas(max(side, SMALLEST)) for side in size)
    white = normal((len(extent), 1, height, width), generator, extent)
    down, across = frequencies(height, width, extent.device)
    corner = (1 / extent).to(down.device)
    steep = exponent.to(down.device)
    scale = (steep - 1) / math.pi * corner.pow(2 * steep - 2)
    power = scale * (down.square() + across.square() + corner.square()).pow(-steep)
    # the bins about zero stand for all longer waves, but never for more than their variance
    power = torch.minimum(power, torch.tensor(float(height * width), device=power.device))
    field = backward(forward(white) * power.sqrt(), height, width, extent.device)
    return field[..., : size[0], : size[1]]


def soft_noise(size: tuple[int, int], sigma: Tensor, generator: torch.Generator) -> Tensor:
    """White noise under a Gaussian of `sigma` (B, 1, 1, 1) pixels, of variance 1: (B, 1, H, W)."""
    height, width = (canvas(max(side, SMALLEST)) for side in size)
    white = normal((len(sigma), 1, height, width), generator, sigma)
    down, across = frequencies(height, width, sigma.device)
    reach = -2 * math.pi**2 * sigma.to(down.device).square()
    rows, columns = (reach * down.square()).exp(), (reach * across.square()).exp()
    whole = torch.fft.fftfreq(width, device=down.device)
    power = rows.square().mean((-2, -1)) * (2 * reach * whole.square()).exp().mean((-2, -1))
    gain = power.rsqrt()[..., None, None]
    field = backward(forward(white) * (rows * columns * gain), height, width, sigma.device)
    return field[..., : size[0], : size[1]]


def scatter(
    size: tuple[int, int],
    density: Tensor,
    faintest: float,
    length: Tensor,
    width: Tensor,
    angle: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Soft streaks at random places, added up.

    A streak is a line convolved with a Gaussian; both are multiplied as transforms, so nothing is
    drawn point by point and one that leaves on one side comes back on the other.

    Args:
        size: (H, W).
        density: (B, 1, 1, 1), streaks a pixel.
        faintest: the middles of streaks lie evenly in [faintest, 1].
        length: (B, 1, 1, 1), of the line.
        width: (B, 1, 1, 1), standard deviation of the Gaussian.
        angle: (B, 1, 1, 1), radians from the vertical, positive where the upper end is to the
            right.
        generator: of the places.

    Returns:
        (B, 1, H, W).
    """
    height, wide = (canvas(max(side, SMALLEST)) for side in size)
    chance = uniform((len(density), 1, height, wide), generator, density)
    seeds = torch.where(chance < density, faintest + (1 - faintest) * chance / density, 0.0)
    down, across = frequencies(height, wide, density.device)
    length, width, angle = (v.to(down.device) for v in (length.clamp(min=0.05), width, angle))
    along = torch.sinc(length * (across * angle.sin() - down * angle.cos()))
    reach = -2 * math.pi**2 * width.square()
    middle = torch.erf(length / (math.sqrt(8) * width)) / (length * width * math.sqrt(2 * math.pi))
    blob = (reach * down.square()).exp() * ((reach * across.square()).exp() / middle)
    return backward(forward(seeds) * (along * blob), height, wide, density.device)[
        ..., : size[0], : size[1]
    ]
