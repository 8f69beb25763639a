"""Colours under full transparency, which nobody sees, kept away from those that are seen.

Whatever a program left there, often black, would bleed into the edge of what is visible as soon as
a network looks at both. It sees the visible colours carried on instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Float = npt.NDArray[np.float32]
_BAND = 512  # rows at once; even


def carried_on(pixels: Array, alpha: Array) -> Array:
    """The pixels, those under full transparency replaced by an average of what is visible nearby.

    Args:
        pixels: `(H, W, C)`.
        alpha: `(H, W)` of the same type; visible colours count by it.

    Returns:
        `pixels` itself if nothing is hidden, or all.
    """
    if alpha.all() or not alpha.any():
        return pixels
    parts = [
        _halve(_weighted(pixels[top : top + _BAND], alpha[top : top + _BAND]))
        for top in range(0, len(pixels), _BAND)
    ]
    levels = [np.concatenate(parts)]
    while max(levels[-1].shape[:2]) > 1:
        levels.append(_halve(levels[-1]))
    known = _average(levels.pop())
    while levels:
        level = levels.pop()
        carried = known.repeat(2, axis=0).repeat(2, axis=1)[: level.shape[0], : level.shape[1]]
        known = np.where(level[..., -1:] > 0, _average(level), carried)
    if pixels.dtype.kind != "f":
        known = known.round()
    known = known.astype(pixels.dtype)
    result = pixels.copy()
    rows, columns = np.nonzero(alpha == 0)
    result[rows, columns] = known[rows // 2, columns // 2]
    return result


def _weighted(pixels: Array, alpha: Array) -> Float:
    """Colours times weight, and the weight, `(H, W, C + 1)`."""
    weight = alpha.astype(np.float32)[..., None]
    return np.concatenate((pixels * weight, weight), axis=2)


def _halve(level: Float) -> Float:
    """The mean of each square of four; what lies beyond the edge weighs nothing."""
    height, width, parts = level.shape
    padded = np.pad(level, ((0, height % 2), (0, width % 2), (0, 0)))
    squares = padded.reshape(padded.shape[0] // 2, 2, -1, 2, parts)
    return squares.sum(axis=(1, 3), dtype=np.float32) / np.float32(4)


def _average(level: Float) -> Float:
    weight: Float = np.maximum(level[..., -1:], np.finfo(np.float32).tiny)
    return level[..., :-1] / weight
