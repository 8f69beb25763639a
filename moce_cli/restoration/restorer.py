"""The one way in: a picture of any kind, restored, with a report."""

from __future__ import annotations

import dataclasses
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, cast

import numpy as np
import torch
from PIL import Image

from moce_cli import runtime
from moce_cli.checkpoints import Checkpoint, build, load_model
from moce_cli.checkpoints.catalogue import DEFAULT_MODEL
from moce_cli.errors import InputError, MoceError, UsageError
from moce_cli.pictures import Picture, from_pillow, read, to_pillow
from moce_cli.restoration import selfcheck
from moce_cli.restoration.engine import (
    Array,
    Engine,
    NotFiniteError,
    Outcome,
    Progress,
    full_scale,
)
from moce_cli.restoration.plan import Plan, make_plan
from moce_cli.restoration.report import Report
from moce_cli.runtime import Precision

log = logging.getLogger(__name__)

Kind = TypeVar("Kind")
MOST_THREADS = 512


@dataclass(frozen=True, slots=True)
class Result(Generic[Kind]):
    """A restored picture, in the kind it was given, and what was done to it."""

    picture: Kind
    report: Report


class BadPictureError(MoceError):
    """The network made no picture of an input, in float32 either."""


class Restorer:
    """A model on a device, ready for pictures.

    Args:
        checkpoint: weights and their architecture.
        name: of the model, for reports.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        precision: `auto`, `fp32`, `bf16` or `fp16`.
        tile: longest side of a tile, a multiple of 8; 0 is the whole picture; None chooses.
        overlap: what neighbouring tiles share at least; None chooses.
        batch: how many tiles go through the network at once; None chooses.
        routing: `image` decides once for a picture, `tile` for each tile, `0` to `3` forces.
        threads: of the CPU; None takes the cores this process may use.

    Raises:
        UsageError: a value out of range.
        DeviceError: the device is not there.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        name: str | None = None,
        device: str = "auto",
        precision: str = "auto",
        tile: int | None = None,
        overlap: int | None = None,
        batch: int | None = None,
        routing: str = "image",
        threads: int | None = None,
    ) -> None:
        num_experts = checkpoint.config.num_experts
        if routing not in ("image", "tile", *map(str, range(num_experts))):
            raise UsageError(
                f"{routing!r} is no routing", f"use image, tile or 0 to {num_experts - 1}"
            )
        if threads is not None and not 1 <= threads <= MOST_THREADS:
            raise UsageError(
                f"{threads} threads cannot work", f"--threads takes 1 to {MOST_THREADS}"
            )
        self.name = name or checkpoint.card.name
        self.device = runtime.choose_device(device)
        self.precision: Precision = runtime.choose_precision(precision, self.device)
        self._notes = selfcheck.prepare(self.device, self.precision)
        self._threads = threads or runtime.usable_cores()
        self._checkpoint = checkpoint
        self._tile, self._overlap, self._batch = tile, overlap, batch
        self._routing = routing
        self._engines: dict[Precision, Engine] = {}
        self.plan_for(1, 1)  # options that do not fit are refused here, not at the first picture

    @classmethod
    def from_pretrained(
        cls,
        model: str = DEFAULT_MODEL,
        *,
        device: str = "auto",
        precision: str = "auto",
        tile: int | None = None,
        overlap: int | None = None,
        batch: int | None = None,
        routing: str = "image",
        threads: int | None = None,
    ) -> Restorer:
        """A restorer for a catalogue name, a file, `org/repo[@revision]` or `preset:NAME`.

        The other arguments are those of `Restorer`.

        Raises:
            WeightsError: the model cannot be had.
            UsageError: a value out of range.
            DeviceError: the device is not there.
        """
        runtime.choose_device(device)  # before the weights are read: it is the cheaper mistake
        return cls(
            load_model(model),
            name=model,
            device=device,
            precision=precision,
            tile=tile,
            overlap=overlap,
            batch=batch,
            routing=routing,
            threads=threads,
        )

    def plan_for(self, height: int, width: int) -> Plan:
        """What would be done with a picture of this size."""
        return make_plan(
            self._checkpoint.config,
            self.device,
            height=height,
            width=width,
            tile=self._tile,
            overlap=self._overlap,
            batch=self._batch,
            threads=self._threads,
            precision=self.precision,
        )

    def restore(
        self, picture: Kind, *, strength: float = 1.0, progress: Progress | None = None
    ) -> Result[Kind]:
        """Restore one picture.

        Args:
            picture: a path (the result is a Pillow image), a `Picture`, a Pillow image, a NumPy
                array `(H, W)` or `(H, W, C)` with C 1 to 4, uint8, uint16 or floating in [0, 1], or
                a floating tensor `(C, H, W)` or `(1, C, H, W)` with C 1 or 3, in [0, 1]. Alpha is
                not touched.
            strength: 1 is the result, 0 the input, between them a mixture.
            progress: called with tiles done and tiles in all.

        Raises:
            InputError: no picture, or one of a kind that is not known.
            UsageError: strength out of range.
            DeviceError: out of memory at the smallest tile.
            MoceError: the network made no picture of it.
        """
        if not 0 <= strength <= 1:
            raise UsageError(f"a strength of {strength} is not possible", "use 0 to 1")
        given: object = picture
        if isinstance(given, str | Path):
            restored, report = self._picture(read(Path(given)), strength, progress)
            result: object = to_pillow(restored)
        elif isinstance(given, Picture):
            result, report = self._picture(given, strength, progress)
        elif isinstance(given, Image.Image):
            restored, report = self._picture(from_pillow(given), strength, progress)
            result = to_pillow(restored)
        elif isinstance(given, np.ndarray):
            result, report = self._array(given, strength, progress)
        elif isinstance(given, torch.Tensor):
            result, report = self._tensor(given, strength, progress)
        else:
            raise InputError(
                f"cannot restore a {type(given).__name__}",
                "give a path, a Pillow image, a NumPy array or a tensor",
            )
        return Result(cast("Kind", result), report)

    def _picture(
        self, picture: Picture, strength: float, progress: Progress | None
    ) -> tuple[Picture, Report]:
        pixels, report = self._pixels(picture.pixels, strength, progress)
        notes = (*picture.source.notes, *report.notes)
        return picture.with_pixels(pixels), dataclasses.replace(report, notes=notes)

    def _array(
        self, array: Array, strength: float, progress: Progress | None
    ) -> tuple[Array, Report]:
        shape = array.shape
        if len(shape) not in (2, 3) or 0 in shape or (len(shape) == 3 and shape[2] > 4):
            raise InputError(f"an array of shape {shape} is no picture", "give (H, W) or (H, W, C)")
        channels = shape[2] if len(shape) == 3 else 1
        pixels = array.reshape(shape[0], shape[1], channels)
        colour = 1 if channels < 3 else 3
        if array.dtype.kind == "f":
            low, high = float(np.min(pixels)), float(np.max(pixels))
            if not (low >= 0 and high <= 1):
                raise InputError(
                    f"the values reach from {low:g} to {high:g}", "scale them to [0, 1]"
                )
            worked = pixels[..., :colour].astype(np.float32)
        elif array.dtype.name in ("uint8", "uint16"):
            worked = pixels[..., :colour]
        else:
            raise InputError(
                f"{array.dtype} is no pixel type", "use uint8, uint16 or floats in [0, 1]"
            )
        restored, report = self._pixels(worked, strength, progress)
        out = np.concatenate((restored.astype(array.dtype), pixels[..., colour:]), axis=2)
        return out.reshape(shape), report

    def _tensor(
        self, tensor: torch.Tensor, strength: float, progress: Progress | None
    ) -> tuple[torch.Tensor, Report]:
        single = tensor[0] if tensor.ndim == 4 and tensor.shape[0] == 1 else tensor
        if single.ndim != 3 or single.shape[0] not in (1, 3) or not tensor.is_floating_point():
            raise InputError(
                f"a {tensor.dtype} tensor of shape {tuple(tensor.shape)} is no picture",
                "give floats in [0, 1], (C, H, W) or (1, C, H, W) with C 1 or 3",
            )
        array = single.detach().permute(1, 2, 0).float().cpu().numpy()
        restored, report = self._array(array, strength, progress)
        out = torch.from_numpy(restored).permute(2, 0, 1).reshape(tensor.shape)
        return out.to(tensor.device, tensor.dtype), report

    def _pixels(
        self, pixels: Array, strength: float, progress: Progress | None
    ) -> tuple[Array, Report]:
        """`(H, W, 1 or 3)` through the network, once more in float32 if it comes to nothing."""
        begun = time.perf_counter()
        height, width = pixels.shape[:2]
        plan = self.plan_for(height, width)
        log.info("%s on %s, %s", self.name, self.device, plan)
        notes = list(self._notes)
        outcome = self._attempt(pixels, plan, strength, progress)
        if outcome is None and plan.precision != "fp32":
            notes.append(f"{plan.precision} gave no finite picture: done again in fp32")
            log.warning(notes[-1])
            plan = dataclasses.replace(plan, precision="fp32")
            outcome = self._attempt(pixels, plan, strength, progress)
        if outcome is None:
            raise BadPictureError(
                f"{self.name} made no picture of this input, in float32 either",
                "try another --model, and report the picture if you can share it",
            )
        report = Report(
            model=self.name,
            device=str(self.device),
            precision=plan.precision,
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
        return outcome.pixels, report

    def _attempt(
        self, pixels: Array, plan: Plan, strength: float, progress: Progress | None
    ) -> Outcome | None:
        """None where the output is not finite, or flat though the input is not."""
        engine = self._engines.get(plan.precision)
        if engine is None:
            engine = Engine(build(self._checkpoint), self.device, plan.precision)
            self._engines[plan.precision] = engine
        torch.set_num_threads(self._threads)  # of the whole process: another restorer may differ
        try:
            outcome = engine.restore(
                pixels, plan, routing=self._routing, strength=strength, progress=progress
            )
        except NotFiniteError:
            return None
        flat = outcome.pixels.min() == outcome.pixels.max()
        # a nearly flat input may rightly become flat
        spread = float(pixels.max()) - float(pixels.min())
        return None if flat and spread > 0.5 * full_scale(pixels.dtype) else outcome
