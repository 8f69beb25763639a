"""Batches by number: the same step is the same batch, wherever and whenever it is asked for."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import signal
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from moce_cli.degradations import Plan, degrade, needs_codec
from moce_cli.errors import InputError, MoceError
from moce_cli.training.checks import RecipeError
from moce_cli.training.crops import MARGIN, Crop, source_of
from moce_cli.training.recipe import Recipe, Stage
from moce_cli.training.scenes import of
from moce_cli.training.sources import LeftOut
from moce_cli.training.testsets import TestSets

_EPOCH, _STEP, _SAMPLE, _BATCH = range(4)
"""What a random stream is for."""
MOST_LOST = 10
"""Samples in a row that can't be read: more than a few pictures are gone."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops for one step of one process.

    Attributes:
        clean: `(B, 3, c, c)` uint8.
        degraded: as clean; rows that are pending still equal it.
        plans: of each row; empty for the standard sets.
        pending: `(B,)` bool, rows that `finish` is to damage.
        wide: `(P, 3, c + 16, c + 16)` uint8, the pending rows with what surrounds them.
        labels: `(B, K)` float32, severities by kind of `degradations.KINDS` in [0, 1]; 0 is absent.
        seed: of what `finish` draws.
        scene: `(B, SCENE_SIZE)`, of each row's whole picture; no numbers stand for the row's own.
        lost: what was said of pictures that could no longer be read; others were drawn for them.
    """

    clean: Tensor
    degraded: Tensor
    plans: tuple[Plan, ...]
    pending: Tensor
    wide: Tensor
    labels: Tensor
    seed: int
    scene: Tensor
    lost: tuple[str, ...] = ()

    def pin_memory(self) -> Batch:
        """The same in memory from which a GPU can copy by itself."""
        tensors = ("clean", "degraded", "wide")
        return replace(self, **{name: getattr(self, name).pin_memory() for name in tensors})


class Sampler:
    """Draws batches by step.

    While a stage lasts, its crops follow one another through epochs, each of which holds every
    picture once in an order of its own; each sample has a random stream of its own. So a batch
    depends on the seed, the step and the stage alone, and what several processes get in a step is
    together what one would get. A stage counts its epochs as if it had begun at step 0, whatever
    went before: where stages change, an epoch is left unfinished and another entered midway.

    Neither the field's test pictures nor the recipe's validation pictures are drawn from.

    Args:
        recipe: its data, stages and seed.
        rank: this process among the others.
        world_size: how many there are; a stage's batch is shared out among them.
        on_device: leave damage that is arithmetic to `finish`.

    Attributes:
        left_out: pictures that are not drawn from, and why.

    Raises:
        InputError: folders or sets are missing, or no picture is left.
        RecipeError: a batch cannot be shared out evenly.
    """

    def __init__(
        self, recipe: Recipe, *, rank: int = 0, world_size: int = 1, on_device: bool = False
    ) -> None:
        for stage in recipe.stages:
            if stage.batch % world_size:
                raise RecipeError(
                    f"a batch of {stage.batch} crops can't be shared out evenly "
                    f"among {world_size} processes"
                )
        self.recipe, self.rank, self.world_size = recipe, rank, world_size
        self.on_device = on_device
        known = TestSets()
        if recipe.validation is not None:
            known.hold_back(recipe.validation.folders)
        self.source = source_of(recipe, known.refuse)
        self.left_out: list[LeftOut] = self.source.left_out
        self._stage: int | None = None

    def fingerprint(self) -> str:
        """A digest of the pictures' names and sizes in their order, wherever they lie."""
        pictures = self.source.pictures
        lines = [f"{path.name} {pictures.sizes[path]}" for path in pictures.paths]
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()

    def set_stage(self, number: int) -> None:
        """Take crop and batch from this stage from now on, whatever the step."""
        if not 0 <= number < len(self.recipe.stages):
            raise RecipeError(f"there is no stage {number}, only {len(self.recipe.stages)}")
        self._stage = number

    def stage_at(self, step: int) -> int:
        """The stage of a step: as set, else by the budget's steps."""
        return self.recipe.stage_at(step) if self._stage is None else self._stage

    def batch(self, step: int) -> Batch:
        """The batch of a step, in the stage that is set or that the step lies in.

        Raises:
            InputError: `MOST_LOST` pictures in a row can no longer be read.
        """
        return self.batch_in(step, self.stage_at(step))

    def batch_in(self, step: int, stage: int) -> Batch:
        """The batch of a step in a stage."""
        settings = self.recipe.stages[stage]
        local = settings.batch // self.world_size
        slots = range(self.rank * local, (self.rank + 1) * local)
        shares = self._shares(step, settings)
        lost: list[str] = []
        rows = [self._draw(step, stage, slot, shares[slot], lost) for slot in slots]
        seed = self._seed(_BATCH, step, self.rank)
        return _assemble(rows, settings.crop, seed, lost, on_device=self.on_device)

    def _seed(self, *words: int) -> int:
        sequence = np.random.SeedSequence([self.recipe.seed, *words])
        return int(sequence.generate_state(1, np.uint64)[0] >> 1)

    def _shares(self, step: int, stage: Stage) -> list[float]:
        """Evenly spread places in [0, 1), so that each batch holds each mixture in proportion."""
        rng = np.random.default_rng([self.recipe.seed, _STEP, step])
        places = (rng.permutation(stage.batch) + rng.random()) / stage.batch
        return places.tolist()

    def _draw(self, step: int, stage: int, slot: int, share: float, lost: list[str]) -> Crop:
        """The crop of a slot; of the epoch's next sample where a picture can't be read any more."""
        settings = self.recipe.stages[stage]
        epoch, place = divmod(step * settings.batch + slot, len(self.source))
        order = _order(self.recipe.seed, stage, epoch, len(self.source))
        for number in order.take(range(place, place + MOST_LOST), mode="wrap").tolist():
            rng = np.random.default_rng([self.recipe.seed, _SAMPLE, step, slot])
            try:
                return self.source.draw(number, share, settings.crop, rng)
            except InputError as error:
                lost.append(error.message)
        raise InputError(
            f"{MOST_LOST} training pictures in a row can no longer be read, the last: {lost[-1]}",
            "bring them back, and go on with --resume",
        )


@lru_cache(maxsize=64)
def _order(seed: int, stage: int, epoch: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The order of samples in an epoch of a stage."""
    return np.random.default_rng([seed, _EPOCH, stage, epoch]).permutation(count)


def _assemble(rows: list[Crop], side: int, seed: int, lost: list[str], *, on_device: bool) -> Batch:
    """Cut, damage what is to be damaged here, and put together."""
    clean = np.stack([_piece(row.wide, row, side) for row in rows])
    degraded = np.stack(
        [
            piece if row.degraded is None else row.degraded
            for row, piece in zip(rows, clean, strict=True)
        ]
    )
    pending = [bool(row.plan) and on_device and not needs_codec(row.plan) for row in rows]
    here = [i for i, row in enumerate(rows) if row.plan and not pending[i]]
    if here:
        x = torch.from_numpy(np.stack([rows[i].wide for i in here]))
        x = x.permute(0, 3, 1, 2).contiguous().float().div_(255)
        generator = torch.Generator().manual_seed(seed)
        damaged = degrade(x, [rows[i].plan for i in here], generator)
        damaged = damaged.mul_(255).round_().byte().permute(0, 2, 3, 1).numpy()
        for i, wide in zip(here, damaged, strict=True):
            degraded[i] = _piece(wide, rows[i], side)
    left = [row.wide for row, is_pending in zip(rows, pending, strict=True) if is_pending]
    wide = np.stack(left) if left else np.empty((0, 1, 1, 3), np.uint8)
    return Batch(
        clean=_channels_first(clean),
        degraded=_channels_first(degraded),
        plans=tuple(row.plan for row in rows),
        pending=torch.tensor(pending),
        wide=_channels_first(wide),
        labels=torch.from_numpy(np.stack([row.labels for row in rows])),
        seed=seed,
        scene=torch.from_numpy(np.stack([of(row.scene) for row in rows])),
        lost=tuple(lost),
    )


def _piece(wide: np.ndarray[Any, Any], row: Crop, side: int) -> np.ndarray[Any, Any]:
    return wide[row.top : row.top + side, row.left : row.left + side]


def _channels_first(pixels: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def finish(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Bring a batch to the device and damage there what is still pending.

    Args:
        batch: from a `Sampler`.
        device: what computes.

    Returns:
        degraded and clean, each `(B, 3, c, c)` float32 in [0, 1].
    """
    clean = batch.clean.to(device, non_blocking=True).float().div_(255)
    degraded = batch.degraded.to(device, non_blocking=True).float().div_(255)
    rows = batch.pending.nonzero()[:, 0]
    if len(rows):
        side = clean.shape[-1]
        wide = batch.wide.to(device, non_blocking=True).float().div_(255)
        generator = torch.Generator(device).manual_seed(batch.seed)
        damaged = degrade(wide, [batch.plans[i] for i in rows.tolist()], generator)
        middle = damaged[..., MARGIN : MARGIN + side, MARGIN : MARGIN + side]
        degraded = degraded.index_copy(0, rows.to(device), middle)
    return degraded, clean


def loader(
    sampler: Sampler, first_step: int, last_step: int | None, workers: int
) -> Iterator[Batch]:
    """Batches in order, prepared ahead by worker processes.

    A stage that is set while batches are on their way takes hold after them.

    Args:
        sampler: draws them.
        first_step: the first batch's.
        last_step: where to stop, excluded; or None.
        workers: processes; 0 prepares each batch in this one when it is asked for.

    Raises:
        MoceError: what the sampler raises.
    """
    steps = itertools.count(first_step) if last_step is None else range(first_step, last_step)
    if not workers:
        yield from map(sampler.batch, steps)
        return
    forks = "fork" in multiprocessing.get_all_start_methods()
    ahead: DataLoader[Batch] = DataLoader(
        _Batches(sampler),
        batch_size=None,
        sampler=((step, sampler.stage_at(step)) for step in steps),  # pyright: ignore[reportArgumentType] -- any iterable does
        num_workers=workers,
        prefetch_factor=4,
        # decoded pictures are shared by forking; a worker touches no GPU
        multiprocessing_context="fork" if forks else None,
        worker_init_fn=_let_the_parent_be_interrupted,
        pin_memory=sampler.on_device and torch.cuda.is_available(),
        generator=torch.Generator(),  # the process's own is left as it is
    )
    with warnings.catch_warnings():
        # workers compute in one thread, so those of this process are not missed
        warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
        prepared = iter(ahead)
    for batch in prepared:
        if isinstance(batch, MoceError):
            raise batch
        yield batch


class _Batches(Dataset[Any]):
    """Batches by step and stage; an error is handed over whole, not as a worker's traceback."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def __getitem__(self, place: tuple[int, int]) -> Batch | MoceError:
        try:
            return self._sampler.batch_in(*place)
        except MoceError as error:
            return error


def _let_the_parent_be_interrupted(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
