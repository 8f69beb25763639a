"""Dehazing by the dark channel prior: the classical answer to haze."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from moce_cli.pictures.opencv import opencv

Array = npt.NDArray[Any]
LEAST_TRANSMISSION = 0.1
AIRLIGHT_SHARE = 0.001
_SMOOTHNESS = 1e-3


def dehaze(picture: Array, *, omega: float, patch: int) -> Array:
    """Remove haze from a picture.

    Args:
        picture: `(H, W, 3)` uint8, RGB.
        omega: share of the haze that is removed, 0 to 1.
        patch: side of the window in which something is taken to be dark in one channel.

    Returns:
        `(H, W, 3)` uint8.

    Source: He, Sun and Tang, *Single Image Haze Removal Using Dark Channel Prior* (CVPR 2009),
    with the guided filter of the same authors (ECCV 2010) in place of soft matting.
    """
    hazy = picture.astype(np.float32) / 255
    airlight = _airlight(hazy, patch)
    raw = 1 - omega * dark_channel(hazy / airlight, patch)
    refined = guided_filter(hazy.mean(axis=2), raw, radius=4 * patch)
    transmission = np.maximum(refined, LEAST_TRANSMISSION)[..., None]
    clear = (hazy - airlight) / transmission + airlight
    return (clear.clip(0, 1) * 255).round().astype(np.uint8)


def dark_channel(picture: Array, patch: int) -> Array:
    """The least value of any channel in the window around each pixel: `(H, W)`."""
    cv2 = opencv()
    return cv2.erode(picture.min(axis=2), np.ones((patch, patch), np.uint8))


def _airlight(hazy: Array, patch: int) -> Array:
    """The colour of the haze: the brightest of the pixels whose dark channel is largest, `(3,)`."""
    dark = dark_channel(hazy, patch).ravel()
    count = max(1, int(dark.size * AIRLIGHT_SHARE))
    candidates = hazy.reshape(-1, 3)[np.argpartition(dark, -count)[-count:]]
    brightest = candidates[candidates.sum(axis=1).argmax()]
    return np.maximum(brightest, 0.05)  # a black picture has no haze to divide by


def guided_filter(guide: Array, values: Array, radius: int) -> Array:
    """Smooth `values` `(H, W)` where the guide `(H, W)` is smooth, with edges where it has them."""
    cv2 = opencv()

    def mean(x: Array) -> Array:
        side = 2 * radius + 1
        return cv2.boxFilter(x, cv2.CV_32F, (side, side), borderType=cv2.BORDER_REFLECT)

    guide, values = guide.astype(np.float32), values.astype(np.float32)
    mean_guide, mean_values = mean(guide), mean(values)
    variance = mean(guide * guide) - mean_guide**2
    slope = (mean(guide * values) - mean_guide * mean_values) / (variance + _SMOOTHNESS)
    return mean(slope) * guide + mean(mean_values - slope * mean_guide)
