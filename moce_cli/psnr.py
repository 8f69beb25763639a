"""The peak signal-to-noise ratio, in its one version: for pictures, and for batches of tensors.

Convention: floats are in [0, 1]; integers span the whole range of their type.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from moce_cli.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Array = npt.NDArray[Any]
Double = npt.NDArray[np.float64]

MOST_DB = 100.0
"""What a picture counts at most in a mean, so that an equal one leaves it finite."""
_STRIP = 64
"""Rows that are compared at a time, so that large pictures take no memory beside their own."""


def psnr(a: Array, b: Array) -> float:
    """Peak signal-to-noise ratio in dB over all channels together, computed in float64.

    Source: scikit-image's `peak_signal_noise_ratio`, told the range.

    Args:
        a: `(H, W, C)`.
        b: as a.

    Returns:
        infinity for equal pictures.

    Raises:
        InputError: the shapes differ.
    """
    check_alike(a, b)
    total = 0.0
    for top in range(0, len(a), _STRIP):
        difference = _unit(a[top : top + _STRIP]) - _unit(b[top : top + _STRIP])
        total += float(np.square(difference).sum())
    return math.inf if total == 0 else -10 * math.log10(total / a.size)


def batch_psnr(a: Tensor, b: Tensor) -> Double:
    """The same of each sample of a batch: `(B,)`.

    Args:
        a: `(B, C, H, W)`, on any device and of any precision.
        b: as a.

    Raises:
        InputError: the shapes differ.
    """
    if a.shape != b.shape:
        raise InputError(f"batches of shape {a.shape} and {b.shape} cannot be compared")
    # on the CPU: some devices have no float64
    pairs = zip(*(x.detach().cpu().double().numpy() for x in (a, b)), strict=True)
    return np.array([psnr(x, y) for x, y in pairs])


def mean_psnr(values: Iterable[float]) -> float:
    """The mean over pictures: infinite if all are equal to the clean ones, else each is capped.

    One equal picture among others counts `MOST_DB`; of no picture the mean is NaN.
    """
    array = np.asarray(list(values), dtype=np.float64)
    if not array.size:
        return math.nan
    return math.inf if np.isposinf(array).all() else float(capped(array).mean())


def capped(values: npt.ArrayLike) -> Double:
    """PSNRs in dB, at most `MOST_DB` each, so that differences stay finite."""
    return np.minimum(np.asarray(values, dtype=np.float64), MOST_DB)


def check_alike(a: Array, b: Array) -> None:
    """Refuse what cannot be compared.

    Raises:
        InputError: the shapes differ, or are none of pictures.
    """
    if a.shape != b.shape or a.ndim != 3 or 0 in a.shape:
        raise InputError(f"pictures of shape {a.shape} and {b.shape} cannot be compared")


def _unit(picture: Array) -> Double:
    """Samples in [0, 1], as float64."""
    values = picture.astype(np.float64)
    return values if picture.dtype.kind == "f" else values / np.iinfo(picture.dtype).max
