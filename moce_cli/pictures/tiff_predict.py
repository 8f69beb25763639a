"""TIFF's predictor for floating-point samples.

A row's samples are taken apart into their bytes, the highest of all first, and each byte is stored
as its difference from the one a pixel before. It is the same for both byte orders.

Source: Adobe Photoshop TIFF technical note 3.
"""

from __future__ import annotations

import numpy as np

from moce_cli.pictures.picture import Pixels


def split(samples: Pixels) -> bytes:
    """(H, W, C) floats as the predictor stores them."""
    height, width, channels = samples.shape
    size = samples.dtype.itemsize
    big = np.ascontiguousarray(samples.astype(samples.dtype.newbyteorder(">")))
    planes = big.view(np.uint8).reshape(height, width * channels, size).swapaxes(1, 2)
    rows = planes.reshape(height, size * width, channels)
    difference = rows.copy()
    difference[:, 1:] -= rows[:, :-1]
    return difference.tobytes()


def join(stored: Pixels, width: int, channels: int, size: int) -> Pixels:
    """The way back.

    Args:
        stored: (H, width * channels * size) bytes.
        width: pixels in a row.
        channels: samples in a pixel.
        size: bytes in a sample.

    Returns:
        (H, width, channels) floats of that size.
    """
    rows = stored.reshape(len(stored), size * width, channels)
    planes = np.cumsum(rows, axis=1, dtype=np.uint8).reshape(len(stored), size, width * channels)
    big = np.ascontiguousarray(planes.swapaxes(1, 2)).view(f">f{size}")
    return big.reshape(len(stored), width, channels).astype(f"=f{size}")
