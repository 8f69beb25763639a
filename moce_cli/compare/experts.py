"""Which expert worked where, as data: for a page, a drawing or a terminal."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moce_cli.network import MoCEIRConfig
    from moce_cli.restoration import Report

LEVELS = ("fine", "middle", "coarse")


@dataclass(frozen=True, slots=True)
class ExpertMap:
    """A picture cut into cells, each with the expert of every block.

    A cell is what lies nearer to the middle of its tile than to any other tile's. Where one
    decision was made for the whole picture there is one cell.
    """

    tops: tuple[int, ...]
    """Borders of the rows of cells, from 0 to the picture's height."""
    lefts: tuple[int, ...]
    """Borders of the columns, from 0 to its width."""
    cells: tuple[tuple[int, ...], ...]
    """Row by row, the expert of each block."""
    levels: tuple[int, ...]
    """Of each block: 0 is the finest."""
    work: tuple[float, ...]
    """What each expert costs, all blocks together, over what the cheapest does."""
    report: Report

    @property
    def rows(self) -> int:
        """Of cells."""
        return len(self.tops) - 1

    @property
    def columns(self) -> int:
        """Of cells."""
        return len(self.lefts) - 1

    @property
    def num_experts(self) -> int:
        """That the network has."""
        return len(self.work)

    def experts(self, block: int | None = None) -> tuple[int, ...]:
        """Each cell's expert, row by row.

        Args:
            block: of the network; None takes the expert that most blocks took, the lower one where
                two are even.
        """
        if block is not None:
            return tuple(cell[block] for cell in self.cells)
        return tuple(_most(cell) for cell in self.cells)

    def places(self, height: int, width: int) -> tuple[list[int], list[int]]:
        """The row and the column of the cells under a grid of places that covers the picture.

        Args:
            height: places from top to bottom.
            width: places from left to right.

        Returns:
            a row for each place from top to bottom, and a column for each from left to right.
        """
        rows, columns = (
            [bisect_right(borders[1:-1], (i + 0.5) * borders[-1] / count) for i in range(count)]
            for borders, count in ((self.tops, height), (self.lefts, width))
        )
        return rows, columns

    def boxes(self) -> list[tuple[int, int, int, int]]:
        """Top, left, bottom and right of each cell, row by row."""
        return [
            (top, left, bottom, right)
            for top, bottom in pairwise(self.tops)
            for left, right in pairwise(self.lefts)
        ]

    def shares(self) -> tuple[float, ...]:
        """Of all decisions, over blocks and cells, how many fell to each expert."""
        counts = Counter(expert for cell in self.cells for expert in cell)
        return tuple(counts[e] / counts.total() for e in range(self.num_experts))

    def block_name(self, block: int) -> str:
        """Such as `block 2, coarse`."""
        level = self.levels[block]
        return f"block {block}, {LEVELS[level] if level < len(LEVELS) else f'level {level}'}"

    def legend(self) -> list[str]:
        """A line for each expert: how often it ran, and at what cost."""
        return [
            f"{share:.0%} of the decisions, {work:.1f} x the work of the cheapest"
            for share, work in zip(self.shares(), self.work, strict=True)
        ]

    @property
    def decided(self) -> str:
        """Who chose, in words."""
        if self.report.routing == "tile":
            count = len(self.cells)
            return f"{count} tiles, each with its own choice" if count > 1 else "one tile"
        if self.report.routing == "image":
            return "one decision for the whole picture"
        return f"expert {self.report.routing} was forced"

    @property
    def saved(self) -> str:
        """What skipping experts saved, in words."""
        macs = self.report.macs
        return (
            f"{macs.saved_of_experts:.0%} of the experts' work was skipped, "
            f"{macs.saved_of_network:.0%} of the network's"
        )


def expert_map(report: Report, config: MoCEIRConfig) -> ExpertMap | None:
    """The map of a restoration.

    Args:
        report: of the restoration.
        config: of the network that made it.

    Returns:
        None where tiles chose, but memory ran out on the way and the tiles changed.
    """
    from moce_cli.network.cost import forward_cost  # torch comes with it

    height, width = report.height, report.width
    tops, lefts = (0, height), (0, width)
    cells = (tuple(block.expert for block in report.blocks),)
    if report.routing == "tile":
        grid = report.plan.grid(height, width)
        if len(report.tile_experts) != len(grid):
            return None
        cells = report.tile_experts
        tops, lefts = (
            _borders(axis.starts, axis.size, axis.length) for axis in (grid.rows, grid.columns)
        )
    costs = forward_cost(config, *report.tile_size).experts
    totals = [sum(block[e] for block in costs) for e in range(config.num_experts)]
    work = tuple(total / min(totals) for total in totals)
    return ExpertMap(tops, lefts, cells, config.decoder_block_levels, work, report)


def _borders(starts: tuple[int, ...], size: int, length: int) -> tuple[int, ...]:
    """Half way between the middles of neighbouring tiles."""
    between = ((a + b + size + 1) // 2 for a, b in pairwise(starts))
    return (0, *between, length)


def _most(experts: tuple[int, ...]) -> int:
    return min(Counter(experts).items(), key=lambda pair: (-pair[1], pair[0]))[0]
