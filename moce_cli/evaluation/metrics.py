"""How close a picture is to the clean one: each measure named, its range stated, one version each.

Convention: pictures are `(H, W, C)` floats in [0, 1]; all is computed in float64.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import io
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from moce_cli.pictures.opencv import opencv
from moce_cli.psnr import check_alike, psnr

Array = npt.NDArray[Any]
Double = npt.NDArray[np.float64]

GAUSSIAN_SIGMA = 1.5
GAUSSIAN_RADIUS = 5  # 3.5 sigma, rounded
UNIFORM_SIDE = 7
_C1, _C2 = 0.01**2, 0.03**2  # for a range of 1
_BACKBONE = "alexnet-owt-7be5be79.pth"

Lpips = Callable[[Array, Array], float]


@dataclass(frozen=True, slots=True)
class Scores:
    """A picture's measures, or their mean over pictures."""

    psnr: float
    """dB, of RGB; infinite for equal pictures."""
    ssim_gaussian: float
    """NaN where the picture is smaller than the window, here and below."""
    ssim_uniform: float
    lpips: float | None = None
    """None where no library with its weights is at hand."""


def measure(picture: Array, clean: Array, lpips: Lpips | None = None) -> Scores:
    """All measures of one picture.

    Args:
        picture: `(H, W, C)` in [0, 1].
        clean: as picture.
        lpips: from `find_lpips`.

    Raises:
        InputError: the shapes differ.
    """
    return Scores(
        psnr(picture, clean),
        ssim_gaussian(picture, clean),
        ssim_uniform(picture, clean),
        None if lpips is None else lpips(picture, clean),
    )


def ssim_gaussian(a: Array, b: Array) -> float:
    """Structural similarity with Gaussian weights, sigma 1.5 in 11 x 11, biased covariances.

    Source: Wang et al. 2004; scikit-image's `structural_similarity` with `gaussian_weights=True,
    sigma=1.5, use_sample_covariance=False`.

    Raises:
        InputError: the shapes differ.
    """
    x = np.arange(-GAUSSIAN_RADIUS, GAUSSIAN_RADIUS + 1, dtype=np.float64)
    weights = np.exp(-0.5 * (x / GAUSSIAN_SIGMA) ** 2)
    return _ssim(a, b, weights / weights.sum(), 1.0)


def ssim_uniform(a: Array, b: Array) -> float:
    """Structural similarity in uniform windows of 7 x 7, unbiased covariances.

    Source: scikit-image's `structural_similarity` as it is called without options.

    Raises:
        InputError: the shapes differ.
    """
    count = UNIFORM_SIDE**2
    return _ssim(a, b, np.full(UNIFORM_SIDE, 1 / UNIFORM_SIDE), count / (count - 1))


def _ssim(a: Array, b: Array, weights: Double, correction: float) -> float:
    """The mean over channels and over the pixels whose window lies inside the picture."""
    check_alike(a, b)
    margin = len(weights) // 2
    if min(a.shape[:2]) < len(weights):
        return math.nan
    cv2 = opencv()

    def local(values: Double) -> Double:
        """Weighted means over the windows: `(H - 2m, W - 2m)`."""
        seen = cast("Double", cv2.sepFilter2D(values, cv2.CV_64F, weights, weights))
        return seen[margin:-margin, margin:-margin]

    total = 0.0
    for channel in range(a.shape[2]):  # one by one: it takes the least memory
        x = np.ascontiguousarray(a[:, :, channel], dtype=np.float64)
        y = np.ascontiguousarray(b[:, :, channel], dtype=np.float64)
        mean_x, mean_y = local(x), local(y)
        variances = (local(x * x) - mean_x**2 + local(y * y) - mean_y**2) * correction
        covariance = (local(x * y) - mean_x * mean_y) * correction
        ratio = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
        ratio /= (mean_x**2 + mean_y**2 + _C1) * (variances + _C2)
        total += float(ratio.mean())
    return total / a.shape[2]


@functools.cache
def find_lpips() -> Lpips | None:
    """Learned perceptual similarity (AlexNet), if its library and all its weights are here.

    Nothing is ever downloaded. The library is `lpips` (BSD); its backbone must lie where torch's
    hub keeps it.
    """
    import torch

    backbone = Path(torch.hub.get_dir()) / "checkpoints" / _BACKBONE
    if importlib.util.find_spec("lpips") is None or not backbone.is_file():
        return None
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            network: Any = importlib.import_module("lpips").LPIPS(net="alex", verbose=False).eval()
    except Exception:  # a library that does not fit this torch is no library
        return None

    @torch.inference_mode()
    def lpips(a: Array, b: Array) -> float:
        both = [torch.from_numpy(np.float32(x)).permute(2, 0, 1)[None] * 2 - 1 for x in (a, b)]
        return float(network(*both))

    return lpips
