"""The loop: batches in, better weights out, stoppable at any time."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from moce_cli.degradations import KINDS
from moce_cli.errors import MoceError
from moce_cli.network import MoCEIR
from moce_cli.training import parts, schedule, weights
from moce_cli.training.compiling import compile_blocks
from moce_cli.training.distributed import Place, agree, all_agree, share_gradients
from moce_cli.training.keeping import Keeper
from moce_cli.training.objective import Losses, Objective
from moce_cli.training.options import Ending, Options
from moce_cli.training.recipe import Recipe
from moce_cli.training.record import Record
from moce_cli.training.sampling import Batch, Sampler, finish, loader
from moce_cli.training.scenes import filled
from moce_cli.training.state import Counters, State, settings_of, state_path
from moce_cli.training.validate import FixedSet, fixed_set
from moce_cli.training.watch import Clock, Moment, Window

log = logging.getLogger(__name__)

STATE_SECONDS = 45.0
"""Between two writings of the state, so that a killed run loses less than a minute."""
RECORD_STEPS = 50
MOST_SKIPPED = 10


class TrainingError(MoceError):
    """A run that cannot go on."""


class Trainer:
    """One run of a recipe, in this process or as one of several.

    Args:
        recipe: what to train, on what, for how long.
        options: on this machine.
        place: this process among the others.
        watch: told of every step, in the first process.
        stop: asked after every step, in the first process, whether to end early.

    Raises:
        MoceError: pictures, state or weights to begin from are not usable.
    """

    def __init__(
        self,
        recipe: Recipe,
        options: Options,
        place: Place | None = None,
        *,
        watch: Callable[[Moment], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self.recipe, self.options, self.place = recipe, options, place or Place()
        self._watch, self._stop = watch, stop
        self._lost: set[str] = set()
        torch.manual_seed(recipe.seed)
        network = MoCEIR(recipe.network)
        objective = Objective(network, recipe.loss, len(KINDS), options.precision)
        counters = Counters()
        if options.warm_start is not None:
            counters = weights.begin_from(options.warm_start, network)
        device = options.device
        self.objective = objective.to(device)
        self.average = copy.deepcopy(network).requires_grad_(False).eval()
        settings = recipe.optimiser
        optimiser = torch.optim.AdamW(
            objective.parameters(),
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=device.type in ("cuda", "cpu"),
        )
        self.state = State(recipe.network, objective, self.average, optimiser, counters)
        self.state.recipe = settings_of(recipe)
        if options.resume:
            self.state.load(state_path(options.output))
        if options.compiled:
            compile_blocks(network)
        self.module = share_gradients(objective, self.place, device)
        self.sampler = Sampler(
            recipe,
            rank=self.place.rank,
            world_size=self.place.world_size,
            on_device=device.type != "cpu",
        )
        self.state.take_pictures(self.sampler.fingerprint())
        self.keeper = Keeper(self.state, recipe, options)
        self.validation: FixedSet | None = None
        if recipe.validation is not None and self.place.is_first:
            self.validation = fixed_set(recipe.validation)

    @property
    def counters(self) -> Counters:
        """What was spent so far."""
        return self.state.counters

    def run(self) -> Ending:
        """Train until the budget is spent or a stop is asked for; leaves weights and state.

        Where a resumed run's budget was spent before, nothing is done.

        Raises:
            TrainingError: ten steps in a row had a loss or gradient that was not finite.
            OutputError: the weights can't be written at the end.
        """
        first = self.place.is_first
        clock = Clock(self.counters, self.place.world_size)
        if self._spent(clock) >= 1:
            log.warning(
                "nothing to do: the budget was spent before, %d steps in %.1f minutes; "
                "to go on, give more --steps or --minutes",
                self.counters.steps_here,
                self.counters.seconds / 60,
            )
            pieces = self._in_parts() if first and self.options.output.exists() else ()
            return Ending(self.options.output, self.counters, self.state.psnr, False, pieces)
        kept = self.counters.step if self.options.resume else None
        record = Record(self._beside(".jsonl"), kept) if first else None
        window = Window()
        measured_at, measured_step = time.monotonic(), self.counters.step
        stopped = False
        for batch, spent in self._kept(self._batches(clock)):
            try:
                losses = self._step(batch, spent)
            except TrainingError:
                self._note(record, window)
                raise
            clock.update()
            self.counters.step += 1
            if losses is not None:
                window.add(losses, len(batch.clean) * self.place.world_size)
            if first and self._watch:
                self._watch(window.moment(self.counters, spent, self.state.psnr))
            if self.counters.step % RECORD_STEPS == 0:
                self._note(record, window)
                window = Window()
            measures = record and self.validation and self._is_due(measured_at)
            began = time.monotonic()
            is_due = measures or clock.since_saved() > STATE_SECONDS
            if first and is_due and self.keeper.keep():
                clock.saved()
            if record and measures:
                self._measure(record)
                measured_at, measured_step = time.monotonic(), self.counters.step
            window.leave_out(time.monotonic() - began)
            if agree(float(bool(first and self._stop and self._stop())), self.place, self._device):
                stopped = True
                break
        clock.update()
        self._note(record, window)
        pieces: tuple[Path, ...] = ()
        if record:
            if self.validation and (measured_step != self.counters.step or not self.state.psnr):
                self.keeper.keep()
                self._measure(record)
            self.keeper.finish()
            pieces = self._in_parts()
        return Ending(self.options.output, self.counters, self.state.psnr, stopped, pieces)

    def _in_parts(self) -> tuple[Path, ...]:
        """The weights in parts, if they are wanted."""
        return tuple(parts.split(self.options.output)) if self.options.in_parts else ()

    def _note(self, record: Record | None, window: Window) -> None:
        """Write down the last steps; every process takes part."""
        if not window:
            return
        line = window.line(self.place)
        if record:
            record.add(
                kind="step",
                step=self.counters.step,
                seconds=round(self.counters.seconds, 1),
                learning_rate=self.state.optimiser.param_groups[0]["lr"],
                skipped=self.counters.skipped,
                **line,
            )

    @property
    def _device(self) -> torch.device:
        return self.options.device

    def _beside(self, suffix: str) -> Path:
        name = self.options.output.name.removesuffix(".safetensors")
        return self.options.output.with_name(name + suffix)

    def _spent(self, clock: Clock) -> float:
        budget = self.recipe.budget
        if budget.minutes is None:
            return schedule.progress(budget, self.counters.steps_here, 0.0)
        seconds = agree(clock.seconds(), self.place, self._device)
        return schedule.progress(budget, self.counters.steps_here, seconds)

    def _kept(self, batches: Iterator[tuple[Batch, float]]) -> Iterator[tuple[Batch, float]]:
        """The batches; where there are no more for an error, what was learned is kept first."""
        try:
            yield from batches
        except MoceError:
            if self.place.is_first:
                self.keeper.keep()
            raise

    def _batches(self, clock: Clock) -> Iterator[tuple[Batch, float]]:
        """Batches with the share of the budget that was spent before them, stage after stage."""
        while (spent := self._spent(clock)) < 1:
            stage = self.counters.stage = self.recipe.stage_at_progress(spent)
            self.sampler.set_stage(stage)
            last = self.recipe.budget.steps
            last = None if last is None else self.counters.started_at + last
            for batch in loader(self.sampler, self.counters.step, last, self.options.workers):
                self._warn_of(batch.lost)
                spent = self._spent(clock)
                if spent >= 1 or self.recipe.stage_at_progress(spent) != stage:
                    break
                yield batch, spent

    def _warn_of(self, lost: tuple[str, ...]) -> None:
        """Say of each picture once that it can no longer be read."""
        for message in lost:
            if message not in self._lost:
                self._lost.add(message)
                log.warning("%s; another picture is taken instead", message)

    def _step(self, batch: Batch, spent: float) -> Losses | None:
        """One step of the optimiser; None if it was skipped."""
        recipe, counters = self.recipe, self.counters
        optimiser = self.state.optimiser
        # everything drawn on the way follows from the step, so a resumed run draws the same
        torch.manual_seed((recipe.seed * 1_000_003 + counters.step) * 4096 + self.place.rank)
        degraded, clean = finish(batch, self._device)
        rate = schedule.learning_rate(recipe.optimiser, recipe.budget, spent, counters.steps_here)
        for group in optimiser.param_groups:
            group["lr"] = rate
        self.module.train()
        scene = filled(batch.scene.to(self._device), degraded) if recipe.network.scene else None
        losses: Losses = self.module(degraded, clean, batch.labels.to(self._device), scene)
        losses.total.backward()
        clip = recipe.optimiser.clip or float("inf")
        norm = nn.utils.clip_grad_norm_(self.objective.parameters(), clip)
        finite = torch.isfinite(norm) & torch.isfinite(losses.total.detach())
        taken = all_agree(finite, self.place)
        if taken:
            optimiser.step()
            counters.skipped_in_a_row = 0
            decay = schedule.ema_decay(recipe.optimiser, counters.steps_here)
            average_in = get_ema_multi_avg_fn(decay)
            average_in(
                list(self.average.parameters()), list(self.objective.network.parameters()), None
            )
        else:
            self._skip()
        optimiser.zero_grad()
        return losses if taken else None

    def _skip(self) -> None:
        counters = self.counters
        counters.skipped += 1
        counters.skipped_in_a_row += 1
        log.warning("step %d was skipped: its loss or gradient is not finite", counters.step)
        if counters.skipped_in_a_row >= MOST_SKIPPED:
            if self.place.is_first:
                self.keeper.keep()  # unless there is something of before
            raise TrainingError(
                f"the loss was not finite {MOST_SKIPPED} times in a row, up to step "
                f"{counters.step}; the weights and the state of before are kept",
                "lower learning_rate in the recipe, or train with --precision fp32, and --resume",
            )

    def _is_due(self, measured_at: float) -> bool:
        validation = self.recipe.validation
        assert validation is not None
        if validation.every_steps is not None:
            return self.counters.step % validation.every_steps == 0
        assert validation.every_seconds is not None
        return time.monotonic() - measured_at >= validation.every_seconds

    def _measure(self, record: Record) -> None:
        assert self.validation is not None
        measured = self.validation.measure(self.average)
        record.add(kind="validation", step=self.counters.step, psnr=measured)
        self.state.psnr = {row: value for row, value in measured.items() if math.isfinite(value)}
        self.state.psnr_step = self.counters.step
        log.info("step %d: %s", self.counters.step, self.state.psnr)
