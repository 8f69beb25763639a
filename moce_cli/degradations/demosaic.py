"""White noise of a sensor's pixels as it looks in a finished picture: spread and coloured."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from moce_cli.degradations.spectrum import reflected
from moce_cli.degradations.step import Step, columns


def finished(noise: Tensor, steps: Sequence[Step]) -> Tensor:
    """Noise `(B, 3, H, W)` of steps of `sensor` behind mosaic, camera and resampling."""
    mosaic = [i for i, step in enumerate(steps) if step.word("pattern") == "bayer"]
    if mosaic:
        rows = torch.tensor(mosaic, device=noise.device)
        noise = noise.index_copy(0, rows, _demosaiced(noise[rows], [steps[i] for i in mosaic]))
    chroma = [step.number("chroma") for step in steps]
    if max(chroma) > 0:
        green = noise[:, 1:2]
        apart = _smoothed(noise[:, ::2] - green, chroma) + green
        noise = torch.cat([apart[:, :1], green, apart[:, 1:]], dim=1)
    grain = [step.number("grain") for step in steps]
    if max(grain) > 0:
        coarse = _smoothed(noise, grain)
        power, left = (f.square().mean((-2, -1), keepdim=True) for f in (noise, coarse))
        noise = coarse * (power / left.clamp(min=1e-12)).sqrt().clamp(max=4.0)
    return noise


def _demosaiced(noise: Tensor, steps: Sequence[Step]) -> Tensor:
    """Each channel from its own sites of a Bayer mosaic; differences from green as `shared` says.

    At a site of its own a channel keeps its noise, elsewhere it is the mean of its neighbours'.
    """
    red, blue = _sites(noise, steps)
    (shared,) = columns(steps, ("shared",), noise)
    cross = _padded(noise[:, 1:2] * (1 - red - blue))
    beside = cross[..., 1:-1, 2:] + cross[..., 1:-1, :-2]
    green = cross[..., 1:-1, 1:-1] + 0.25 * (beside + cross[..., 2:, 1:-1] + cross[..., :-2, 1:-1])
    common = shared * green
    outer = _padded((noise[:, ::2] - common) * torch.cat([red, blue], dim=1))
    outer = outer[..., 1:-1, :] + 0.5 * (outer[..., 2:, :] + outer[..., :-2, :])
    outer = outer[..., 1:-1] + 0.5 * (outer[..., 2:] + outer[..., :-2]) + common
    return torch.cat([outer[:, :1], green, outer[:, 1:]], dim=1)


def _sites(noise: Tensor, steps: Sequence[Step]) -> tuple[Tensor, Tensor]:
    """Where red and blue are measured, `(B, 1, H, W)` of 0 and 1."""
    height, width = noise.shape[-2:]
    phase = torch.tensor([divmod(int(step.number("phase")), 2) for step in steps])
    phase = phase.to(noise.device)
    rows = (torch.arange(height, device=noise.device) + phase[:, :1])[:, None, :, None] % 2
    across = (torch.arange(width, device=noise.device) + phase[:, 1:])[:, None, None, :] % 2
    return ((rows == 0) & (across == 0)).to(noise), ((rows == 1) & (across == 1)).to(noise)


def _padded(field: Tensor) -> Tensor:
    """One pixel more on each side, reflected about the outermost: the mosaic goes on."""
    for dim in (-2, -1):
        last = field.shape[dim] - 1
        before = field.narrow(dim, min(1, last), 1)
        field = torch.cat([before, field, field.narrow(dim, max(0, last - 1), 1)], dim)
    return field


def _smoothed(field: Tensor, sigma: Sequence[float]) -> Tensor:
    """Each sample of `(B, C, H, W)` under its own Gaussian; borders are reflected."""
    reach = math.ceil(3 * max(sigma))
    place = torch.arange(reach + 1, device=field.device, dtype=field.dtype)[:, None]
    spread = torch.tensor(sigma, device=field.device, dtype=field.dtype).clamp(min=0.05)
    weights = torch.exp(-0.5 * (place / spread).square())  # (reach + 1, B), one side of the middle
    weights = (weights / (2 * weights.sum(dim=0) - 1))[:, :, None, None, None]
    for dim in (-2, -1):
        side = field.shape[dim]
        padded = reflected(field, dim, reach, reach)
        field = padded.narrow(dim, reach, side) * weights[0]
        for k in range(1, reach + 1):
            pair = padded.narrow(dim, reach - k, side) + padded.narrow(dim, reach + k, side)
            field.addcmul_(pair, weights[k])
    return field
