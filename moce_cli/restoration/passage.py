"""A view through the network into a sink, once more in float32 if it comes to nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager

import torch

from moce_cli import runtime
from moce_cli.checkpoints import Checkpoint, build
from moce_cli.errors import MoceError
from moce_cli.restoration.backoff import is_out_of_memory
from moce_cli.restoration.canvas import Array, Canvas
from moce_cli.restoration.engine import Engine, Outcome, Progress
from moce_cli.restoration.flight import NotFiniteError
from moce_cli.restoration.forecast import Asked, Forecast, forecast, tile_seconds
from moce_cli.restoration.plan import Plan
from moce_cli.restoration.report import Report
from moce_cli.restoration.view import Sink, View
from moce_cli.restoration.where import How
from moce_cli.runtime import Precision
from moce_cli.tiling import TileGrid

log = logging.getLogger(__name__)


class BadPictureError(MoceError):
    """The network made no picture of an input, in float32 either."""


class Passage:
    """A model on a device, in each precision that was needed so far.

    Args:
        checkpoint: weights and their architecture.
        name: of the model, for reports.
        device: that computes.
        routing: `image`, `tile` or an expert's number.
        threads: of the CPU.
    """

    def __init__(
        self, checkpoint: Checkpoint, name: str, device: torch.device, routing: str, threads: int
    ) -> None:
        self._checkpoint, self.name, self.device = checkpoint, name, device
        self._routing, self._threads = routing, threads
        self._engines: dict[Precision, Engine] = {}
        self.idle_bytes = 0
        """Of the process, once a network was built and before it ran; 0 before."""
        self._seconds: dict[tuple[Precision, int, int], float | None] = {}
        if device.type == "cpu":
            runtime.keep_freed_memory()

    def through(
        self,
        view: View,
        plan: Plan,
        how: How,
        begin: Callable[[], AbstractContextManager[Sink]],
        notes: list[str],
        progress: Progress | None,
    ) -> Outcome:
        """Through the network, once more in float32 if it comes to nothing.

        Args:
            view: of the picture.
            plan: to begin with.
            how: it is restored.
            begin: called before the first row of each attempt.
            notes: added to.
            progress: as for `restore`.

        Raises:
            BadPictureError: it comes to nothing in float32 either.
        """
        outcome, complaint = self._attempt(view, plan, how, begin, progress)
        if outcome is None and plan.precision != "fp32":
            notes.append(
                f"{plan.precision} made no picture of it ({complaint}): done again in fp32"
            )
            log.warning(notes[-1])
            plan = dataclasses.replace(plan, precision="fp32")
            outcome, complaint = self._attempt(view, plan, how, begin, progress)
        if outcome is None:
            raise BadPictureError(
                f"{self.name} made no picture of this input, in float32 either: {complaint}",
                "try another --model, and report the picture if you can share it",
            )
        return outcome

    def engine(self, precision: Precision) -> Engine:
        """The network, built when it is needed first."""
        if precision not in self._engines:
            self._engines[precision] = Engine(build(self._checkpoint), self.device, precision)
            self.idle_bytes = self.idle_bytes or runtime.held_memory_bytes()
        return self._engines[precision]

    def forecast(self, plan: Plan, asked: Asked, *, timed: bool) -> Forecast:
        """What a picture will take; a tile is tried once for each size, if it is to be timed.

        No time is told where the tile comes to nothing: restoring goes on with other plans.
        """
        grid = plan.grid(*asked.seen)
        engine = self.engine(plan.precision)
        seconds = None
        if timed:
            key = plan.precision, grid.rows.size, grid.columns.size
            if key not in self._seconds:
                torch.set_num_threads(self._threads)
                self._seconds[key] = _tried(engine, plan, grid)
            seconds = self._seconds[key]
        return forecast(
            self._checkpoint.config,
            plan,
            asked,
            idle_bytes=self.idle_bytes,
            device=self.device,
            seconds_a_tile=seconds,
        )

    def report(
        self, outcome: Outcome, height: int, width: int, begun: float, notes: Sequence[str]
    ) -> Report:
        """What was done to a picture of this size since `begun` of the clock."""
        return Report(
            model=self.name,
            device=str(self.device),
            precision=outcome.plan.precision,
            height=height,
            width=width,
            tile_size=(outcome.grid.rows.size, outcome.grid.columns.size),
            tiles=outcome.tally.tiles,
            seconds=round(time.perf_counter() - begun, 4),
            seam=round(outcome.seam, 4),
            routing=self._routing,
            blocks=outcome.tally.blocks(),
            experts=outcome.tally.experts(),
            macs=outcome.tally.macs(),
            plan=outcome.plan,
            notes=(*notes, *outcome.notes),
            tile_experts=outcome.tally.tile_experts() if self._routing == "tile" else (),
        )

    def _attempt(
        self,
        view: View,
        plan: Plan,
        how: How,
        begin: Callable[[], AbstractContextManager[Sink]],
        progress: Progress | None,
    ) -> tuple[Outcome | None, str | None]:
        """What was made; or None, and what was wrong with it: see `Judge`."""
        torch.set_num_threads(self._threads)  # of the whole process: another restorer may differ
        engine = self.engine(plan.precision)
        try:
            with begin() as sink:
                outcome = engine.restore(
                    view,
                    plan,
                    sink,
                    routing=self._routing,
                    ensemble=how.ensemble,
                    progress=progress,
                )
        except NotFiniteError:
            return None, "values that are no numbers"
        return (None if outcome.complaint else outcome), outcome.complaint


def _tried(engine: Engine, plan: Plan, grid: TileGrid) -> float | None:
    try:
        with engine.crew(plan, grid, len(grid)) as crew:
            return tile_seconds(engine, crew, grid.rows.size, grid.columns.size)
    except NotFiniteError:
        return None
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None


@contextlib.contextmanager
def filling(restored: Array) -> Generator[Sink, None, None]:
    """A sink that puts rows into an array, from its top on."""
    done = 0

    def sink(rows: Array, _: Canvas) -> None:
        nonlocal done
        restored[done : done + len(rows)] = rows
        done += len(rows)

    yield sink
