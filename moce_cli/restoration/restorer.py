"""The one way in: a picture of any kind, restored, with a report."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image

from moce_cli import runtime
from moce_cli.checkpoints import Checkpoint, load_model
from moce_cli.checkpoints.catalogue import DEFAULT_MODEL
from moce_cli.errors import InputError, UsageError
from moce_cli.pictures import Encoding, Picture, encoding_of, from_pillow, read, to_pillow
from moce_cli.pictures.large import BandReader
from moce_cli.restoration import selfcheck
from moce_cli.restoration.bands import BandView, RowWriter, written_behind
from moce_cli.restoration.canvas import Array, Canvas
from moce_cli.restoration.engine import Progress
from moce_cli.restoration.forecast import Asked, Forecast
from moce_cli.restoration.kinds import array_of, take_apart, tensor_like
from moce_cli.restoration.passage import Passage, filling
from moce_cli.restoration.plan import Plan, make_plan
from moce_cli.restoration.report import Kind, Report, Result, merged
from moce_cli.restoration.where import How, Region, part_seen
from moce_cli.runtime import Precision

log = logging.getLogger(__name__)


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
        runtime.check_threads(threads)
        self.name = name or checkpoint.card.name
        self.device = runtime.choose_device(device)
        self.precision: Precision = runtime.choose_precision(precision, self.device)
        self._notes = selfcheck.prepare(self.device, self.precision)
        self.threads, self._config = threads or runtime.usable_cores(), checkpoint.config
        self._tile, self._overlap, self._batch = tile, overlap, batch
        self._routing = routing
        self._passage = Passage(checkpoint, self.name, self.device, routing, self.threads)
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
            self._config,
            self.device,
            height=height,
            width=width,
            tile=self._tile,
            overlap=self._overlap,
            batch=self._batch,
            threads=self.threads,
            precision=self.precision,
            routing=self._routing,
        )

    def forecast(self, asked: Asked, *, timed: bool = True) -> Forecast:
        """What a picture will take.

        Args:
            asked: the picture.
            timed: try a tile, for the time; once for each size of tile.
        """
        return self._passage.forecast(self.plan_for(*asked.seen), asked, timed=timed)

    def restore(
        self,
        picture: Kind,
        *,
        strength: float = 1.0,
        region: Region | None = None,
        mask: Array | None = None,
        ensemble: bool = False,
        progress: Progress | None = None,
    ) -> Result[Kind]:
        """Restore one picture.

        Args:
            picture: a path (the result is a Pillow image), a `Picture` with all its frames, a
                Pillow image, a NumPy array `(H, W)` or `(H, W, C)` with C 1 to 4, uint8, uint16 or
                floating in [0, 1], or a floating tensor `(C, H, W)` or `(1, C, H, W)` with C 1 or
                3, in [0, 1]. Alpha is not touched, nor what it hides. A `Picture` is restored in
                sRGB's encoding, whatever its profile, and goes back into its own.
            strength: 1 is the result, 0 the input, between them a mixture.
            region: restore only in this rectangle.
            mask: `(H, W)`, the picture's size: restore where it is white; see `How`.
            ensemble: the mean over eight flips and rotations.
            progress: called with tiles done and tiles in all.

        Raises:
            InputError: no picture, or one of a kind that is not known; a region or mask that
                does not fit it.
            UsageError: strength out of range.
            DeviceError: out of memory at the smallest tile.
            MoceError: the network made no picture of it.
        """
        how = How(strength, region, mask, ensemble)
        given: object = picture
        if isinstance(given, str | Path):
            restored, report = self._picture(read(Path(given)), how, progress)
            result: object = to_pillow(restored)
        elif isinstance(given, Picture):
            result, report = self._picture(given, how, progress)
        elif isinstance(given, Image.Image):
            restored, report = self._picture(from_pillow(given), how, progress)
            result = to_pillow(restored)
        elif isinstance(given, np.ndarray):
            result, report = self._array(given, how, progress)
        elif isinstance(given, torch.Tensor):
            array, report = self._array(array_of(given), how, progress)
            result = tensor_like(given, array)
        else:
            raise InputError(
                f"cannot restore a {type(given).__name__}",
                "give a path, a Pillow image, a NumPy array or a tensor",
            )
        return Result(cast("Kind", result), report)

    def restore_bands(
        self,
        reader: BandReader,
        begin: Callable[[], RowWriter],
        *,
        strength: float = 1.0,
        region: Region | None = None,
        mask: Array | None = None,
        ensemble: bool = False,
        progress: Progress | None = None,
    ) -> Report:
        """Restore a picture larger than memory: decoded, restored and written at the same time.

        The file is read twice where its routing is pinned: tiles all over it are looked at first.
        The result is that of `restore`; but with a region or mask its tiles lie as for the whole
        picture, and colours hidden by alpha are carried on within a row of tiles.

        Args:
            reader: from `open_bands`.
            begin: gives what is written to, from the first row on; called again if the first
                attempt comes to nothing.
            strength: as for `restore`, and so are the others.
            region: as well.
            mask: as well.
            ensemble: as well.
            progress: as well.

        Raises:
            MoceError: as `restore`; and what reader and writer raise.
        """
        how = How(strength, region, mask, ensemble)
        begun = time.perf_counter()
        height, width = reader.height, reader.width
        notes = [*self._notes]
        with BandView(reader, how) as view:
            notes += filter(None, (*reader.source.notes, view.note))
            plan = self.plan_for(height, width)
            log.info("%s on %s, %s, in bands", self.name, self.device, plan)
            outcome = self._passage.through(
                view, plan, how, lambda: written_behind(begin()), notes, progress
            )
        return self._passage.report(outcome, height, width, begun, notes)

    def _picture(
        self, picture: Picture, how: How, progress: Progress | None
    ) -> tuple[Picture, Report]:
        """All frames, each on its own."""
        frames = (picture, *picture.further)
        done: list[Picture] = []
        reports: list[Report] = []
        for index, frame in enumerate(frames):

            def on_tiles(tiles: int, total: int, index: int = index) -> None:
                if progress:
                    progress(index * total + tiles, len(frames) * total)

            encoding, note = encoding_of(frame)
            pixels, report = self._pixels(frame.pixels, frame.alpha, encoding, how, on_tiles)
            told = filter(None, (*frame.source.notes, note, *report.notes))
            done.append(frame.with_pixels(pixels))
            reports.append(dataclasses.replace(report, notes=tuple(told)))
        return dataclasses.replace(done[0], further=tuple(done[1:])), merged(reports)

    def _array(self, array: Array, how: How, progress: Progress | None) -> tuple[Array, Report]:
        worked = take_apart(array)
        restored, report = self._pixels(worked.colours, worked.alpha, None, how, progress)
        return worked.back(restored), report

    def _pixels(
        self,
        pixels: Array,
        alpha: Array | None,
        encoding: Encoding | None,
        how: How,
        progress: Progress | None,
    ) -> tuple[Array, Report]:
        """`(H, W, 1 or 3)` through the network, once more in float32 if it comes to nothing."""
        begun, (height, width) = time.perf_counter(), pixels.shape[:2]
        weight = how.weight(height, width)
        box = part_seen(weight, height, width)
        canvas = Canvas.of(
            pixels, alpha=alpha, encoding=encoding, weight=weight, strength=how.strength
        ).cut(box.top, box.left, box.height, box.width)
        plan = self.plan_for(box.height, box.width)
        log.info("%s on %s, %s", self.name, self.device, plan)
        notes = list(self._notes)
        restored = np.empty_like(canvas.pixels)
        outcome = self._passage.through(
            canvas, plan, how, lambda: filling(restored), notes, progress
        )
        report = self._passage.report(outcome, height, width, begun, notes)
        if weight is None:
            return restored, report
        whole = pixels.copy()
        whole[box.top : box.top + box.height, box.left : box.left + box.width] = restored
        return whole, report
