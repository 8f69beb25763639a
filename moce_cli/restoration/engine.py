"""Arrays through the network: tiles out of a picture, a picture out of tiles."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from moce_cli.network import Each, MoCEIR, Restoration, Routing, force
from moce_cli.restoration.backoff import is_out_of_memory, smaller
from moce_cli.restoration.canvas import Canvas, Float
from moce_cli.restoration.crew import Crew
from moce_cli.restoration.judge import Judge
from moce_cli.restoration.plan import Plan, sample_size, workers_for
from moce_cli.restoration.report import Tally
from moce_cli.restoration.view import Sink, View, Work, lowered
from moce_cli.runtime import Precision, torch_dtype
from moce_cli.tiling import BandBlender, SeamMeter, Tile, TileGrid, sample_tiles

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
                with self.crew(plan, grid, len(asked)) as crew:
                    ready: dict[Tile, Float] = {}
                    if pinned is None:
                        pinned, ready = self._pin(work, routing, tally, crew, notes)
                        on_tiles()
                    seam.follow(grid, start)
                    for band, rows, at in self._bands(work, pinned, tally, ready, crew, on_tiles):
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

    def crew(self, plan: Plan, grid: TileGrid, tiles: int) -> Crew:
        """Who computes so many tiles of a grid."""
        h, w = grid.rows.size, grid.columns.size
        workers = workers_for(self.config, plan, self.device, height=h, width=w, tiles=tiles)
        return Crew(workers, plan.threads)

    def _pin(
        self, work: Work, routing: str, tally: Tally, crew: Crew, notes: list[str]
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
        seen: list[Float] = []
        for tile in sample:
            seen.append(work.seen(tile))
            for top in {other.top for other in sample if other.top < tile.top}:
                work.drop(top)
        work.drop(sample[-1].top)
        while True:
            try:
                restored, pinned = self.run(
                    seen, None, turns=tally.turns, together=work.batch, each=crew.map
                )
                break
            except RuntimeError as error:
                if not is_out_of_memory(error) or len(seen) == 1:
                    raise
                seen, sample = seen[::2], sample[::2]
                told = f"out of memory on {self.device}: no more than {len(seen)} tiles were asked"
                notes.append(f"{told} which experts run")
                log.warning(notes[-1])
        tally.decisions(pinned)
        tally.cost(grid.rows.size, grid.columns.size, pinned, len(seen))
        return pinned, dict(zip(sample, restored, strict=True))

    def _bands(
        self,
        work: Work,
        pinned: Routing | None,
        tally: Tally,
        ready: dict[Tile, Float],
        crew: Crew,
        on_tiles: Callable[[], None],
    ) -> Iterator[tuple[Canvas, Float, int]]:
        """Finished rows, `(n, W, C)` in [0, 1] or a little beyond; the canvas below; its top."""
        grid = work.grid
        blender = BandBlender(grid, work.view.channels)
        nothing = np.zeros((grid.rows.size, grid.columns.size, work.view.channels), np.float32)
        done = dict(ready)
        left = {tile for tile in work.asked if tile not in done}
        finished = -1

        def batches() -> Iterator[tuple[list[Tile], list[Float]]]:
            for top in grid.rows.starts:
                row = [tile for tile in grid.row(top) if tile in left]
                for at in range(0, len(row), work.batch):
                    some = row[at : at + work.batch]
                    yield some, [work.seen(tile) for tile in some]
                if not row and top > finished:
                    work.strip(top)  # in order: a file would be read from its top again
                    yield [], []

        def step(
            given: tuple[list[Tile], list[Float]],
        ) -> tuple[list[Tile], list[Float], Routing]:
            tiles, seen = given
            return (tiles, *self.run(seen, pinned, turns=tally.turns)) if tiles else ([], [], [])

        results = crew.stream(step, batches())
        tops = grid.rows.starts
        for index, top in enumerate(tops):
            tiles = list(grid.row(top))
            while any(tile in work.asked and tile not in done for tile in tiles):
                some, restored, decisions = next(results)
                tally.cost(grid.rows.size, grid.columns.size, decisions, len(some))
                if pinned is None and some:
                    tally.decisions(decisions)
                done |= zip(some, restored, strict=True)
                on_tiles()
            for tile in tiles:
                blender.add(tile, done.pop(tile, nothing))  # what nobody asked for is not used
            until = tops[index + 1] if index + 1 < len(tops) else grid.rows.length
            rows = blender.finish(until)
            yield work.strip(top).rows(0, until - top), rows, work.start + top
            work.drop(top)
            finished = top

    @torch.inference_mode()
    def run(
        self,
        seen: Sequence[Float],
        pinned: Routing | None,
        *,
        turns: int = 1,
        together: int = 0,
        each: Each = map,
    ) -> tuple[list[Float], Routing]:
        """Tiles through the network.

        Args:
            seen: tiles of one size, `(h, w, C)`.
            pinned: what they follow.
            turns: of each, which follow the decisions for the first.
            together: decide once for all, in batches of so many.
            each: does a step for each of such batches.

        Returns:
            `(h, w, C)` for each, and the decisions.
        """
        size = together or len(seen)
        batches = [self._batch(seen[at : at + size]) for at in range(0, len(seen), size)]
        if together:
            results = self.network.restore_together(batches, each)
        else:
            results = [self.network.restore(batch, pinned) for batch in batches]
        grey = seen[0].shape[2] == 1

        def finish(pair: tuple[Tensor, Restoration]) -> Float:
            return self._finish(*pair, turns, grey=grey)

        done = each(finish, list(zip(batches, results, strict=True)))
        return [tile for some in done for tile in some], results[0].routing

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
