"""Arrays through the network: tiles out of a picture, a picture out of tiles."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from moce_cli.network import MoCEIR, Routing, force
from moce_cli.restoration.backoff import is_out_of_memory, smaller
from moce_cli.restoration.canvas import Canvas, Float
from moce_cli.restoration.crew import Crew
from moce_cli.restoration.flight import IN_FLIGHT, Flight, Runway
from moce_cli.restoration.judge import Judge
from moce_cli.restoration.plan import MOST_WORKERS, Plan, sample_size, workers_for
from moce_cli.restoration.report import Tally
from moce_cli.restoration.scout import scout
from moce_cli.restoration.view import Sink, View, Work, lowered
from moce_cli.runtime import Precision, torch_dtype
from moce_cli.tiling import BandBlender, SeamMeter, Tile, TileGrid

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with tiles done and tiles in all."""


_ROWS_AT_ONCE, _SAMPLES_AT_ONCE = 64, 2**20
"""Of what is finished together, at most: enough to be quick, few enough to be small."""


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
        runway = Runway(self.network, device)
        self.start, self._forget = runway.start, runway.forget

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
        judge, most = Judge(), MOST_WORKERS
        pinned: Routing | None = None
        scene: Tensor | None = None
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

            crew = self.crew(plan, grid, len(asked), most)
            try:
                with crew:
                    ready: dict[Tile, Float] = {}
                    if pinned is None:
                        pinned, ready, scene = self._pin(work, routing, scene, tally, crew, notes)
                        on_tiles()
                    seam.follow(grid, start)
                    for piece, rows, at in self._bands(
                        work, pinned, scene, tally, ready, crew, on_tiles
                    ):
                        if at + len(rows) <= top:  # those above are finished already
                            continue
                        if at < top:
                            piece = piece.rows(top - at, len(rows))
                            rows, at = rows[top - at :], top
                        pixels, seen, made = piece.finish(rows)
                        sink(pixels, piece)
                        seam.add(made, seen, at)
                        where = ... if piece.weight is None else piece.weight > 0
                        judge.add(seen[where], rows[where].clip(0, 1))
                        top = at + len(rows)
                return Outcome(tally, plan, grid, seam.score, judge.complaint, notes)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                error.__traceback__ = None  # its frames hold what there is too little of
                failure = error
            if self._forget():
                told = "no pass recorded"
            elif crew.workers > 1:
                most, told = 1, "one tile at a time"
            else:
                plan = smaller(plan, grid, failure)
                told = f"tiles of {plan.tile} px, {plan.batch} at once"
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            notes.append(f"out of memory on {self.device}: went on with {told}")
            log.warning(notes[-1])

    def crew(
        self, plan: Plan, grid: TileGrid, tiles: int, most_workers: int = MOST_WORKERS
    ) -> Crew:
        """Who computes so many tiles of a grid."""
        h, w = grid.rows.size, grid.columns.size
        workers = workers_for(self.config, plan, self.device, height=h, width=w, tiles=tiles)
        ahead = IN_FLIGHT if self.device.type == "cuda" else 0
        return Crew(min(workers, most_workers), plan.threads, ahead)

    def _pin(
        self,
        work: Work,
        routing: str,
        scene: Tensor | None,
        tally: Tally,
        crew: Crew,
        notes: list[str],
    ) -> tuple[Routing | None, dict[Tile, Float], Tensor | None]:
        """The routing for all tiles, those that are restored already, and the scene.

        A sample of tiles goes through the network together and decides together, block by block.
        Since all other tiles follow its decisions, it need not go through again.

        Returns:
            no routing where each tile chooses; no scene where a tile is its own.
        """
        grid, several = work.grid, len(work.asked) > 1
        deciding = sample_size(work.batch, grid.rows.size * grid.columns.size)
        found = scout(
            work,
            deciding if routing == "image" and several else 0,
            scene=self.config.scene and several and scene is None,
        )
        # on the device from here on: no pass shall wait for a copy
        scene = found.scene if scene is None else scene
        scene = None if scene is None else scene.to(self.device)
        if routing not in ("image", "tile"):
            forced = force(int(routing), self.config.num_experts)
            forced = replace(forced, gates=forced.gates.to(self.device))
            pinned: Routing = [forced for _ in self.config.decoder_block_levels]
            tally.decisions(pinned)
            return pinned, {}, scene
        sample, seen = found.tiles, found.seen
        if not sample:
            return None, {}, scene
        while True:
            try:
                flight = self.start(
                    seen, None, scene, turns=tally.turns, together=work.batch, each=crew.map
                )
                restored, pinned = flight.land()
                break
            except RuntimeError as error:
                if not is_out_of_memory(error) or len(seen) == 1:
                    raise
                if self._forget():
                    continue
                seen, sample = seen[::2], sample[::2]
                told = f"out of memory on {self.device}: no more than {len(seen)} tiles were asked"
                notes.append(f"{told} which experts run")
                log.warning(notes[-1])
        tally.decisions(pinned)
        tally.cost(grid.rows.size, grid.columns.size, pinned, len(seen))
        return pinned, dict(zip(sample, restored, strict=True)), scene

    def _bands(
        self,
        work: Work,
        pinned: Routing | None,
        scene: Tensor | None,
        tally: Tally,
        ready: dict[Tile, Float],
        crew: Crew,
        on_tiles: Callable[[], None],
    ) -> Iterator[tuple[Canvas, Float, int]]:
        """Some rows of the canvas; what was made of them, `(n, W, C)`; their place in the picture.

        What was made is in [0, 1] or a little beyond.
        """
        grid = work.grid
        blender = BandBlender(grid, work.view.channels)
        nothing = np.zeros((grid.rows.size, grid.columns.size, work.view.channels), np.float32)
        row = work.view.width * work.view.channels
        step = max(1, min(_ROWS_AT_ONCE, _SAMPLES_AT_ONCE // row))
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

        def start(given: tuple[list[Tile], list[Float]]) -> tuple[list[Tile], Flight | None]:
            tiles, seen = given
            return tiles, self.start(seen, pinned, scene, turns=tally.turns) if tiles else None

        def land(
            started: tuple[list[Tile], Flight | None],
        ) -> tuple[list[Tile], list[Float], Routing]:
            tiles, flight = started
            return (tiles, *flight.land()) if flight else (tiles, [], [])

        results = crew.stream(start, land, batches())
        tops = grid.rows.starts
        for index, top in enumerate(tops):
            missing = dict.fromkeys(grid.row(top))
            while True:
                for tile in [tile for tile in missing if tile in done or tile not in work.asked]:
                    blender.add(tile, done.pop(tile, nothing))  # what nobody asked for is not used
                    del missing[tile]
                if not missing:
                    break
                some, restored, decisions = next(results)
                tally.cost(grid.rows.size, grid.columns.size, decisions, len(some))
                if pinned is None and some:
                    tally.decisions(decisions)
                done |= zip(some, restored, strict=True)
                on_tiles()
            until = tops[index + 1] if index + 1 < len(tops) else grid.rows.length
            strip = work.strip(top)
            for first in range(top, until, step):
                last = min(first + step, until)
                rows = blender.finish(last)
                yield strip.rows(first - top, last - top), rows, work.start + first
            work.drop(top)
            finished = top
