"""Do tile borders show? A score that needs no ground truth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from moce_cli.tiling.plan import Axis, TileGrid

REACH = 4
"""How many steps at each side of a border it is compared with."""
FLAT = 1 / 255 / 16
"""Added to both sides of the ratio: where a picture is flat, steps under rounding say nothing."""

Float = npt.NDArray[np.float32]


def borders(axis: Axis) -> list[int]:
    """Indices before which a tile begins or ends, where there is room to look at both sides."""
    edges = set(axis.starts) | {s + axis.size for s in axis.starts}
    return sorted(e for e in edges if REACH < e < axis.length - REACH)


class SeamMeter:
    """Compares steps across tile borders with the steps beside them.

    A step is the absolute difference of two neighbouring pixels. The score is the mean step at the
    borders over that of the places one to four pixels away: 1 is a border that looks like any other
    place, and it grows with visible seams. Where the same ratio of the degraded picture is above 1
    it is divided out: the borders may lie on the block borders of a JPEG, and those are not ours.
    A picture without borders scores 1.
    """

    def __init__(self) -> None:
        self._columns: list[int] = []
        self._rows: list[int] = []
        self._tail: Float | None = None
        self._across, self._beside, self._count = np.zeros(2), np.zeros(2), 0

    def follow(self, grid: TileGrid, start: int = 0) -> None:
        """From here on tiles lie so, the first of them at row `start` of the picture."""
        self._columns = borders(grid.columns)
        self._rows = [start + row for row in borders(grid.rows)]

    def add(self, restored: Float, degraded: Float, top: int) -> None:
        """Look at finished rows, both `(n, W, C)`; they come in order."""
        rows = np.stack((restored, degraded))  # (2, n, W, C)
        for border in self._columns:
            self._measure(rows[:, :, border - REACH - 1 : border + REACH + 1].swapaxes(1, 2))
        tail = self._tail
        joined = rows if tail is None else np.concatenate((tail, rows), axis=1)
        end = top + rows.shape[1]
        first = end - joined.shape[1]
        ready = [r for r in self._rows if first <= r - REACH - 1 and r + REACH < end]
        for border in ready:
            at = border - first
            self._measure(joined[:, at - REACH - 1 : at + REACH + 1])
        self._rows = [r for r in self._rows if r not in ready]
        self._tail = joined[:, -2 * REACH - 2 :].copy()

    def _measure(self, strips: Float) -> None:
        """Steps along axis 1 of `(2, 2 * REACH + 2, n, C)`; the middle one is the border's."""
        steps = np.abs(np.diff(strips, axis=1)).mean(axis=(2, 3), dtype=np.float64)  # (2, 2R + 1)
        count = strips.shape[2]
        self._across += count * steps[:, REACH]
        self._beside += count * np.delete(steps, REACH, axis=1).mean(axis=1)
        self._count += count

    @property
    def score(self) -> float:
        """The ratio; 1 where nothing differs."""
        if not self._count:
            return 1.0
        flat = FLAT * self._count
        restored, degraded = (self._across + flat) / (self._beside + flat)
        return float(restored / max(1.0, degraded))
