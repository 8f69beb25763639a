"""Arrays through the network: tiles out of a picture, a picture out of tiles."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from moce_cli.errors import DeviceError
from moce_cli.network import MoCEIR, Restoration, Routing, force
from moce_cli.restoration.canvas import Canvas, Float
from moce_cli.restoration.judge import Judge
from moce_cli.restoration.plan import Plan, sample_size
from moce_cli.restoration.report import Tally
from moce_cli.restoration.view import Sink, View, Work, lowered
from moce_cli.runtime import Precision, torch_dtype
from moce_cli.tiling import (
    MULTIPLE,
    SMALLEST_TILE,
    BandBlender,
    SeamMeter,
    Tile,
    TileGrid,
    sample_tiles,
)

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with tiles done and tiles in all."""


class NotFiniteError(Exception):
    """The network returned NaN or infinity."""


_ROWS_AT_ONCE = 64
"""Rows that are finished together: enough to be quick, few enough to be small."""
_TURNS = [(turns, flip) for flip in (False, True) for turns in range(4)]
"""Eight ways to look at a picture; the first leaves it as it is."""


@dataclass(slots=True)
class Outcome:
    """What is known of how a picture was restored."""

    tally: Tally
    plan: Plan
    grid: TileGrid
    seam: float
    complaint: str | None = None
    """Why this is no picture of what was given; see `Judge`."""
    notes: list[str] = field(default_factory=list[str])


class Engine:
    """A network on a device, in a precision."""

    def __init__(self, network: MoCEIR, device: torch.device, precision: Precision) -> None:
        self.config = network.config
        self.device = device
        network = network.eval().requires_grad_(False).to(device)
        self.network = network.compute_in(torch_dtype(precision))

    def restore(
        self,
        view: View,
        plan: Plan,
        sink: Sink,
        *,
        routing: str = "image",
        ensemble: bool = False,
        progress: Progress | None = None,
    ) -> Outcome:
        """Restore one picture, from top to bottom.

        Args:
            view: the picture as the network sees it; a canvas is one.
            plan: tile, overlap and batch.
            sink: is given the finished rows, in order, in the picture's own type.
            routing: `image`, `tile` or an expert's number.
            ensemble: the mean over eight flips and rotations of each tile.
            progress: called after every batch of tiles.

        Raises:
            DeviceError: out of memory at the smallest tile.
            NotFiniteError: the network's output is not finite.
        """
        height, width = view.height, view.width
        tally, notes, seam = Tally(self.config, 8 if ensemble else 1), list[str](), SeamMeter()
        judge = Judge()
        pinned: Routing | None = None
        top = 0  # rows above are finished
        while True:
            # after a back-off the next grid begins a little above, to give its first rows context
            start = max(0, top - plan.overlap)
            grid = plan.grid(height - start, width)
            asked = {tile for tile in grid if view.asks_for(lowered(tile, start))}
            work = Work(view, start, grid, asked, plan.batch)
            total = tally.tiles + len(asked)

            def on_tiles(total: int = total) -> None:
                if progress:
                    progress(min(tally.tiles, total), total)

            try:
                ready: dict[Tile, Float] = {}
                if pinned is None:
                    pinned, ready = self._pin(work, routing, tally)
                    on_tiles()
                seam.follow(grid, start)
                for band, rows, at in self._bands(work, pinned, tally, ready, on_tiles):
                    skip = max(0, top - at)  # those above are finished already
                    for first in range(skip, len(rows), _ROWS_AT_ONCE):
                        part = rows[first : first + _ROWS_AT_ONCE]
                        piece = band.rows(first, first + len(part))
                        pixels, seen, made = piece.finish(part)
                        sink(pixels, piece)
                        seam.add(made, seen, at + first)
                        where = ... if piece.weight is None else piece.weight > 0
                        judge.add(seen[where], part[where].clip(0, 1))
                        top = at + first + len(part)
                return Outcome(tally, plan, grid, seam.score, judge.complaint, notes)
            except RuntimeError as error:
                plan = self._back_off(plan, grid, error, notes)

    def _back_off(self, plan: Plan, grid: TileGrid, error: RuntimeError, notes: list[str]) -> Plan:
        """A smaller plan after running out of memory; any other error goes on."""
        if not is_out_of_memory(error):
            raise error
        torch.cuda.empty_cache()
        plan = smaller(plan, grid, error)
        notes.append(
            f"out of memory on {self.device}: went on with tiles of {plan.tile} px, "
            f"{plan.batch} at once"
        )
        log.warning(notes[-1])
        return plan

    def _pin(
        self, work: Work, routing: str, tally: Tally
    ) -> tuple[Routing | None, dict[Tile, Float]]:
        """The routing for all tiles, and those that are restored already.

        A sample of tiles goes through the network together and decides together, block by block.
        Since all other tiles follow its decisions, it need not go through again.

        Returns:
            None where each tile chooses.
        """
        grid, asked = work.grid, work.asked
        if routing not in ("image", "tile"):
            pinned: Routing = [
                force(int(routing), self.config.num_experts)
                for _ in self.config.decoder_block_levels
            ]
            tally.decisions(pinned)
            return pinned, {}
        if routing == "tile" or len(asked) < 2:
            return None, {}
        most = sample_size(work.batch, grid.rows.size * grid.columns.size)
        sample = [tile for tile in sample_tiles(grid, most) if tile in asked]
        if len(asked) < len(grid):
            ordered = [tile for tile in grid if tile in asked]
            count = min(most, len(ordered))
            sample = [ordered[i * len(ordered) // count] for i in range(count)]
        seen = [work.seen(tile) for tile in sample]
        while True:
            try:
                restored, pinned = self.run(seen, None, turns=tally.turns, together=work.batch)
                break
            except RuntimeError as error:
                if not is_out_of_memory(error) or len(seen) == 1:
                    raise
                seen = seen[: len(seen) // 2]
        tally.decisions(pinned)
        tally.cost(grid.rows.size, grid.columns.size, pinned, len(seen))
        return pinned, dict(zip(sample, restored, strict=False))  # of those that fitted

    def _bands(
        self,
        work: Work,
        pinned: Routing | None,
        tally: Tally,
        ready: dict[Tile, Float],
        on_tiles: Callable[[], None],
    ) -> Iterator[tuple[Canvas, Float, int]]:
        """Finished rows, `(n, W, C)` in [0, 1] or a little beyond; the canvas below; its top."""
        grid, batch = work.grid, work.batch
        blender = BandBlender(grid, work.view.channels)
        nothing = np.zeros((grid.rows.size, grid.columns.size, work.view.channels), np.float32)
        tops = grid.rows.starts
        for index, top in enumerate(tops):
            tiles = list(grid.row(top))
            left = [tile for tile in tiles if tile not in ready and tile in work.asked]
            made = {tile: ready.pop(tile) for tile in tiles if tile in ready}
            row: list[Routing] = []
            for at in range(0, len(left), batch):
                some = left[at : at + batch]
                restored, decisions = self.run(
                    [work.seen(tile) for tile in some], pinned, turns=tally.turns
                )
                tally.cost(grid.rows.size, grid.columns.size, decisions, len(some))
                row.append(decisions)
                made |= zip(some, restored, strict=True)
                on_tiles()
            for tile in tiles:
                blender.add(tile, made.get(tile, nothing))  # what nobody asked for is not used
            for decisions in row if pinned is None else ():
                tally.decisions(decisions)
            until = tops[index + 1] if index + 1 < len(tops) else grid.rows.length
            rows = blender.finish(until)
            yield work.strip(top).rows(0, until - top), rows, work.start + top

    @torch.inference_mode()
    def run(
        self,
        seen: Sequence[Float],
        pinned: Routing | None,
        *,
        turns: int = 1,
        together: int = 0,
    ) -> tuple[list[Float], Routing]:
        """Tiles through the network.

        Args:
            seen: tiles of one size, `(h, w, C)`.
            pinned: what they follow.
            turns: of each, which follow the decisions for the first.
            together: decide once for all; then no more than these are computed at once.

        Returns:
            `(h, w, C)` for each, and the decisions.
        """
        size = together or len(seen)
        batches = [self._batch(seen[at : at + size]) for at in range(0, len(seen), size)]
        if together:
            results = self.network.restore_together(batches)
        else:
            results = [self.network.restore(batch, pinned) for batch in batches]
        grey = seen[0].shape[2] == 1
        done = [
            tile
            for batch, result in zip(batches, results, strict=True)
            for tile in self._finish(batch, result, turns, grey=grey)
        ]
        return done, results[0].routing

    def _batch(self, seen: Sequence[Float]) -> Tensor:
        """`(B, 3, h, w)` on the device."""
        batch = torch.from_numpy(np.stack(seen)).to(self.device)
        return batch.permute(0, 3, 1, 2).expand(-1, 3, -1, -1)

    def _finish(self, batch: Tensor, result: Restoration, turns: int, *, grey: bool) -> Float:
        """The other turns, and back to the host: `(B, h, w, C)`."""
        restored = result.restored
        for quarter, flip in _TURNS[1:turns]:
            turned = torch.rot90(batch.flip(-1) if flip else batch, quarter, (-2, -1))
            back = self.network.restore(turned, result.routing).restored
            back = torch.rot90(back, -quarter, (-2, -1))
            restored = restored + (back.flip(-1) if flip else back)
        restored = restored / turns if turns > 1 else restored
        if not bool(torch.isfinite(restored).all()):
            raise NotFiniteError
        if grey:
            restored = restored.mean(dim=1, keepdim=True)
        return restored.permute(0, 2, 3, 1).cpu().numpy()


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device had too little memory: only CUDA has an error of its own for it."""
    told = ("out of memory", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError) or any(t in str(error) for t in told)


def smaller(plan: Plan, grid: TileGrid, error: Exception) -> Plan:
    """The next plan to try after running out of memory: half the batch, then half the tile.

    Raises:
        DeviceError: there is nothing smaller.
    """
    if plan.batch > 1:
        return replace(plan, batch=plan.batch // 2)
    side = max(grid.rows.size, grid.columns.size)
    half = side // 2 // MULTIPLE * MULTIPLE
    if half < SMALLEST_TILE:
        raise DeviceError(
            f"out of memory at a tile of {side} px, and the smallest is {SMALLEST_TILE}",
            "close other programs or use --device cpu",
        ) from error
    return replace(plan, tile=half, overlap=min(plan.overlap, half // 4))
