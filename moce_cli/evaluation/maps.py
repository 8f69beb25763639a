"""Pictures of what cannot be seen: the error at each pixel, and who worked on it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from moce_cli.evaluation.datasets import unit
from moce_cli.pages import COLOURS
from moce_cli.pictures import to_depth
from moce_cli.pictures.opencv import opencv
from moce_cli.restoration import Report

Array = npt.NDArray[Any]

ERROR_SCALE = 0.1
"""The error that is drawn in the brightest colour, as a share of the range."""


def to_8_bit(picture: Array) -> Array:
    """Samples of any kind as uint8."""
    if picture.dtype.kind == "f":
        return (picture.clip(0, 1) * 255).round().astype(np.uint8)
    return to_depth(picture, 8)


def error_map(picture: Array, clean: Array) -> Array:
    """The mean absolute error over channels as a colour: dark is none.

    Args:
        picture: `(H, W, 3)`.
        clean: as picture.

    Returns:
        `(H, W, 3)` uint8.
    """
    cv2 = opencv()
    error = np.abs(unit(picture).astype(np.float32) - unit(clean)).mean(axis=2)
    scaled = ((error / ERROR_SCALE).clip(0, 1) * 255).round().astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(scaled, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def tile_experts(report: Report, block: int | None = None) -> Array | None:
    """Which expert each pixel's tile took.

    Args:
        report: of a restoration in which each tile chose.
        block: of the network; None takes the expert that most blocks took.

    Returns:
        `(H, W)` uint8, each pixel with the tile whose middle is nearest along both axes; None
        where tiles did not choose, or the tiles changed on the way.
    """
    grid = report.plan.grid(report.height, report.width)
    if len(report.tile_experts) != len(grid):
        return None
    chosen = [
        experts[block]
        if block is not None
        else min(Counter(experts).items(), key=lambda pair: (-pair[1], pair[0]))[0]
        for experts in report.tile_experts
    ]
    of_tile = np.asarray(chosen, np.uint8).reshape(len(grid.rows.starts), len(grid.columns.starts))
    nearest: list[Array] = []
    for axis in (grid.rows, grid.columns):
        middles = np.asarray(axis.starts) + axis.size / 2
        pixels = np.arange(axis.length) + 0.5
        nearest.append(np.abs(pixels[:, None] - middles).argmin(axis=1))
    return of_tile[np.ix_(*nearest)]


def draw_experts(experts: Array, picture: Array) -> Array:
    """Colours and numbers of experts over a grey picture.

    Args:
        experts: `(H, W)`, from `tile_experts`.
        picture: `(H, W, 3)`.

    Returns:
        `(H, W, 3)` uint8.
    """
    cv2 = opencv()
    rgb = np.asarray([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLOURS])
    grey = to_8_bit(picture).mean(axis=2, keepdims=True)
    drawn = (0.55 * rgb[experts % len(COLOURS)] + 0.45 * grey).round().astype(np.uint8)
    for expert in np.unique(experts):
        count, _, stats, centres = cv2.connectedComponentsWithStats(
            (experts == expert).astype(np.uint8), connectivity=4
        )
        for region in range(1, count):
            if stats[region, cv2.CC_STAT_AREA] < 200:
                continue
            at = tuple(int(v) for v in centres[region] + (-5, 6))
            for colour, thickness in (((255, 255, 255), 4), ((0, 0, 0), 1)):
                cv2.putText(
                    drawn, str(expert), at, cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, thickness
                )
    return drawn
